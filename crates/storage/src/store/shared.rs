//! The store that several processes share: messages in ClickHouse, everything that is decided in PostgreSQL. Facts and
//! coverage are cached here, and every process applies the same changes in the same order.

mod accounts;
mod commit;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers of a test"
)]
mod coverage_tests;
mod limits;
mod options;
mod peers;
mod process_folder;
mod reads;
mod rows;
mod service_event;
mod state_draft;
mod summaries;
mod waiting;

use std::sync::{Arc, Mutex, atomic::AtomicI64};

use cluster::{
    messages::{ClickHouse, ClickHouseError, ClickHouseOptions},
    state::{FactWrite, State, StateError, StateOptions},
};
use counting::Coverage;
use system::{
    clock::{Clock, Stopwatch},
    sync::lock,
};

use super::{AccountNumber, FactSink, NotDurable, StoreError};
pub use commit::SharedTurn;
pub use options::SharedOptions;

use accounts::{Covered, SharedAccounts, is_own_fact};
use peers::Peers;
use process_folder::ProcessFolder;
use rows::Rows;
use summaries::CachedSummaries;
use waiting::OwnRuntime;

/// Batches of messages that are stored at the same time. A replica stores several in about the time of one.
pub const INSERTS_MAX: usize = 4;
/// If no process moved the mark for so many seconds, no process serves.
const SILENT_S_MAX: u64 = 16;

/// The store of several processes. See the module.
#[derive(Debug)]
pub struct Shared {
    runtime: OwnRuntime,
    core: Arc<SharedCore>,
}

/// What tasks of the store use.
#[derive(Debug)]
struct SharedCore {
    messages: ClickHouse,
    state: State,
    accounts: SharedAccounts,
    clock: Clock,
    /// The name of this process is in it.
    folder: ProcessFolder,
    /// The newest mark of this process since it serves.
    own_marked_s: Mutex<Option<i64>>,
    /// Some rows of the last batch, if ClickHouse did not confirm them.
    unconfirmed: Mutex<Option<Rows>>,
    /// How many seconds PostgreSQL's clock was ahead of this machine's when it was asked last. Negative: behind.
    database_ahead_s: AtomicI64,
    /// When it was logged that the clock is wrong.
    clock_logged: Mutex<Option<Stopwatch>>,
    /// The newest mark of all processes that was seen, and since when.
    seen_mark: Mutex<(Option<i64>, Stopwatch)>,
    listener: Mutex<FactsTold>,
    peers: Peers,
    summaries: CachedSummaries,
}

/// Key and value of a fact.
type FactWithValue = (String, Vec<u8>);

/// Who is told of facts that other processes change.
enum FactsTold {
    /// None yet. The changes wait.
    Waiting(Vec<FactWrite>),
    Set(FactSink),
}

impl std::fmt::Debug for FactsTold {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            FactsTold::Waiting(_) => "Waiting",
            FactsTold::Set(_) => "Set",
        })
    }
}

impl Shared {
    /// Connects to both servers and reads all facts. Blocks.
    ///
    /// # Errors
    /// If a server does not answer, is too old or has not been prepared with `msgcube store init`.
    pub fn open(options: SharedOptions, clock: Clock) -> Result<Shared, StoreError> {
        let runtime = OwnRuntime::start()?;
        let core = runtime.wait(SharedCore::open(options, clock))??;
        let told = Arc::downgrade(&core);
        core.state.on_facts(Box::new(move |changes, is_reload| {
            if let Some(core) = told.upgrade() {
                core.apply_facts(changes, is_reload);
            }
        }));
        Ok(Shared { runtime, core })
    }

    /// See [`super::Store::account`].
    pub fn account(&self, appid: &str) -> Result<AccountNumber, NotDurable> {
        Ok(self.reserve(appid))
    }

    /// See [`super::Store::reserve`].
    pub fn reserve(&self, appid: &str) -> AccountNumber {
        self.core.accounts.number(appid, || self.core.load(appid, &self.core.service_events()))
    }

    /// See [`super::Store::coverage`].
    pub fn coverage<T>(&self, account: AccountNumber, look: impl FnOnce(&Coverage) -> T) -> T {
        let Ok(account) = self.core.accounts.get(account) else { return look(&Coverage::default()) };
        let (marked_s, is_silent) = self.core.mark_seen();
        account.look(marked_s, |coverage| {
            if !is_silent {
                return look(coverage);
            }
            let mut stopped = coverage.clone();
            stopped.interrupt();
            look(&stopped)
        })
    }

