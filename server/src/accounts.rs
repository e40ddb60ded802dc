//! The accounts as they are served: those of the configuration file, and those added at run time, which the store keeps
//! sealed with the data key.

mod error;
mod settings;

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicUsize},
};

use hashbrown::HashMap;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    callback::{AccountKeys, KeyError},
    clock::Clock,
    components::{Components, event::Event},
    config::{AccountConfig, Config},
    data_key::DataKey,
    ingest::Ingest,
    quota::{Calls, Quotas},
    random::{self, RandomError},
    received::Received,
    store::{AccountNumber, Change, NotDurable, Store},
    token::Tokens,
};

pub use error::{AccountError, StoredAccountError};
pub use settings::Settings;
use settings::{FACT_PREFIX, Origin, checked, fact, kept, merged, stored};

/// Accounts added at run time, at most.
const STORED_MAX: usize = 100_000;
/// Bulk requests of one account that are read at the same time; of all accounts there are four times as many.
const BULK_PLACES: usize = 4;
/// The settings of an account that are secrets.
pub const SECRETS: [&str; 6] =
    ["secret", "upstream_secret", "token", "token_previous", "encoding_aes_key", "encoding_aes_key_previous"];

/// What can be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotated {
    /// The key that callbacks are encrypted with.
    EncodingAesKey,
    /// The token that callbacks are signed with.
    Token,
    /// The secret that callers of msgcube show.
    Secret,
}

impl Rotated {
    fn new_value(self) -> Result<(&'static str, String), RandomError> {
        Ok(match self {
            Rotated::EncodingAesKey => ("encoding_aes_key", random::encoding_aes_key()?),
            Rotated::Token => ("token", random::alphanumeric(32)?),
            Rotated::Secret => ("secret", random::hexadecimal(16)?),
        })
    }
}

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
    served: RwLock<HashMap<String, Arc<Account>, foldhash::fast::RandomState>>,
    /// One change at a time: each reads what the one before wrote.
    changing: tokio::sync::Mutex<()>,
}

/// What changing accounts needs.
#[derive(Clone, Copy, Debug)]
pub struct Office<'a> {
    pub config: &'a Config,
    /// The socket in use.
    pub address: Option<SocketAddr>,
    pub clock: &'a Clock,
    pub store: &'a Store,
    pub ingest: &'a Ingest,
    pub tokens: &'a Tokens,
    pub components: &'a Components,
    pub key: &'a DataKey,
    pub received: &'a Received,
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
}

impl Account {
    /// An account that a platform brings: it has nothing but its appid until an operator gives it more.
    pub fn brought(number: AccountNumber, appid: &str, quotas: &Quotas) -> Result<Account, AccountError> {
        let settings = Settings::from_iter([("appid".to_owned(), Value::from(appid))]);
        let account = Account::new(number, checked(settings, Origin::Brought)?, false, quotas);
        account.map_err(|error| AccountError::Unreadable(error.to_string()))
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

    fn read(
        &self,
    ) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Account>, foldhash::fast::RandomState>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves an account from now on, in place of the one of its appid.
    pub fn put(&self, account: Account) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.insert(account.config.appid.clone(), Arc::new(account));
    }

    /// Serves an account from now on, unless there is one of its appid.
    pub fn put_if_new(&self, account: &Arc<Account>) {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.entry_ref(&account.config.appid).or_insert_with(|| account.clone());
    }

    /// Serves an account of the configuration file.
    pub fn put_configured(&self, number: AccountNumber, config: &AccountConfig) -> Result<(), KeyError> {
        self.put(Account::new(number, config.clone(), true, &self.quotas)?);
        Ok(())
    }

    /// Serves the accounts that were added at run time. Of one that stands in the configuration, too, that holds.
    pub fn load_stored(&self, store: &Store, key: &DataKey) -> Result<(), StoredAccountError> {
        for (fact, sealed) in store.facts(FACT_PREFIX) {
            let appid = fact.strip_prefix(FACT_PREFIX).unwrap_or_default().to_owned();
            if self.get(&appid).is_some() {
                tracing::warn!(appid, "added at run time and in the configuration file, which holds");
                continue;
            }
            let account = stored(&fact, &sealed, key)
                .map_err(|error| error.to_string())
                .and_then(|settings| checked(settings, Origin::Brought).map_err(|error| error.to_string()))
                .and_then(|config| {
                    let number = store.account(&appid).map_err(|error| error.to_string())?;
                    Account::new(number, config, false, &self.quotas).map_err(|error| error.to_string())
                });
            self.put(account.map_err(|what| StoredAccountError::new(&appid, what))?);
        }
        Ok(())
    }

    /// Adds an account, durably, and serves it.
    pub async fn add(&self, settings: Settings, office: Office<'_>) -> Result<Arc<Account>, AccountError> {
        let _one_at_a_time = self.changing.lock().await;
        let config = checked(settings.clone(), Origin::Own)?;
        office.config.check_loops(&[&config], office.address)?;
        if self.get(&config.appid).is_some() {
            return Err(AccountError::Exists(config.appid));
        }
        if self.read().values().filter(|account| !account.is_configured).count() >= STORED_MAX {
            return Err(AccountError::TooMany);
        }
        let number = number_of(&config.appid, office.store)?;
        let fact = fact(&config.appid, &settings, office.key)?;
        let begun_s = office.clock.now_s();
        office.ingest.serve(number, true, vec![fact]).await?;
        let account = self.serve(number, config)?;
        // Until this moment its callbacks were answered with 404.
        office.ingest.lose(number, begun_s, office.clock.now_s() + 1);
        Ok(account)
    }

