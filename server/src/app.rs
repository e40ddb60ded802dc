//! Everything the handlers share: configuration, accounts, store, tokens.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize},
};

use hashbrown::HashMap;
use tokio::sync::Semaphore;

use crate::{
    callback::{AccountKeys, KeyError},
    clock::Clock,
    config::{AccountConfig, Config},
    http::Watcher,
    ingest::{Ingest, Writer},
    metrics::{Levels, Metrics},
    refusals::Refusals,
    store::{AccountNumber, Embedded, NotDurable, Options, Store, StoreError},
    token::{DataKey, DataKeyError, Tokens},
};

/// Bulk requests read at the same time; each holds two chunks of messages at most.
const BULK_PLACES: usize = 16;
/// Questions that read days from disk at the same time.
const STATISTICS_PLACES: usize = 4;

/// One account as it is served.
#[derive(Debug)]
pub struct Account {
    /// Its number in the store.
    pub number: AccountNumber,
    /// Its settings.
    pub config: AccountConfig,
    /// What its callbacks are checked with.
    pub keys: AccountKeys,
}

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// The store.
    pub store: Arc<Store>,
    /// The way to the disk.
    pub ingest: Ingest,
    /// The tokens.
    pub tokens: Tokens,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Callbacks that wait for the disk.
    pub waiting: AtomicUsize,
    /// Places for bulk requests; further ones wait.
    pub bulk_places: Semaphore,
    /// Places for statistics that are counted anew; further ones wait.
    pub statistics_places: Semaphore,
    /// What of refused callbacks was logged lately.
    pub refusals: Refusals,
    /// Counts rids.
    pub rids: AtomicU64,
    accounts: HashMap<String, Arc<Account>, foldhash::fast::RandomState>,
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
    DataKey(#[from] DataKeyError),
    /// An account's keys.
    #[error("{0}")]
    Keys(#[from] KeyError),
}

impl App {
    /// Opens the store in data_dir and starts the writer.
    pub fn start(config: Config, clock: Clock) -> Result<(App, Writer), StartError> {
        let key = DataKey::load_or_create(&config.data_key_file)?;
        let options = Options { memory_bytes: config.memory_mib << 20, ..Options::default() };
        let store = Store::Embedded(Box::new(Embedded::open(&config.data_dir, &options)?));
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
        let mut accounts = HashMap::default();
        for account in &config.accounts {
            let number = store.account(&account.appid)?;
            let account = Account { number, keys: account.keys()?, config: account.clone() };
            accounts.insert(account.config.appid.clone(), Arc::new(account));
        }
        let metrics = Arc::new(Metrics::default());
        let served = accounts.values().map(|account| account.number).collect();
        let (ingest, writer) = Ingest::start(store.clone(), clock.clone(), metrics.clone(), served);
        let tokens = Tokens::load(key, &store);
        let (waiting, rids) = (AtomicUsize::new(0), AtomicU64::new(0));
        let (bulk_places, statistics_places) =
            (Semaphore::new(BULK_PLACES), Semaphore::new(STATISTICS_PLACES));
        let app = App {
            config,
            clock,
            store,
            ingest,
            tokens,
            metrics,
            waiting,
            bulk_places,
            statistics_places,
            refusals: Refusals::default(),
            rids,
            accounts,
        };
        Ok((app, writer))
    }

    /// The account of an appid.
    pub fn account(&self, appid: &str) -> Option<&Arc<Account>> {
        self.accounts.get(appid)
    }

    /// All accounts, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// Sizes for the metrics.
    pub fn levels(&self) -> Levels {
        let now_s = self.clock.now_s();
        let gaps = |account: &Arc<Account>| {
            self.store.coverage(account.number, |coverage| coverage.report(now_s).1.len())
        };
        Levels {
            queue_depth: self.ingest.depth(),
            waiting: self.waiting.load(std::sync::atomic::Ordering::Relaxed),
            sizes: self.store.sizes(),
            gaps: self.accounts().map(gaps).sum(),
        }
    }
}

/// The public address: whoever cannot reach it is lost.
impl Watcher for App {
    fn deaf(&self) {
        self.ingest.lose_all();
    }

    fn closing(&self) {
        self.ingest.stop_listening();
    }
}
