//! The library behind the program `msgcube`.

pub mod callback;
pub mod clock;
pub mod config;
pub mod ingest;
pub mod lang;
pub mod metrics;
pub mod secret;
pub mod store;
pub mod token;
