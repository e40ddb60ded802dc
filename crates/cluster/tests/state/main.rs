//! The shared state against a real PostgreSQL: set `MSGCUBE_TEST_POSTGRES` to the address of a role that may create
//! databases. Each test makes a database of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod counting;
mod faults;
mod order;
mod processes;
mod proxy;
mod results;
mod server;
mod speed;
mod tls;
