//! The accounts as they are served: those of the configuration file, and those added at run time, which the store keeps
//! sealed with the data key.

mod error;
mod served;
pub mod settings;

use std::sync::{Arc, PoisonError, RwLock, atomic::AtomicUsize};

use serde_json::Value;
use storage::store::{AccountNumber, Store};
use system::data_key::DataKey;
use tokio::sync::Semaphore;
use wechat::callback::{AccountKeys, KeyError};

use crate::{
    auth::{
        own_secrets::OwnSecrets,
        quota::{Calls, Quotas},
    },
    config::AccountConfig,
};

pub use error::{AccountError, StoredAccountError};
use served::Served;
use settings::{FACT_PREFIX, Origin, Settings, checked, stored};

/// Accounts added at run time, at most.
pub const STORED_MAX: usize = 100_000;
/// Bulk requests of one account that are read at the same time; of all accounts there are four times as many.
const BULK_PLACES: usize = 4;
/// The settings of an account that are secrets.
pub const SECRETS: [&str; 6] =
    ["secret", "upstream_secret", "token", "token_previous", "encoding_aes_key", "encoding_aes_key_previous"];

/// One account as it is served.
#[derive(Debug)]
pub struct Account {
    /// Its number in the store.
    pub number: AccountNumber,
    /// Its settings.
    pub config: AccountConfig,
    /// What its callbacks are checked with; none: it has no address of its own, a platform brings its messages.
    pub keys: Option<AccountKeys>,
    /// It stands in the configuration file, where alone it can be changed.
    pub is_configured: bool,
    /// Its callbacks that are being passed on.
    pub relays_waiting: AtomicUsize,
    /// Places for its bulk requests.
    pub bulk_places: Semaphore,
    /// How often it called the seven.
    pub calls: Arc<Calls>,
}

/// All accounts.
#[derive(Debug, Default)]
pub struct Accounts {
    /// How often each called the seven.
    pub quotas: Quotas,
    served: RwLock<Served>,
    /// One change at a time: each reads what the one before wrote.
    pub changing: tokio::sync::Mutex<()>,
}

impl Account {
    fn new(
        number: AccountNumber,
        config: AccountConfig,
        is_configured: bool,
        quotas: &Quotas,
    ) -> Result<Account, KeyError> {
        Ok(Account {
            number,
            keys: config.keys()?,
            calls: quotas.of(&config.appid),
            config,
            is_configured,
            relays_waiting: AtomicUsize::new(0),
            bulk_places: Semaphore::new(BULK_PLACES),
        })
    }

    /// An account that a platform brings: it has nothing but its appid until an operator gives it more.
    pub fn brought(number: AccountNumber, appid: &str, quotas: &Quotas) -> Result<Account, AccountError> {
        let settings = Settings::from_iter([("appid".to_owned(), Value::from(appid))]);
        let account = Account::new(number, checked(settings, Origin::Brought)?, false, quotas);
        account.map_err(|error| AccountError::Unreadable(error.to_string()))
    }

    /// True if an operator set it up, whoever brings its messages: it stands in the configuration file, or has a
    /// callback of its own.
    pub fn is_own(&self) -> bool {
        self.is_configured || self.keys.is_some()
    }
}

impl Accounts {
    /// None yet, with what was called before.
    pub fn new(quotas: Quotas) -> Accounts {
        Accounts { quotas, ..Accounts::default() }
    }

    /// The account of an appid.
    pub fn get(&self, appid: &str) -> Option<Arc<Account>> {
        self.read().get(appid).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.read().values().cloned().collect()
    }

    /// Those that are wanted, in no order.
    pub fn select(&self, is_wanted: impl Fn(&Account) -> bool) -> Vec<Arc<Account>> {
        self.read().values().filter(|account| is_wanted(account)).cloned().collect()
    }

    /// How many do not stand in the configuration file.
    pub fn stored(&self) -> usize {
        self.read().values().filter(|account| !account.is_configured).count()
    }

    /// The accounts' secrets that WeChat does not know: `look` sees them.
    pub fn own_secrets<T>(&self, look: impl FnOnce(&OwnSecrets) -> T) -> T {
        look(self.read().own_secrets())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves an account from now on, in place of the one of its appid.
    pub fn put(&self, account: Arc<Account>) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.insert(account.config.appid.clone(), account);
    }

    /// Serves an account no longer.
    pub fn take_out(&self, appid: &str) {
        self.served.write().unwrap_or_else(PoisonError::into_inner).remove(appid);
    }

    /// Serves an account from now on, unless there is one of its appid.
    pub fn put_if_new(&self, account: &Arc<Account>) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        if !served.contains_key(&account.config.appid) {
            served.insert(account.config.appid.clone(), account.clone());
        }
    }

    /// An account of the configuration file, not served yet.
    pub fn configured(&self, number: AccountNumber, config: AccountConfig) -> Result<Arc<Account>, KeyError> {
        Account::new(number, config, true, &self.quotas).map(Arc::new)
    }

    /// Serves an account that was added at run time.
    pub fn put_stored(&self, number: AccountNumber, config: AccountConfig) -> Result<Arc<Account>, KeyError> {
        let account = Arc::new(Account::new(number, config, false, &self.quotas)?);
        self.put(account.clone());
        Ok(account)
    }

    /// Serves the accounts that were added at run time. Of one that stands in the configuration, too, that holds.
    pub fn load_stored(&self, store: &Store, key: &DataKey) -> Result<(), StoredAccountError> {
        for (fact, sealed) in store.facts(FACT_PREFIX) {
            let appid = fact.strip_prefix(FACT_PREFIX).unwrap_or_default().to_owned();
            if self.get(&appid).is_some() {
                tracing::warn!(appid, "added at run time and in the configuration file, which holds");
                continue;
            }
            self.put(self.stored_account(&appid, (&fact, &sealed), store, key)?);
        }
        Ok(())
    }

    /// The account that was added at run time, not served yet, if there is one.
    pub fn added_at_run_time(
        &self,
        appid: &str,
        store: &Store,
        key: &DataKey,
    ) -> Result<Option<Arc<Account>>, StoredAccountError> {
        let name = format!("{FACT_PREFIX}{appid}");
        let facts = store.facts(&name);
        let fact = facts.iter().find(|(fact, _)| *fact == name);
        fact.map(|(fact, sealed)| self.stored_account(appid, (fact, sealed), store, key)).transpose()
    }

    fn stored_account(
        &self,
        appid: &str,
        (fact, sealed): (&str, &[u8]),
        store: &Store,
        key: &DataKey,
    ) -> Result<Arc<Account>, StoredAccountError> {
        let read = stored(fact, sealed, key)
            .map_err(|error| error.to_string())
            .and_then(|settings| checked(settings, Origin::Brought).map_err(|error| error.to_string()))
            .and_then(|config| {
                let number = store.account(appid).map_err(|error| error.to_string())?;
                Account::new(number, config, false, &self.quotas).map_err(|error| error.to_string())
            });
        read.map(Arc::new).map_err(|what| StoredAccountError::new(appid, what))
    }
}
