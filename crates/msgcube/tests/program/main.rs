//! Tests of the real program: its HTTP interfaces between scripted servers (`front`), its commands (`commands`), kills
//! under load (`crash`), and the wire cases, which also run in this process (`wire`). They are one test program, because
//! each test program links the whole server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test from outside: what cannot go on has failed, and waiting needs a real clock"
)]

mod commands;
mod crash;
mod front;
mod harness;
mod wire;
