//! The router in this process, asked without a socket: cloud calls, and what the OpenAPI document says of its routes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cloud;
mod openapi;
