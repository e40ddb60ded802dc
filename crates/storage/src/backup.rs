//! Backup, restore and verify, without HTTP. A running store is exported as a stream of pieces; a folder takes them.
//!
//! A backup folder has one file for each part, named by its SHA-256, and a manifest that lists them. The manifest is
//! replaced last and at once, so the folder always holds one whole backup. Parts that did not change are kept.

pub mod export;
mod folder;
mod manifest;
mod restore;
mod rows;
pub mod stream;
mod verify;

use std::{io, path::PathBuf};

use crate::store::StoreError;

pub use self::{
    folder::{BackupFolder, BackupSummary},
    manifest::{Manifest, PartId},
    restore::{RestoreSummary, restore},
    verify::{FolderKind, Verified, verify},
};

/// Why a backup, a restore or an examination could not be done. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its fields are")]
pub enum BackupError {
    /// A file or folder cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Something else is in the folder.
    #[error("{path} holds something else than a backup of msgcube; name a new or an empty folder")]
    NotABackup { path: PathBuf },
    /// Another process works in the folder.
    #[error("{path} is in use by another backup, restore or verify")]
    FolderInUse { path: PathBuf },
    /// The first backup never ended.
    #[error("{path} holds no finished backup; run msgcube backup again")]
    Unfinished { path: PathBuf },
    /// Neither a data folder nor a backup.
    #[error("{path} is neither a data folder nor a backup of msgcube")]
    Unknown { path: PathBuf },
    /// The backup of other data.
    #[error(
        "{path} holds a backup of data with another data key; nothing was changed. Name a new or an empty folder"
    )]
    OtherData { path: PathBuf },
    /// A backup whose files are not as they were written.
    #[error("{path} is damaged; nothing was changed. msgcube verify says what is damaged")]
    Damaged { path: PathBuf },
    /// It was written by a newer version.
    #[error("{path} has format {found}, this version reads up to {known}; use a newer msgcube")]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    /// The folder of a restore is in use.
    #[error("{path} exists and is not empty; nothing was changed. Name a new folder")]
    NotEmpty { path: PathBuf },
    /// The stream ended early or makes no sense.
    #[error("the server sent something else than a backup: {0}")]
    Stream(&'static str),
    /// The server gave up.
    #[error("the server could not go on: {0}")]
    Server(String),
    /// The caller is gone.
    #[error("the backup was not taken to its end")]
    Stopped,
}

impl BackupError {
    fn file(path: &std::path::Path) -> impl Fn(io::Error) -> BackupError + '_ {
        move |source| BackupError::File { path: path.to_owned(), source }
    }
}
