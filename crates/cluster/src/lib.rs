//! What several processes share: messages in ClickHouse, and everything that is decided in PostgreSQL. It knows no HTTP
//! API, no accounts' settings and no signatures.

#![warn(missing_docs)]

mod finding_level;
pub mod messages;
pub mod state;

pub use finding_level::FindingLevel;
