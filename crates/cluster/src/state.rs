//! Everything that is decided, in PostgreSQL: facts in one order for all processes, and what they count together.
//!
//! It never stores messages, and knows nothing of what the facts mean.

use std::{sync::Arc, time::Duration};

use system::{random, secret::Secret};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

mod address;
mod check;
mod connecting;
mod error;
mod facts;
mod feed;
mod pool;
mod processes;
mod quotas;
mod refused;
mod results;
mod schema;
mod tidy;
mod tls;
mod tries;
mod turn;

pub use check::StateFinding;
pub use error::StateError;
pub use facts::FactWrite;
pub use feed::FactListener;
pub use processes::{MarkOutcome, ProcessRow};
pub use refused::RefusedCall;
pub use results::{ClosedPeriod, LateBatch, NewResult, ResultTicket, StoredResult};
pub use schema::InitOutcome;
pub use turn::{Committed, StateTurn};

use feed::Feed;
use pool::Pools;
use processes::ProcessName;

/// Turns and removed facts are kept for this long.
const TURNS_KEPT_S: u32 = 3600;
/// While PostgreSQL is away, each turn fails after some seconds. Those behind it do not wait for all of them.
const QUEUE_LIMIT: Duration = Duration::from_secs(10);

/// Where the state is.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// `postgres://user:password@host1,host2/database?sslmode=verify-full`. The session is always one that can write.
    pub url: Secret,
}

/// The shared state. Clones are the same state.
#[derive(Clone)]
pub struct State {
    feed: Arc<Feed>,
    name: Arc<ProcessName>,
    fences: mpsc::UnboundedSender<feed::FenceWaiter>,
    queue: Arc<tokio::sync::Mutex<()>>,
    shards: u32,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("process", &self.name.name).finish_non_exhaustive()
    }
}

impl State {
    /// Makes the tables, if there are none.
    ///
    /// # Errors
    /// If they are of another version or for another number of shards, or the server is unsuitable.
    pub async fn init(options: &StateOptions, shards: u32) -> Result<InitOutcome, StateError> {
        let pools = Pools::open(&options.url)?;
        check::require_suitable(&pools).await?;
        schema::init(&pools, shards).await
    }

    /// Examines the server.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn check(options: &StateOptions) -> Result<Vec<StateFinding>, StateError> {
        check::check(&Pools::open(&options.url)?).await
    }

    /// Reads all facts. Connections belong to the runtime on which this is called. `process_name` is the same after
    /// each start of this process, and no other process has it.
    ///
    /// # Errors
    /// If there are no tables, or the server is unsuitable.
    pub async fn open(options: &StateOptions, process_name: &str) -> Result<State, StateError> {
        let pools = Pools::open_confirmed(&options.url)?;
        check::require_suitable(&pools).await?;
        let shards = schema::stored_shards(&pools).await?;
        let run = random::hexadecimal(16).map_err(|_| StateError::Random)?;
        let feed = Arc::new(Feed::open(pools).await?);
        let (fences, requests) = mpsc::unbounded_channel();
        feed.pools.runtime().spawn(feed::run_fences(feed.clone(), requests));
        feed.pools.runtime().spawn(feed::run_confirmations(Arc::downgrade(&feed)));
        let name = Arc::new(ProcessName { name: process_name.to_owned(), run });
        Ok(State { feed, name, fences, queue: Arc::default(), shards })
    }

    /// The number of shards that the tables were made for.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// All facts whose keys begin like this, sorted by key, as far as is known here.
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.feed.look(|facts| facts.with_prefix(prefix))
    }

    /// The value of a fact, as far as is known here.
    pub fn fact(&self, key: &str) -> Option<Vec<u8>> {
        self.feed.look(|facts| facts.fact(key))
    }

    /// True if no fact is known here.
    pub fn is_blank(&self) -> bool {
        self.feed.look(facts::FactCache::is_blank)
    }

    /// Sets who is told of facts that others changed. Call it once, before the first request.
    pub fn on_facts(&self, listener: FactListener) {
        self.feed.listen(listener);
    }

    /// After this, all facts are known here that were committed before the call.
    ///
    /// # Errors
    /// If PostgreSQL cannot be asked. Then nothing may be answered from memory.
    pub async fn fresh(&self) -> Result<(), StateError> {
        let stopping = || StateError::Unreachable("the program is stopping".to_owned());
        let (waiter, told) = oneshot::channel();
        self.fences.send(waiter).map_err(|_| stopping())?;
        told.await.map_err(|_| stopping())?
    }

    /// Waits for a turn to decide.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached, or others hold their turns for too long.
    pub async fn turn(&self) -> Result<StateTurn, StateError> {
        let place =
            timeout(QUEUE_LIMIT, self.queue.clone().lock_owned()).await.map_err(|_| StateError::Busy)?;
        turn::begin(&self.feed, &self.name, place).await
    }

    /// The last mark of all processes, as of the last fence or turn. It only grows.
    pub fn service_mark(&self) -> Option<i64> {
        self.feed.marked_s()
    }

    /// Deletes what nobody needs any more: removed facts after an hour, quotas of days and months before the given
    /// ones. Call it about once a minute.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn tidy(&self, oldest_day: i32) -> Result<(), StateError> {
        tidy::tidy(&self.feed.pools, TURNS_KEPT_S, oldest_day).await
    }

    /// Writes that this process served until `at_s` (Unix seconds). `now_us` is its clock now, Unix microseconds. None: its
    /// clock was set on purpose and is not compared.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn mark(&self, at_s: i64, now_us: Option<i64>) -> Result<MarkOutcome, StateError> {
        let outcome = processes::mark(&self.feed.pools, &self.name, at_s, now_us).await?;
        if matches!(outcome, MarkOutcome::Written { .. }) {
            self.feed.note_mark(Some(at_s));
        }
        Ok(outcome)
    }

    /// Writes that this process ended in good order at `at_s`, Unix seconds.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn end_process(&self, at_s: i64) -> Result<(), StateError> {
        processes::end(&self.feed.pools, &self.name, at_s).await
    }

    /// All processes but this one.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn others(&self) -> Result<Vec<ProcessRow>, StateError> {
        processes::others(&self.feed.pools, &self.name).await
    }
}

