//! The server in this process, without a socket: cloud calls, the OpenAPI document against the routes, and a reload on a
//! failing disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cloud;
#[allow(dead_code, reason = "the tests of the stores use the other functions")]
#[path = "../../../storage/tests/store/disk.rs"]
mod disk;
mod openapi;
mod reload;
