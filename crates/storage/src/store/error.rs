//! Why a store does not take changes or does not answer.

use std::path::PathBuf;

use super::Outcome;

/// This store has no account with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no account with the number {0}")]
pub struct UnknownAccount(pub u32);

impl From<UnknownAccount> for Outcome {
    fn from(error: UnknownAccount) -> Outcome {
        Outcome::Failed(error.to_string())
    }
}

/// No change of a batch became durable, for this reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot make messages durable: {0}")]
pub struct NotDurable(pub String);

/// A store cannot be opened or read.
#[allow(missing_docs, reason = "the error texts name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has locked the folder.
    #[error("{0} is in use by another msgcube; stop that one, or give this one a data_dir of its own")]
    InUse(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// A log file that should exist is missing. `folder` is the log folder.
    #[error(
        "{path} is missing: messages that were acknowledged may be in it and nowhere else. Restore data_dir with its whole log folder from a backup. To go on without what is not in the other files, run: mkdir -p {folder} && touch {path}"
    )]
    LogMissing { path: PathBuf, folder: PathBuf },
    /// Data on disk is damaged.
    #[error("{path}: {what}. Nothing was changed; restore data_dir from a backup")]
    Damaged { path: PathBuf, what: String },
    /// A newer version wrote the data.
    #[error("{path} has format {found}, this version reads up to {known}; use a newer msgcube")]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    /// A newer version wrote the data, and the folder says which one.
    #[error("{path} has format {found}, this version reads up to {known}; use msgcube {version} or newer")]
    NewerFormatOf { path: PathBuf, found: u32, known: u32, version: String },
    /// The page store (redb) failed.
    #[error("the page store in {path}: {what}")]
    Pages { path: PathBuf, what: String },
    /// A page could not be read, so one query fails.
    #[error("{path}: {source}")]
    Page { path: PathBuf, source: counting::PageError },
    /// The servers of a shared store did not answer, or not completely.
    #[error("{0}")]
    Servers(String),
    /// The data folder belongs to the embedded store.
    #[error(
        "{0} holds messages of the store that is used without [store]; with [store] they would not be counted. Give this process a data_dir of its own"
    )]
    HasOwnMessages(PathBuf),
    /// PostgreSQL was prepared for another number of shards.
    #[error(
        "ClickHouse has {found} shards, but the messages are spread over {stored}; give [store] the urls and the cluster with which `msgcube store init` was run"
    )]
    OtherShards { stored: u32, found: usize },
    /// The query names an unknown account.
    #[error("{0}")]
    UnknownAccount(#[from] UnknownAccount),
}
