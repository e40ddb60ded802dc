//! The server: configuration, accounts, authorization, intake of callbacks, forwarding, and HTTP.

#![warn(missing_docs)]

pub mod accounts;
pub mod auth;
pub mod config;
pub mod figures;
pub mod forward;
pub mod http;
pub mod intake;
pub mod key_binding;
pub mod net;
pub mod open_store;
pub mod reload;
pub mod shared_servers;

#[cfg(test)]
mod two_processes;
