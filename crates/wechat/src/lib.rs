//! WeChat's formats: signatures, ciphers, parsers of callbacks and cloud calls, request ids, the guide to error codes.
//! Pure: uses no clock, socket or file.

#![warn(missing_docs)]

pub mod callback;
pub mod cloud;
pub mod error_guide;
pub mod labels;
pub mod request_id;
