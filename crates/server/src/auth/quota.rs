//! Daily quotas: how often each of the seven was called on a day in Beijing, and how often that was cleared in a month.
//! Counted for every account; of accounts with a quota the counts are kept over a restart.

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

/// Source: WeChat's page on clear_quota.
pub const CLEARINGS_A_MONTH: u32 = 10;
const FACT_PREFIX: &str = "quota/";
/// Counts are written at most this often; what was called since is lost with a kill.
const KEEP_EVERY: Duration = Duration::from_millis(100);

/// The calls of all accounts, also of those that are not served at the moment: whoever is removed and added again has
/// used what was used.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<String, Arc<Calls>, foldhash::fast::RandomState>>);

/// The calls of one account.
#[derive(Debug)]
pub struct Calls {
    appid: String,
    /// For each interface the day (upper half) and how often it was called on it.
    used: [AtomicU64; INTERFACES.len()],
    /// Held while anything is written, so that what is on disk follows one order.
    cleared: tokio::sync::Mutex<Cleared>,
    /// Something was counted that is not written yet.
    is_unkept: AtomicBool,
    /// Somebody sees to it.
    is_keeping: AtomicBool,
}

/// How often the counts were cleared in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cleared {
    /// Its first day.
    month: Option<Day>,
    times: u32,
}

/// What is stored of an account.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    day: Day,
    /// By the interface's name.
    used: BTreeMap<String, u32>,
    cleared: Cleared,
}

/// Why counts were not cleared.
#[derive(Debug, thiserror::Error)]
pub enum ClearError {
    /// It was done too often.
    #[error("cleared {CLEARINGS_A_MONTH} times this month already")]
    TooOften,
    /// The disk.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
}

impl Quotas {
    /// Reads what was counted before.
    pub fn load(store: &Store) -> Quotas {
        let quotas = Quotas::default();
        for (fact, value) in store.facts(FACT_PREFIX) {
            let appid = fact.strip_prefix(FACT_PREFIX).unwrap_or_default();
            if let Ok(kept) = serde_json::from_slice(&value) {
                lock(&quotas.0).insert(appid.to_owned(), Arc::new(Calls::restored(appid, &kept)));
            }
        }
        quotas
    }

    /// The calls of an account.
    pub fn of(&self, appid: &str) -> Arc<Calls> {
        lock(&self.0).entry(appid.to_owned()).or_insert_with(|| Arc::new(Calls::new(appid))).clone()
    }

    /// Writes what is not written yet. Once nobody calls any more, nothing is lost.
    pub async fn keep(&self, ingest: &Ingest, clock: &Clock) {
        let all: Vec<Arc<Calls>> = lock(&self.0).values().cloned().collect();
        for calls in all {
            if let Err(error) = calls.keep(ingest, clock).await {
                tracing::warn!(error = %error, appid = calls.appid, "calls of today are not kept");
            }
        }
    }
}

impl Calls {
    fn new(appid: &str) -> Calls {
        Calls {
            appid: appid.to_owned(),
            used: Default::default(),
            cleared: tokio::sync::Mutex::default(),
            is_unkept: AtomicBool::new(false),
            is_keeping: AtomicBool::new(false),
        }
    }

    fn restored(appid: &str, kept: &Kept) -> Calls {
        let mut calls = Calls::new(appid);
        for (interface, used) in INTERFACES.iter().zip(&mut calls.used) {
            let count = kept.used.get(interface.name).copied().unwrap_or(0);
            *used.get_mut() = pack(kept.day, count);
        }
        *calls.cleared.get_mut() = kept.cleared;
        calls
    }

    /// Counts a call, if there is one left. A limit of 0 is none.
    pub fn spend(&self, interface: &Interface, today: Day, limit: u32) -> bool {
        let next = |packed| {
            let (day, used) = on(packed, today);
            (limit == 0 || used < limit).then(|| pack(day, used.saturating_add(1)))
        };
        let Some(counter) = self.counter(interface) else { return true };
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Calls of an interface on a day.
    pub fn used(&self, interface: &Interface, today: Day) -> u32 {
        self.counter(interface).map_or(0, |counter| on(counter.load(Ordering::Relaxed), today).1)
    }

    fn counter(&self, interface: &Interface) -> Option<&AtomicU64> {
        let number = INTERFACES.iter().position(|known| known.name == interface.name);
        number.and_then(|number| self.used.get(number))
    }

    /// Writes the counts soon, without making anybody wait.
    pub fn keep_soon(self: &Arc<Self>, ingest: &Ingest, clock: &Clock) {
        self.is_unkept.store(true, Ordering::SeqCst);
        if !self.is_keeping.load(Ordering::SeqCst) && !self.is_keeping.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.clone().keep_on(ingest.clone(), clock.clone()));
        }
    }

    /// Until nothing is left to write.
    async fn keep_on(self: Arc<Self>, ingest: Ingest, clock: Clock) {
        loop {
            // The disk's faults are the writer's to report; the next call tries again.
            let is_kept = self.keep(&ingest, &clock).await.is_ok();
            tokio::time::sleep(KEEP_EVERY).await;
            if is_kept && self.is_unkept.load(Ordering::SeqCst) {
                continue;
            }
            self.is_keeping.store(false, Ordering::SeqCst);
            // Whoever counted before the line above found somebody seeing to it.
            if !is_kept
                || !self.is_unkept.load(Ordering::SeqCst)
                || self.is_keeping.swap(true, Ordering::SeqCst)
            {
                return;
            }
        }
    }

    async fn keep(&self, ingest: &Ingest, clock: &Clock) -> Result<(), NotDurable> {
        let cleared = self.cleared.lock().await;
        if !self.is_unkept.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let today = clock.today();
        let used = INTERFACES.iter().map(|interface| self.used(interface, today));
        let done = self.write(today, used, *cleared, ingest).await;
        if done.is_err() {
            self.is_unkept.store(true, Ordering::SeqCst);
        }
        done
    }

    async fn write(
        &self,
        day: Day,
        used: impl Iterator<Item = u32>,
        cleared: Cleared,
        ingest: &Ingest,
    ) -> Result<(), NotDurable> {
        let names = INTERFACES.iter().map(|interface| interface.name.to_owned());
        let used = names.zip(used).filter(|(_, used)| *used > 0).collect();
        let fact = Change::fact(format!("{FACT_PREFIX}{}", self.appid), &Kept { day, used, cleared });
        ingest.submit(fact).await.map(drop)
    }

    /// Clears the counts of these interfaces, durably, and uses one of the month's clearings.
    pub async fn clear(
        &self,
        interfaces: &[Interface],
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<(), ClearError> {
        let mut cleared = self.cleared.lock().await;
        let today = clock.today();
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

impl Cleared {
    /// One more, if the month has one left.
    fn next(self, month: Day) -> Option<Cleared> {
        let times = if self.month == Some(month) { self.times } else { 0 };
        (times < CLEARINGS_A_MONTH).then_some(Cleared { month: Some(month), times: times + 1 })
    }
}

fn pack(day: Day, used: u32) -> u64 {
    u64::from(day.days_since_1970().cast_unsigned()) << 32 | u64::from(used)
}

/// The day that a call of today counts for, and what was used on it. That is tomorrow, if somebody called at midnight and
/// was faster; but not a day far ahead, which a clock set wrong has left behind.
fn on(packed: u64, today: Day) -> (Day, u32) {
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
