//! The accounts being served: those of the configuration file, and those added at run time, which the store holds
//! sealed with the data key.

mod account_map;
mod error;
pub mod settings;

use std::sync::{Arc, PoisonError, RwLock, atomic::AtomicUsize};

use serde_json::Value;
use storage::{
    account_metrics::{AccountMeter, AccountMeters},
    store::{AccountNumber, Store},
};
use system::data_key::DataKey;
use tokio::sync::Semaphore;
use wechat::callback::{AccountKeys, KeyError};

use crate::{
    accounts::activity::AccountActivity,
    auth::{
        own_secrets::OwnSecrets,
        quota::{CallCounts, CallQuotas},
    },
    config::AccountConfig,
};

use account_map::AccountMap;
pub use error::{AccountError, StoredAccountError};
use settings::{FACT_PREFIX, Origin, Settings, open_settings, parse_settings};

/// Limit of accounts that are not in the configuration file.
pub const STORED_MAX: usize = 100_000;
/// Bulk requests of one account that are read at the same time. The limit for all accounts together is four times
/// this.
const BULK_SLOTS: usize = 4;
/// The settings of an account that are secrets.
pub const SECRETS: [&str; 6] =
    ["secret", "upstream_secret", "token", "token_previous", "encoding_aes_key", "encoding_aes_key_previous"];

/// One account being served.
#[derive(Debug)]
pub struct ServedAccount {
    /// Its number in the store.
    pub number: AccountNumber,
    /// Its settings.
    pub config: AccountConfig,
    /// The keys that its callbacks are checked with. None if it has no callback path of its own: a platform
    /// brings its messages.
    pub keys: Option<AccountKeys>,
    /// It is in the configuration file, and can be changed only there.
    pub is_configured: bool,
    /// Its settings are in the store: an operator gave them at run time.
    pub is_stored: bool,
    /// How many of its callbacks are being passed on.
    pub relays_waiting: AtomicUsize,
    /// Slots for its bulk requests.
    pub bulk_slots: Semaphore,
    /// How often it called each of the seven interfaces.
    pub calls: Arc<CallCounts>,
    /// What happened to its callbacks lately. The same one after a change of settings.
    pub activity: Arc<AccountActivity>,
    /// Its metrics, or those of all accounts without metrics of their own.
    pub meter: Arc<AccountMeter>,
}

/// All accounts being served.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Calls of the seven interfaces, by account.
    pub quotas: CallQuotas,
    /// Which accounts have metrics of their own.
    pub meters: AccountMeters,
    served: RwLock<AccountMap>,
    /// Allows one change at a time: each change reads what the one before wrote.
    pub changing: tokio::sync::Mutex<()>,
    /// Allows one reload of the configuration at a time.
    pub reloading: tokio::sync::Mutex<()>,
}

impl ServedAccount {
    fn new(
        number: AccountNumber,
        config: AccountConfig,
        is_configured: bool,
        accounts: &Accounts,
    ) -> Result<ServedAccount, KeyError> {
        Ok(ServedAccount {
            number,
            keys: config.keys()?,
            calls: accounts.quotas.of(&config.appid),
            activity: accounts.get(&config.appid).map(|former| former.activity.clone()).unwrap_or_default(),
            meter: accounts.meters.of(&config.appid),
            config,
            is_configured,
            is_stored: false,
            relays_waiting: AtomicUsize::new(0),
            bulk_slots: Semaphore::new(BULK_SLOTS),
        })
    }

    /// Makes an account that a platform brings. It has only its appid until an operator adds settings.
    pub fn brought(
        number: AccountNumber,
        appid: &str,
        accounts: &Accounts,
    ) -> Result<ServedAccount, AccountError> {
        let settings = Settings::from_iter([("appid".to_owned(), Value::from(appid))]);
        let account = ServedAccount::new(number, parse_settings(settings, Origin::Brought)?, false, accounts);
        account.map_err(|error| AccountError::Unreadable(error.to_string()))
    }

    /// True if an operator set it up: it is in the configuration file, or has a callback path of its own. A
    /// platform may bring its messages all the same.
    pub fn is_own(&self) -> bool {
        self.is_configured || self.keys.is_some()
    }
}

impl Accounts {
    /// Starts without accounts, with the calls counted before the restart.
    pub fn new(quotas: CallQuotas, meters: AccountMeters) -> Accounts {
        Accounts { quotas, meters, ..Accounts::default() }
    }

