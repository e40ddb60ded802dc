//! Daily quotas: how often each of the seven interfaces was called on a day in Beijing, and how often that was
//! cleared in a month. Counted for every account. For accounts with a quota the counts survive a restart. A shared store
//! counts the calls itself, for all processes.

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
    store::{Change, NotDurable, SharedCount, Store},
    writer::Ingest,
};
use system::{clock::Clock, sync::lock};

/// How often counts may be cleared in a month. Source: WeChat's page on clear_quota.
pub const CLEARINGS_A_MONTH: u32 = 10;
/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "quota/";
/// Shortest time between two writes of the counts. A kill loses the calls since the last one.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// The calls of all accounts, including removed ones: an account that is added again continues its counts.
#[derive(Debug, Default)]
pub struct CallQuotas(Mutex<HashMap<String, Arc<CallCounts>, foldhash::fast::RandomState>>);

/// The calls of one account.
#[derive(Debug)]
pub struct CallCounts {
    appid: String,
    /// For each interface: the day (upper half), and how often it was called on that day. A shared store counts itself.
    used: [AtomicU64; INTERFACES.len()],
    clearings: Mutex<Clearings>,
    /// Held during each write, so that the disk sees one order.
    writing: tokio::sync::Mutex<()>,
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

/// How often the counts were cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Clearings {
    cleared: MonthlyClearings,
    /// The day of `of_day`.
    day: Option<Day>,
    /// With a shared store: how often each interface was cleared on that day. Each time its calls get a new counter.
    of_day: BTreeMap<String, u32>,
}

