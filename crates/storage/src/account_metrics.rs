//! Metrics by account. A limited number of accounts have metrics of their own; those of all others are summed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use system::sync::lock;

/// The label of the sum. An account with this appid is part of the sum.
const OTHER: &str = "other";

/// How a callback of a known account ended.
#[derive(Clone, Copy, Debug)]
pub enum CallbackEnd {
    /// A new message or event was counted.
    Counted,
    /// It was a repeat.
    Repeat,
    /// It was stored without being counted.
    Aside,
    /// WeChat sent it, and it was refused. Its time is a gap.
    Refused,
    /// It was refused, and nothing proves that WeChat sent it.
    Unproven,
    /// The connection was closed without an answer, so WeChat sends it again.
    Closed,
    /// WeChat checked the address.
    Verified,
}

/// How passing a callback on to the bot ended.
#[derive(Clone, Copy, Debug)]
pub enum RelayEnd {
    /// The bot replied.
    Answered,
    /// The bot has the callback and did not reply in time.
    Late,
    /// The bot could not be reached.
    Unreachable,
    /// The bot's reply is too large to pass back.
    TooLarge,
}

impl CallbackEnd {
    const ALL: [CallbackEnd; 7] = [
        CallbackEnd::Counted,
        CallbackEnd::Repeat,
        CallbackEnd::Aside,
        CallbackEnd::Refused,
        CallbackEnd::Unproven,
        CallbackEnd::Closed,
        CallbackEnd::Verified,
    ];

    /// The value of the label `result`.
    fn name(self) -> &'static str {
        match self {
            CallbackEnd::Counted => "counted",
            CallbackEnd::Repeat => "repeat",
            CallbackEnd::Aside => "aside",
            CallbackEnd::Refused => "refused",
            CallbackEnd::Unproven => "unproven",
            CallbackEnd::Closed => "closed",
            CallbackEnd::Verified => "verified",
        }
    }
}

impl RelayEnd {
    const ALL: [RelayEnd; 4] =
        [RelayEnd::Answered, RelayEnd::Late, RelayEnd::Unreachable, RelayEnd::TooLarge];

    /// The value of the label `result`.
    pub fn name(self) -> &'static str {
        match self {
            RelayEnd::Answered => "answered",
            RelayEnd::Late => "late",
            RelayEnd::Unreachable => "unreachable",
            RelayEnd::TooLarge => "reply_too_large",
        }
    }
}

/// What is counted for one account, or for all accounts of the sum. Counting allocates nothing and waits for nothing.
#[derive(Debug, Default)]
pub struct AccountMeter {
    has_own_label: bool,
    messages: AtomicU64,
    repeats: AtomicU64,
    callbacks: [AtomicU64; CallbackEnd::ALL.len()],
    relays: [AtomicU64; RelayEnd::ALL.len()],
    /// Unix seconds. 0: none since the start.
    last_message_s: AtomicI64,
}

impl AccountMeter {
    /// Counts a callback.
    pub fn callback(&self, end: CallbackEnd) {
        self.callbacks[end as usize].fetch_add(1, Relaxed);
    }

    /// Counts a callback with a new message or event, which became durable at `now_s` (Unix seconds).
    pub fn message(&self, now_s: i64) {
        self.callback(CallbackEnd::Counted);
        self.messages.fetch_add(1, Relaxed);
        self.last_message_s.fetch_max(now_s, Relaxed);
    }

    /// Counts a callback with a repeat.
    pub fn repeat(&self) {
        self.callback(CallbackEnd::Repeat);
        self.repeats.fetch_add(1, Relaxed);
    }

    /// Counts messages of an import: `counted` new ones and `repeats`. They do not change the time of the last message.
    pub fn imported(&self, counted: usize, repeats: usize) {
        self.messages.fetch_add(counted as u64, Relaxed);
        self.repeats.fetch_add(repeats as u64, Relaxed);
    }

    /// Counts a callback that was passed on to the bot.
    pub fn relayed(&self, end: RelayEnd) {
        self.relays[end as usize].fetch_add(1, Relaxed);
    }
}

/// Decides which accounts have metrics of their own: the first ones. At a start these are the accounts of the
/// configuration in the order of the file, then the others by appid. Later an account that is added takes a free place.
/// So no label appears or ends because another account came, and no sum ever falls.
#[derive(Debug, Default)]
pub struct AccountMeters {
    own_max: usize,
    own: Mutex<HashMap<String, Arc<AccountMeter>>>,
    other: Arc<AccountMeter>,
}

impl AccountMeters {
    /// `own_max` accounts have metrics of their own.
    pub fn new(own_max: usize) -> AccountMeters {
        AccountMeters { own_max, ..AccountMeters::default() }
    }

    /// The meter of an account that is going to be served.
    pub fn of(&self, appid: &str) -> Arc<AccountMeter> {
        let mut own = lock(&self.own);
        if let Some(meter) = own.get(appid) {
            return meter.clone();
        }
        if own.len() >= self.own_max || appid == OTHER {
            return self.other.clone();
        }
        let meter = Arc::new(AccountMeter { has_own_label: true, ..AccountMeter::default() });
        own.insert(appid.to_owned(), meter.clone());
        meter
    }

    /// Frees the places of accounts that are not served any more.
    pub fn free_unused(&self) {
        lock(&self.own).retain(|_, meter| Arc::strong_count(meter) > 1);
    }
}

