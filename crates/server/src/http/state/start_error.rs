//! Why the program cannot start.

use storage::store::{NotDurable, StoreError};
use system::random::RandomError;
use wechat::callback::KeyError;

use crate::{
    accounts::registry::StoredAccountError, key_binding::KeyBindingError, open_store::OpenStoreError,
};

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened or read.
    #[error("{0}")]
    OpenStore(#[from] OpenStoreError),
    /// The store cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A write at the start failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// A write to the disk failed at the start.
    #[error("{0}; check that the disk of data_dir has room and can be written")]
    DiskFailed(NotDurable),
    /// A write to the servers of `[store]` failed at the start.
    #[error("{0}; see what msgcube store check finds")]
    ServersFailed(NotDurable),
    /// The data key is missing or does not fit the data folder.
    #[error("{0}")]
    DataKey(#[from] KeyBindingError),
    /// The keys of an account are invalid.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// The operating system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// An account that was added at run time cannot be read.
    #[error("{0}")]
    StoredAccount(#[from] StoredAccountError),
}

impl StartError {
    /// The error with what to do about it, which depends on the store.
    pub(super) fn with_remedy(self, is_shared: bool) -> StartError {
        match self {
            StartError::NotDurable(error) | StartError::DataKey(KeyBindingError::NotDurable(error)) => {
                if is_shared {
                    StartError::ServersFailed(error)
                } else {
                    StartError::DiskFailed(error)
                }
            }
            other => other,
        }
    }
}
