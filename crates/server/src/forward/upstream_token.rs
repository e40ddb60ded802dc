//! The real tokens: one for each account, fetched once for all callers, renewed before its end and when WeChat refuses
//! it. Forcing a new one takes the token from every other process, so it is rare (the contract, section 7).

mod ask;
mod kept;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use hashbrown::HashMap;
use msgcube_client::http::{Address, HttpClient};
use storage::{
    metrics::Metrics,
    store::{Change, NotDurable, Outcome, Store},
    writer::Ingest,
};
use system::{clock::Clock, data_key::DataKey, secret::Secret};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    accounts::registry::Account,
    config::{AccountConfig, UpstreamConfig},
};

pub use ask::Failure;
use ask::Way;
use kept::Forced;
pub use kept::{FACT_PREFIX, Kept};

/// A connection to WeChat that takes longer has failed.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a caller waits for the disk to know that a token is forced.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);
/// After a renewal failed while the token is still good, the next is tried this much later.
const RETRY_S: i64 = 5;
/// While forcing is not allowed and the same token came back, nobody asks again for this long.
const SAME_S: i64 = 1;

/// WeChat's side: where it is, and the token of each account there.
#[derive(Debug)]
pub struct UpstreamTokens {
    /// The settings.
    pub config: UpstreamConfig,
    /// The way there.
    pub client: HttpClient<Body>,
    key: DataKey,
    clock: Clock,
    ingest: Ingest,
    metrics: Arc<Metrics>,
    keepers: Arc<RwLock<HashMap<String, Arc<Keeper>, foldhash::fast::RandomState>>>,
}

/// The real token of one account.
#[derive(Debug, Default)]
struct Keeper {
    /// What callers read; the one before it is known for a while, for callers that were given it.
    tokens: RwLock<Tokens>,
    /// Held while a token is fetched, so that one fetch serves all who wait.
    fetching: Mutex<Fetching>,
    /// Finished fetches, good or bad: whoever waited while one finished shares its outcome.
    fetches: AtomicU64,
    is_renewing: AtomicBool,
}

#[derive(Debug, Default)]
struct Tokens {
    now: Option<Kept>,
    before: Option<Kept>,
}

#[derive(Debug, Default)]
struct Fetching {
    failure: Option<Failure>,
    forced: Forced,
    /// The same token came back then, and forcing was not allowed.
    same_at_s: Option<i64>,
}

/// Asks for an account's real token without keeping it, in the mode that takes nobody's: the seconds it has left.
pub async fn probe(config: &UpstreamConfig, account: &AccountConfig) -> Result<i64, Failure> {
    let client = HttpClient::new(CONNECT_TIME_MAX);
    let (_, seconds_left) = ask::token(Way { config, client: &client }, account, false).await?;
    Ok(seconds_left)
}

impl UpstreamTokens {
    /// Reads what was kept before.
    pub fn new(
        config: UpstreamConfig,
        store: &Store,
        key: DataKey,
        clock: Clock,
        ingest: Ingest,
        metrics: Arc<Metrics>,
    ) -> UpstreamTokens {
        let keepers = Arc::default();
        let client = HttpClient::new(CONNECT_TIME_MAX);
        let upstream = UpstreamTokens { config, client, key, clock, ingest, metrics, keepers };
        for (fact, sealed) in store.facts(FACT_PREFIX) {
            upstream.load(&fact, &sealed);
        }
        upstream
    }

    /// The same with other settings: the tokens that are kept stay, each for the WeChat that it comes from.
    #[must_use]
    pub fn with(&self, config: UpstreamConfig) -> UpstreamTokens {
        UpstreamTokens {
            config,
            client: self.client.clone(),
            key: self.key.clone(),
            clock: self.clock.clone(),
            ingest: self.ingest.clone(),
            metrics: self.metrics.clone(),
            keepers: self.keepers.clone(),
        }
    }