    /// Changes settings of an account that was added at run time, durably. A null removes a setting.
    pub async fn change(
        &self,
        appid: &str,
        changes: Settings,
        office: Office<'_>,
    ) -> Result<Arc<Account>, AccountError> {
        let _one_at_a_time = self.changing.lock().await;
        self.change_locked(appid, changes, office).await
    }

    async fn change_locked(
        &self,
        appid: &str,
        changes: Settings,
        office: Office<'_>,
    ) -> Result<Arc<Account>, AccountError> {
        let account = self.changeable(appid)?;
        let settings = merged(kept(appid, office)?, changes);
        let is_brought = !office.received.standings(appid).is_empty();
        let config = checked(settings.clone(), if is_brought { Origin::Brought } else { Origin::Own })?;
        if config.appid != appid {
            return Err(AccountError::AppidChanges);
        }
        office.config.check_loops(&[&config], office.address)?;
        let fact = fact(appid, &settings, office.key)?;
        let is_active = office.received.is_active(appid);
        let was_taken = is_active || account.keys.is_some();
        let will_be_taken = is_active || !config.token.reveal().is_empty();
        if was_taken == will_be_taken {
            office.ingest.submit_all(vec![fact])?.await?;
        } else {
            office.ingest.serve(account.number, will_be_taken, vec![fact]).await?;
        }
        self.serve(account.number, config)
    }

    /// Stops serving an account that was added at run time. What was counted stays; its tokens end, and what it gave to
    /// third-party platforms: what they are to be told is returned.
    pub async fn remove(&self, appid: &str, office: Office<'_>) -> Result<Vec<Event>, AccountError> {
        let _one_at_a_time = self.changing.lock().await;
        let account = self.changeable(appid)?;
        let ending = office.components.ending(appid, office.clock.now_s()).await;
        let mut gone = ending.changes()?;
        let forgotten =
            office.received.forget(appid).ok_or_else(|| AccountError::Authorized(appid.to_owned()))?;
        let (number, ended_s) = (account.number, office.clock.now_s());
        // Nothing is taken any more before time stops being covered.
        self.served.write().unwrap_or_else(PoisonError::into_inner).remove(appid);
        let revocation = office.tokens.revocation(|holder| holder.appid == appid).await;
        gone.push(Change::Fact { key: format!("{FACT_PREFIX}{appid}"), value: None });
        gone.extend(revocation.changes());
        gone.extend(forgotten.changes(appid));
        let done = office.ingest.serve(number, false, gone).await;
        // In any case it was not served for a moment.
        office.ingest.lose(number, ended_s, office.clock.now_s() + 1);
        if let Err(error) = done {
            office.received.restore(appid, forgotten);
            self.served.write().unwrap_or_else(PoisonError::into_inner).insert(appid.to_owned(), account);
            return Err(error.into());
        }
        revocation.complete();
        Ok(ending.complete())
    }

    /// Gives an account a new secret, which is returned. The former key or callback token is still taken; a former
    /// secret stays WeChat's, unless that is another already.
    pub async fn rotate(
        &self,
        appid: &str,
        what: Rotated,
        office: Office<'_>,
    ) -> Result<(&'static str, String), AccountError> {
        let _one_at_a_time = self.changing.lock().await;
        self.changeable(appid)?;
        let settings = kept(appid, office)?;
        let (name, new) = what.new_value()?;
        let former = settings.get(name).cloned().unwrap_or(Value::Null);
        let mut changes = Settings::from_iter([(name.to_owned(), Value::from(new.clone()))]);
        match what {
            Rotated::EncodingAesKey | Rotated::Token => {
                drop(changes.insert(format!("{name}_previous"), former));
            }
            Rotated::Secret if settings.contains_key("upstream_secret") => {}
            Rotated::Secret => drop(changes.insert("upstream_secret".to_owned(), former)),
        }
        self.change_locked(appid, changes, office).await?;
        Ok((name, new))
    }

    fn changeable(&self, appid: &str) -> Result<Arc<Account>, AccountError> {
        match self.get(appid) {
            None => Err(AccountError::Unknown(appid.to_owned())),
            Some(account) if account.is_configured => Err(AccountError::Configured(appid.to_owned())),
            Some(account) => Ok(account),
        }
    }

    fn serve(&self, number: AccountNumber, config: AccountConfig) -> Result<Arc<Account>, AccountError> {
        let appid = config.appid.clone();
        let account = Account::new(number, config, false, &self.quotas);
        self.put(account.map_err(|error| AccountError::Unreadable(error.to_string()))?);
        self.get(&appid).ok_or(AccountError::Unknown(appid))
    }
}

/// Giving a number writes to the disk, which must not hold up the runtime.
fn number_of(appid: &str, store: &Store) -> Result<AccountNumber, NotDurable> {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => store.account(appid),
        _ => tokio::task::block_in_place(|| store.account(appid)),
    }
}
