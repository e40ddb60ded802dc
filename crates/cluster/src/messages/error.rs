//! What can go wrong with ClickHouse. The texts contain no password.

use std::time::Duration;

/// Why ClickHouse did not do what was asked. The text says what to do about it.
#[allow(missing_docs, reason = "the error texts name the fields")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClickHouseError {
    /// The options cannot be right.
    #[error("[store] of the configuration: {0}")]
    Options(String),
    /// A server does not answer, or refuses what every server must do.
    #[error("ClickHouse at {url}: {what}")]
    Server { url: String, what: String },
    /// A server is too old.
    #[error(
        "ClickHouse at {url} is version {version}; msgcube needs 24.8 or newer. Install a current one from https://clickhouse.com/docs/install; Debian's own package is from 2018"
    )]
    TooOld { url: String, version: String },
    /// The servers do not form the cluster that the configuration describes.
    #[error("the servers of [store] do not fit together: {0}")]
    Layout(String),
    /// The tables are missing or are others.
    #[error("the tables of ClickHouse at {url}: {what}")]
    Schema { url: String, what: String },
    /// It is not certain that the rows are stored. Storing the same rows again is safe.
    #[error("ClickHouse did not confirm in time that the messages are stored: {0}")]
    NotStored(String),
    /// No replica of a shard answered, or the question cannot be answered.
    #[error("ClickHouse cannot answer: {0}")]
    Unanswered(String),
    /// Other questions take too long.
    #[error(
        "ClickHouse is busy with other questions; this one waited {} s for its turn. Try again later, or ask for a shorter range",
        .0.as_secs()
    )]
    Busy(Duration),
}
