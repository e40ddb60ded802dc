//! Third-party platforms as they are served, and which accounts gave them which permission sets.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicUsize},
};

use crate::{
    callback::{AccountKeys, KeyError},
    config::ComponentConfig,
};

/// The permission set of the seven interfaces. Source: the page of each, "The permission set id … is: 1".
pub const MESSAGES: u32 = 1;

/// One platform.
#[derive(Debug)]
pub struct Component {
    /// Its settings.
    pub config: ComponentConfig,
    /// What its pushes are checked with.
    pub keys: AccountKeys,
    /// Its accounts' callbacks that are being passed on.
    pub relays_waiting: AtomicUsize,
}

/// All platforms.
#[derive(Debug, Default)]
pub struct Components {
    served: HashMap<String, Arc<Component>>,
    authorizations: RwLock<HashMap<(String, String), Authorization>>,
}

/// What an account gave a platform.
#[derive(Clone, Debug, Default)]
pub struct Authorization {
    /// The permission sets.
    pub permission_sets: Vec<u32>,
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

impl Components {
    /// Those of the configuration.
    pub fn new(configs: &[ComponentConfig]) -> Result<Components, KeyError> {
        let served = configs.iter().map(|config| {
            let component = Component {
                keys: config.keys()?,
                config: config.clone(),
                relays_waiting: AtomicUsize::new(0),
            };
            Ok((config.appid.clone(), Arc::new(component)))
        });
        Ok(Components { served: served.collect::<Result<_, _>>()?, authorizations: RwLock::default() })
    }

    /// All of them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Component>> {
        self.served.values()
    }

    /// The platform of an appid.
    pub fn get(&self, appid: &str) -> Option<Arc<Component>> {
        self.served.get(appid).cloned()
    }

    /// Whether a platform may use a permission set of an account.
    pub fn permission(&self, component: &str, account: &str, permission_set: u32) -> Permission {
        let authorizations = self.authorizations.read().unwrap_or_else(PoisonError::into_inner);
        match authorizations.get(&(component.to_owned(), account.to_owned())) {
            None => Permission::NotAuthorized,
            Some(given) if given.permission_sets.contains(&permission_set) => Permission::Granted,
            Some(_) => Permission::SetMissing,
        }
    }
}
