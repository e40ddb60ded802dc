//! What can go wrong with accounts at run time.

use storage::store::NotDurable;
use system::{data_key::SealError, random::RandomError};

use super::STORED_MAX;
use crate::config::Flaw;

/// Why an account could not be added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A setting that cannot be.
    #[error("{0}")]
    Flaw(#[from] Flaw),
    /// Not an account's settings at all.
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
    /// It is there already.
    #[error("{0} is there already; change it with PATCH /v1/accounts/{0}, or `msgcube account set`")]
    Exists(String),
    /// It stands in the configuration file.
    #[error("{0} stands in the configuration file: change it there and run `msgcube reload`")]
    Configured(String),
    /// It is not there.
    #[error("no account has the appid {0}; GET /v1/accounts lists them")]
    Unknown(String),
    /// It would come back with its next message.
    #[error(
        "{0} authorised a third-party platform, which brings its messages: take that back at WeChat first; with its next message it would come back"
    )]
    Authorized(String),
    /// An account keeps its appid.
    #[error("the appid of an account cannot be changed: add another account")]
    AppidChanges,
    /// Too many.
    #[error("{STORED_MAX} accounts were added already, which is the most")]
    TooMany,
    /// The disk.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// The cipher.
    #[error("the settings cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// The system.
    #[error("{0}")]
    Random(#[from] RandomError),
}

/// Why the accounts that were added at run time cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "the account {appid}, added at run time, cannot be read: {what}. Or put an [[account]] with this appid into the configuration: that holds then"
)]
pub struct StoredAccountError {
    appid: String,
    what: String,
}

impl StoredAccountError {
    /// Of this account, for this reason.
    pub fn new(appid: &str, what: String) -> StoredAccountError {
        StoredAccountError { appid: appid.to_owned(), what }
    }
}
