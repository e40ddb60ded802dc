//! What happened to an account's callbacks lately. It is in memory only and of bounded size: times, counts, and reasons
//! that are written in the program.

mod hour_ring;
mod relay_times;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use system::sync::lock;

use hour_ring::HourRing;
pub use relay_times::{BotReply, RelayReport, RelayTime};

/// Failed checks of the address that are kept.
const FAILED_CHECKS_MAX: usize = 10;

/// What happened to an account's callbacks since the start of the process. It outlives changes of the account's
/// settings. Recording takes one short lock.
#[derive(Debug, Default)]
pub struct AccountActivity(Mutex<ActivityRecord>);

#[derive(Debug, Default)]
struct ActivityRecord {
    last_check: Option<AddressCheck>,
    passed_check_s: Option<i64>,
    /// Newest last.
    failed_checks: VecDeque<FailedCheck>,
    last_message_s: Option<i64>,
    callbacks: HourRing<CallbackOutcome>,
    relayed: HourRing<BotReply>,
}

/// WeChat's check of the callback address, or what somebody else sent in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressCheck {
    /// When it arrived, Unix seconds.
    pub time_s: i64,
    /// Why it failed, as the metrics name it. None: it passed.
    pub failure: Option<&'static str>,
}

/// A failed check of the callback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCheck {
    /// When it arrived, Unix seconds.
    pub time_s: i64,
    /// Why it failed, as the metrics name it.
    pub reason: &'static str,
}

/// What happened to a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// It was counted.
    Counted,
    /// It was stored before. The text says why it is not counted; it is empty for a message that is counted.
    Repeat(&'static str),
    /// It was stored and is not counted, for this reason.
    Quarantined(&'static str),
    /// It was refused, for this reason.
    Refused(&'static str),
    /// The connection was closed without an answer, for this reason. WeChat sends the callback again.
    Closed(&'static str),
}

/// Callbacks by what happened to them. The reasons are named as in the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackCounts {
    /// Messages and events that were counted.
    pub accepted: u64,
    /// Those that were stored before.
    pub repeat: u64,
    /// Those that were stored and are not counted.
    pub quarantined: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Those that got no answer, by reason.
    pub closed: BTreeMap<&'static str, u64>,
}

/// A copy of the record. Counts are those of the current hour and the 23 before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityReport {
    /// The newest check of the address.
    pub last_check: Option<AddressCheck>,
    /// When the newest check arrived that passed, Unix seconds.
    pub passed_check_s: Option<i64>,
    /// The newest failed checks, newest first, at most 10.
    pub failed_checks: Vec<FailedCheck>,
    /// Callbacks by what happened to them.
    pub callbacks: CallbackCounts,
    /// Callbacks that were passed on to the bot. None if there were none.
    pub relay: Option<RelayReport>,
}

impl CallbackOutcome {
    /// The label values `result` and `reason` in the metrics.
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            CallbackOutcome::Counted => ("counted", ""),
            CallbackOutcome::Repeat(reason) => ("repeat", reason),
            CallbackOutcome::Quarantined(reason) => ("aside", reason),
            CallbackOutcome::Refused(reason) => ("refused", reason),
            CallbackOutcome::Closed(reason) => ("closed", reason),
        }
    }
}

impl CallbackCounts {
    fn of(totals: impl Iterator<Item = (CallbackOutcome, u64)>) -> CallbackCounts {
        let mut counts = CallbackCounts::default();
        for (outcome, count) in totals {
            let sum = match outcome {
                CallbackOutcome::Counted => &mut counts.accepted,
                CallbackOutcome::Repeat(_) => &mut counts.repeat,
                CallbackOutcome::Quarantined(_) => &mut counts.quarantined,
                CallbackOutcome::Refused(reason) => counts.refused.entry(reason).or_default(),
                CallbackOutcome::Closed(reason) => counts.closed.entry(reason).or_default(),
            };
            *sum += count;
        }
        counts
    }
}

impl AccountActivity {
    /// Records a check of the address. `failure`: why it failed, None if it passed.
    pub fn check(&self, time_s: i64, failure: Option<&'static str>) {
        let mut record = lock(&self.0);
        record.last_check = Some(AddressCheck { time_s, failure });
        if let Some(reason) = failure {
            if record.failed_checks.len() == FAILED_CHECKS_MAX {
                record.failed_checks.pop_front();
            }
            record.failed_checks.push_back(FailedCheck { time_s, reason });
        } else {
            record.passed_check_s = Some(time_s);
        }
    }

