//! Today's messages as they are counted: a stream of the accounts whose figures have changed.
//!
//! All streams share one table. It is refreshed only while a stream is open. A stream itself keeps only the number of the
//! refresh that it has seen, so a slow reader holds no figures.

use std::{fmt, sync::Arc, time::Duration};

use counting::COUNTED_TYPES;
use storage::store::{AccountNumber, Store, StoreError};
use system::clock::Clock;
use tokio::{
    sync::Mutex,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{
    live_streams::{LivePermit, LiveStreams, TooManyStreams},
    summary::may_read,
};
use crate::{accounts::registry::Accounts, auth::api_keys::Access};

/// Pause between two events of a stream.
const PAUSE: Duration = Duration::from_secs(1);
/// The table is not refreshed again within this time.
const FRESH: Duration = Duration::from_millis(500);
/// After so many pauses without an event, a stream shows that it is alive.
const SILENT_PAUSES_MAX: u32 = 15;

/// Today's figures of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAccount {
    /// The account's appid.
    pub appid: String,
    /// Messages of today, in the order of [`COUNTED_TYPES`].
    pub by_type: [u64; COUNTED_TYPES.len()],
    /// The newest CreateTime, in Unix seconds.
    pub last_message_s: Option<i64>,
}

/// What a stream sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveEvent {
    /// The accounts that have changed since the event before, sorted by appid. The first event has all.
    Changed {
        /// The time of the event, in Unix seconds.
        time_s: i64,
        /// The accounts that the caller may read.
        accounts: Vec<LiveAccount>,
    },
    /// Nothing has changed for a while.
    Quiet,
}

/// Opens streams.
#[derive(Debug)]
pub struct LiveFigures {
    store: Arc<Store>,
    streams: Arc<LiveStreams>,
    table: Arc<Mutex<LiveTable>>,
}

/// What the caller of a stream may read now. None: nothing any more.
type CurrentAccess = Box<dyn Fn() -> Option<Access> + Send + Sync>;

/// One stream.
pub struct LiveEvents {
    store: Arc<Store>,
    table: Arc<Mutex<LiveTable>>,
    permit: LivePermit,
    current_access: CurrentAccess,
    /// What the caller could read at the first event.
    access: Option<Access>,
    /// The refresh that the newest event showed. None before the first event.
    seen: Option<u64>,
    pauses: Interval,
    silent_pauses: u32,
}

impl fmt::Debug for LiveEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveEvents").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl LiveFigures {
    /// Without streams.
    pub fn new(store: Arc<Store>, accounts: Arc<Accounts>, clock: Clock) -> LiveFigures {
        let table = LiveTable {
            store: store.clone(),
            accounts,
            clock,
            refreshes: 0,
            refreshed: None,
            time_s: 0,
            appids: Vec::new(),
            totals: Vec::new(),
        };
        LiveFigures { store, streams: LiveStreams::new(), table: Arc::new(Mutex::new(table)) }
    }

    /// Opens a stream for a holder, such as an API key. It ends when `current_access` no longer gives what it gave at
    /// the first event.
    ///
    /// # Errors
    ///
    /// If too many streams are open.
    pub fn open(
        &self,
        holder: &str,
        current_access: impl Fn() -> Option<Access> + Send + Sync + 'static,
    ) -> Result<LiveEvents, TooManyStreams> {
        let permit = self.streams.open(holder)?;
        let mut pauses = interval(PAUSE);
        pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(LiveEvents {
            store: self.store.clone(),
            table: self.table.clone(),
            permit,
            current_access: Box::new(current_access),
            access: None,
            seen: None,
            pauses,
            silent_pauses: 0,
        })
    }

    /// Ends all streams, because the server stops.
    pub fn end(&self) {
        self.streams.end();
    }
}

