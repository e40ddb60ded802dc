//! The library behind the program `msgcube`.

pub mod app;
pub mod callback;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod http;
pub mod import;
pub mod ingest;
pub mod lang;
pub mod manual;
pub mod metrics;
pub mod query;
pub mod refusals;
pub mod secret;
pub mod send;
pub mod server;
pub mod store;
pub mod table;
pub mod tls_ca;
pub mod token;