/// What all processes count together.
impl State {
    /// Counts a call if one is left; returns how many were used with it. A limit of 0 means no limit.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn spend(
        &self,
        appid: &str,
        interface: &str,
        day: i32,
        limit: u32,
    ) -> Result<Option<u32>, StateError> {
        quotas::spend(&self.feed.pools, (appid, interface), day, limit).await
    }

    /// How often each interface was called on a day, by name.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn used(&self, appid: &str, day: i32) -> Result<Vec<(String, u32)>, StateError> {
        quotas::used(&self.feed.pools, appid, day).await
    }

    /// Counts a try if fewer than `limit` were counted within `window_s` seconds. The window begins with the first.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn try_count(&self, name: &str, window_s: u32, limit: u32) -> Result<bool, StateError> {
        quotas::try_count(&self.feed.pools, name, window_s, limit).await
    }
}

/// Stored results and refused calls.
impl State {
    /// How many tries of a name are counted now.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn tries(&self, name: &str) -> Result<u32, StateError> {
        tries::counted(&self.feed.pools, name).await
    }

    /// Takes one try of a name back.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached. Then the try stays counted.
    pub async fn try_back(&self, name: &str) -> Result<(), StateError> {
        tries::take_back(&self.feed.pools, name).await
    }

    /// What is stored of some periods of an account, in their order. At most 1024 of them.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn results(
        &self,
        appid: &str,
        periods: &[ClosedPeriod],
    ) -> Result<Vec<StoredResult>, StateError> {
        results::read(&self.feed.pools, appid, periods).await
    }

    /// Stores results of an account, each if nothing happened to its days since its ticket was taken. Returns how many are
    /// stored.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn store_results(&self, appid: &str, results: &[NewResult]) -> Result<usize, StateError> {
        results::store(&self.feed.pools, appid, results).await
    }

    /// Announces rows of days that ended, by account. Only then insert them, and begin that within 25 s.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached. Then insert nothing.
    pub async fn begin_late(&self, days: &[(String, i32)]) -> Result<LateBatch, StateError> {
        results::begin_late(&self.feed.pools, days).await
    }

    /// The announced rows are inserted. Do not call it if that is not known: a server may insert them after all. Without
    /// it, stored results of the days are not used for 60 s.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached. It may be called again.
    pub async fn end_late(&self, batch: &LateBatch) -> Result<(), StateError> {
        results::end_late(&self.feed.pools, batch).await
    }

    /// Keeps a refused call. Of all processes, the newest 48 MiB that owners made themselves and 16 MiB of others are kept.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn remember_refused(
        &self,
        rid: &str,
        appid: &str,
        is_by_owner: bool,
        body: &[u8],
    ) -> Result<(), StateError> {
        refused::remember(&self.feed.pools, (rid, appid), is_by_owner, body).await
    }

    /// The refused call of a request id.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached.
    pub async fn refused(&self, rid: &str) -> Result<Option<RefusedCall>, StateError> {
        refused::find(&self.feed.pools, rid).await
    }
}