    /// See [`super::Store::facts`].
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let mut facts = self.core.state.facts(prefix);
        facts.retain(|(key, _)| !is_own_fact(key));
        facts
    }

    /// See [`super::Store::is_blank`].
    pub fn is_blank(&self) -> bool {
        self.core.state.is_blank()
    }

    /// Sets who is told of the facts that other processes change. Changes since the start are told at once.
    pub fn on_facts(&self, listener: FactSink) {
        let mut told = lock(&self.core.listener);
        if let FactsTold::Waiting(changes) = &*told {
            listener(changes);
        }
        *told = FactsTold::Set(listener);
    }

    /// Waits until all facts that were committed before the call are known.
    ///
    /// # Errors
    /// If PostgreSQL does not answer.
    pub async fn fresh(&self) -> Result<(), NotDurable> {
        Ok(self.core.state.fresh().await?)
    }

    /// Ends the service of this process, as planned.
    pub fn end(&self) {
        let core = self.core.clone();
        let ended = self.runtime.wait(async move { core.end().await });
        if let Err(error) = ended.map_err(StoreError::from).and_then(|ended| ended.map_err(StoreError::from))
        {
            tracing::warn!(%error, "the end of this process is not stored; its last seconds become a gap");
        }
    }
}

impl SharedCore {
    async fn open(options: SharedOptions, clock: Clock) -> Result<Arc<SharedCore>, StoreError> {
        let messages = ClickHouse::connect(&options.messages).await?;
        let folder = ProcessFolder::open(&options.folder)?;
        let state = State::open(&options.state, &folder.name).await?;
        if u32::try_from(messages.shards()) != Ok(state.shards()) {
            return Err(StoreError::OtherShards { stored: state.shards(), found: messages.shards() });
        }
        Ok(Arc::new(SharedCore {
            messages,
            state,
            accounts: SharedAccounts::default(),
            clock,
            folder,
            own_marked_s: Mutex::default(),
            unconfirmed: Mutex::default(),
            database_ahead_s: AtomicI64::default(),
            clock_logged: Mutex::default(),
            seen_mark: Mutex::new((None, Stopwatch::start())),
            listener: Mutex::new(FactsTold::Waiting(Vec::new())),
            peers: Peers::default(),
            summaries: CachedSummaries::default(),
        }))
    }

    /// What happened to all accounts, as it is stored.
    fn service_events(&self) -> Vec<FactWithValue> {
        self.state.facts(service_event::FACT_PREFIX)
    }

    /// The stored coverage of an account.
    fn load(&self, appid: &str, events: &[FactWithValue]) -> Covered {
        let stored = self.state.fact(&format!("{}{appid}", accounts::FACT_PREFIX));
        Covered::load(stored, events).unwrap_or_else(|error| {
            tracing::error!(appid, %error, "the stored coverage cannot be read; it counts as not covered");
            Covered::default()
        })
    }

    /// `is_reload`: all facts were read again. PostgreSQL may have lost its last turns, so also what is older here counts.
    fn apply_facts(&self, changes: &[FactWrite], is_reload: bool) {
        if is_reload {
            let events = self.service_events();
            self.accounts.all().iter().for_each(|account| account.reset(self.load(&account.appid, &events)));
        }
        for (key, value) in changes {
            if let Err(error) = self.accounts.apply_fact(key, value.as_deref()) {
                tracing::error!(key, %error, "a fact of another process cannot be read");
            }
        }
        match &mut *lock(&self.listener) {
            FactsTold::Waiting(waiting) => waiting.extend_from_slice(changes),
            FactsTold::Set(listener) => listener(changes),
        }
    }

    /// The newest mark of all processes, and whether it has not moved for long.
    fn mark_seen(&self) -> (Option<i64>, bool) {
        let marked_s = self.state.service_mark();
        let mut seen = lock(&self.seen_mark);
        if seen.0 != marked_s {
            *seen = (marked_s, Stopwatch::start());
        }
        (marked_s, seen.1.elapsed().as_secs() >= SILENT_S_MAX)
    }

    /// When a message was received, in microseconds since 1970. Of repeats, the one with the smallest stays.
    fn received_us(&self) -> u64 {
        u64::try_from(self.clock.now_us()).unwrap_or(0)
    }

    async fn end(&self) -> Result<(), StateError> {
        let marked_s = lock(&self.own_marked_s).take();
        match marked_s {
            Some(marked_s) => self.state.end_process(marked_s).await,
            None => Ok(()),
        }
    }
}

impl From<StateError> for NotDurable {
    fn from(error: StateError) -> NotDurable {
        NotDurable(error.to_string())
    }
}

impl From<StateError> for StoreError {
    fn from(error: StateError) -> StoreError {
        StoreError::Servers(error.to_string())
    }
}

impl From<ClickHouseError> for NotDurable {
    fn from(error: ClickHouseError) -> NotDurable {
        NotDurable(error.to_string())
    }
}

impl From<ClickHouseError> for StoreError {
    fn from(error: ClickHouseError) -> StoreError {
        StoreError::Servers(error.to_string())
    }
}

/// Prepares both servers, so that processes can share them. What is there already stays. Blocks.
///
/// # Errors
/// If a server does not answer or is too old, or if it was prepared in another way.
pub fn prepare_shared(messages: &ClickHouseOptions, state: &StateOptions) -> Result<(), StoreError> {
    let (messages, state) = (messages.clone(), state.clone());
    OwnRuntime::start()?.wait(async move {
        ClickHouse::init(&messages).await?;
        let shards = ClickHouse::connect(&messages).await?.shards();
        let shards = u32::try_from(shards).map_err(|_| StoreError::Servers("too many shards".to_owned()))?;
        State::init(&state, shards).await?;
        Ok(())
    })?
}
