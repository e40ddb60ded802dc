//! Everything the handlers share: configuration, accounts, store, tokens, ways to other servers.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::{HeaderName, HeaderValue};
use msgcube_client::http::HttpClient;
use storage::{
    metrics::{Levels, Metrics},
    store::{Embedded, NotDurable, Options, Store, StoreError},
    writer::{Ingest, Writer},
};
use system::{
    byte_budget::Budget,
    clock::Clock,
    current::Current,
    data_key::DataKey,
    random::{self, RandomError},
};
use tokio::sync::Semaphore;
use wechat::{callback::KeyError, request_id::Rids};

use crate::{
    accounts::{
        platform_issuer::{AuthorizationContext, Platforms},
        platform_receiver::{self, Received},
        registry::{Accounts, StoredAccountError},
        service::AccountService,
    },
    auth::{
        access_token::Tokens, api_keys::ApiKeys, quota::Quotas, upstream_token_index::UpstreamTokenIndex,
    },
    config::Config,
    forward::{outbox::Outbox, upstream_token::UpstreamTokens},
    http::{
        concurrency_limit::ConcurrencyLimit,
        consent_tries::Tries,
        error_log::{self, ErrorLog},
    },
    intake::{Intake, Limits, log_throttle::LogThrottle},
    key_binding::{self, KeyBindingError, OtherKey},
    net::{body::Budgets, sockets::connections_max, tls::Tls},
    reload::{self, Reload},
};

