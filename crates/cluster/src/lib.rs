//! What several processes share: messages in ClickHouse, and everything that is decided in PostgreSQL. It knows no HTTP
//! API, no accounts' settings and no signatures.

#![warn(missing_docs)]

pub mod messages;
pub mod state;
