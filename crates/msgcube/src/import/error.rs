//! Why an import broke off, and what to do next.

use std::{io, path::PathBuf};

use i18n::Lang;

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
            ImportError::NoFile(_) => lang.pick(
                "Name a file that is there, such as `msgcube import messages.ndjson --config msgcube.toml`, or - for \
                 standard input, such as `zcat messages.gz | msgcube import - --config msgcube.toml`.",
                "请给出存在的文件，如 `msgcube import messages.ndjson --config msgcube.toml`；- 为标准输入，\
                 如 `zcat messages.gz | msgcube import - --config msgcube.toml`。",
            ),
            ImportError::Folder(path) => {
                let files = path.join("*").display().to_string();
                return format!(
                    "{self}\n{}",
                    lang.pick(
                        format!("Name its files, such as `msgcube import {files} --config msgcube.toml`."),
                        format!("请给出其中的文件，如 `msgcube import {files} --config msgcube.toml`。"),
                    )
                );
            }
            ImportError::Upload { source: UploadError::Key, .. } | ImportError::Server(UploadError::Key) => {
                lang.pick("Check the admin key.", "检查管理密钥。")
            }
            ImportError::Server(UploadError::Server(_)) => lang.pick("Check --server.", "检查 --server。"),
            ImportError::Read { .. } | ImportError::Upload { .. } | ImportError::Server(_) => lang.pick(
                "Once that is repaired, run the same command again: it goes on there, and nothing counts twice.",
                "修复后重新运行同一命令：从该处继续，不会重复计数。",
            ),
        };
        format!("{self}\n{next}")
    }
}
