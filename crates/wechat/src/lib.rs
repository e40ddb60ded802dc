//! WeChat's formats: signatures, ciphers, readers of callbacks and cloud calls, request ids, the guide to error codes.
//! Pure: bytes and values in, values out; no clock, no socket, no file.

pub mod callback;
pub mod cloud;
pub mod error_guide;
pub mod labels;
pub mod request_id;
