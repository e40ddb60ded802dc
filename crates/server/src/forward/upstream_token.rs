//! WeChat's real tokens: one for each account, fetched once for all callers, renewed before it expires and when
//! WeChat refuses it. Forcing a new token invalidates the old one for every other process, so it is rare (the
//! contract, section 7).

mod account_token;
mod ask;
mod feed;
mod lease;
mod leased;
mod report;
mod stored_token;

use std::{
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    time::Duration,
};

use hashbrown::HashMap;
use msgcube_client::http::{Address, HttpClient};
use storage::{
    metrics::Metrics,
    store::{Change, NotDurable, Outcome, Store},
    writer::Ingest,
};
use system::{clock::Clock, data_key::DataKey, secret::Secret};

use crate::{
    accounts::registry::ServedAccount,
    config::{AccountConfig, UpstreamConfig},
};

use account_token::{AccountToken, Fetching};
pub use ask::TokenFailure;
use ask::UpstreamTokenSource;
pub use report::UpstreamTokenReport;
use stored_token::TokenRecord;
pub use stored_token::{FACT_PREFIX, UpstreamToken};

/// Prefixes of the keys of the facts that it follows.
pub const FACT_PREFIXES: [&str; 2] = [FACT_PREFIX, lease::FACT_PREFIX];

/// Longest time to connect to WeChat.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a caller waits until the record of a forced token is durable.
const DURABLE_TIME_MAX: Duration = Duration::from_secs(1);
/// After a failed renewal of a token that is still valid, seconds until the next attempt.
const RETRY_S: i64 = 5;

/// The connection to WeChat and the real token of each account.
#[derive(Debug)]
pub struct UpstreamTokens {
    /// The settings of `[upstream]`.
    pub config: UpstreamConfig,
    /// The HTTP client for WeChat.
    pub client: HttpClient,
    key: DataKey,
    clock: Clock,
    store: Arc<Store>,
    ingest: Ingest,
    metrics: Arc<Metrics>,
    by_account: Arc<RwLock<HashMap<String, Arc<AccountToken>, foldhash::fast::RandomState>>>,
}

/// Fetches an account's real token in normal mode, which invalidates no token, and does not store it. Returns the
/// seconds that it has left.
pub async fn probe(config: &UpstreamConfig, account: &AccountConfig) -> Result<i64, TokenFailure> {
    let client = HttpClient::new(CONNECT_TIME_MAX);
    let (_, seconds_left) =
        ask::token(UpstreamTokenSource { config, client: &client }, account, false).await?;
    Ok(seconds_left)
}

impl UpstreamTokens {
    /// Reads the stored tokens.
    pub fn new(
        config: UpstreamConfig,
        store: &Arc<Store>,
        key: DataKey,
        clock: Clock,
        ingest: Ingest,
        metrics: Arc<Metrics>,
    ) -> UpstreamTokens {
        let by_account = Arc::default();
        let client = HttpClient::new(CONNECT_TIME_MAX);
        let store = store.clone();
        let upstream = UpstreamTokens { config, client, key, clock, store, ingest, metrics, by_account };
        for prefix in FACT_PREFIXES {
            for (fact, value) in upstream.store.facts(prefix) {
                upstream.apply_fact(&fact, Some(&value));
            }
        }
        upstream
    }

    /// The same tokens with new settings. A token is used only with the settings that it was fetched with.
    #[must_use]
    pub fn with(&self, config: UpstreamConfig) -> UpstreamTokens {
        UpstreamTokens {
            config,
            client: self.client.clone(),
            key: self.key.clone(),
            clock: self.clock.clone(),
            store: self.store.clone(),
            ingest: self.ingest.clone(),
            metrics: self.metrics.clone(),
            by_account: self.by_account.clone(),
        }
    }

