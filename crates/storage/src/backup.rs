//! Backup, restore and verify, without HTTP. A running store is exported as a stream of pieces. A backup folder stores
//! them.
//!
//! A backup folder has one file for each part, named by its SHA-256, and a manifest that lists them. The manifest is
//! replaced last and atomically, so the folder always holds one whole backup. Parts that did not change are kept.

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

/// Why a backup, a restore or an examination failed. The former backup or folder is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store could not be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Something else is in the folder.
    #[error("{path} contains something other than a backup of msgcube; name a new or an empty folder")]
    NotABackup {
        /// The folder.
        path: PathBuf,
    },
    /// Another process uses the folder.
    #[error("{path} is in use by another backup, restore or verify")]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// There is no manifest, so no backup was ever finished.
    #[error("{path} holds no finished backup; run msgcube backup again")]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// It is the data folder of a process that keeps its messages in servers.
    #[error(
        "{path} belongs to a msgcube with [store]: its messages are in ClickHouse, not here. Examine the servers with msgcube store check, and back them up with their own tools"
    )]
    OfSharedStore {
        /// The folder.
        path: PathBuf,
    },
    /// It is neither a data folder nor a backup.
    #[error("{path} is neither a data folder nor a backup of msgcube")]
    Unknown {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a backup of other data.
    #[error(
        "{path} holds a backup of data with another data key; nothing was changed. Name a new or an empty folder"
    )]
    OtherData {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the backup is not as it was written.
    #[error("{path} is damaged; nothing was changed. msgcube verify says what is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the backup.
    #[error("{path} has format {found}, this version reads up to {known}; use a newer msgcube")]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
    },
    /// The target of a restore is not empty.
    #[error("{path} exists and is not empty; nothing was changed. Name a new folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The stream is no backup. The text says why.
    #[error("the server sent something other than a backup: {0}")]
    Stream(&'static str),
    /// The server sent an error instead of the rest.
    #[error("the server could not go on: {0}")]
    Server(String),
    /// The receiver of the stream is gone.
    #[error("the backup was not taken to its end")]
    Stopped,
}

impl BackupError {
    fn file(path: &std::path::Path) -> impl Fn(io::Error) -> BackupError + '_ {
        move |source| BackupError::File { path: path.to_owned(), source }
    }
}
