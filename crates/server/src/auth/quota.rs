//! Daily quotas: how often each of the seven interfaces was called on a day in Beijing, and how often that was
//! cleared in a month. Counted for every account. For accounts with a quota the counts survive a restart.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use datacube::{Day, INTERFACES, Interface};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use system::{clock::Clock, sync::lock};

/// How often counts may be cleared in a month. Source: WeChat's page on clear_quota.
pub const CLEARINGS_A_MONTH: u32 = 10;
const FACT_PREFIX: &str = "quota/";
/// Shortest time between two writes of the counts. A kill loses the calls since the last one.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// The calls of all accounts, including removed ones: an account that is added again continues its counts.
#[derive(Debug, Default)]
pub struct CallQuotas(Mutex<HashMap<String, Arc<CallCounts>, foldhash::fast::RandomState>>);

/// The calls of one account.
#[derive(Debug)]
pub struct CallCounts {
    appid: String,
    /// For each interface: the day (upper half), and how often it was called on that day.
    used: [AtomicU64; INTERFACES.len()],
    /// Held during each write, so that the disk sees one order.
    cleared: tokio::sync::Mutex<MonthlyClearings>,
    /// Calls were counted that are not written yet.
    is_unwritten: AtomicBool,
    /// A task is writing the counts.
    is_writing: AtomicBool,
}

/// How often the counts were cleared in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct MonthlyClearings {
    /// First day of the month.
    month: Option<Day>,
    times: u32,
}

/// The counts of an account as they are stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCounts {
    day: Day,
    /// By the interface's name.
    used: BTreeMap<String, u32>,
    cleared: MonthlyClearings,
}

/// Why counts were not cleared.
#[derive(Debug, thiserror::Error)]
pub enum ClearError {
    /// The month has no clearing left.
    #[error("cleared {CLEARINGS_A_MONTH} times this month already")]
    TooOften,
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
}

impl CallQuotas {
    /// Reads the stored counts.
    pub fn load(store: &Store) -> CallQuotas {
        let quotas = CallQuotas::default();
        for (fact, value) in store.facts(FACT_PREFIX) {
            let appid = fact.strip_prefix(FACT_PREFIX).unwrap_or_default();
            if let Ok(stored) = serde_json::from_slice(&value) {
                lock(&quotas.0).insert(appid.to_owned(), Arc::new(CallCounts::restored(appid, &stored)));
            }
        }
        quotas
    }

    /// The calls of an account.
    pub fn of(&self, appid: &str) -> Arc<CallCounts> {
        lock(&self.0).entry(appid.to_owned()).or_insert_with(|| Arc::new(CallCounts::new(appid))).clone()
    }

    /// Writes all counts that are not written yet. Call it after the last request, so that nothing is lost.
    pub async fn write_pending(&self, ingest: &Ingest, clock: &Clock) {
        let all: Vec<Arc<CallCounts>> = lock(&self.0).values().cloned().collect();
        for calls in all {
            if let Err(error) = calls.write_pending(ingest, clock).await {
                tracing::warn!(error = %error, appid = calls.appid, "calls of today are not stored");
            }
        }
    }
}

impl CallCounts {
    fn new(appid: &str) -> CallCounts {
        CallCounts {
            appid: appid.to_owned(),
            used: Default::default(),
            cleared: tokio::sync::Mutex::default(),
            is_unwritten: AtomicBool::new(false),
            is_writing: AtomicBool::new(false),
        }
    }

    fn restored(appid: &str, stored: &StoredCounts) -> CallCounts {
        let mut calls = CallCounts::new(appid);
        for (interface, used) in INTERFACES.iter().zip(&mut calls.used) {
            let count = stored.used.get(interface.name).copied().unwrap_or(0);
            *used.get_mut() = pack(stored.day, count);
        }
        *calls.cleared.get_mut() = stored.cleared;
        calls
    }

