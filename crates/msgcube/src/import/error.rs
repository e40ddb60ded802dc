//! Why an import broke off, and what to do next.

use std::{io, path::PathBuf};

use i18n::Lang;
use i18n::text;

/// Why a request did not go through.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server's address or key cannot be used.
    #[error("--server: {0}")]
    Server(String),
    /// No answer, even after repeating.
    #[error("no answer from the server: {0}")]
    Lost(String),
    /// 503, even after repeating: nothing can be made durable there at the moment.
    #[error(
        "the server takes no messages at the moment: it cannot make them durable, or reads other imports (HTTP status 503)"
    )]
    NotDurable,
    /// 401
    #[error("the server refuses the admin key (HTTP status 401)")]
    Key,
    /// Any other status.
    #[error("HTTP status {status}: {text}")]
    Status {
        /// The status.
        status: u16,
        /// Beginning of the answer.
        text: String,
    },
    /// Not the promised object.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

impl UploadError {
    /// Whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, UploadError::Lost(_) | UploadError::NotDurable)
    }
}

/// Why an import broke off. For people use [`ImportError::in_lang`], which adds the next step.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Neither `MSGCUBE_ADMIN_KEY` nor a file with the key.
    #[error("no admin key: give --config, set MSGCUBE_ADMIN_KEY or give --admin-key-file")]
    NoKey,
    /// Neither --server nor a configuration.
    #[error("no server: give --config msgcube.toml, or --server such as http://127.0.0.1:8060")]
    NoServer,
    /// Neither --appid nor a configuration.
    #[error("no account: give --config msgcube.toml, or --appid and --server")]
    NoAppid,
    /// The configuration; the text is its own.
    #[error("{0}")]
    Config(String),
    /// The file with the admin key cannot be read.
    #[error("--admin-key-file {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not there.
    #[error("no such file: {}", .0.display())]
    NoFile(PathBuf),
    /// A folder in place of files.
    #[error("{} is a folder", .0.display())]
    Folder(PathBuf),
    /// A file cannot be read (on).
    #[error("{}, after line {line}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Lines that the server has by now.
        line: u64,
        /// Why not.
        source: io::Error,
    },
    /// A request did not go through.
    #[error("{}, after line {line}: {source}", path.display())]
    Upload {
        /// The file.
        path: PathBuf,
        /// Lines that the server has by now.
        line: u64,
        /// Why not.
        source: UploadError,
    },
    /// The address of the server cannot be used, or the claim of coverage did not go through.
    #[error(transparent)]
    Server(#[from] UploadError),
    /// The totals cannot be written.
    #[error("output: {0}")]
    Output(#[from] io::Error),
    /// The totals cannot be written as JSON.
    #[error("output: {0}")]
    Json(#[from] serde_json::Error),
}

impl ImportError {
    /// What went wrong and what to do next.
    pub fn in_lang(&self, lang: Lang) -> String {
        let next = match self {
            ImportError::NoKey
            | ImportError::NoServer
            | ImportError::NoAppid
            | ImportError::Config(_)
            | ImportError::KeyFile { .. }
            | ImportError::Output(_)
            | ImportError::Json(_) => return self.to_string(),
            ImportError::NoFile(_) => text!("Name a file that is there, such as `msgcube import messages.ndjson --config msgcube.toml`, or - for \
                 standard input, such as `zcat messages.gz | msgcube import - --config msgcube.toml`.").in_lang(lang),
            ImportError::Folder(path) => {
                let files = path.join("*").display().to_string();
                return format!(
                    "{self}\n{}",
                    text!("Name its files, such as `msgcube import {files} --config msgcube.toml`.", files).in_lang(lang)
                );
            }
            ImportError::Upload { source: UploadError::Key, .. } | ImportError::Server(UploadError::Key) => {
                text!("Check the admin key.").in_lang(lang)
            }
            ImportError::Server(UploadError::Server(_)) => text!("Check --server.").in_lang(lang),
            ImportError::Read { .. } | ImportError::Upload { .. } | ImportError::Server(_) => text!("Once that is repaired, run the same command again: it goes on there, and nothing counts twice.").in_lang(lang),
        };
        format!("{self}\n{next}")
    }
}