impl LiveEvents {
    /// The next event; the first one comes at once. None: the stream has ended.
    pub async fn next(&mut self) -> Option<LiveEvent> {
        loop {
            tokio::select! {
                biased;
                () = self.permit.ended() => return None,
                _ = self.pauses.tick() => {}
            }
            // Another process may have revoked the key. If nobody can know that, the stream ends.
            self.store.fresh().await.ok()?;
            let access = (self.current_access)()?;
            if self.access.get_or_insert_with(|| access.clone()) != &access {
                return None;
            }
            let event = self.changes(access).await?;
            self.silent_pauses = if event.is_some() { 0 } else { self.silent_pauses + 1 };
            if let Some(event) = event {
                return Some(event);
            }
            if self.silent_pauses == SILENT_PAUSES_MAX {
                self.silent_pauses = 0;
                return Some(LiveEvent::Quiet);
            }
        }
    }

    /// What has changed since the event before. The outer None: the figures cannot be read.
    async fn changes(&mut self, access: Access) -> Option<Option<LiveEvent>> {
        let (mut table, seen) = (self.table.clone().lock_owned().await, self.seen);
        // The figures may have to be read from disk.
        let found = tokio::task::spawn_blocking(move || {
            table.refresh()?;
            Ok::<_, StoreError>((table.refreshes, table.changed_since(seen, &access)))
        });
        let (refreshes, event) = match found.await.ok()? {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the store cannot be read; a live stream ends");
                return None;
            }
        };
        self.seen = Some(refreshes);
        Some(event)
    }
}

/// Today's figures of all accounts, and when each of them changed.
#[derive(Debug)]
struct LiveTable {
    store: Arc<Store>,
    accounts: Arc<Accounts>,
    clock: Clock,
    /// Number of refreshes so far.
    refreshes: u64,
    refreshed: Option<Instant>,
    /// The time of the newest refresh, in Unix seconds.
    time_s: i64,
    /// The served accounts, sorted by appid.
    appids: Vec<(String, AccountNumber)>,
    /// By account number.
    totals: Vec<LiveRow>,
}

#[derive(Clone, Copy, Debug)]
struct LiveRow {
    by_type: [u64; COUNTED_TYPES.len()],
    last_message_s: Option<i64>,
    /// The number of the refresh that found the newest change.
    changed: u64,
}

impl LiveTable {
    fn refresh(&mut self) -> Result<(), StoreError> {
        if self.refreshed.is_some_and(|refreshed| refreshed.elapsed() < FRESH) {
            return Ok(());
        }
        let now_s = self.clock.now_s();
        let summaries = self.store.summaries(now_s)?;
        self.refreshes += 1;
        for (number, summary) in summaries.iter().enumerate() {
            let (by_type, last_message_s) = (summary.today_by_type, summary.last_message_s);
            let row = LiveRow { by_type, last_message_s, changed: self.refreshes };
            match self.totals.get_mut(number) {
                Some(known) if (known.by_type, known.last_message_s) == (by_type, last_message_s) => {}
                Some(known) => *known = row,
                None => self.totals.push(row),
            }
        }
        let accounts = self.accounts.all();
        self.appids = accounts.iter().map(|one| (one.config.appid.clone(), one.number)).collect();
        self.appids.sort_unstable();
        (self.time_s, self.refreshed) = (now_s, Some(Instant::now()));
        Ok(())
    }

    /// The accounts that changed after a refresh. `seen` None: all accounts, even if there are none.
    fn changed_since(&self, seen: Option<u64>, access: &Access) -> Option<LiveEvent> {
        let changed = self.appids.iter().filter_map(|(appid, number)| {
            let row = self.totals.get(number.0 as usize)?;
            let is_new = seen.is_none_or(|seen| row.changed > seen);
            (is_new && may_read(access, appid)).then(|| LiveAccount {
                appid: appid.clone(),
                by_type: row.by_type,
                last_message_s: row.last_message_s,
            })
        });
        let accounts: Vec<LiveAccount> = changed.collect();
        (seen.is_none() || !accounts.is_empty())
            .then_some(LiveEvent::Changed { time_s: self.time_s, accounts })
    }
}