    /// Counts a call, if one is left. A limit of 0 means no limit.
    pub fn spend(&self, interface: &Interface, today: Day, limit: u32) -> bool {
        let next = |packed| {
            let (day, used) = on_day(packed, today);
            (limit == 0 || used < limit).then(|| pack(day, used.saturating_add(1)))
        };
        let Some(counter) = self.counter(interface) else { return true };
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// How often an interface was called on a day.
    pub fn used(&self, interface: &Interface, today: Day) -> u32 {
        self.counter(interface).map_or(0, |counter| on_day(counter.load(Ordering::Relaxed), today).1)
    }

    fn counter(&self, interface: &Interface) -> Option<&AtomicU64> {
        let number = INTERFACES.iter().position(|known| known.name == interface.name);
        number.and_then(|number| self.used.get(number))
    }

    /// Writes the counts soon. The caller does not wait.
    pub fn write_soon(self: &Arc<Self>, ingest: &Ingest, clock: &Clock) {
        self.is_unwritten.store(true, Ordering::SeqCst);
        if !self.is_writing.load(Ordering::SeqCst) && !self.is_writing.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.clone().write_until_done(ingest.clone(), clock.clone()));
        }
    }

    /// Writes until nothing is left to write.
    async fn write_until_done(self: Arc<Self>, ingest: Ingest, clock: Clock) {
        loop {
            // The writer reports disk errors. The next call tries again.
            let is_written = self.write_pending(&ingest, &clock).await.is_ok();
            tokio::time::sleep(WRITE_EVERY).await;
            if is_written && self.is_unwritten.load(Ordering::SeqCst) {
                continue;
            }
            self.is_writing.store(false, Ordering::SeqCst);
            // A call that was counted before the line above saw a task at work and started none.
            if !is_written
                || !self.is_unwritten.load(Ordering::SeqCst)
                || self.is_writing.swap(true, Ordering::SeqCst)
            {
                return;
            }
        }
    }

    async fn write_pending(&self, ingest: &Ingest, clock: &Clock) -> Result<(), NotDurable> {
        let cleared = self.cleared.lock().await;
        if !self.is_unwritten.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let today = counting::day_of(clock.now_s());
        let used = INTERFACES.iter().map(|interface| self.used(interface, today));
        let done = self.write(today, used, *cleared, ingest).await;
        if done.is_err() {
            self.is_unwritten.store(true, Ordering::SeqCst);
        }
        done
    }

    async fn write(
        &self,
        day: Day,
        used: impl Iterator<Item = u32>,
        cleared: MonthlyClearings,
        ingest: &Ingest,
    ) -> Result<(), NotDurable> {
        let names = INTERFACES.iter().map(|interface| interface.name.to_owned());
        let used = names.zip(used).filter(|(_, used)| *used > 0).collect();
        let fact = Change::fact(format!("{FACT_PREFIX}{}", self.appid), &StoredCounts { day, used, cleared });
        ingest.submit(fact).await.map(drop)
    }

    /// Clears the counts of these interfaces, durably. Uses one of the month's clearings.
    pub async fn clear(
        &self,
        interfaces: &[Interface],
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<(), ClearError> {
        let mut cleared = self.cleared.lock().await;
        let today = counting::day_of(clock.now_s());
        let next = cleared.next(today.first_of_month()).ok_or(ClearError::TooOften)?;
        let left = |interface: &Interface| {
            if interfaces.contains(interface) { 0 } else { self.used(interface, today) }
        };
        self.write(today, INTERFACES.iter().map(left), next, ingest).await?;
        *cleared = next;
        interfaces.iter().filter_map(|interface| self.counter(interface)).for_each(|counter| {
            counter.store(pack(today, 0), Ordering::Relaxed);
        });
        Ok(())
    }
}

impl MonthlyClearings {
    /// One more clearing, if the month has one left.
    fn next(self, month: Day) -> Option<MonthlyClearings> {
        let times = if self.month == Some(month) { self.times } else { 0 };
        (times < CLEARINGS_A_MONTH).then_some(MonthlyClearings { month: Some(month), times: times + 1 })
    }
}

fn pack(day: Day, used: u32) -> u64 {
    u64::from(day.days_since_1970().cast_unsigned()) << 32 | u64::from(used)
}

/// The day that a call counts for, and the calls on it so far. That is tomorrow if a call after midnight was
/// counted first. A day further ahead comes from a wrong clock and is ignored.
fn on_day(packed: u64, today: Day) -> (Day, u32) {
    let tomorrow = today.plus_days(1);
    let used = u32::try_from(packed & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    match packed - u64::from(used) {
        day if day == pack(today, 0) => (today, used),
        day if day == pack(tomorrow, 0) => (tomorrow, used),
        _ => (today, 0),
    }
}

#[cfg(test)]
mod tests;
