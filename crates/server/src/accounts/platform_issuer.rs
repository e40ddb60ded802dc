//! The third-party platforms, and which permission sets accounts gave them. With the role "serve" msgcube plays
//! WeChat: it issues tickets, codes and tokens.

mod authorize;
pub mod code;
pub mod event;
pub mod permission_set;
mod refresh;
mod signed_text;
pub mod ticket;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, atomic::AtomicUsize},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use storage::store::{Change, Store};
use system::{data_key::DataKey, sync::lock};
use tokio::sync::Notify;
use wechat::callback::{AccountKeys, KeyError};

use crate::{
    auth::own_secrets::OwnSecrets,
    config::{PlatformConfig, Role},
};

pub use authorize::{Approval, AuthorizationContext, IssuedTokens, PlatformError};
use code::UsedCodes;
use refresh::RefreshTokens;

/// The permission set of the seven interfaces. Source: the page of each interface, "The permission set id … is: 1".
pub const MESSAGES: u32 = 1;
const FACT_PREFIX: &str = "authorization/";
/// Prefixes of the keys of all facts of this module that a map caches.
pub const FACT_PREFIXES: [&str; 2] = [FACT_PREFIX, code::FACT_PREFIX];

/// One platform.
#[derive(Debug)]
pub struct Platform {
    /// Its settings.
    pub config: PlatformConfig,
    /// The keys that its pushes are checked with.
    pub keys: AccountKeys,
    /// How many callbacks of its accounts are being passed on.
    pub relays_waiting: AtomicUsize,
    /// Wakes the task that pushes its ticket, to push one at once.
    pub push_now: Arc<Notify>,
    /// Results of the tickets pushed to it since the start.
    pub ticket_pushes: Arc<Mutex<TicketPushes>>,
}

/// Results of the tickets pushed to a platform.
#[derive(Clone, Debug, Default)]
pub struct TicketPushes {
    /// When it last accepted one, Unix seconds.
    pub taken_s: Option<i64>,
    /// Why it did not accept the last one. None if it did.
    pub error: Option<String>,
}

/// All platforms.
#[derive(Debug)]
pub struct Platforms {
    key: DataKey,
    served: RwLock<HashMap<String, Arc<Platform>>>,
    /// Secrets of platforms that only msgcube knows.
    own_secrets: RwLock<OwnSecrets>,
    /// By platform, then by account.
    authorizations: RwLock<HashMap<String, BTreeMap<String, Arc<AccountAuthorization>>>>,
    used: Mutex<UsedCodes>,
    /// Allows one change at a time: each change reads what the one before wrote.
    changing: tokio::sync::Mutex<()>,
}

/// What an account granted to a platform, as it is stored: without tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountAuthorization {
    /// The platform's appid.
    pub component: String,
    /// The account's appid.
    pub account: String,
    /// Changes each time it is granted again after a withdrawal.
    id: String,
    /// Numbers of the permission sets.
    pub permission_sets: Vec<u32>,
    /// When it was last granted, Unix seconds.
    pub authorized_s: i64,
    refresh: RefreshTokens,
}

/// Whether a platform may use a permission set of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Granted,
    /// The account granted other permission sets only.
    SetMissing,
    /// The account granted nothing, or withdrew it.
    NotAuthorized,
}

impl Platform {
    /// The platform with new settings. The results of its ticket pushes stay.
    pub fn with(&self, config: PlatformConfig) -> Result<Platform, KeyError> {
        Ok(Platform {
            keys: config.keys()?,
            config,
            relays_waiting: AtomicUsize::new(0),
            push_now: self.push_now.clone(),
            ticket_pushes: self.ticket_pushes.clone(),
        })
    }
}

impl Platforms {
    /// Makes the platforms of the configuration, with the stored authorizations.
    pub fn load(configs: &[PlatformConfig], key: DataKey, store: &Store) -> Result<Platforms, KeyError> {
        let served = configs.iter().map(|config| {
            let platform = Platform {
                keys: config.keys()?,
                config: config.clone(),
                relays_waiting: AtomicUsize::new(0),
                push_now: Arc::default(),
                ticket_pushes: Arc::default(),
            };
            Ok((config.appid.clone(), Arc::new(platform)))
        });
        let mut own_secrets = OwnSecrets::default();
        let own = configs.iter().filter(|config| config.role == Role::Serve);
        own.for_each(|config| own_secrets.add(&config.secret));
        let platforms = Platforms {
            key,
            own_secrets: RwLock::new(own_secrets),
            served: RwLock::new(served.collect::<Result<_, _>>()?),
            authorizations: RwLock::default(),
            used: Mutex::new(UsedCodes::load(store)),
            changing: tokio::sync::Mutex::new(()),
        };
        for (key, value) in store.facts(FACT_PREFIX) {
            platforms.apply_fact(&key, Some(&value));
        }
        Ok(platforms)
    }

