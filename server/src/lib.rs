//! The library behind the program `msgcube`.

pub mod accounts;
pub mod app;
pub mod callback;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_key;
pub mod demo;
pub mod http;
pub mod import;
pub mod ingest;
pub mod lang;
pub mod metrics;
pub mod outbound;
pub mod query;
pub mod refusals;
pub mod secret;
pub mod send;
pub mod server;
pub mod store;
pub mod table;
pub mod tls;
pub mod token;
pub mod upstream;
