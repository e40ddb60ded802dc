//! Facts of other processes: read in the order of their turns, and handed on once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use system::sync::lock;
use tokio::{
    sync::{OwnedMutexGuard, mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_postgres::Row;

use super::{
    connecting::{ServerRun, server_run},
    error::StateError,
    facts::{FactCache, FactRow, FactWrite, TurnId},
    pool::Pools,
};

/// Is told of facts that other processes changed, in their order, and whether all facts were read again. It must be quick, and
/// must not wait for the state.
pub type FactListener = Box<dyn Fn(&[FactWrite], bool) + Send + Sync>;

/// Shortest time between the starts of two fences. The timer rounds up to whole milliseconds, so it is nearly twice that.
const FENCE_EVERY: Duration = Duration::from_millis(1);
const FENCE_LIMIT: Duration = Duration::from_secs(5);
const NO_MARK: i64 = i64::MIN;
/// How often the server has to confirm a write.
const CONFIRM_EVERY: Duration = Duration::from_secs(2);
/// The pause after a failed try.
const CONFIRM_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// What a server says counts for this long after it began to confirm a write. Meanwhile no other one may be promoted.
const CONFIRMED_FOR: Duration = Duration::from_secs(10);
/// How long an answer of a server waits for its confirmation.
const CONFIRM_WAIT: Duration = Duration::from_secs(3);

/// Has anything happened since? Most fences need no more.
const GLANCE: &str = concat!(
    "SELECT seq, id, (SELECT max(marked_s) FROM process), ",
    server_run!(),
    " FROM turn ORDER BY seq DESC LIMIT 1"
);
/// One statement, so all of it is of one moment. The upper limit lets the planner expect few rows.
pub const FEED: &str = concat!(
    "SELECT t.seq, t.id, (SELECT max(marked_s) FROM process), ",
    server_run!(),
    ", coalesce((SELECT id FROM turn WHERE seq = $1) = $2, false), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  f.key, f.value, f.seq
FROM (SELECT seq, id FROM turn ORDER BY seq DESC LIMIT 1) t
LEFT JOIN fact f ON f.seq > $1 AND f.seq <= 9223372036854775807
ORDER BY f.seq, f.key"
);
const EVERYTHING: &str = concat!(
    "SELECT t.seq, t.id, (SELECT max(marked_s) FROM process), ",
    server_run!(),
    ", f.key, f.value
FROM (SELECT seq, id FROM turn ORDER BY seq DESC LIMIT 1) t LEFT JOIN fact f ON f.value IS NOT NULL"
);

/// While it is held, this process learns of no facts. Whoever holds it may change the maps that the facts stand for.
pub type LocalLock = OwnedMutexGuard<()>;

/// What this process knows of the facts.
pub struct Feed {
    /// Connections.
    pub pools: Pools,
    facts: Mutex<FactCache>,
    listener: OnceLock<FactListener>,
    local: Arc<tokio::sync::Mutex<()>>,
    marked_s: AtomicI64,
    confirmed: watch::Sender<Confirmed>,
}

/// The last write that a server confirmed.
#[derive(Clone, Copy, Debug)]
struct Confirmed {
    by: ServerRun,
    /// When it was asked.
    asked: Instant,
}

/// What one reading of the feed says.
pub struct FeedAnswer {
    /// The last turn that was committed.
    pub last: TurnId,
    /// False if what was known is of another history or too long ago: everything must be read again.
    pub continues: bool,
    /// The database's clock, Unix microseconds.
    pub now_us: i64,
    /// The server that answered.
    pub server: ServerRun,
    rows: Vec<FactRow>,
    marked_s: Option<i64>,
}

impl FeedAnswer {
    /// Reads the rows of `FEED`.
    pub fn read(rows: &[Row]) -> Result<FeedAnswer, StateError> {
        let first = rows.first().ok_or(StateError::NotInitialized)?;
        let mut facts = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(key) = row.try_get(6)? {
                facts.push(FactRow { write: (key, row.try_get(7)?), seq: row.try_get(8)? });
            }
        }
        Ok(FeedAnswer {
            last: turn_id(first)?,
            server: server(first)?,
            continues: first.try_get(4)?,
            now_us: first.try_get(5)?,
            rows: facts,
            marked_s: first.try_get(2)?,
        })
    }
}

fn turn_id(row: &Row) -> Result<TurnId, StateError> {
    Ok(TurnId { seq: row.try_get(0)?, id: row.try_get(1)? })
}

fn server(row: &Row) -> Result<ServerRun, StateError> {
    Ok(ServerRun(row.try_get(3)?))
}

impl Feed {
    /// Reads all facts.
    pub async fn open(pools: Pools) -> Result<Feed, StateError> {
        let asked = Instant::now();
        let confirmed = watch::Sender::new(Confirmed { by: pools.confirm().await?, asked });
        let feed = Feed {
            confirmed,
            pools,
            facts: Mutex::default(),
            listener: OnceLock::new(),
            local: Arc::default(),
            marked_s: AtomicI64::new(NO_MARK),
        };
        let local = feed.local_lock().await;
        feed.reload(&local).await?;
        Ok(feed)
    }

    /// Waits until nobody else changes what this process knows.
    pub async fn local_lock(&self) -> LocalLock {
        self.local.clone().lock_owned().await
    }

    /// The facts, for a short look.
    pub fn look<T>(&self, look: impl FnOnce(&FactCache) -> T) -> T {
        look(&lock(&self.facts))
    }

    /// Sets who is told of facts that others changed. The first one stays.
    pub fn listen(&self, listener: FactListener) {
        if self.listener.set(listener).is_err() {
            tracing::warn!("a second listener for facts is ignored");
        }
    }

    /// The last mark of all processes, as far as is known.
    pub fn marked_s(&self) -> Option<i64> {
        Some(self.marked_s.load(Ordering::Acquire)).filter(|mark| *mark != NO_MARK)
    }

    /// Takes note of a mark. Marks only grow.
    pub fn note_mark(&self, marked_s: Option<i64>) {
        self.marked_s.fetch_max(marked_s.unwrap_or(NO_MARK), Ordering::AcqRel);
    }

    /// Takes over what was read, and tells the listener. The mark comes last: a fact may say that nobody served before
    /// it, and that time must not be covered.
    pub fn take_over(&self, answer: FeedAnswer, _held: &LocalLock) {
        let told = lock(&self.facts).advance(answer.rows, answer.last);
        if !told.is_empty() {
            self.tell(&told, false);
        }
        self.note_mark(answer.marked_s);
    }

    /// Takes over what this process wrote itself.
    pub fn wrote(&self, writes: Vec<FactWrite>, turn: TurnId, _held: &LocalLock) {
        lock(&self.facts).wrote(writes, turn);
    }

    /// Reads all facts again.
    pub async fn reload(&self, _held: &LocalLock) -> Result<(), StateError> {
        let lent = self.pools.for_order().await?;
        // Many facts take longer than other statements may.
        lent.run("BEGIN; SET LOCAL statement_timeout = '120s'").await?;
        let rows = lent.ask_slowly(EVERYTHING).await?;
        lent.roll_back();
        let first = rows.first().ok_or(StateError::NotInitialized)?;
        self.require_confirmed(server(first)?).await?;
        let mut all = BTreeMap::new();
        for row in &rows {
            if let (Some(key), Some(value)) = (row.try_get(4)?, row.try_get(5)?) {
                all.insert(key, value);
            }
        }
        let (last, marked_s) = (turn_id(first)?, first.try_get(2)?);
        let told = lock(&self.facts).replace(all, last);
        self.tell(&told, true);
        self.note_mark(marked_s);
        Ok(())
    }

    fn tell(&self, changes: &[FactWrite], is_reload: bool) {
        if let Some(listener) = self.listener.get() {
            listener(changes, is_reload);
        }
    }

    /// Waits until this server has confirmed a write a short time ago. Without that, its answer may be old: it may be a former
    /// primary, while decisions are made at another server. After an error the connection must not be used again.
    pub async fn require_confirmed(&self, server: ServerRun) -> Result<(), StateError> {
        let is_good =
            |confirmed: &Confirmed| confirmed.by == server && confirmed.asked.elapsed() < CONFIRMED_FOR;
        let mut confirmed = self.confirmed.subscribe();
        match timeout(CONFIRM_WAIT, confirmed.wait_for(is_good)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StateError::NotConfirmed(CONFIRMED_FOR.as_secs())),
        }
    }

    /// Learns of every turn that was committed before this call.
    async fn catch_up(&self, held: &LocalLock) -> Result<(), StateError> {
        let late = || StateError::Unreachable("no answer to a fence within 5 s".to_owned());
        let news = timeout(FENCE_LIMIT, self.read_news(held)).await.unwrap_or_else(|_| Err(late()));
        if news.as_ref().is_err_and(StateError::is_of_connection) {
            self.pools.forget_idle();
        }
        if news? {
            return Ok(());
        }
        tracing::warn!(
            "this process was away for long, or PostgreSQL lost its last turns; reading all facts again"
        );
        self.reload(held).await
    }

    /// False if everything must be read again.
    async fn read_news(&self, held: &LocalLock) -> Result<bool, StateError> {
        let known = self.look(|facts| facts.known().clone());
        let lent = self.pools.for_order().await?;
        let rows = lent.ask(GLANCE, &[]).await?;
        let row = rows.first().ok_or(StateError::NotInitialized)?;
        self.require_confirmed(server(row)?).await?;
        if turn_id(row)? == known {
            lent.give_back();
            self.note_mark(row.try_get(2)?);
            return Ok(true);
        }
        let answer = FeedAnswer::read(&lent.ask(FEED, &[&known.seq, &known.id]).await?)?;
        self.require_confirmed(answer.server).await?;
        lent.give_back();
        let continues = answer.continues;
        if continues {
            self.take_over(answer, held);
        }
        Ok(continues)
    }
}