    fn source(&self) -> UpstreamTokenSource<'_> {
        UpstreamTokenSource { config: &self.config, client: &self.client }
    }

    /// The account's real token. While it is valid, no caller waits: it is renewed in the background.
    pub async fn token(
        self: &Arc<Self>,
        account: &Arc<ServedAccount>,
    ) -> Result<UpstreamToken, TokenFailure> {
        let account_token = self.account_token(&account.config.appid);
        let now_s = self.clock.now_s();
        if let Some(token) = account_token.valid(self, account, now_s) {
            if now_s >= token.renew_s && !account_token.is_renewing.swap(true, Ordering::AcqRel) {
                tokio::spawn(self.clone().renew(account.clone(), account_token));
            }
            return Ok(token);
        }
        self.other_than_detached(account, None).await
    }

    /// A token for a second attempt after WeChat refused one. None if there is no other.
    pub async fn after_refusal(
        self: &Arc<Self>,
        account: &Arc<ServedAccount>,
        refused: &Secret,
    ) -> Result<Option<Secret>, TokenFailure> {
        let token = self.other_than_detached(account, Some(refused)).await?;
        Ok((!token.token.matches(refused.reveal())).then_some(token.token))
    }

    /// The token for a caller that asks for a new one: a forced one if that is allowed, otherwise the current
    /// one.
    pub async fn forced(
        self: &Arc<Self>,
        account: &Arc<ServedAccount>,
    ) -> Result<UpstreamToken, TokenFailure> {
        let token = self.token(account).await?;
        self.other_than_detached(account, Some(&token.token)).await
    }

    /// The account of a real token that was handed out to callers.
    pub fn appid_of(&self, token: &str, now_s: i64) -> Option<String> {
        if !self.config.expose_real_token {
            return None;
        }
        let by_account = self.by_account.read().unwrap_or_else(PoisonError::into_inner);
        // Compares hashes, so that a scan of thousands is fast and its time reveals nothing about the
        // tokens.
        let hash = stored_token::hash(token);
        let known = |account_token: &AccountToken| {
            let record = account_token.read();
            let mut good =
                record.token.iter().chain(&record.previous).filter(|token| now_s < token.expires_s);
            good.any(|token| token.hash == hash)
        };
        by_account.iter().find(|(_, account_token)| known(account_token)).map(|(appid, _)| appid.clone())
    }

    /// Deletes the token of a removed account, durably. The times of forcing stay, in case it is added again.
    pub async fn forget(&self, appid: &str) {
        let account_token = self.account_token(appid);
        let _fetching = account_token.fetching.lock().await;
        if self.store.is_shared() {
            return self.forget_for_all(appid, &account_token).await;
        }
        let record = account_token.update(|record| (record.token, record.previous) = (None, None));
        self.store(appid, &record).await;
    }

    fn account_token(&self, appid: &str) -> Arc<AccountToken> {
        let by_account = self.by_account.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(account_token) = by_account.get(appid) {
            return account_token.clone();
        }
        drop(by_account);
        let mut by_account = self.by_account.write().unwrap_or_else(PoisonError::into_inner);
        by_account.entry(appid.to_owned()).or_default().clone()
    }

    async fn renew(self: Arc<Self>, account: Arc<ServedAccount>, account_token: Arc<AccountToken>) {
        let mut fetching = account_token.fetching.lock().await;
        let renewed = if self.store.is_shared() {
            self.renew_for_all(&account, &account_token, &mut fetching).await
        } else if account_token.is_due(&self, &account, self.clock.now_s()) {
            self.fetch(&account, &account_token, &mut fetching, false).await.map(drop)
        } else {
            Ok(())
        };
        if let Err(failure) = renewed {
            tracing::warn!(appid = account.config.appid, %failure, "the real token was not renewed; trying again");
            account_token.renew_at(self.clock.now_s() + RETRY_S);
        }
        account_token.is_renewing.store(false, Ordering::Release);
    }

    /// Completes the fetch even if the caller disconnects: a forced token that is not stored would be lost to
    /// all.
    async fn other_than_detached(
        self: &Arc<Self>,
        account: &Arc<ServedAccount>,
        refused: Option<&Secret>,
    ) -> Result<UpstreamToken, TokenFailure> {
        let (upstream, account, refused) = (self.clone(), account.clone(), refused.cloned());
        let fetch = async move { upstream.other_than(&account, refused.as_ref()).await };
        let joined = tokio::spawn(fetch).await;
        joined.unwrap_or_else(|error| Err(TokenFailure::Unreachable(error.to_string())))
    }

    /// Callers queue at `fetching`. The first fetches; the others get its token or its failure.
    async fn other_than(
        &self,
        account: &ServedAccount,
        refused: Option<&Secret>,
    ) -> Result<UpstreamToken, TokenFailure> {
        let account_token = self.account_token(&account.config.appid);
        let fetches_before = account_token.fetches.load(Ordering::Acquire);
        let mut fetching = account_token.fetching.lock().await;
        let token = account_token.valid(self, account, self.clock.now_s());
        let is_refused =
            |token: &UpstreamToken| refused.is_some_and(|refused| token.token.matches(refused.reveal()));
        match token {
            Some(token) if !is_refused(&token) => return Ok(token),
            Some(token) if fetching.is_same_token_recent(self.clock.now_s()) => return Ok(token),
            _ => {}
        }
        let finished_meanwhile = account_token.fetches.load(Ordering::Acquire) != fetches_before;
        if let (true, Some(failure)) = (finished_meanwhile, &fetching.failure) {
            return Err(failure.clone());
        }
        if self.store.is_shared() {
            return self.fetch_for_all(account, &account_token, &mut fetching, refused).await;
        }
        let fetched = self.fetch(account, &account_token, &mut fetching, false).await?;
        if refused.is_some() {
            // WeChat refused this token, so it is no longer accepted from any caller.
            account_token.end_previous();
        }
        if !is_refused(&fetched) {
            return Ok(fetched);
        }
        self.force(account, &account_token, &mut fetching, fetched).await
    }

    async fn force(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        fetching: &mut Fetching,
        same: UpstreamToken,
    ) -> Result<UpstreamToken, TokenFailure> {
        let now_s = self.clock.now_s();
        if !account_token.record().forced.may_force(now_s) {
            fetching.same_at_s = Some(now_s);
            return Ok(same);
        }
        // Recorded before the request, so that a restart does not allow more forcing.
        let record = account_token.update(|record| record.forced.record(now_s));
        let stored = self.store(&account.config.appid, &record);
        if tokio::time::timeout(DURABLE_TIME_MAX, stored).await.is_err() {
            tracing::warn!("the disk is slow: the record of a forced real token is not durable yet");
        }
        let forced = self.fetch(account, account_token, fetching, true).await?;
        account_token.end_previous();
        Ok(forced)
    }

    /// Fetches a token and stores it.
    async fn fetch(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        fetching: &mut Fetching,
        force: bool,
    ) -> Result<UpstreamToken, TokenFailure> {
        let token = self.ask(account, account_token, fetching, force).await?;
        let record = account_token.update(|record| record.replace(token.clone()));
        // No caller waits for the disk: the token works from memory.
        tokio::spawn(self.store(&account.config.appid, &record));
        Ok(token)
    }

    async fn ask(
        &self,
        account: &ServedAccount,
        account_token: &AccountToken,
        fetching: &mut Fetching,
        force: bool,
    ) -> Result<UpstreamToken, TokenFailure> {
        let asked = ask::token(self.source(), &account.config, force).await;
        self.metrics.token_fetched(if force { "force" } else { "normal" }, asked.is_ok());
        fetching.failure = asked.as_ref().err().cloned();
        fetching.same_at_s = None;
        account_token.fetches.fetch_add(1, Ordering::Release);
        let (token, expires_in_s) = asked?;
        Ok(UpstreamToken::new(token, expires_in_s, self.clock.now_s(), self.origin(account)))
    }

    /// Queues the record before it returns. The future waits for the disk.
    fn store(&self, appid: &str, record: &TokenRecord) -> impl Future<Output = ()> + Send + use<> {
        // The store of one process keeps no previous token.
        let record = TokenRecord { previous: None, ..record.clone() };
        let change = record.fact(&self.key, appid);
        let queued = change.map_err(|error| error.to_string()).and_then(|change| self.enqueue(change));
        async move {
            let done = match queued {
                Ok(waiting) => waiting.await.map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::warn!(error, "the real token is only in memory");
            }
        }
    }

    fn enqueue(
        &self,
        change: Change,
    ) -> Result<impl Future<Output = Result<Outcome, NotDurable>> + Send + use<>, String> {
        self.ingest.enqueue(change).map_err(|error| error.to_string())
    }

    /// Identifies the settings that a token was fetched with. With another secret or another server it is not
    /// used.
    fn origin(&self, account: &ServedAccount) -> [u8; 32] {
        let (base, server) =
            (self.config.base.uri_text(), self.config.token_url.as_ref().map(Address::uri_text));
        let secret = account.config.upstream_secret().reveal();
        self.key.mac(&["origin of a real token", &base, server.as_deref().unwrap_or(""), secret])
    }
}
