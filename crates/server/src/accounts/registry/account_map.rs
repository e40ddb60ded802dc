//! The accounts by appid, and the hashes of their secrets that must not reach WeChat.

use std::{ops::Deref, sync::Arc};

use hashbrown::HashMap;

use super::ServedAccount;
use crate::auth::own_secrets::OwnSecrets;

type ByAppid = HashMap<String, Arc<ServedAccount>, foldhash::fast::RandomState>;

/// Dereferences to the map. Its own methods alone change it, so that map and secrets always agree.
#[derive(Debug, Default)]
pub struct AccountMap {
    by_appid: ByAppid,
    own_secrets: OwnSecrets,
}

impl AccountMap {
    /// Adds an account. Replaces one with the same appid.
    pub fn insert(&mut self, appid: String, account: Arc<ServedAccount>) {
        if let Some(secret) = account.config.own_secret() {
            self.own_secrets.add(secret);
        }
        if let Some(former) = self.by_appid.insert(appid, account) {
            self.forget(&former);
        }
    }

    /// Removes an account.
    pub fn remove(&mut self, appid: &str) {
        if let Some(former) = self.by_appid.remove(appid) {
            self.forget(&former);
        }
    }

    /// The accounts' secrets that WeChat does not know.
    pub fn own_secrets(&self) -> &OwnSecrets {
        &self.own_secrets
    }

    fn forget(&mut self, former: &ServedAccount) {
        if let Some(secret) = former.config.own_secret() {
            self.own_secrets.remove(secret);
        }
    }
}

impl Deref for AccountMap {
    type Target = ByAppid;

    fn deref(&self) -> &ByAppid {
        &self.by_appid
    }
}
