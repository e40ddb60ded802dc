//! Which account a callback belongs to, by its path: an account's own path, or one through a third-party platform.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use storage::{account_metrics::CallbackEnd, store::NotDurable};
use tokio::time::Instant;
use wechat::callback::AccountKeys;

use super::{DEADLINE, Intake, RELAY_DEADLINE, path::CallbackPath};
use crate::{
    accounts::{platform_issuer::Platform, platform_receiver::is_sane, registry::ServedAccount},
    config::{RelayConfig, Role},
};

/// The account that a callback belongs to.
#[derive(Debug)]
pub enum Recipient {
    /// It came to the account's own path.
    Own(Arc<ServedAccount>),
    /// It came through a platform.
    ThroughPlatform {
        /// The platform in the path.
        platform: Arc<Platform>,
        /// The appid in the path.
        appid: String,
        /// The account. None before its first message.
        account: Option<Arc<ServedAccount>>,
        /// The platform's relay, with this account's appid in its addresses.
        relay: Option<RelayConfig>,
    },
}

impl Intake {
    /// Like `recipient`. If several processes share the store, another one may have added the account.
    ///
    /// # Errors
    /// If it cannot be read what other processes decided. Then the callback must not be answered.
    pub async fn find_recipient(&self, path: &str) -> Result<Option<Recipient>, NotDurable> {
        let recipient = self.recipient(path);
        if recipient.is_some() || !self.received.is_shared() || CallbackPath::parse(path).is_none() {
            return Ok(recipient);
        }
        self.received.fresh().await?;
        Ok(self.recipient(path))
    }

    /// Finds the recipient of a path. None if no callbacks are accepted there.
    pub fn recipient(&self, path: &str) -> Option<Recipient> {
        let path = CallbackPath::parse(path)?;
        let decoded = |part| percent_decode_str(part).decode_utf8_lossy();
        let appid = decoded(path.appid);
        let account = self.accounts.get(&appid);
        let Some(platform) = path.platform else {
            return account.filter(|account| account.keys.is_some()).map(Recipient::Own);
        };
        let platform = self.receiving_platform(&decoded(platform))?;
        if !is_sane(&appid) || self.platforms.get(&appid).is_some() {
            return None;
        }
        let relay = platform.config.relay.as_ref().map(|relay| relay.for_account(&appid));
        Some(Recipient::ThroughPlatform { platform, appid: appid.into_owned(), account, relay })
    }

    /// The platform with this appid, if its role is "receive".
    pub fn receiving_platform(&self, appid: &str) -> Option<Arc<Platform>> {
        self.platforms.get(appid).filter(|platform| platform.config.role == Role::Receive)
    }
}

impl Recipient {
    /// The appid in the path.
    pub fn appid(&self) -> &str {
        match self {
            Recipient::Own(account) => &account.config.appid,
            Recipient::ThroughPlatform { appid, .. } => appid,
        }
    }

    /// The account. None before the first message that a platform brings.
    pub fn account(&self) -> Option<&Arc<ServedAccount>> {
        match self {
            Recipient::Own(account) => Some(account),
            Recipient::ThroughPlatform { account, .. } => account.as_ref(),
        }
    }

    /// Counts a callback for the account, if it is known.
    pub fn count(&self, end: CallbackEnd) {
        if let Some(account) = self.account() {
            account.meter.callback(end);
        }
    }

    /// The keys that its callbacks are checked with.
    pub fn keys(&self) -> Option<&AccountKeys> {
        match self {
            Recipient::Own(account) => account.keys.as_ref(),
            Recipient::ThroughPlatform { platform, .. } => Some(&platform.keys),
        }
    }

    /// The relay that its callbacks are passed on to.
    pub fn relay(&self) -> Option<&RelayConfig> {
        match self {
            Recipient::Own(account) => account.config.relay.as_ref(),
            Recipient::ThroughPlatform { relay, .. } => relay.as_ref(),
        }
    }

    /// The deadline for the answer to a callback whose first byte arrived at `arrived`.
    pub fn deadline(&self, arrived: Instant) -> Instant {
        match self.relay() {
            None => Instant::now() + DEADLINE,
            Some(_) => arrived + RELAY_DEADLINE,
        }
    }
}