    fn way(&self) -> Way<'_> {
        Way { config: &self.config, client: &self.client }
    }

    fn load(&self, fact: &str, sealed: &[u8]) {
        let appid = fact.strip_prefix(FACT_PREFIX).unwrap_or_default();
        match kept::opened(&self.key, fact, sealed) {
            Ok(record) => {
                let keeper = self.keeper(appid);
                if let Ok(mut fetching) = keeper.fetching.try_lock() {
                    fetching.forced = record.forced;
                }
                keeper.write().now = record.kept;
            }
            Err(error) => {
                tracing::warn!(appid, %error, "the kept real token cannot be read; it is fetched anew");
            }
        }
    }

    /// The account's real token. While one is good nobody waits: it is renewed beside the callers.
    pub async fn token(self: &Arc<Self>, account: &Arc<Account>) -> Result<Kept, Failure> {
        let keeper = self.keeper(&account.config.appid);
        let now_s = self.clock.now_s();
        if let Some(kept) = keeper.good(self, account, now_s) {
            if now_s >= kept.renew_s && !keeper.is_renewing.swap(true, Ordering::AcqRel) {
                tokio::spawn(self.clone().renew(account.clone(), keeper));
            }
            return Ok(kept);
        }
        self.to_its_end(account, None).await
    }

    /// A token to send a refused request with once more; none if there can be no other.
    pub async fn after_refusal(
        self: &Arc<Self>,
        account: &Arc<Account>,
        refused: &Secret,
    ) -> Result<Option<Secret>, Failure> {
        let kept = self.to_its_end(account, Some(refused)).await?;
        Ok((!kept.token.is(refused.reveal())).then_some(kept.token))
    }

    /// The token of a caller who wants a new one: WeChat's if forcing is allowed, otherwise the one there is.
    pub async fn forced(self: &Arc<Self>, account: &Arc<Account>) -> Result<Kept, Failure> {
        let kept = self.token(account).await?;
        self.to_its_end(account, Some(&kept.token)).await
    }

    /// The appid of a real token that was handed out to callers.
    pub fn appid_of(&self, token: &str, now_s: i64) -> Option<String> {
        if !self.config.expose_real_token {
            return None;
        }
        let keepers = self.keepers.read().unwrap_or_else(PoisonError::into_inner);
        // Hashes, so that looking at thousands takes little time and tells nothing.
        let hash = kept::hash(token);
        let known = |keeper: &Keeper| {
            let tokens = keeper.read();
            let mut good = tokens.now.iter().chain(&tokens.before).filter(|kept| now_s < kept.expires_s);
            good.any(|kept| kept.hash == hash)
        };
        keepers.iter().find(|(_, keeper)| known(keeper)).map(|(appid, _)| appid.clone())
    }

    /// Forgets the token of an account that is gone, durably. When it was forced is still known, for should it return.
    pub async fn forget(&self, appid: &str) {
        let keeper = self.keeper(appid);
        let fetching = keeper.fetching.lock().await;
        *keeper.write() = Tokens::default();
        self.keep(appid, None, &fetching.forced).await;
    }

    fn keeper(&self, appid: &str) -> Arc<Keeper> {
        let keepers = self.keepers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = keepers.get(appid) {
            return keeper.clone();
        }
        drop(keepers);
        let mut keepers = self.keepers.write().unwrap_or_else(PoisonError::into_inner);
        keepers.entry(appid.to_owned()).or_default().clone()
    }

    async fn renew(self: Arc<Self>, account: Arc<Account>, keeper: Arc<Keeper>) {
        let mut fetching = keeper.fetching.lock().await;
        let now_s = self.clock.now_s();
        let is_due = keeper.good(&self, &account, now_s).is_none_or(|kept| now_s >= kept.renew_s);
        if is_due && let Err(failure) = self.fetch(&account, &keeper, &mut fetching, false).await {
            tracing::warn!(appid = account.config.appid, %failure, "the real token was not renewed; trying again");
            if let Some(kept) = &mut keeper.write().now {
                kept.renew_s = self.clock.now_s() + RETRY_S;
            }
        }
        keeper.is_renewing.store(false, Ordering::Release);
    }

    /// Runs also if the caller hangs up: a forced token that nobody kept would be lost to all.
    async fn to_its_end(
        self: &Arc<Self>,
        account: &Arc<Account>,
        refused: Option<&Secret>,
    ) -> Result<Kept, Failure> {
        let (upstream, account, refused) = (self.clone(), account.clone(), refused.cloned());
        let fetch = async move { upstream.other_than(&account, refused.as_ref()).await };
        let joined = tokio::spawn(fetch).await;
        joined.unwrap_or_else(|error| Err(Failure::Unreachable(error.to_string())))
    }

    /// Callers queue at `fetching`: the first fetches, the others find its token, or share its failure.
    async fn other_than(&self, account: &Account, refused: Option<&Secret>) -> Result<Kept, Failure> {
        let keeper = self.keeper(&account.config.appid);
        let fetches_before = keeper.fetches.load(Ordering::Acquire);
        let mut fetching = keeper.fetching.lock().await;
        let kept = keeper.good(self, account, self.clock.now_s());
        let is_refused = |kept: &Kept| refused.is_some_and(|refused| kept.token.is(refused.reveal()));
        match kept {
            Some(kept) if !is_refused(&kept) => return Ok(kept),
            Some(kept) if fetching.same_lately(self.clock.now_s()) => return Ok(kept),
            _ => {}
        }
        let finished_meanwhile = keeper.fetches.load(Ordering::Acquire) != fetches_before;
        if let (true, Some(failure)) = (finished_meanwhile, &fetching.failure) {
            return Err(failure.clone());
        }
        let fetched = self.fetch(account, &keeper, &mut fetching, false).await?;
        if refused.is_some() {
            // What WeChat refused is not known as a token any more, to anybody.
            keeper.write().before = None;
        }
        if !is_refused(&fetched) {
            return Ok(fetched);
        }
        self.force(account, &keeper, &mut fetching, fetched).await
    }

    async fn force(
        &self,
        account: &Account,
        keeper: &Keeper,
        fetching: &mut MutexGuard<'_, Fetching>,
        same: Kept,
    ) -> Result<Kept, Failure> {
        let now_s = self.clock.now_s();
        if !fetching.forced.may_force(now_s) {
            fetching.same_at_s = Some(now_s);
            return Ok(same);
        }
        fetching.forced.note(now_s);
        // Before it happens, so that a restart cannot force more often.
        let noted = self.keep(&account.config.appid, Some(&same), &fetching.forced);
        if tokio::time::timeout(DURABLE_WITHIN, noted).await.is_err() {
            tracing::warn!("the disk is slow to take that a real token is forced");
        }
        let forced = self.fetch(account, keeper, fetching, true).await?;
        keeper.write().before = None;
        Ok(forced)
    }

    /// Asks for a token and keeps it.
    async fn fetch(
        &self,
        account: &Account,
        keeper: &Keeper,
        fetching: &mut MutexGuard<'_, Fetching>,
        force: bool,
    ) -> Result<Kept, Failure> {
        let asked = ask::token(self.way(), &account.config, force).await;
        self.metrics.token_fetched(if force { "force" } else { "normal" }, asked.is_ok());
        fetching.failure = asked.as_ref().err().cloned();
        fetching.same_at_s = None;
        keeper.fetches.fetch_add(1, Ordering::Release);
        let (token, expires_in_s) = asked?;
        let kept = Kept::new(token, expires_in_s, self.clock.now_s(), self.origin(account));
        keeper.put(kept.clone());
        // Nobody waits for the disk: without it the token serves from memory.
        tokio::spawn(self.keep(&account.config.appid, Some(&kept), &fetching.forced));
        Ok(kept)
    }

    /// Makes the record durable; it is in the queue already when this returns.
    fn keep(
        &self,
        appid: &str,
        kept: Option<&Kept>,
        forced: &Forced,
    ) -> impl Future<Output = ()> + Send + use<> {
        let change = kept::fact(&self.key, appid, kept, forced);
        let queued = change.map_err(|error| error.to_string()).and_then(|change| self.note(change));
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

    fn note(
        &self,
        change: Change,
    ) -> Result<impl Future<Output = Result<Outcome, NotDurable>> + Send + use<>, String> {
        self.ingest.enqueue(change).map_err(|error| error.to_string())
    }

    /// What a token comes from: another secret, or another WeChat, means another token.
    fn origin(&self, account: &Account) -> [u8; 32] {
        let (base, server) =
            (self.config.base.uri_text(), self.config.token_url.as_ref().map(Address::uri_text));
        let secret = account.config.upstream_secret().reveal();
        self.key.mac(&["origin of a real token", &base, server.as_deref().unwrap_or(""), secret])
    }
}

impl Keeper {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Tokens> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Tokens> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, if it can be sent now.
    fn good(&self, upstream: &UpstreamTokens, account: &Account, now_s: i64) -> Option<Kept> {
        let kept = self.read().now.clone()?;
        (kept.is_good(now_s) && kept.origin == upstream.origin(account)).then_some(kept)
    }

    fn put(&self, kept: Kept) {
        let mut tokens = self.write();
        let is_other = tokens.now.as_ref().is_some_and(|now| !now.token.is(kept.token.reveal()));
        if is_other {
            tokens.before = tokens.now.take().map(|now| now.superseded(kept.fetched_s));
        }
        tokens.now = Some(kept);
    }
}

impl Fetching {
    fn same_lately(&self, now_s: i64) -> bool {
        self.same_at_s.is_some_and(|at_s| (0..SAME_S).contains(&(now_s - at_s)))
    }
}
