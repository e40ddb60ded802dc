//! The real program, from outside: its HTTP interfaces between scripted neighbours (`front`), its commands (`commands`),
//! kills under load (`crash`), and the wire cases, which also run in this process (`wire`). One program of tests: each
//! further one would link the whole server once more.
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