    /// Finds an account by its appid.
    pub fn get(&self, appid: &str) -> Option<Arc<ServedAccount>> {
        self.read().get(appid).cloned()
    }

    /// All accounts, in no order.
    pub fn all(&self) -> Vec<Arc<ServedAccount>> {
        self.read().values().cloned().collect()
    }

    /// The accounts for which `is_wanted` is true, in no order.
    pub fn select(&self, is_wanted: impl Fn(&ServedAccount) -> bool) -> Vec<Arc<ServedAccount>> {
        self.read().values().filter(|account| is_wanted(account)).cloned().collect()
    }

    /// How many are not in the configuration file.
    pub fn stored_count(&self) -> usize {
        self.read().values().filter(|account| !account.is_configured).count()
    }

    /// Calls `look` with the accounts' secrets that WeChat does not know.
    pub fn own_secrets<T>(&self, look: impl FnOnce(&OwnSecrets) -> T) -> T {
        look(self.read().own_secrets())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, AccountMap> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves an account from now on. Replaces one with the same appid.
    pub fn put(&self, account: Arc<ServedAccount>) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.insert(account.config.appid.clone(), account);
    }

    /// Stops serving an account.
    pub fn remove(&self, appid: &str) {
        self.served.write().unwrap_or_else(PoisonError::into_inner).remove(appid);
    }

    /// Serves an account from now on, unless one with its appid is served already.
    pub fn put_if_new(&self, account: &Arc<ServedAccount>) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if !served.contains_key(&account.config.appid) {
            served.insert(account.config.appid.clone(), account.clone());
        }
    }

    /// Makes an account of the configuration file. It is not served yet.
    pub fn configured(
        &self,
        number: AccountNumber,
        config: AccountConfig,
    ) -> Result<Arc<ServedAccount>, KeyError> {
        ServedAccount::new(number, config, true, self).map(Arc::new)
    }

    /// Serves an account that was added at run time.
    pub fn put_stored(
        &self,
        number: AccountNumber,
        config: AccountConfig,
    ) -> Result<Arc<ServedAccount>, KeyError> {
        let account = ServedAccount { is_stored: true, ..ServedAccount::new(number, config, false, self)? };
        let account = Arc::new(account);
        self.put(account.clone());
        Ok(account)
    }

    /// Serves the accounts that were added at run time. An account in the configuration file takes precedence.
    pub fn load_stored(&self, store: &Store, key: &DataKey) -> Result<(), StoredAccountError> {
        for (fact, sealed) in store.facts(FACT_PREFIX) {
            let appid = fact.strip_prefix(FACT_PREFIX).unwrap_or_default().to_owned();
            if self.get(&appid).is_some() {
                tracing::warn!(
                    appid,
                    "added at run time and in the configuration file, which takes precedence"
                );
                continue;
            }
            let number = number_of(&appid, store)?;
            self.put(self.read_stored(&appid, &sealed, number, key)?);
        }
        Ok(())
    }

    /// Reads the account that was added at run time, if there is one. It is not served yet.
    pub fn added_at_run_time(
        &self,
        appid: &str,
        store: &Store,
        key: &DataKey,
    ) -> Result<Option<Arc<ServedAccount>>, StoredAccountError> {
        let name = format!("{FACT_PREFIX}{appid}");
        let facts = store.facts(&name);
        let Some((_, sealed)) = facts.iter().find(|(fact, _)| *fact == name) else { return Ok(None) };
        self.read_stored(appid, sealed, number_of(appid, store)?, key).map(Some)
    }

    /// Reads the stored settings of an account. It is not served yet.
    pub fn read_stored(
        &self,
        appid: &str,
        sealed: &[u8],
        number: AccountNumber,
        key: &DataKey,
    ) -> Result<Arc<ServedAccount>, StoredAccountError> {
        let read = open_settings(&format!("{FACT_PREFIX}{appid}"), sealed, key)
            .map_err(|error| error.to_string())
            .and_then(|settings| parse_settings(settings, Origin::Brought).map_err(|error| error.to_string()))
            .and_then(|config| {
                ServedAccount::new(number, config, false, self).map_err(|error| error.to_string())
            });
        let account = read.map_err(|what| StoredAccountError::new(appid, what))?;
        Ok(Arc::new(ServedAccount { is_stored: true, ..account }))
    }
}

fn number_of(appid: &str, store: &Store) -> Result<AccountNumber, StoredAccountError> {
    store.account(appid).map_err(|error| StoredAccountError::new(appid, error.to_string()))
}