/// The present state of an account.
#[derive(Clone, Debug)]
pub struct AccountLevel {
    /// The appid.
    pub appid: String,
    /// What was counted for it.
    pub meter: Arc<AccountMeter>,
    /// Gaps in its coverage.
    pub gaps: usize,
    /// No gap lies within the last minute.
    pub is_covered: bool,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AccountLabel {
    account: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AccountResultLabels {
    account: String,
    result: &'static str,
}

/// The metrics of one answer to `/metrics`. Made anew each time, so that accounts that are gone leave nothing.
#[derive(Debug, Default)]
struct AccountFamilies {
    messages: Family<AccountLabel, Counter>,
    repeats: Family<AccountLabel, Counter>,
    callbacks: Family<AccountResultLabels, Counter>,
    relays: Family<AccountResultLabels, Counter>,
    last_message: Family<AccountLabel, Gauge>,
    gaps: Family<AccountLabel, Gauge>,
    covered: Family<AccountLabel, Gauge>,
}

/// A registry with the metrics by account.
pub(crate) fn registry(accounts: &[AccountLevel]) -> Registry {
    let families = AccountFamilies::default();
    let (own, other): (Vec<_>, Vec<_>) = accounts.iter().partition(|account| account.meter.has_own_label);
    own.into_iter().for_each(|account| families.add(account));
    if let Some(first) = other.first() {
        families.add(&AccountLevel {
            appid: OTHER.to_owned(),
            meter: first.meter.clone(),
            gaps: other.iter().map(|account| account.gaps).sum(),
            is_covered: other.iter().all(|account| account.is_covered),
        });
    }
    families.registry()
}

impl AccountFamilies {
    fn add(&self, of: &AccountLevel) {
        let account = AccountLabel { account: of.appid.clone() };
        let with = |result| AccountResultLabels { account: of.appid.clone(), result };
        let set = |family: &Family<AccountLabel, Gauge>, value: i64| {
            let _ = family.get_or_create(&account).set(value);
        };
        self.messages.get_or_create(&account).inc_by(of.meter.messages.load(Relaxed));
        self.repeats.get_or_create(&account).inc_by(of.meter.repeats.load(Relaxed));
        for end in CallbackEnd::ALL {
            let counted = of.meter.callbacks[end as usize].load(Relaxed);
            self.callbacks.get_or_create(&with(end.name())).inc_by(counted);
        }
        for end in RelayEnd::ALL {
            self.relays.get_or_create(&with(end.name())).inc_by(of.meter.relays[end as usize].load(Relaxed));
        }
        match of.meter.last_message_s.load(Relaxed) {
            0 => {}
            last_s => set(&self.last_message, last_s),
        }
        set(&self.gaps, i64::try_from(of.gaps).unwrap_or(i64::MAX));
        set(&self.covered, i64::from(of.is_covered));
    }

    fn registry(self) -> Registry {
        let mut registry = Registry::with_prefix("msgcube_account");
        registry.register(
            "messages",
            "Messages and events counted since the start, by account",
            self.messages,
        );
        registry.register("repeats", "Repeats that were not counted again, by account", self.repeats);
        registry.register("callbacks", "Callbacks by account and result", self.callbacks);
        registry.register("relays", "Callbacks passed on, by account and result", self.relays);
        let last = "When the newest message since the start was stored, by account";
        registry.register_with_unit("last_message_timestamp", last, Unit::Seconds, self.last_message);
        registry.register("gaps", "Gaps in the coverage, by account", self.gaps);
        let covered = "1 if no gap lies within the last minute, by account";
        registry.register("covered", covered, self.covered);
        registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(accounts: &[AccountLevel]) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry(accounts)).unwrap();
        text
    }

    fn level(meters: &AccountMeters, appid: &str) -> AccountLevel {
        AccountLevel { appid: appid.to_owned(), meter: meters.of(appid), gaps: 2, is_covered: appid != "wx3" }
    }

    #[test]
    fn the_first_accounts_have_metrics_of_their_own_and_the_others_are_summed() {
        let meters = AccountMeters::new(1);
        let all = ["wx2", "wx1", "wx3"].map(|appid| level(&meters, appid));
        all[0].meter.message(70);
        all[1].meter.message(80);
        all[2].meter.message(60);
        all[2].meter.repeat();
        all[2].meter.relayed(RelayEnd::Late);
        let text = text(&all);
        for line in [
            "msgcube_account_messages_total{account=\"wx2\"} 1",
            "msgcube_account_messages_total{account=\"other\"} 2",
            "msgcube_account_callbacks_total{account=\"other\",result=\"repeat\"} 1",
            "msgcube_account_relays_total{account=\"other\",result=\"late\"} 1",
            "msgcube_account_last_message_timestamp_seconds{account=\"other\"} 80",
            "msgcube_account_gaps{account=\"other\"} 4",
            "msgcube_account_covered{account=\"other\"} 0",
            "msgcube_account_covered{account=\"wx2\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
        }
        assert!(!text.contains("wx1") && !text.contains("wx3"), "{text}");
    }

    #[test]
    fn a_place_is_kept_while_the_account_is_served_and_then_free() {
        let meters = AccountMeters::new(1);
        let first = meters.of("wx1");
        meters.free_unused();
        assert!(Arc::ptr_eq(&first, &meters.of("wx1")), "settings that change keep the counters");
        assert!(Arc::ptr_eq(&meters.other, &meters.of("wx2")));
        drop(first);
        meters.free_unused();
        assert!(meters.of("wx2").has_own_label);
        assert!(Arc::ptr_eq(&meters.other, &meters.of("wx1")));
    }
}
