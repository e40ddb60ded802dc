//! Turns: what several processes decide, one after the other. The turn is a locked row of PostgreSQL, held by an open
//! transaction. Facts and process rows are written by this transaction alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deadpool_postgres::ClientWrapper;
use system::{clock::Stopwatch, random};
use tokio::{
    sync::OwnedMutexGuard,
    time::{sleep, timeout},
};
use tokio_postgres::types::ToSql;

use super::{
    connecting::within,
    error::StateError,
    facts::{FactWrite, TurnId},
    feed::{FEED, Feed, FeedAnswer, LocalLock},
    pool::Lent,
    processes::{self, ProcessName, ProcessRow},
};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
const LOCK: &str = "SELECT one FROM turn_lock FOR UPDATE";
const WRITE: &str = "
WITH turn AS (INSERT INTO turn (seq, id) VALUES ($1, $2))
INSERT INTO fact (key, value, seq) SELECT key, value, $1 FROM unnest($3::text[], $4::bytea[]) AS written (key, value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, seq = excluded.seq";
const FIND: &str = "SELECT id FROM turn WHERE seq = $1";

const TURN_LIMIT: Duration = Duration::from_secs(11);
const COMMIT_LIMIT: Duration = Duration::from_secs(8);
/// How long a lost answer is looked for, and how often.
const FIND_LIMIT: Duration = Duration::from_secs(8);
const FIND_EVERY: Duration = Duration::from_millis(100);
/// How often a turn begins again because everything had to be read first.
const ATTEMPTS: usize = 3;

/// The place in the queue of a process: only its first one asks PostgreSQL for a turn.
pub type Place = OwnedMutexGuard<()>;

/// A turn. No other process and no other task of this one decides, and all facts are current. Dropped without a commit,
/// nothing was stored. Hold it for less than 3 s, and wait for nothing else.
#[must_use = "a turn ends when it is dropped"]
pub struct StateTurn {
    feed: Arc<Feed>,
    name: Arc<ProcessName>,
    open: OpenTurn,
    turn: TurnId,
    now_us: i64,
    has_rows: bool,
    locks: Locks,
}

/// The transaction of a turn. Rolled back when it is dropped.
struct OpenTurn(Option<Lent>);

/// A committed turn. While it lives, this process learns of nothing that happened later.
#[derive(Debug)]
#[must_use = "change the maps in memory before it is dropped"]
pub struct Committed {
    seq: u64,
    _locks: Locks,
}

/// What a turn holds in its process. The queue is freed last.
#[derive(Debug)]
struct Locks {
    local: LocalLock,
    _place: Place,
}

impl std::fmt::Debug for StateTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateTurn").field("seq", &self.turn.seq).finish_non_exhaustive()
    }
}

/// Waits for a turn.
pub async fn begin(feed: &Arc<Feed>, name: &Arc<ProcessName>, place: Place) -> Result<StateTurn, StateError> {
    for _ in 0..ATTEMPTS {
        let known = feed.look(|facts| facts.known().clone());
        let lent = feed.pools.for_order().await?;
        let answer = ask_for_turn(lent.client()?, &known).await;
        if answer.as_ref().is_err_and(StateError::is_of_connection) {
            feed.pools.forget_idle();
        }
        let answer = answer?;
        feed.require_confirmed(answer.server).await?;
        let local = feed.local_lock().await;
        if !answer.continues {
            lent.roll_back();
            feed.reload(&local).await?;
            continue;
        }
        let id = random::hexadecimal(16).map_err(|_| StateError::Random)?;
        let turn = TurnId { seq: answer.last.seq + 1, id };
        let now_us = answer.now_us;
        feed.take_over(answer, &local);
        let locks = Locks { local, _place: place };
        let (feed, name) = (feed.clone(), name.clone());
        return Ok(StateTurn {
            feed,
            name,
            open: OpenTurn(Some(lent)),
            turn,
            now_us,
            has_rows: false,
            locks,
        });
    }
    Err(StateError::Busy)
}

/// One round trip: the statements are sent together, and PostgreSQL runs them one after the other.
async fn ask_for_turn(client: &ClientWrapper, known: &TurnId) -> Result<FeedAnswer, StateError> {
    let rows = within(TURN_LIMIT, async {
        let lock = client.prepare_cached(LOCK).await?;
        let feed = client.prepare_cached(FEED).await?;
        let parameters: [&(dyn ToSql + Sync); 2] = [&known.seq, &known.id];
        let (begun, locked, rows) = tokio::join!(
            client.batch_execute(BEGIN),
            client.query(&lock, &[]),
            client.query(&feed, &parameters),
        );
        begun?;
        locked?;
        rows
    })
    .await?;
    FeedAnswer::read(&rows)
}

