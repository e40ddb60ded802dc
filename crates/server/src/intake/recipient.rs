//! Whose a callback is, by its path: an account's own, or an account's that a third-party platform brings.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use tokio::time::Instant;
use wechat::callback::AccountKeys;

use super::{DEADLINE, Intake, RELAY_DEADLINE, path::CallbackPath};
use crate::{
    accounts::{platform_issuer::Platform, platform_receiver::is_sane, registry::Account},
    config::{RelayConfig, Role},
};

/// Whose a callback is.
#[derive(Debug)]
pub enum Recipient {
    /// It came to the account's own path.
    Own(Arc<Account>),
    /// It came through a platform.
    ThroughPlatform {
        /// The platform.
        platform: Arc<Platform>,
        /// The appid in the path.
        appid: String,
        /// The account; none before its first message.
        account: Option<Arc<Account>>,
        /// The platform's relay, with this account's appid in its addresses.
        relay: Option<RelayConfig>,
    },
}

impl Intake {
    /// Whose callbacks arrive at this path. None if nobody's do.
    pub fn recipient(&self, path: &str) -> Option<Recipient> {
        let path = CallbackPath::parse(path)?;
        let decoded = |part| percent_decode_str(part).decode_utf8_lossy();
        let appid = decoded(path.appid);
        let account = self.accounts.get(&appid);
        let Some(platform) = path.platform else {
            return account.filter(|account| account.keys.is_some()).map(Recipient::Own);
        };
        let platform = self.receiving_platform(&decoded(platform))?;
        if !is_sane(&appid) || self.components.get(&appid).is_some() {
            return None;
        }
        let relay = platform.config.relay.as_ref().map(|relay| relay.for_account(&appid));
        Some(Recipient::ThroughPlatform { platform, appid: appid.into_owned(), account, relay })
    }

    /// The platform with this appid, if what WeChat sends it arrives here.
    pub fn receiving_platform(&self, appid: &str) -> Option<Arc<Platform>> {
        self.components.get(appid).filter(|platform| platform.config.role == Role::Receive)
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

    /// The account; none before the first message that a platform brings.
    pub fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Recipient::Own(account) => Some(account),
            Recipient::ThroughPlatform { account, .. } => account.as_ref(),
        }
    }

    /// What its callbacks are checked with.
    pub fn keys(&self) -> Option<&AccountKeys> {
        match self {
            Recipient::Own(account) => account.keys.as_ref(),
            Recipient::ThroughPlatform { platform, .. } => Some(&platform.keys),
        }
    }

    /// Where its callbacks are passed on to.
    pub fn relay(&self) -> Option<&RelayConfig> {
        match self {
            Recipient::Own(account) => account.config.relay.as_ref(),
            Recipient::ThroughPlatform { relay, .. } => relay.as_ref(),
        }
    }

    /// When WeChat must have its answer to a callback whose first byte arrived then.
    pub fn deadline(&self, arrived: Instant) -> Instant {
        match self.relay() {
            None => Instant::now() + DEADLINE,
            Some(_) => arrived + RELAY_DEADLINE,
        }
    }
}