/// A connection to a bot that takes longer is tried anew.
const RELAY_CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
/// Copies of requests and answers that the gateway holds in memory at the same time. Beyond it a body is not kept, so the
/// call is not sent twice.
const GATEWAY_COPIES_BYTES_MAX: usize = 256 << 20;
/// Bulk requests read at the same time; each holds two chunks of messages at most.
const BULK_PLACES: usize = 16;
/// Questions that read days from disk at the same time.
const STATISTICS_PLACES: usize = 4;

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Arc<Current<Config>>,
    /// Reads the configuration again; none without a file.
    pub source: OnceLock<reload::Source>,
    /// The public socket, once it is in use.
    pub address: OnceLock<SocketAddr>,
    /// The clock.
    pub clock: Clock,
    /// The store.
    pub store: Arc<Store>,
    /// The way to the disk.
    pub ingest: Ingest,
    /// The tokens.
    pub tokens: Tokens,
    /// What secrets are sealed with.
    pub key: DataKey,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// Third-party platforms.
    pub components: Arc<Platforms>,
    /// The accounts that they bring.
    pub received: Arc<Received>,
    /// WeChat's own tokens that went by, of platforms.
    pub remembered: UpstreamTokenIndex,
    /// Tries of secrets on the consent page.
    pub consent_tries: Tries,
    /// Keys for the own interface.
    pub api_keys: ApiKeys,
    /// The header, and its value of this process, by which what is passed on is known should it come back.
    pub via: (HeaderName, HeaderValue),
    /// Places for calls that wait for WeChat, or whose answer is on its way.
    pub gateway_places: Arc<ConcurrencyLimit>,
    /// Bytes of requests that may be sent to WeChat once more.
    pub gateway_copies: Budget,
    /// Bytes of bodies that are being read.
    pub bodies: Budgets,
    /// Copies for those who only listen.
    pub copies: Outbox,
    /// WeChat itself, if calls are passed on.
    pub upstream: Current<Option<Arc<UpstreamTokens>>>,
    /// HTTPS on the public socket, once it is in use.
    pub tls: OnceLock<Arc<Tls>>,
    /// The way to the bots behind callback addresses.
    pub relay: HttpClient<axum::body::Body>,
    /// Takes callbacks.
    pub intake: Arc<Intake>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Places for bulk requests; further ones wait.
    pub bulk_places: Semaphore,
    /// Places for statistics that are counted anew; further ones wait.
    pub statistics_places: Arc<Semaphore>,
    /// The place for a backup: one at a time.
    pub backup_places: Arc<Semaphore>,
    /// What of refused callbacks was logged lately.
    pub refusals: Arc<LogThrottle>,
    /// Makes rids.
    pub rids: Rids,
    /// Calls that were answered with an error, for `rid/get`.
    pub refused_calls: ErrorLog,
}

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The disk.
    #[error("{0}; check that the disk of data_dir has room and can be written")]
    NotDurable(#[from] NotDurable),
    /// The data key.
    #[error("{0}")]
    DataKey(#[from] KeyBindingError),
    /// An account's keys.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// The system.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// An account that was added at run time.
    #[error("{0}")]
    StoredAccount(#[from] StoredAccountError),
}

impl App {
    /// Opens the store in data_dir and starts the writer.
    pub fn start(config: Config, clock: Clock, other_key: OtherKey) -> Result<(App, Writer), StartError> {
        let options = Options { memory_bytes: config.memory_mib << 20, ..Options::default() };
        // First of all, since it locks the folder.
        let store = Store::Embedded(Box::new(Embedded::open(&config.data_dir, &options)?));
        let key = key_binding::bound_key(&config.data_key_file, &config.data_dir, &store, other_key)?;
        error_log::remove_former_files(&config.data_dir);
        App::start_with(config, clock, store, key)
    }

    /// The same with a store that is open already.
    pub fn start_with(
        config: Config,
        clock: Clock,
        store: Store,
        key: DataKey,
    ) -> Result<(App, Writer), StartError> {
        let store = Arc::new(store);
        let accounts = Arc::new(load_accounts(&config, &store, &key)?);
        let components = Arc::new(Platforms::load(&config.components, key.clone(), &store)?);
        let loaded = platform_receiver::load(&store, &key, &components, &accounts)?;
        let metrics = Arc::new(Metrics::default());
        let all = accounts.all().into_iter();
        let taken = all.filter(|account| account.keys.is_some() || loaded.is_active(&account.config.appid));
        let served = taken.map(|account| account.number).collect();
        let (ingest, writer) = Ingest::prepare(store.clone(), clock.clone(), metrics.clone(), served);
        let upstream = config.upstream.clone().map(|upstream| {
            let (key, ingest) = (key.clone(), ingest.clone());
            Arc::new(UpstreamTokens::new(upstream, &store, key, clock.clone(), ingest, metrics.clone()))
        });
        let copies = Outbox::new(
            &config.data_dir,
            key.clone(),
            clock.clone(),
            metrics.clone(),
            accounts.clone(),
            components.clone(),
        );
        let received = Received::new(loaded, store.clone(), ingest.clone(), key.clone(), accounts.clone());
        let tokens = Tokens::load(key.clone(), &store);
        let (config, received, refusals) =
            (Arc::new(Current::new(config)), Arc::new(received), Arc::new(LogThrottle::default()));
        let intake = Arc::new(Intake {
            config: config.clone(),
            clock: clock.clone(),
            ingest: ingest.clone(),
            accounts: accounts.clone(),
            components: components.clone(),
            received: received.clone(),
            metrics: metrics.clone(),
            refusals: refusals.clone(),
            limits: Limits::default(),
        });
        let app = App {
            config,
            source: OnceLock::new(),
            address: OnceLock::new(),
            clock,
            remembered: UpstreamTokenIndex::load(&store),
            api_keys: ApiKeys::load(&store),
            store,
            ingest,
            tokens,
            key,
            accounts,
            components,
            received,
            consent_tries: Tries::default(),
            via: via()?,
            gateway_places: ConcurrencyLimit::beside(connections_max()),
            gateway_copies: Budget::new(GATEWAY_COPIES_BYTES_MAX),
            bodies: Budgets::default(),
            copies,
            upstream: Current::new(upstream),
            tls: OnceLock::new(),
            relay: HttpClient::new(RELAY_CONNECT_TIME_MAX),
            intake,
            metrics,
            bulk_places: Semaphore::new(BULK_PLACES),
            statistics_places: Arc::new(Semaphore::new(STATISTICS_PLACES)),
            backup_places: Arc::new(Semaphore::new(1)),
            refusals,
            rids: Rids::default(),
            refused_calls: ErrorLog::default(),
        };
        Ok((app, writer))
    }

    /// What changing accounts needs.
    pub fn office(&self) -> AccountService<'_> {
        AccountService {
            accounts: &self.accounts,
            config: &self.config,
            address: self.address.get().copied(),
            clock: &self.clock,
            store: &self.store,
            ingest: &self.ingest,
            tokens: &self.tokens,
            components: &self.components,
            key: &self.key,
            received: &self.received,
        }
    }

    /// WeChat itself, if calls are passed on.
    pub fn upstream(&self) -> Option<Arc<UpstreamTokens>> {
        (*self.upstream.get()).clone()
    }

    /// What reading the configuration again needs.
    pub fn reload(&self) -> Reload<'_> {
        Reload {
            source: self.source.get(),
            config: &self.config,
            address: self.address.get().copied(),
            clock: &self.clock,
            store: &self.store,
            ingest: &self.ingest,
            tokens: &self.tokens,
            key: &self.key,
            metrics: &self.metrics,
            accounts: &self.accounts,
            components: &self.components,
            received: &self.received,
            upstream: &self.upstream,
            tls: self.tls.get().map(AsRef::as_ref),
        }
    }

    /// What changing authorizations needs.
    pub fn desk(&self) -> AuthorizationContext<'_> {
        AuthorizationContext {
            accounts: &self.accounts,
            tokens: &self.tokens,
            ingest: &self.ingest,
            clock: &self.clock,
        }
    }

    /// Sizes for the metrics.
    pub fn levels(&self) -> Levels {
        let now_s = self.clock.now_s();
        let (mut gaps, mut bridged_stops) = (0, 0);
        for account in self.accounts.all() {
            let report = self.store.coverage(account.number, |coverage| coverage.report(now_s));
            gaps += report.gaps.len();
            bridged_stops += report.bridged.len();
        }
        Levels {
            queue_depth: self.ingest.depth(),
            waiting: self.intake.limits.waiting(),
            copies_bytes: self.copies.waiting_bytes(),
            relays_waiting: self.intake.limits.relays(),
            sizes: self.store.sizes(),
            gaps,
            bridged_stops,
        }
    }
}

/// The accounts of the configuration, and those that were added at run time.
fn load_accounts(config: &Config, store: &Store, key: &DataKey) -> Result<Accounts, StartError> {
    let accounts = Accounts::new(Quotas::load(store));
    for account in &config.accounts {
        accounts.put(accounts.configured(store.account(&account.appid)?, account.clone())?);
    }
    accounts.load_stored(store, key)?;
    Ok(accounts)
}

fn via() -> Result<(HeaderName, HeaderValue), StartError> {
    let value = HeaderValue::try_from(random::hexadecimal(8)?);
    let value = value.unwrap_or(HeaderValue::from_static("msgcube"));
    Ok((HeaderName::from_static("x-msgcube-via"), value))
}
