//! State shared by all handlers: configuration, accounts, store, tokens, clients for other servers.

mod facts;
mod start_error;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::{HeaderName, HeaderValue};
use msgcube_client::http::HttpClient;
use storage::{
    account_metrics::{AccountLevel, AccountMeters},
    metrics::{Levels, Metrics},
    store::{AccountNumber, Store},
    writer::{Ingest, Writer},
};
use system::{byte_budget::ByteBudget, clock::Clock, current::Current, data_key::DataKey, random};
use tokio::{sync::Semaphore, task::JoinError};
use wechat::request_id::RidGenerator;

use crate::{
    accounts::{
        platform_issuer::{AuthorizationContext, Platforms},
        platform_receiver::{self, Loaded, Received},
        registry::{Accounts, ServedAccount},
        service::AccountService,
    },
    auth::{
        access_token::Tokens, api_keys::ApiKeys, quota::CallQuotas, sessions::Sessions,
        share_links::ShareLinks, upstream_token_index::UpstreamTokenIndex,
    },
    config::Config,
    figures::live::LiveFigures,
    forward::{outbox::Outbox, upstream_token::UpstreamTokens},
    http::{
        concurrency_limit::ConcurrencyLimit,
        consent_tries::ConsentTries,
        error_log::{self, ErrorLog},
        sign_in_tries::SignInTries,
    },
    intake::{Intake, Limits, log_throttle::LogThrottle},
    key_binding::{self, OtherKey},
    net::{body::Budgets, sockets::connections_max, tls::Tls},
    open_store::open_store,
    reload::{self, Reload},
};
pub use start_error::StartError;

/// A connection to a bot that takes longer is retried.
const RELAY_CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
/// Bytes of request bodies that the gateway keeps so that it can resend them. Beyond this a body is not kept and its call
/// is sent only once.
const GATEWAY_COPY_BYTES_MAX: usize = 256 << 20;
/// Concurrent bulk requests. Each holds at most two chunks of messages.
const BULK_PERMITS: usize = 16;
/// Concurrent statistics queries that read days from disk.
const STATISTICS_PERMITS: usize = 4;

/// An account is shown as covered if no gap lies within so many seconds. Longer than the usual time between two
/// requests for the metrics, so that no gap is missed.
const COVERED_S: i64 = 60;

/// State shared by all handlers.
#[derive(Debug)]
pub struct App {
    /// The current configuration; a reload replaces it.
    pub config: Arc<Current<Config>>,
    /// Reads the configuration file again. Unset if there is no file.
    pub source: OnceLock<reload::Source>,
    /// Address of the public socket, once it is bound.
    pub address: OnceLock<SocketAddr>,
    /// The clock that all handlers use; tests set it.
    pub clock: Clock,
    /// When the process started, Unix seconds.
    pub started_s: i64,
    /// Messages, counters and small facts on disk.
    pub store: Arc<Store>,
    /// The queue of the one writer.
    pub ingest: Ingest,
    /// Access tokens that msgcube gave out.
    pub tokens: Tokens,
    /// The data key, which seals secrets.
    pub key: DataKey,
    /// Accounts of the configuration and accounts added at run time.
    pub accounts: Arc<Accounts>,
    /// Third-party platforms of both roles.
    pub platforms: Arc<Platforms>,
    /// Accounts that came through a platform with role "receive".
    pub platform_receiver: Arc<Received>,
    /// Which platform and account each token of WeChat's belongs to, learned from answers passed on.
    pub upstream_token_index: UpstreamTokenIndex,
    /// Counts wrong secrets on the consent page.
    pub consent_tries: ConsentTries,
    /// API keys of the admin API.
    pub api_keys: ApiKeys,
    /// Who has signed in on the pages.
    pub sessions: Sessions,
    /// Links to the page of one account.
    pub share_links: ShareLinks,
    /// Limits tries to sign in on the pages.
    pub sign_in_tries: SignInTries,
    /// Header name and value that mark requests sent by this process, to detect loops.
    pub via: (HeaderName, HeaderValue),
    /// Limits the concurrent calls to WeChat, until their answers are sent.
    pub gateway_limit: Arc<ConcurrencyLimit>,
    /// Memory for copies of request bodies that may be resent to WeChat.
    pub gateway_copy_budget: ByteBudget,
    /// Memory for bodies being read.
    pub bodies: Budgets,
    /// Event copies waiting for listeners and platforms.
    pub outbox: Outbox,
    /// Real tokens of WeChat, if calls are passed on.
    pub upstream: Current<Option<Arc<UpstreamTokens>>>,
    /// TLS of the public socket, once it is bound and if it is configured.
    pub tls: OnceLock<Arc<Tls>>,
    /// HTTP client for bots and for the servers of platforms.
    pub relay: HttpClient,
    /// Processes callbacks without HTTP.
    pub intake: Arc<Intake>,
    /// Counters and histograms of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Permits for concurrent bulk requests. Further requests wait.
    pub bulk_permits: Semaphore,
    /// Permits for concurrent statistics queries that read from disk. Further queries wait.
    statistics_permits: Arc<Semaphore>,
    /// Permit for a backup: one at a time.
    pub backup_permit: Arc<Semaphore>,
    /// Today's figures as they are counted.
    pub live: LiveFigures,
    /// Limits repeated log lines.
    pub log_throttle: Arc<LogThrottle>,
    /// Makes request ids.
    pub rids: RidGenerator,
    /// Calls that were answered with an error, for `rid/get`.
    pub error_log: ErrorLog,
}

