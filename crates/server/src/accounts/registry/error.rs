//! Errors of account changes at run time.

use storage::store::NotDurable;
use system::{data_key::SealError, random::RandomError};

use super::STORED_MAX;
use crate::config::ConfigFlaw;

/// Why an account could not be added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A setting is wrong.
    #[error("{0}")]
    Flaw(#[from] ConfigFlaw),
    /// The settings have the wrong form.
    #[error("the settings cannot be read: {0}")]
    Unreadable(String),
    /// An account with this appid exists already.
    #[error("{0} exists already; change it with PATCH /v1/accounts/{0}, or `msgcube account set`")]
    Exists(String),
    /// It is in the configuration file, so it can be changed only there.
    #[error("{0} is in the configuration file: change it there and run `msgcube reload`")]
    Configured(String),
    /// There is no such account.
    #[error("no account has the appid {0}; GET /v1/accounts lists them")]
    Unknown(String),
    /// A platform brings its messages. The next one would bring it back.
    #[error(
        "{0} authorised a third-party platform, which brings its messages. Withdraw the authorisation at WeChat first; otherwise its next message brings it back"
    )]
    Authorized(String),
    /// An account keeps its appid.
    #[error("the appid of an account cannot be changed: add another account")]
    AppidChanges,
    /// The limit is reached.
    #[error("the limit of {STORED_MAX} accounts is reached")]
    TooMany,
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// Encryption failed.
    #[error("the settings cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// The system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
}

/// Why an account that was added at run time cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "the account {appid}, added at run time, cannot be read: {what}. To start all the same, put an [[account]] with this appid into the configuration: it takes precedence"
)]
pub struct StoredAccountError {
    appid: String,
    what: String,
}

impl StoredAccountError {
    /// `what` is the cause, in English.
    pub fn new(appid: &str, what: String) -> StoredAccountError {
        StoredAccountError { appid: appid.to_owned(), what }
    }
}
