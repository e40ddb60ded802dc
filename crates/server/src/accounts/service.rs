//! Changes accounts at run time: adds and removes them, changes their settings and secrets. Changes run one at a
//! time, over all processes that share the store, and each is durable before it takes effect.

use std::{net::SocketAddr, sync::Arc};

use counting::Reason;
use serde_json::Value;
use storage::{
    decision::Decision,
    store::{AccountNumber, Change, NotDurable, Store},
    writer::Ingest,
};
use system::{
    clock::Clock,
    current::Current,
    data_key::DataKey,
    random::{self, RandomError},
};

use crate::{
    accounts::{
        platform_issuer::{Platforms, event::Event},
        platform_receiver::Received,
        registry::{
            AccountError, Accounts, STORED_MAX, ServedAccount,
            settings::{
                FACT_PREFIX, Origin, Settings, merge_settings, parse_settings, settings_fact, stored_settings,
            },
        },
    },
    auth::access_token::Tokens,
    config::{AccountConfig, Config},
};

/// A secret that can be replaced with a new random one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotated {
    /// The key that encrypts callbacks.
    EncodingAesKey,
    /// The token that signs callbacks.
    Token,
    /// The secret that callers of msgcube send.
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

/// What changing accounts needs.
#[derive(Clone, Copy, Debug)]
pub struct AccountService<'a> {
    /// The accounts being served.
    pub accounts: &'a Accounts,
    /// The active configuration.
    pub config: &'a Current<Config>,
    /// The address that the server listens on.
    pub address: Option<SocketAddr>,
    /// Gives the time of a change.
    pub clock: &'a Clock,
    /// The store. Only account numbers are written to it directly; all else goes through `ingest`.
    pub store: &'a Arc<Store>,
    /// Queue of the writer.
    pub ingest: &'a Ingest,
    /// The access tokens.
    pub tokens: &'a Tokens,
    /// The third-party platforms.
    pub platforms: &'a Platforms,
    /// The data key, which seals settings.
    pub key: &'a DataKey,
    /// The accounts that platforms bring.
    pub received: &'a Received,
}