impl App {
    /// Opens the store and starts the writer.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        config: Config,
        clock: Clock,
        other_key: OtherKey,
    ) -> Result<(Arc<App>, Writer), StartError> {
        let is_shared = config.store.is_some();
        App::open(config, clock, other_key).map_err(|error| error.with_remedy(is_shared))
    }

    fn open(config: Config, clock: Clock, other_key: OtherKey) -> Result<(Arc<App>, Writer), StartError> {
        // The store comes first because it locks the folder.
        let store = open_store(&config, &clock)?;
        let key = key_binding::load_bound_key(&config.data_key_file, &config.data_dir, &store, other_key)?;
        error_log::remove_former_files(&config.data_dir);
        App::start_with(config, clock, store, key)
    }

    /// Like [`App::start`], with an open store.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_with(
        config: Config,
        clock: Clock,
        store: Store,
        key: DataKey,
    ) -> Result<(Arc<App>, Writer), StartError> {
        let store = Arc::new(store);
        let accounts = Arc::new(load_accounts(&config, &store, &key)?);
        let platforms = Arc::new(Platforms::load(&config.components, key.clone(), &store)?);
        let loaded = platform_receiver::load(&store, &key, &platforms, &accounts)?;
        let metrics = Arc::new(Metrics::default());
        let served = accounts_to_serve(&accounts, &loaded);
        let (ingest, writer) = Ingest::prepare(store.clone(), clock.clone(), metrics.clone(), served);
        let upstream = upstream_tokens(&config, &store, &key, &clock, &ingest, &metrics);
        let outbox = Outbox::new(
            &config.data_dir,
            key.clone(),
            clock.clone(),
            metrics.clone(),
            accounts.clone(),
            platforms.clone(),
        );
        let received = Received::new(loaded, store.clone(), ingest.clone(), key.clone(), accounts.clone());
        let platform_receiver = Arc::new(received);
        let config = Arc::new(Current::new(config));
        let log_throttle = Arc::<LogThrottle>::default();
        let intake = Arc::new(Intake {
            config: config.clone(),
            clock: clock.clone(),
            ingest: ingest.clone(),
            accounts: accounts.clone(),
            platforms: platforms.clone(),
            received: platform_receiver.clone(),
            metrics: metrics.clone(),
            log_throttle: log_throttle.clone(),
            limits: Limits::default(),
        });
        let app = App {
            config,
            source: OnceLock::new(),
            address: OnceLock::new(),
            started_s: clock.now_s(),
            live: LiveFigures::new(store.clone(), accounts.clone(), clock.clone()),
            clock,
            upstream_token_index: UpstreamTokenIndex::load(&store),
            api_keys: ApiKeys::load(&store),
            sessions: Sessions::load(key.clone(), &store, &ingest),
            share_links: ShareLinks::load(&store),
            sign_in_tries: SignInTries::default(),
            tokens: Tokens::load(key.clone(), &store),
            store,
            ingest,
            key,
            accounts,
            platforms,
            platform_receiver,
            consent_tries: ConsentTries::default(),
            via: via()?,
            gateway_limit: ConcurrencyLimit::for_connections(connections_max()),
            gateway_copy_budget: ByteBudget::new(GATEWAY_COPY_BYTES_MAX),
            bodies: Budgets::default(),
            outbox,
            upstream: Current::new(upstream),
            tls: OnceLock::new(),
            relay: HttpClient::new(RELAY_CONNECT_TIME_MAX),
            intake,
            metrics,
            bulk_permits: Semaphore::new(BULK_PERMITS),
            statistics_permits: Arc::new(Semaphore::new(STATISTICS_PERMITS)),
            backup_permit: Arc::new(Semaphore::new(1)),
            log_throttle,
            rids: RidGenerator::default(),
            error_log: ErrorLog::default(),
        };
        Ok((facts::follow(app), writer))
    }

    /// The service that changes accounts.
    pub fn account_service(&self) -> AccountService<'_> {
        AccountService {
            accounts: &self.accounts,
            config: &self.config,
            address: self.address.get().copied(),
            clock: &self.clock,
            store: &self.store,
            ingest: &self.ingest,
            tokens: &self.tokens,
            platforms: &self.platforms,
            key: &self.key,
            received: &self.platform_receiver,
        }
    }

    /// The real tokens of WeChat, if calls are passed on.
    pub fn upstream(&self) -> Option<Arc<UpstreamTokens>> {
        (*self.upstream.get()).clone()
    }

    /// The parts that a reload changes.
    pub fn reload(&self) -> Reload<'_> {
        Reload {
            service: self.account_service(),
            source: self.source.get(),
            metrics: &self.metrics,
            upstream: &self.upstream,
            tls: self.tls.get().map(AsRef::as_ref),
        }
    }

    /// The parts that a change of an authorization needs.
    pub fn authorization_context(&self) -> AuthorizationContext<'_> {
        AuthorizationContext {
            accounts: &self.accounts,
            tokens: &self.tokens,
            store: &self.store,
            ingest: &self.ingest,
            clock: &self.clock,
        }
    }

    /// Runs what may wait for the disk or for servers on a thread of its own, once one of the few permits is free. It keeps the
    /// permit until it ends, even if the caller hangs up.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn read_blocking<T: Send + 'static>(
        self: &Arc<App>,
        read: impl FnOnce(&Arc<App>) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed, so this ends with a permit.
        let permit = self.statistics_permits.clone().acquire_owned().await;
        let app = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&app)
        });
        reading.await
    }

    /// Logs that figures cannot be read, at most once a minute: while a server is away, each question fails.
    pub fn log_store_failure(&self, error: &impl std::fmt::Display) {
        if self.log_throttle.may_log("", "store", self.clock.now_s()) {
            tracing::error!(%error, "the store cannot be read");
        }
    }

    /// Current sizes for the metrics.
    pub fn levels(&self) -> Levels {
        let now_s = self.clock.now_s();
        let mut bridged_stops = 0;
        self.accounts.meters.free_unused();
        let level = |account: Arc<ServedAccount>| {
            let report = self.store.coverage(account.number, |coverage| coverage.report(now_s));
            bridged_stops += report.bridged.len();
            AccountLevel {
                appid: account.config.appid.clone(),
                meter: account.meter.clone(),
                gaps: report.gaps.len(),
                is_covered: report.since.is_some()
                    && report.gaps.iter().all(|gap| gap.to_s < now_s - COVERED_S),
            }
        };
        let accounts = self.accounts.all().into_iter().map(level).collect();
        Levels {
            is_durable: self.ingest.fault().is_none(),
            accounts,
            queue_depth: self.ingest.depth(),
            waiting: self.intake.limits.waiting(),
            copies_bytes: self.outbox.waiting_bytes(),
            relays_waiting: self.intake.limits.relays(),
            sizes: self.store.sizes(),
            bridged_stops,
        }
    }
}