impl StateTurn {
    /// The database's clock when the turn was given, Unix microseconds.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// The database's clock when the turn was given, Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_us.div_euclid(1_000_000)
    }

    /// The number of this turn. Facts that it writes get it.
    pub fn seq(&self) -> u64 {
        self.turn.seq.unsigned_abs()
    }

    /// All processes, this one's former row included.
    ///
    /// # Errors
    /// If the turn was lost.
    pub async fn processes(&mut self) -> Result<Vec<ProcessRow>, StateError> {
        processes::all(self.lent()?).await
    }

    /// Writes the row of this process, which starts now. Stored with the turn.
    ///
    /// # Errors
    /// If the turn was lost.
    pub async fn begin_process(&mut self, at_s: i64) -> Result<(), StateError> {
        self.has_rows = true;
        processes::begin(self.lent()?, &self.name, at_s).await
    }

    /// Removes the row of a process whose end is written elsewhere. Stored with the turn.
    ///
    /// # Errors
    /// If the turn was lost.
    pub async fn remove_process(&mut self, name: &str) -> Result<(), StateError> {
        self.has_rows = true;
        processes::remove(self.lent()?, name).await
    }

    /// Stores facts, all or none, and ends the turn. Of a key that is written twice, the last value is stored.
    ///
    /// # Errors
    /// If nothing was stored; or `OutcomeUnknown`, if that could not be found out.
    pub async fn commit(mut self, writes: Vec<FactWrite>) -> Result<Committed, StateError> {
        let lent = self.open.0.take().ok_or(StateError::TurnLost)?;
        if writes.is_empty() && !self.has_rows {
            lent.roll_back();
            return Ok(self.committed());
        }
        let writes: BTreeMap<String, Option<Vec<u8>>> = writes.into_iter().collect();
        self.store(lent, &writes).await?;
        self.feed.wrote(writes.into_iter().collect(), self.turn.clone(), &self.locks.local);
        Ok(self.committed())
    }

    fn committed(self) -> Committed {
        let seq = self.seq();
        let StateTurn { locks, .. } = self;
        Committed { seq, _locks: locks }
    }

    fn lent(&self) -> Result<&Lent, StateError> {
        self.open.0.as_ref().ok_or(StateError::TurnLost)
    }

    async fn store(&self, lent: Lent, writes: &BTreeMap<String, Option<Vec<u8>>>) -> Result<(), StateError> {
        let client = lent.client()?;
        if client.is_closed() {
            return Err(StateError::TurnLost);
        }
        let statement =
            within(COMMIT_LIMIT, client.prepare_cached(WRITE)).await.map_err(|_| StateError::TurnLost)?;
        let keys: Vec<&str> = writes.keys().map(String::as_str).collect();
        let values: Vec<Option<&[u8]>> = writes.values().map(Option::as_deref).collect();
        let parameters: [&(dyn ToSql + Sync); 4] = [&self.turn.seq, &self.turn.id, &keys, &values];
        let answers = timeout(COMMIT_LIMIT, async {
            // Sent together. If the first fails, the second rolls back.
            tokio::join!(client.execute(&statement, &parameters), client.batch_execute("COMMIT"))
        });
        match answers.await {
            Ok((Ok(_), Ok(()))) => {
                lent.give_back();
                Ok(())
            }
            // PostgreSQL has refused the facts, so it has not committed them.
            Ok((Err(refusal), _)) if refusal.as_db_error().is_some() => Err(refusal.into()),
            Ok((Err(lost), _) | (_, Err(lost))) => self.find_out(StateError::from(lost)).await,
            Err(_) => {
                self.find_out(StateError::Unreachable("no answer to COMMIT within 8 s".to_owned())).await
            }
        }
    }

    /// The answer to the commit was lost. Takes the lock of the turn, so the lost transaction has ended, and looks for
    /// its row. The number of the transaction would not do: a promoted standby may use it again.
    async fn find_out(&self, lost: StateError) -> Result<(), StateError> {
        let elapsed = Stopwatch::start();
        loop {
            match self.is_stored().await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(StateError::TurnLost),
                Err(StateError::Unreachable(_)) if elapsed.elapsed() < FIND_LIMIT => sleep(FIND_EVERY).await,
                Err(_) => return Err(StateError::OutcomeUnknown(lost.to_string())),
            }
        }
    }

    async fn is_stored(&self) -> Result<bool, StateError> {
        let lent = self.feed.pools.for_order().await?;
        lent.run(BEGIN).await?;
        lent.ask(LOCK, &[]).await?;
        let rows = lent.ask(FIND, &[&self.turn.seq]).await?;
        lent.roll_back();
        let id: Option<String> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(id.as_ref() == Some(&self.turn.id))
    }
}

impl Drop for OpenTurn {
    fn drop(&mut self) {
        if let Some(lent) = self.0.take() {
            lent.roll_back();
        }
    }
}

impl Committed {
    /// The number of the turn.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}
