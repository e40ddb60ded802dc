//! The front door from outside: the real program between scripted neighbours (a bot, WeChat) that note all they are
//! sent. What unmodified bots and SDKs make of it is tested in `tests/front`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test from outside: what cannot go on has failed, and waiting needs a real clock"
)]

mod accounts;
mod callbacks;
mod component;
mod copies;
mod gateway;
mod gateway_ours;
mod isolation;
mod neighbour;
mod openapi;
mod platform;
mod platforms;
mod program;
mod relay;
mod reload;
mod statistics;
mod tls;