impl AccountService<'_> {
    /// Adds an account durably and serves it.
    pub async fn add(&self, settings: Settings) -> Result<Arc<ServedAccount>, AccountError> {
        let decision = self.store.decide().await?;
        let _one_at_a_time = self.accounts.changing.lock().await;
        let config = parse_settings(settings.clone(), Origin::Own)?;
        self.config.get().check_loops(&[&config], self.address)?;
        if let Some(there) = self.accounts.get(&config.appid) {
            return self.take_over(decision, &there, config, &settings).await;
        }
        if self.accounts.stored_count() >= STORED_MAX {
            return Err(AccountError::TooMany);
        }
        let number = number_of(&config.appid, self.store)?;
        let fact = settings_fact(&config.appid, &settings, self.key)?;
        let begun_s = self.clock.now_s();
        let decided = decision.serve(self.ingest, number, true, vec![fact]).await?;
        let account = self.serve(number, config)?;
        drop(decided);
        // Until now its callbacks got 404.
        self.ingest.lose(number, begun_s, self.clock.now_s() + 1, Reason::NotRunning);
        Ok(account)
    }

    /// Adds an account that a platform has already brought but that is not known to have authorised it. The
    /// operator's account takes its place: anyone with the platform's token and key could have named this
    /// appid.
    async fn take_over(
        &self,
        decision: Decision,
        there: &ServedAccount,
        config: AccountConfig,
        settings: &Settings,
    ) -> Result<Arc<ServedAccount>, AccountError> {
        let appid = &config.appid;
        let has_settings = there.is_own() || stored_settings(appid, self.store, self.key)?.len() > 1;
        let left = if has_settings { None } else { self.received.leave_to_operator(appid)? };
        let mut changes = left.ok_or_else(|| AccountError::Exists(appid.clone()))?;
        changes.push(settings_fact(appid, settings, self.key)?);
        let begun_s = self.clock.now_s();
        let done = decision.commit(self.ingest, changes.clone()).await;
        let decided = done.inspect_err(|_| self.received.undo_leave_to_operator(appid))?;
        if self.store.is_shared() {
            self.received.apply_changes(&changes);
        }
        let account = self.serve(there.number, config)?;
        drop(decided);
        self.ingest.lose(there.number, begun_s, self.clock.now_s() + 1, Reason::NotRunning);
        Ok(account)
    }

    /// Changes settings of an account that was added at run time, durably. A null removes a setting.
    pub async fn change(&self, appid: &str, changes: Settings) -> Result<Arc<ServedAccount>, AccountError> {
        let decision = self.store.decide().await?;
        let _one_at_a_time = self.accounts.changing.lock().await;
        self.change_locked(decision, appid, changes).await
    }

    async fn change_locked(
        &self,
        decision: Decision,
        appid: &str,
        changes: Settings,
    ) -> Result<Arc<ServedAccount>, AccountError> {
        let account = self.find_changeable(appid)?;
        let settings = merge_settings(stored_settings(appid, self.store, self.key)?, changes);
        let is_brought = !self.received.authorization_states(appid).is_empty();
        let config =
            parse_settings(settings.clone(), if is_brought { Origin::Brought } else { Origin::Own })?;
        if config.appid != appid {
            return Err(AccountError::AppidChanges);
        }
        self.config.get().check_loops(&[&config], self.address)?;
        let fact = settings_fact(appid, &settings, self.key)?;
        let is_active = self.received.is_active(appid);
        let was_taken = is_active || account.keys.is_some();
        let will_be_taken = is_active || !config.token.reveal().is_empty();
        let decided = if was_taken == will_be_taken {
            decision.commit(self.ingest, vec![fact]).await?
        } else {
            decision.serve(self.ingest, account.number, will_be_taken, vec![fact]).await?
        };
        let account = self.serve(account.number, config);
        drop(decided);
        account
    }

    /// Removes an account that was added at run time. Its counts stay; its tokens and its authorizations of
    /// third-party platforms end. Returns the events to send to those platforms.
    pub async fn remove(&self, appid: &str) -> Result<Vec<Event>, AccountError> {
        let decision = self.store.decide().await?;
        let _one_at_a_time = self.accounts.changing.lock().await;
        let account = self.find_changeable(appid)?;
        let (number, ended_s) = (account.number, decision.now_s(self.clock));
        let ending = self.platforms.end_authorizations(appid, ended_s).await;
        let mut gone = ending.changes()?;
        let revocation = self.tokens.revocation(|holder| holder.appid == appid).await;
        gone.push(Change::Fact { key: format!("{FACT_PREFIX}{appid}"), value: None });
        gone.extend(revocation.changes());
        let done = self.received.remove(decision, &account, ended_s, gone).await;
        // Whether or not the removal succeeded, the account was not served for a moment.
        self.ingest.lose(number, ended_s, self.clock.now_s() + 1, Reason::NotRunning);
        let decided = done?;
        revocation.complete();
        let events = ending.complete();
        drop(decided);
        Ok(events)
    }

    /// Replaces a secret and returns its name and the new value. The former key or callback token stays valid.
    /// The former secret becomes `upstream_secret`, unless that is already set.
    pub async fn rotate(&self, appid: &str, what: Rotated) -> Result<(&'static str, String), AccountError> {
        let decision = self.store.decide().await?;
        let _one_at_a_time = self.accounts.changing.lock().await;
        self.find_changeable(appid)?;
        let settings = stored_settings(appid, self.store, self.key)?;
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
        self.change_locked(decision, appid, changes).await?;
        Ok((name, new))
    }

    fn find_changeable(&self, appid: &str) -> Result<Arc<ServedAccount>, AccountError> {
        match self.accounts.get(appid) {
            None => Err(AccountError::Unknown(appid.to_owned())),
            Some(account) if account.is_configured => Err(AccountError::Configured(appid.to_owned())),
            Some(account) => Ok(account),
        }
    }

    fn serve(
        &self,
        number: AccountNumber,
        config: AccountConfig,
    ) -> Result<Arc<ServedAccount>, AccountError> {
        let served = self.accounts.put_stored(number, config);
        served.map_err(|error| AccountError::Unreadable(error.to_string()))
    }
}

/// Assigning a number writes to the disk, which must not block the runtime.
fn number_of(appid: &str, store: &Store) -> Result<AccountNumber, NotDurable> {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => store.account(appid),
        _ => tokio::task::block_in_place(|| store.account(appid)),
    }
}
