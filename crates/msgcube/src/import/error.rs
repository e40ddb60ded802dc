//! Errors of an import, with the next step.

use std::{io, path::PathBuf};

use i18n::{Lang, text};

use crate::server_args::SecretFileError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server's address or key cannot be used.
    #[error("--server: {0}")]
    Server(String),
    /// No answer, even after retries.
    #[error("no answer from the server: {0}")]
    Lost(String),
    /// Status 503, even after retries: the server cannot make messages durable at the moment.
    #[error(
        "the server accepts no messages at the moment: it cannot make them durable, or is busy with other imports (HTTP status 503)"
    )]
    NotDurable,
    /// Status 401.
    #[error("the server refuses the admin key (HTTP status 401)")]
    Key,
    /// Any other error status.
    #[error("HTTP status {status}: {text}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Beginning of the answer.
        text: String,
    },
    /// The answer is not the expected JSON.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

impl UploadError {
    /// Whether a retry may help.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, UploadError::Lost(_) | UploadError::NotDurable)
    }
}

/// Why an import stopped. For the screen use [`ImportError::in_lang`], which adds the next step.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No admin key was given.
    #[error("no key: give --config, set MSGCUBE_ADMIN_KEY or give --key-file")]
    NoKey,
    /// No server was given.
    #[error("no server: give --config msgcube.toml, or --server such as http://127.0.0.1:8060")]
    NoServer,
    /// No account was given.
    #[error("no account: give --config msgcube.toml, or --appid and --server")]
    NoAppid,
    /// The configuration cannot be used; the text says why.
    #[error("{0}")]
    Config(String),
    /// The file with the key cannot be read.
    #[error(transparent)]
    KeyFile(#[from] SecretFileError),
    /// The file does not exist.
    #[error("no such file: {}", .0.display())]
    NoFile(PathBuf),
    /// The path is a folder, not a file.
    #[error("{} is a folder", .0.display())]
    Folder(PathBuf),
    /// A file cannot be read.
    #[error("{}, after line {line}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Number of lines that the server has already.
        line: u64,
        /// The cause.
        source: io::Error,
    },
    /// A request with lines failed.
    #[error("{}, after line {line}: {source}", path.display())]
    Upload {
        /// The file.
        path: PathBuf,
        /// Number of lines that the server has already.
        line: u64,
        /// The cause.
        source: UploadError,
    },
    /// The server's address cannot be used, or the claim of coverage failed.
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
            | ImportError::KeyFile(_)
            | ImportError::Output(_)
            | ImportError::Json(_) => return self.to_string(),
            ImportError::NoFile(_) => text!("Name an existing file, such as `msgcube import messages.ndjson --config msgcube.toml`, or - for standard input, such as `zcat messages.gz | msgcube import - --config msgcube.toml`.").in_lang(lang),
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
            ImportError::Read { .. } | ImportError::Upload { .. } | ImportError::Server(_) => text!("Once that is fixed, run the same command again: it continues there, and nothing is counted twice.").in_lang(lang),
        };
        format!("{self}\n{next}")
    }
}
