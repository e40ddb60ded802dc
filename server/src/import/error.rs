//! Why an import broke off, and what to do next.

use std::{io, path::PathBuf};

use super::UploadError;
use crate::lang::Lang;

/// Why an import broke off. For people use [`ImportError::in_lang`], which adds the next step.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Neither `MSGCUBE_ADMIN_KEY` nor a file with the key.
    #[error("no admin key: set MSGCUBE_ADMIN_KEY or give --admin-key-file")]
    NoKey,
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
            ImportError::NoKey | ImportError::Output(_) | ImportError::Json(_) => return self.to_string(),
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
