//! The library behind the program `msgcube`.

pub mod app;
pub mod callback;
pub mod clock;
pub mod config;
pub mod demo;
pub mod http;
pub mod ingest;
pub mod lang;
pub mod metrics;
pub mod secret;
pub mod send;
pub mod store;
pub mod token;
