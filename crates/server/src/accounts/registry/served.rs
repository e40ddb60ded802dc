//! The accounts by their appids, and with them the secrets of theirs that must not reach WeChat.

use std::{ops::Deref, sync::Arc};

use hashbrown::HashMap;

use super::Account;
use crate::auth::own_secrets::OwnSecrets;

type ByAppid = HashMap<String, Arc<Account>, foldhash::fast::RandomState>;

/// Read as a map. Changed only so that both sides agree.
#[derive(Debug, Default)]
pub struct Served {
    by_appid: ByAppid,
    own_secrets: OwnSecrets,
}

impl Served {
    /// Puts an account there, in place of the one of its appid.
    pub fn insert(&mut self, appid: String, account: Arc<Account>) {
        if let Some(secret) = account.config.own_secret() {
            self.own_secrets.add(secret);
        }
        if let Some(former) = self.by_appid.insert(appid, account) {
            self.forget(&former);
        }
    }

    /// Takes an account out.
    pub fn remove(&mut self, appid: &str) {
        if let Some(former) = self.by_appid.remove(appid) {
            self.forget(&former);
        }
    }

    /// Secrets that WeChat does not know.
    pub fn own_secrets(&self) -> &OwnSecrets {
        &self.own_secrets
    }

    fn forget(&mut self, former: &Account) {
        if let Some(secret) = former.config.own_secret() {
            self.own_secrets.remove(secret);
        }
    }
}

impl Deref for Served {
    type Target = ByAppid;

    fn deref(&self) -> &ByAppid {
        &self.by_appid
    }
}