    /// Records what happened to a callback. `message_s`: the CreateTime of the message if it is counted, in Unix seconds.
    pub fn callback(&self, now_s: i64, outcome: CallbackOutcome, message_s: Option<i64>) {
        let mut record = lock(&self.0);
        record.callbacks.add(outcome, now_s);
        record.last_message_s = record.last_message_s.max(message_s);
    }

    /// Records what became of a callback that was passed on to the bot.
    pub fn relayed(&self, now_s: i64, end: BotReply) {
        lock(&self.0).relayed.add(end, now_s);
    }

    /// Whether a check of the address has passed.
    pub fn has_passed_check(&self) -> bool {
        lock(&self.0).passed_check_s.is_some()
    }

    /// The newest CreateTime of the counted messages that arrived as callbacks, Unix seconds.
    pub fn last_message_s(&self) -> Option<i64> {
        lock(&self.0).last_message_s
    }

    /// What became of the callbacks that were passed on to the bot, in the current hour and the 23 before it. The time
    /// is in Unix seconds.
    pub fn relayed_totals(&self, now_s: i64) -> Vec<(BotReply, u64)> {
        lock(&self.0).relayed.totals(now_s).collect()
    }

    /// A copy of the record at this time, in Unix seconds.
    pub fn report(&self, now_s: i64) -> ActivityReport {
        let record = lock(&self.0);
        ActivityReport {
            last_check: record.last_check.clone(),
            passed_check_s: record.passed_check_s,
            failed_checks: record.failed_checks.iter().rev().cloned().collect(),
            callbacks: CallbackCounts::of(record.callbacks.totals(now_s)),
            relay: RelayReport::of(record.relayed.totals(now_s)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_failed_checks_stay_and_a_later_failure_undoes_no_success() {
        let activity = AccountActivity::default();
        activity.check(1, None);
        (2..20).for_each(|time_s| activity.check(time_s, Some("wrong_signature")));
        let report = activity.report(20);
        let failed = |time_s| FailedCheck { time_s, reason: "wrong_signature" };
        assert_eq!(report.failed_checks, (10..20).rev().map(failed).collect::<Vec<_>>());
        assert_eq!(report.last_check, Some(AddressCheck { time_s: 19, failure: Some("wrong_signature") }));
        assert_eq!((activity.has_passed_check(), report.passed_check_s), (true, Some(1)));
    }

    #[test]
    fn the_newest_message_is_the_one_with_the_latest_create_time() {
        let activity = AccountActivity::default();
        activity.callback(100, CallbackOutcome::Refused("wrong_signature"), None);
        assert_eq!(activity.last_message_s(), None);
        activity.callback(100, CallbackOutcome::Counted, Some(90));
        activity.callback(100, CallbackOutcome::Repeat(""), Some(50));
        activity.callback(100, CallbackOutcome::Quarantined("create_time_ahead"), None);
        assert_eq!(activity.last_message_s(), Some(90));
    }

    #[test]
    fn each_outcome_is_counted_by_itself_and_forgotten_after_a_day() {
        let activity = AccountActivity::default();
        let now_s = 1_800_000_000;
        for outcome in [
            CallbackOutcome::Counted,
            CallbackOutcome::Counted,
            CallbackOutcome::Repeat(""),
            CallbackOutcome::Repeat("create_time_ahead"),
            CallbackOutcome::Quarantined("create_time_ahead"),
            CallbackOutcome::Refused("malformed"),
            CallbackOutcome::Refused("wrong_signature"),
            CallbackOutcome::Refused("wrong_signature"),
            CallbackOutcome::Closed("late"),
        ] {
            activity.callback(now_s, outcome, None);
        }
        activity.relayed(now_s, BotReply::Late);
        let report = activity.report(now_s);
        let counted = CallbackCounts {
            accepted: 2,
            repeat: 2,
            quarantined: 1,
            refused: BTreeMap::from([("malformed", 1), ("wrong_signature", 2)]),
            closed: BTreeMap::from([("late", 1)]),
        };
        assert_eq!((report.callbacks, report.relay.map(|relay| relay.late)), (counted, Some(1)));
        let report = activity.report(now_s + 86_400);
        assert_eq!((report.callbacks, report.relay), (CallbackCounts::default(), None));
    }
}
