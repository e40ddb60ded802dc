//! What several processes that share a store count together, and the refused calls that they look up for each other. With
//! the embedded store there is one process: it counts in its own memory, and nothing is kept here.

#![cfg_attr(
    not(feature = "clickhouse"),
    allow(clippy::unused_async, unused_variables, reason = "only a shared store counts and waits")
)]

use datacube::Day;

use super::{NotDurable, Store};

/// Whether something was counted for all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedCount {
    /// There is one process. It counts for itself.
    Alone,
    /// It was counted.
    Taken,
    /// The limit is reached. It was not counted.
    Refused,
}

/// A call that was answered with an error, for whoever asks with its request id.
#[derive(Clone, Debug)]
pub struct SealedCall<'a> {
    /// The request id.
    pub rid: &'a str,
    /// The account or platform that owns the call.
    pub appid: &'a str,
    /// The owner made it itself. Calls of others have a limit of their own.
    pub is_by_owner: bool,
    /// When it was answered, in Unix seconds.
    pub at_s: i64,
    /// The call, sealed.
    pub sealed: Vec<u8>,
}

impl Store {
    /// Counts one call of an interface on a day, if fewer than `limit` were counted. A limit of 0 means no limit.
    ///
    /// # Errors
    /// If the shared state cannot be reached. Then it may have been counted.
    pub async fn spend(
        &self,
        appid: &str,
        interface: &str,
        day: Day,
        limit: u32,
    ) -> Result<SharedCount, NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(SharedCount::Alone),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.spend(appid, interface, day, limit).await,
        }
    }

    /// How many calls of an interface were counted on a day. None: there is one process, which knows itself.
    ///
    /// # Errors
    /// If the shared state cannot be read.
    pub async fn spent(&self, appid: &str, interface: &str, day: Day) -> Result<Option<u32>, NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(None),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.spent(appid, interface, day).await.map(Some),
        }
    }

    /// Counts a try, if fewer than `limit` tries of this key were counted in the last `window_s` seconds.
    ///
    /// # Errors
    /// If the shared state cannot be reached. Then it may have been counted.
    pub async fn try_count(&self, key: &str, window_s: i64, limit: u32) -> Result<SharedCount, NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(SharedCount::Alone),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.try_count(key, window_s, limit).await,
        }
    }

    /// How many tries of a key are counted now. None: there is one process, which knows
    /// itself.
    ///
    /// # Errors
    /// If the shared state cannot be read.
    pub async fn tries(&self, key: &str) -> Result<Option<u32>, NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(None),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.tries(key).await.map(Some),
        }
    }

    /// Takes the newest try of a key back.
    ///
    /// # Errors
    /// If the shared state cannot be reached. Then the try stays counted.
    pub async fn try_back(&self, key: &str) -> Result<(), NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(()),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.try_back(key).await,
        }
    }

    /// Keeps a refused call for the other processes: the newest of each owner, for at most seven days. Keeps nothing if
    /// there is one process.
    ///
    /// # Errors
    /// If the shared state cannot be reached.
    pub async fn keep_refused(&self, call: SealedCall<'_>) -> Result<(), NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(()),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.keep_refused(&call).await,
        }
    }

    /// The sealed call with this request id, if one is kept.
    ///
    /// # Errors
    /// If the shared state cannot be read.
    pub async fn refused(&self, rid: &str) -> Result<Option<Vec<u8>>, NotDurable> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(None),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.refused(rid).await,
        }
    }
}
