//! Third-party platforms as they are served, and which accounts gave them which permission sets. With the role "serve"
//! msgcube stands for WeChat: tickets, codes and tokens come from here.

mod authorize;
pub mod code;
pub mod event;
pub mod permission_set;
mod refresh;
pub mod ticket;
mod vouched;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, atomic::AtomicUsize},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use storage::store::{Change, Store};
use system::data_key::DataKey;
use tokio::sync::Notify;
use wechat::callback::{AccountKeys, KeyError};

use crate::{
    auth::own_secrets::OwnSecrets,
    config::{PlatformConfig, Role},
};

pub use authorize::{Approval, AuthorizationContext, Handed, PlatformError};
use code::UsedCodes;
use refresh::RefreshTokens;

/// The permission set of the seven interfaces. Source: the page of each, "The permission set id … is: 1".
pub const MESSAGES: u32 = 1;
const FACT_PREFIX: &str = "authorization/";

/// One platform.
#[derive(Debug)]
pub struct Platform {
    /// Its settings.
    pub config: PlatformConfig,
    /// What its pushes are checked with.
    pub keys: AccountKeys,
    /// Its accounts' callbacks that are being passed on.
    pub relays_waiting: AtomicUsize,
    /// Somebody asked for its ticket to be pushed at once.
    pub push_now: Arc<Notify>,
    /// What became of the tickets that were pushed to it, since the start.
    pub ticket_pushes: Arc<Mutex<TicketPushes>>,
}

/// What became of the tickets that were pushed to a platform.
#[derive(Clone, Debug, Default)]
pub struct TicketPushes {
    /// When it took one last, Unix seconds.
    pub taken_s: Option<i64>,
    /// Why it did not take the last one, if so.
    pub error: Option<String>,
}

/// All platforms.
#[derive(Debug)]
pub struct Platforms {
    key: DataKey,
    served: RwLock<HashMap<String, Arc<Platform>>>,
    /// Secrets of platforms that only msgcube knows.
    own_secrets: RwLock<OwnSecrets>,
    /// By platform and account.
    authorizations: RwLock<HashMap<String, BTreeMap<String, Arc<Authorization>>>>,
    used: Mutex<UsedCodes>,
    /// One change at a time: each reads what the one before wrote.
    changing: tokio::sync::Mutex<()>,
}

/// What an account gave a platform, as it is stored: without any token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authorization {
    /// The platform.
    pub component: String,
    /// The account.
    pub account: String,
    /// Another one each time it is given after it was taken back.
    id: String,
    /// The permission sets, by number.
    pub permission_sets: Vec<u32>,
    /// When it was given last, Unix seconds.
    pub authorized_s: i64,
    refresh: RefreshTokens,
}

/// Whether a platform may do something for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Granted,
    /// The account gave it other permission sets.
    SetMissing,
    /// The account gave it nothing, or took it back.
    NotAuthorized,
}

impl Platform {
    /// The same platform with other settings; what is known of it stays.
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
    /// Those of the configuration, with what was authorised before.
    pub fn load(configs: &[PlatformConfig], key: DataKey, store: &Store) -> Result<Platforms, KeyError> {
        let served = configs.iter().map(|config| {
            let component = Platform {
                keys: config.keys()?,
                config: config.clone(),
                relays_waiting: AtomicUsize::new(0),
                push_now: Arc::default(),
                ticket_pushes: Arc::default(),
            };
            Ok((config.appid.clone(), Arc::new(component)))
        });
        let mut own_secrets = OwnSecrets::default();
        let own = configs.iter().filter(|config| config.role == Role::Serve);
        own.for_each(|config| own_secrets.add(&config.secret));
        let components = Platforms {
            key,
            own_secrets: RwLock::new(own_secrets),
            served: RwLock::new(served.collect::<Result<_, _>>()?),
            authorizations: RwLock::default(),
            used: Mutex::new(UsedCodes::load(store)),
            changing: tokio::sync::Mutex::new(()),
        };
        for (_, value) in store.facts(FACT_PREFIX) {
            if let Ok(authorization) = serde_json::from_slice::<Authorization>(&value) {
                components.remember(authorization);
            }
        }
        Ok(components)
    }

    /// The platform of an appid.
    pub fn get(&self, appid: &str) -> Option<Arc<Platform>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(appid).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Platform>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Serves a platform with other settings from now on.
    pub fn put(&self, component: Platform) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let component = Arc::new(component);
        let former = served.insert(component.config.appid.clone(), component.clone());
        let mut own_secrets = self.own_secrets.write().unwrap_or_else(PoisonError::into_inner);
        if component.config.role == Role::Serve {
            own_secrets.add(&component.config.secret);
        }
        if let Some(former) = former.filter(|former| former.config.role == Role::Serve) {
            own_secrets.remove(&former.config.secret);
        }
        drop(own_secrets);
        // Where tickets go to may be another place now.
        component.push_now.notify_one();
    }

    /// Secrets of platforms that WeChat does not know.
    pub fn own_secrets(&self) -> RwLockReadGuard<'_, OwnSecrets> {
        self.own_secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an account gave a platform, unless it took it back.
    pub fn authorization(&self, component: &str, account: &str) -> Option<Arc<Authorization>> {
        let authorizations = self.authorizations.read().unwrap_or_else(PoisonError::into_inner);
        authorizations.get(component)?.get(account).cloned()
    }

    /// What all accounts gave a platform, by their appids.
    pub fn authorizations(&self, component: &str) -> Vec<Arc<Authorization>> {
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

    /// The refresh token that is given out for an authorization.
    pub fn refresh_token(&self, authorization: &Authorization) -> String {
        self.refresh_token_of(authorization, authorization.refresh.current())
    }

    fn refresh_token_of(&self, authorization: &Authorization, nonce: &str) -> String {
        let Authorization { component, account, .. } = authorization;
        let mac = self.key.mac(&["refresh_token", component, account, nonce]);
        format!("refreshtoken@@@{}", URL_SAFE_NO_PAD.encode(mac))
    }

    fn remember(&self, authorization: Authorization) {
        let mut authorizations = self.authorizations.write().unwrap_or_else(PoisonError::into_inner);
        let of_component = authorizations.entry(authorization.component.clone()).or_default();
        of_component.insert(authorization.account.clone(), Arc::new(authorization));
    }

    fn forget(&self, authorization: &Authorization) {
        let mut authorizations = self.authorizations.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_component) = authorizations.get_mut(&authorization.component) {
            of_component.remove(&authorization.account);
        }
    }
}

impl Authorization {
    fn fact(&self) -> Change {
        Change::fact(self.fact_key(), self)
    }

    fn gone(&self) -> Change {
        Change::Fact { key: self.fact_key(), value: None }
    }

    /// With a length, since appids may hold any sign.
    fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}/{}/{}", self.component.len(), self.component, self.account)
    }
}