/// Has a write confirmed at intervals, until nobody uses the feed any more.
pub async fn run_confirmations(feed: Weak<Feed>) {
    while let Some(feed) = feed.upgrade() {
        let asked = Instant::now();
        let pause = match feed.pools.confirm().await {
            Ok(by) => {
                feed.confirmed.send_replace(Confirmed { by, asked });
                CONFIRM_EVERY
            }
            Err(error) => {
                tracing::debug!(%error, "PostgreSQL confirmed no write");
                CONFIRM_AGAIN_AFTER
            }
        };
        drop(feed);
        sleep(pause).await;
    }
}

/// Where waiters of the next fence are told.
pub type FenceWaiter = oneshot::Sender<Result<(), StateError>>;

/// Runs the fences of a process, one at a time, until nobody can ask any more. A waiter that gives up disturbs nothing,
/// since the reading does not run in its task.
pub async fn run_fences(feed: Arc<Feed>, mut requests: mpsc::UnboundedReceiver<FenceWaiter>) {
    while let Some(first) = requests.recv().await {
        let mut waiters = vec![first];
        let (begun, outcome) = fence(&feed, &mut requests, &mut waiters).await;
        for waiter in waiters {
            // Fails if the waiter gave up.
            let _ = waiter.send(outcome.clone());
        }
        sleep_until(begun + FENCE_EVERY).await;
    }
}

async fn fence(
    feed: &Feed,
    requests: &mut mpsc::UnboundedReceiver<FenceWaiter>,
    waiters: &mut Vec<FenceWaiter>,
) -> (Instant, Result<(), StateError>) {
    let Ok(held) = timeout(FENCE_LIMIT, feed.local_lock()).await else {
        let text = "a turn of this process has waited for 5 s".to_owned();
        return (Instant::now(), Err(StateError::Unreachable(text)));
    };
    // All who have asked by now asked before the reading begins.
    while let Ok(waiter) = requests.try_recv() {
        waiters.push(waiter);
    }
    let begun = Instant::now();
    (begun, feed.catch_up(&held).await)
}