/// The counts of an account as they are stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCounts {
    day: Day,
    /// By the interface's name. Empty with a shared store, which counts by itself.
    used: BTreeMap<String, u32>,
    cleared: MonthlyClearings,
    /// See [`Clearings::of_day`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    clearings: BTreeMap<String, u32>,
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
        store.facts(FACT_PREFIX).iter().for_each(|(key, value)| quotas.apply_fact(key, Some(value)));
        quotas
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        let Some(appid) = key.strip_prefix(FACT_PREFIX) else { return };
        let stored = value.and_then(|value| serde_json::from_slice(value).ok());
        // The accounts hold the counts, so they are changed in place.
        self.of(appid).restore(stored.as_ref());
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
            clearings: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            is_unwritten: AtomicBool::new(false),
            is_writing: AtomicBool::new(false),
        }
    }

    /// Takes over stored counts. None: nothing is stored.
    fn restore(&self, stored: Option<&StoredCounts>) {
        for (interface, used) in INTERFACES.iter().zip(&self.used) {
            let count = |stored: &StoredCounts| stored.used.get(interface.name).copied().unwrap_or(0);
            let packed = stored.map_or(0, |stored| pack(stored.day, count(stored)));
            used.store(packed, Ordering::Relaxed);
        }
        *lock(&self.clearings) = stored.map(Clearings::from).unwrap_or_default();
    }

    /// Counts a call for all processes that share the store, if one is left. A limit of 0 means no limit.
    ///
    /// # Errors
    /// If a shared store cannot be reached.
    pub async fn spend_of_all(
        &self,
        interface: &Interface,
        today: Day,
        limit: u32,
        store: &Store,
    ) -> Result<bool, NotDurable> {
        if !store.is_shared() {
            return Ok(self.spend(interface, today, limit));
        }
        let counter = lock(&self.clearings).counter_name(interface, today);
        match store.spend(&self.appid, &counter, today, limit).await? {
            SharedCount::Alone => Ok(self.spend(interface, today, limit)),
            SharedCount::Taken => Ok(true),
            SharedCount::Refused => Ok(false),
        }
    }

    /// How often an interface was called on a day, in all processes that share the store.
    ///
    /// # Errors
    /// If a shared store cannot be read.
    pub async fn used_of_all(
        &self,
        interface: &Interface,
        today: Day,
        store: &Store,
    ) -> Result<u32, NotDurable> {
        let counter = lock(&self.clearings).counter_name(interface, today);
        let told = store.spent(&self.appid, &counter, today).await?;
        Ok(told.unwrap_or_else(|| self.used(interface, today)))
    }

    /// Counts a call in this process, if one is left. A limit of 0 means no limit.
    fn spend(&self, interface: &Interface, today: Day, limit: u32) -> bool {
        let next = |packed| {
            let (day, used) = on_day(packed, today);
            (limit == 0 || used < limit).then(|| pack(day, used.saturating_add(1)))
        };
        let Some(counter) = self.counter(interface) else { return true };
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// How often an interface was called on a day, in this process.
    fn used(&self, interface: &Interface, today: Day) -> u32 {
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
        let _one_at_a_time = self.writing.lock().await;
        if !self.is_unwritten.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let today = counting::day_of(clock.now_s());
        let used = INTERFACES.iter().map(|interface| self.used(interface, today));
        let clearings = lock(&self.clearings).clone();
        let done = ingest.submit(self.fact(today, used, clearings)).await.map(drop);
        if done.is_err() {
            self.is_unwritten.store(true, Ordering::SeqCst);
        }
        done
    }

    fn fact(&self, day: Day, used: impl Iterator<Item = u32>, clearings: Clearings) -> Change {
        let names = INTERFACES.iter().map(|interface| interface.name.to_owned());
        let used = names.zip(used).filter(|(_, used)| *used > 0).collect();
        let Clearings { cleared, of_day, .. } = clearings;
        let stored = StoredCounts { day, used, cleared, clearings: of_day };
        Change::fact(format!("{FACT_PREFIX}{}", self.appid), &stored)
    }

    /// Clears the counts of these interfaces, durably. Uses one of the month's clearings.
    pub async fn clear(
        &self,
        interfaces: &[Interface],
        store: &Store,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<(), ClearError> {
        let decision = store.decide().await?;
        let _one_at_a_time = self.writing.lock().await;
        let today = counting::day_of(clock.now_s());
        let mut next = lock(&self.clearings).clone();
        next.cleared = next.cleared.next(today.first_of_month()).ok_or(ClearError::TooOften)?;
        let fact = if store.is_shared() {
            let day = next.begin_counters(interfaces, today);
            self.fact(day, std::iter::empty(), next.clone())
        } else {
            let left = |interface: &Interface| {
                if interfaces.contains(interface) { 0 } else { self.used(interface, today) }
            };
            self.fact(today, INTERFACES.iter().map(left), next.clone())
        };
        let _decided = decision.commit(ingest, vec![fact]).await?;
        *lock(&self.clearings) = next;
        interfaces.iter().filter_map(|interface| self.counter(interface)).for_each(|counter| {
            counter.store(pack(today, 0), Ordering::Relaxed);
        });
        Ok(())
    }
}

impl Clearings {
    /// The name of the counter of an interface in a shared store.
    fn counter_name(&self, interface: &Interface, today: Day) -> String {
        let of_day = self.of_day.get(interface.name).filter(|_| self.day == Some(today));
        match of_day {
            None => interface.name.to_owned(),
            Some(times) => format!("{}#{times}", interface.name),
        }
    }

    /// Begins new counters for these interfaces. Returns their day. That is tomorrow if another process, whose clock is a
    /// little ahead, has cleared counts of tomorrow.
    fn begin_counters(&mut self, interfaces: &[Interface], today: Day) -> Day {
        let day = self.day.filter(|day| *day == today.plus_days(1)).unwrap_or(today);
        if self.day != Some(day) {
            (self.day, self.of_day) = (Some(day), BTreeMap::new());
        }
        for interface in interfaces {
            *self.of_day.entry(interface.name.to_owned()).or_default() += 1;
        }
        day
    }
}

impl From<&StoredCounts> for Clearings {
    fn from(stored: &StoredCounts) -> Clearings {
        let of_day = stored.clearings.clone();
        let day = (!of_day.is_empty()).then_some(stored.day);
        Clearings { cleared: stored.cleared, day, of_day }
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
