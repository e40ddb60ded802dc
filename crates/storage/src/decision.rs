//! What several processes that share a store decide one after the other. With the embedded store there is one process,
//! and all of this returns at once.

use system::clock::Clock;

#[cfg(feature = "clickhouse")]
use crate::store::SharedTurn;
pub use crate::store::{FactChange, FactSink};
use crate::{
    store::{AccountNumber, Change, MemoryTurn, NotDurable, Outcome, Store},
    writer::{Ingest, serving_changes},
};

/// By how many seconds the clock of one process may be ahead of another's without harm. Even two right clocks show
/// different seconds at the same moment.
const CLOCKS_APART_S_MAX: i64 = 30;

/// A turn to decide. While it lives, no other process and no other task of this one decides, and the facts of this
/// process are current. Take it before any lock, and hold it without waiting for anything else: others wait.
#[derive(Debug)]
#[must_use = "a decision ends when it is dropped"]
pub struct Decision {
    turn: Turn,
}

#[derive(Debug)]
enum Turn {
    /// There is one process. Its own locks are enough.
    Alone,
    /// Stores in memory take turns.
    Memory(MemoryTurn),
    #[cfg(feature = "clickhouse")]
    Shared(Box<SharedTurn>),
}

/// Changes of a decision became durable. While it lives, this process learns of no later changes. So change the maps
/// in memory before it is dropped.
#[derive(Debug)]
#[must_use = "change the maps in memory before it is dropped"]
pub struct Decided {
    /// One outcome for each change.
    pub outcomes: Vec<Outcome>,
    _turn: Option<MemoryTurn>,
    #[cfg(feature = "clickhouse")]
    _committed: Option<cluster::state::Committed>,
}

impl Decided {
    fn new(outcomes: Vec<Outcome>) -> Decided {
        Decided {
            outcomes,
            _turn: None,
            #[cfg(feature = "clickhouse")]
            _committed: None,
        }
    }
}

impl Store {
    /// True if several processes share the store.
    pub fn is_shared(&self) -> bool {
        match self {
            Store::Memory(store) => store.is_shared(),
            Store::Embedded(_) => false,
            #[cfg(feature = "clickhouse")]
            Store::Shared(_) => true,
        }
    }

    /// How many seconds later than this process's clock a time may be that was stored just now: with another process's
    /// clock. 0 if there is one process.
    pub fn clocks_apart_s_max(&self) -> i64 {
        if self.is_shared() { CLOCKS_APART_S_MAX } else { 0 }
    }

    /// True if other processes that share the store are serving. Blocks.
    ///
    /// # Errors
    /// If the shared state cannot be read.
    pub fn has_other_processes(&self) -> Result<bool, NotDurable> {
        match self {
            Store::Memory(store) => Ok(store.has_other_processes()),
            Store::Embedded(_) => Ok(false),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.has_other_processes(),
        }
    }

    /// After this, the process knows all facts that were committed before the call.
    ///
    /// # Errors
    /// If the shared state cannot be read. Then nothing may be answered from the maps in memory.
    pub async fn fresh(&self) -> Result<(), NotDurable> {
        match self {
            Store::Memory(store) => store.turn().await.map(drop),
            Store::Embedded(_) => Ok(()),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.fresh().await,
        }
    }

    /// Sets who is told of the facts that other processes change. Call it once, before the first request.
    pub fn on_facts(&self, sink: FactSink) {
        match self {
            Store::Memory(store) => store.on_facts(sink),
            Store::Embedded(_) => drop(sink),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.on_facts(sink),
        }
    }

    /// Waits for a turn to decide.
    ///
    /// # Errors
    /// If the shared state cannot be reached.
    pub async fn decide(&self) -> Result<Decision, NotDurable> {
        let turn = match self {
            Store::Memory(store) => store.turn().await?.map_or(Turn::Alone, Turn::Memory),
            Store::Embedded(_) => Turn::Alone,
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => Turn::Shared(Box::new(store.decide().await?)),
        };
        Ok(Decision { turn })
    }