    /// Applies a fact that is durable: of an authorization, or of the use of a code. Returns false if it is another one.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) -> bool {
        let Some(pair) = key.strip_prefix(FACT_PREFIX) else {
            return lock(&self.used).apply_fact(key, value);
        };
        if let Some(value) = value {
            if let Ok(authorization) = serde_json::from_slice::<AccountAuthorization>(value) {
                self.remember(authorization);
            }
        } else if let Some((component, account)) = pair_of(pair) {
            self.forget(component, account);
        }
        true
    }

    /// Finds a platform by its appid.
    pub fn get(&self, appid: &str) -> Option<Arc<Platform>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(appid).cloned()
    }

    /// All platforms, in no order.
    pub fn all(&self) -> Vec<Arc<Platform>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Replaces a platform's settings.
    pub fn put(&self, platform: Platform) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let platform = Arc::new(platform);
        let former = served.insert(platform.config.appid.clone(), platform.clone());
        let mut own_secrets = self.own_secrets.write().unwrap_or_else(PoisonError::into_inner);
        if platform.config.role == Role::Serve {
            own_secrets.add(&platform.config.secret);
        }
        if let Some(former) = former.filter(|former| former.config.role == Role::Serve) {
            own_secrets.remove(&former.config.secret);
        }
        drop(own_secrets);
        // The address for tickets may have changed.
        platform.push_now.notify_one();
    }

    /// Secrets of platforms that WeChat does not know.
    pub fn own_secrets(&self) -> RwLockReadGuard<'_, OwnSecrets> {
        self.own_secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an account granted to a platform. None if it withdrew it.
    pub fn authorization(&self, component: &str, account: &str) -> Option<Arc<AccountAuthorization>> {
        let authorizations = self.authorizations.read().unwrap_or_else(PoisonError::into_inner);
        authorizations.get(component)?.get(account).cloned()
    }

    /// What all accounts granted to a platform, sorted by appid.
    pub fn authorizations(&self, component: &str) -> Vec<Arc<AccountAuthorization>> {
        let authorizations = self.authorizations.read().unwrap_or_else(PoisonError::into_inner);
        authorizations.get(component).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Whether a platform may use a permission set of an account.
    pub fn permission(&self, component: &str, account: &str, permission_set: u32) -> Permission {
        match self.authorization(component, account) {
            None => Permission::NotAuthorized,
            Some(given) if given.permission_sets.contains(&permission_set) => Permission::Granted,
            Some(_) => Permission::SetMissing,
        }
    }

    /// The current refresh token of an authorization.
    pub fn refresh_token(&self, authorization: &AccountAuthorization) -> String {
        self.refresh_token_of(authorization, authorization.refresh.current())
    }

    fn refresh_token_of(&self, authorization: &AccountAuthorization, nonce: &str) -> String {
        let AccountAuthorization { component, account, .. } = authorization;
        let mac = self.key.mac(&["refresh_token", component, account, nonce]);
        format!("refreshtoken@@@{}", URL_SAFE_NO_PAD.encode(mac))
    }

    fn remember(&self, authorization: AccountAuthorization) {
        let mut authorizations = self.authorizations.write().unwrap_or_else(PoisonError::into_inner);
        let of_platform = authorizations.entry(authorization.component.clone()).or_default();
        of_platform.insert(authorization.account.clone(), Arc::new(authorization));
    }

    fn forget(&self, component: &str, account: &str) {
        let mut authorizations = self.authorizations.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_platform) = authorizations.get_mut(component) {
            of_platform.remove(account);
        }
    }
}

/// Splits what [`AccountAuthorization::fact_key`] wrote after the prefix into platform and account.
fn pair_of(text: &str) -> Option<(&str, &str)> {
    let (length, rest) = text.split_once('/')?;
    let (component, account) = rest.split_at_checked(length.parse().ok()?)?;
    Some((component, account.strip_prefix('/')?))
}

impl AccountAuthorization {
    fn fact(&self) -> Change {
        Change::fact(self.fact_key(), self)
    }

    fn deletion(&self) -> Change {
        Change::Fact { key: self.fact_key(), value: None }
    }

    /// Begins with a length, since an appid may hold any character.
    fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}/{}/{}", self.component.len(), self.component, self.account)
    }
}

#[cfg(test)]
impl Platforms {
    /// What the maps hold, in words, sorted.
    pub fn described(&self) -> Vec<String> {
        let authorizations = self.authorizations.read().unwrap();
        let all = authorizations.values().flat_map(BTreeMap::values);
        let mut lines: Vec<String> = all.map(|authorization| format!("{authorization:?}")).collect();
        lines.extend(lock(&self.used).described());
        lines.sort();
        lines
    }
}