/// Loads the accounts of the configuration and those added at run time.
fn load_accounts(config: &Config, store: &Store, key: &DataKey) -> Result<Accounts, StartError> {
    let accounts = Accounts::new(CallQuotas::load(store), AccountMeters::new(config.metrics_accounts));
    for account in &config.accounts {
        accounts.put(accounts.configured(store.account(&account.appid)?, account.clone())?);
    }
    accounts.load_stored(store, key)?;
    Ok(accounts)
}

/// The accounts that receive messages from the start.
fn accounts_to_serve(accounts: &Accounts, loaded: &Loaded) -> Vec<AccountNumber> {
    let receives =
        |account: &ServedAccount| account.keys.is_some() || loaded.is_active(&account.config.appid);
    accounts.select(receives).iter().map(|account| account.number).collect()
}

/// The real tokens of WeChat, if the configuration passes calls on.
fn upstream_tokens(
    config: &Config,
    store: &Arc<Store>,
    key: &DataKey,
    clock: &Clock,
    ingest: &Ingest,
    metrics: &Arc<Metrics>,
) -> Option<Arc<UpstreamTokens>> {
    let upstream = config.upstream.clone()?;
    let (key, clock, ingest, metrics) = (key.clone(), clock.clone(), ingest.clone(), metrics.clone());
    Some(Arc::new(UpstreamTokens::new(upstream, store, key, clock, ingest, metrics)))
}

fn via() -> Result<(HeaderName, HeaderValue), StartError> {
    let value = HeaderValue::try_from(random::hexadecimal(8)?);
    let value = value.unwrap_or(HeaderValue::from_static("msgcube"));
    Ok((HeaderName::from_static("x-msgcube-via"), value))
}