    /// Decides before the writer runs: `decide` reads the facts, and its changes become durable, in one turn. Blocks.
    ///
    /// # Errors
    /// The error of `decide`, or if nothing was stored.
    pub fn decide_at_start<E: From<NotDurable>>(
        &self,
        decide: impl FnOnce(&Store) -> Result<Vec<Change>, E>,
    ) -> Result<(), E> {
        let outcomes = match self {
            Store::Memory(store) => {
                let turn = store.turn_blocking()?;
                let changes = decide(self)?;
                match &turn {
                    Some(turn) => store.commit_decided(turn, &changes)?,
                    None => store.commit(&changes)?,
                }
            }
            Store::Embedded(store) => match decide(self)? {
                changes if changes.is_empty() => Vec::new(),
                changes => store.commit(&changes)?,
            },
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => {
                let turn = store.decide_blocking()?;
                let changes = decide(self)?;
                store.commit_blocking(turn, changes)?
            }
        };
        Ok(outcomes.iter().try_for_each(Outcome::taken)?)
    }
}

impl Decision {
    /// The time in Unix seconds: by this clock, or by the servers' if processes share the store. So times of one
    /// fact that two processes compare are of one clock.
    pub fn now_s(&self, clock: &Clock) -> i64 {
        match &self.turn {
            Turn::Alone | Turn::Memory(_) => clock.now_s(),
            #[cfg(feature = "clickhouse")]
            Turn::Shared(turn) => turn.now_s(),
        }
    }

    /// Makes the changes of the decision durable, all or none. They contain no messages.
    ///
    /// # Errors
    /// If nothing was stored.
    pub async fn commit(self, ingest: &Ingest, changes: Vec<Change>) -> Result<Decided, NotDurable> {
        match (self.turn, ingest.store()) {
            (Turn::Alone, _) => Ok(Decided::new(ingest.submit_all(changes)?.await?)),
            (Turn::Memory(turn), Store::Memory(store)) => {
                let outcomes = store.commit_decided(&turn, &changes)?;
                Ok(Decided { _turn: Some(turn), ..Decided::new(outcomes) })
            }
            (Turn::Memory(_), _) => Err(NotDurable("the turn is another store's".to_owned())),
            #[cfg(feature = "clickhouse")]
            (Turn::Shared(turn), _) => {
                let (outcomes, committed) = turn.commit(&changes).await?;
                Ok(Decided { _committed: Some(committed), ..Decided::new(outcomes) })
            }
        }
    }

    /// Like `commit`, and starts or stops serving an account, durably together with the changes. If that fails, nothing
    /// changes.
    ///
    /// # Errors
    /// If nothing was stored.
    pub async fn serve(
        self,
        ingest: &Ingest,
        account: AccountNumber,
        takes_messages: bool,
        changes: Vec<Change>,
    ) -> Result<Decided, NotDurable> {
        let is_alone = matches!(self.turn, Turn::Alone);
        let done = self.commit_serving(ingest, &[(account, takes_messages)], changes).await;
        if done.is_err() && is_alone {
            ingest.set_served(account, !takes_messages);
        }
        done
    }

    /// Like `commit`, and starts or stops serving these accounts, durably together with the changes. On failure no
    /// account is served that was not served before. Only with a store of one process the caller must then call
    /// [`Ingest::set_all_served`] with what holds.
    ///
    /// # Errors
    /// If nothing was stored.
    pub async fn commit_serving(
        self,
        ingest: &Ingest,
        served: &[(AccountNumber, bool)],
        mut changes: Vec<Change>,
    ) -> Result<Decided, NotDurable> {
        if matches!(self.turn, Turn::Alone) {
            let outcomes = ingest.enqueue_serving_all(served, changes)?.await?;
            return Ok(Decided::new(outcomes));
        }
        // The current second has partly passed, so covering starts with the next one.
        changes.extend(serving_changes(served, self.now_s(ingest.clock()) + 1));
        let decided = self.commit(ingest, changes).await?;
        decided.outcomes.iter().try_for_each(Outcome::taken)?;
        ingest.follow_served(served);
        Ok(decided)
    }
}
