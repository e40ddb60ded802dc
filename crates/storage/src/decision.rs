//! What several processes that share a store decide one after the other. With the embedded store there is one process,
//! and all of this returns at once.

use crate::{
    store::{Change, NotDurable, Outcome, Store},
    writer::Ingest,
};

/// A fact that was set, or removed if there is no value.
pub type FactChange = (String, Option<Vec<u8>>);

/// Is told of facts that other processes changed, in their order. It must be quick and must not wait for the store.
pub type FactSink = Box<dyn Fn(&[FactChange]) + Send + Sync>;

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
}

/// Changes of a decision became durable. While it lives, this process learns of no later changes. So change the maps
/// in memory before it is dropped.
#[derive(Debug)]
#[must_use = "change the maps in memory before it is dropped"]
pub struct Decided {
    /// One outcome for each change.
    pub outcomes: Vec<Outcome>,
}

impl Store {
    /// True if several processes share the store.
    pub fn is_shared(&self) -> bool {
        match self {
            Store::Memory(_) | Store::Embedded(_) => false,
        }
    }

    /// After this, the process knows all facts that were committed before the call.
    ///
    /// # Errors
    /// If the shared state cannot be read. Then nothing may be answered from the maps in memory.
    #[allow(clippy::unused_async, reason = "only a shared store waits")]
    pub async fn fresh(&self) -> Result<(), NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(()),
        }
    }

    /// Sets who is told of the facts that other processes change. Call it once, before the first request.
    pub fn on_facts(&self, _sink: FactSink) {
        match self {
            Store::Memory(_) | Store::Embedded(_) => {}
        }
    }

    /// Waits for a turn to decide.
    ///
    /// # Errors
    /// If the shared state cannot be reached.
    #[allow(clippy::unused_async, reason = "only a shared store waits")]
    pub async fn decide(&self) -> Result<Decision, NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(Decision { turn: Turn::Alone }),
        }
    }
}

impl Decision {
    /// Makes the changes of the decision durable, all or none. They contain no messages.
    ///
    /// # Errors
    /// If nothing was stored.
    pub async fn commit(self, ingest: &Ingest, changes: Vec<Change>) -> Result<Decided, NotDurable> {
        match self.turn {
            Turn::Alone => Ok(Decided { outcomes: ingest.submit_all(changes)?.await? }),
        }
    }
}
