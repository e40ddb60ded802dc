//! The health of an account: does it receive messages, and is anything lost?

use counting::{Coverage, CoverageReport, Gap, Reason};
use serde::Serialize;
use storage::store::Store;

use crate::accounts::{activity::ActivityReport, registry::ServedAccount};

/// Trouble of the last 24 hours shows in the state. An account without a message for that long is quiet.
const RECENT_S: i64 = 24 * 3600;

/// The state of an account, in one word. If several apply, it is the first one in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// In the last 24 hours, messages that WeChat sent were refused or could not be stored: a gap with the reason
    /// `refused`, `too_many` or `not_durable`.
    Refusing,
    /// Another gap lies in the last 24 hours, or touches them. The one with which the figures of a new account may begin
    /// does not count.
    Gap,
    /// WeChat has not checked the address of its callbacks, and no message has arrived.
    WaitingCheck,
    /// The address is checked, and no message has arrived.
    WaitingMessage,
    /// The newest message is at least 24 hours old.
    Quiet,
    /// Messages arrive.
    Receiving,
}

/// What is known about the health of an account.
#[derive(Clone, Debug)]
pub struct Health {
    /// Its state.
    pub state: AccountState,
    /// The newest CreateTime of the messages of the five counted types, and of all messages and events that arrived as
    /// callbacks since the start, Unix seconds.
    pub last_message_s: Option<i64>,
    /// What happened to its callbacks since the start of the process.
    pub activity: ActivityReport,
    /// The time in which all its messages were counted.
    pub coverage: CoverageReport,
}

impl AccountState {
    /// All states, worst first.
    pub const ALL: [AccountState; 6] = [
        AccountState::Refusing,
        AccountState::Gap,
        AccountState::WaitingCheck,
        AccountState::WaitingMessage,
        AccountState::Quiet,
        AccountState::Receiving,
    ];

    /// The name in the admin API.
    pub fn name(self) -> &'static str {
        match self {
            AccountState::Refusing => "refusing",
            AccountState::Gap => "gap",
            AccountState::WaitingCheck => "waiting_check",
            AccountState::WaitingMessage => "waiting_message",
            AccountState::Quiet => "quiet",
            AccountState::Receiving => "receiving",
        }
    }
}

impl Health {
    /// The health of an account at this time, in Unix seconds.
    pub fn of(store: &Store, now_s: i64, account: &ServedAccount) -> Health {
        let stored_s = stored_s(store, now_s, account);
        Health {
            state: state_after(store, now_s, account, || stored_s),
            last_message_s: account.activity.last_message_s().max(stored_s),
            activity: account.activity.report(now_s),
            coverage: store.coverage(account.number, |coverage| coverage.report(now_s)),
        }
    }
}

/// The gaps of an account that reach into the time from `from_s` to `now_s`, in Unix seconds. The one with which the
/// figures of a new account may begin does not count, unless messages were refused in it.
pub fn gaps_since(store: &Store, from_s: i64, now_s: i64, account: &ServedAccount) -> Vec<Gap> {
    store.coverage(account.number, |coverage| {
        let Some(since_s) = coverage.since() else { return Vec::new() };
        if coverage.holds(from_s.max(since_s), now_s, now_s) {
            return Vec::new();
        }
        let first_s = coverage.first_covered(now_s).unwrap_or(now_s);
        let counts = |gap: &Gap| gap.to_s > from_s && (gap.from_s >= first_s || is_refusing(&gap.reason));
        coverage.report(now_s).gaps.into_iter().filter(counts).collect()
    })
}

/// Whether messages that WeChat sent were refused or could not be stored.
fn is_refusing(reason: &Reason) -> bool {
    matches!(reason, Reason::Refused(_) | Reason::TooMany | Reason::NotDurable)
}

/// The state of an account at this time, in Unix seconds. A shared store may be asked for its newest message.
pub fn state(store: &Store, now_s: i64, account: &ServedAccount) -> AccountState {
    state_after(store, now_s, account, || stored_s(store, now_s, account))
}

/// The same, if the newest stored message is known. Then it costs about a microsecond.
pub fn state_after(
    store: &Store,
    now_s: i64,
    account: &ServedAccount,
    stored_s: impl FnOnce() -> Option<i64>,
) -> AccountState {
    let trouble = store.coverage(account.number, |coverage| trouble(coverage, now_s));
    trouble.unwrap_or_else(|| match account.activity.last_message_s().max(stored_s()) {
        Some(last_s) if now_s.saturating_sub(last_s) < RECENT_S => AccountState::Receiving,
        Some(_) => AccountState::Quiet,
        // An account without keys of its own has no address to check. A platform brings its messages.
        None if account.activity.has_passed_check() || account.keys.is_none() => AccountState::WaitingMessage,
        None => AccountState::WaitingCheck,
    })
}

/// None also if the figures cannot be read: what was seen since the start is known all the same.
fn stored_s(store: &Store, now_s: i64, account: &ServedAccount) -> Option<i64> {
    store.last_message_s(account.number, now_s).ok().flatten()
}

/// What a gap in the last 24 hours means. None without a gap.
fn trouble(coverage: &Coverage, now_s: i64) -> Option<AccountState> {
    // The current second is included: what was lost in it will not be covered.
    let (from_s, to_s) = (coverage.since()?.max(now_s - RECENT_S), now_s + 1);
    if coverage.holds(from_s, to_s, to_s) {
        return None;
    }
    if coverage.why(from_s, to_s, to_s).iter().any(is_refusing) {
        return Some(AccountState::Refusing);
    }
    // An account that is added may begin with a gap of a second. That is no trouble.
    let from_s = coverage.first_covered(to_s)?.max(from_s);
    (!coverage.holds(from_s, to_s, to_s)).then_some(AccountState::Gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn served_since(from_s: i64) -> Coverage {
        let mut coverage = Coverage::default();
        coverage.serve(from_s, &Reason::NotRunning);
        coverage.mark(NOW_S - 1);
        coverage
    }

    #[test]
    fn a_gap_shows_in_the_state_for_24_hours() {
        let lost = |at_s: i64, reason: &Reason| {
            let mut coverage = served_since(NOW_S - 10 * RECENT_S);
            coverage.lose(at_s, at_s + 10, reason);
            trouble(&coverage, NOW_S)
        };
        let refused = Reason::refused("malformed", 1);
        assert_eq!(trouble(&served_since(NOW_S - 10 * RECENT_S), NOW_S), None);
        for reason in [&refused, &Reason::TooMany, &Reason::NotDurable] {
            assert_eq!(lost(NOW_S - 1000, reason), Some(AccountState::Refusing), "{reason:?}");
        }
        for reason in [&Reason::NotRunning, &Reason::NoConnectionTaken, &Reason::Unknown] {
            assert_eq!(lost(NOW_S - 1000, reason), Some(AccountState::Gap), "{reason:?}");
        }
        assert_eq!(lost(NOW_S, &refused), Some(AccountState::Refusing), "in this second");
        assert_eq!(lost(NOW_S - RECENT_S - 9, &refused), Some(AccountState::Refusing), "it touches the day");
        assert_eq!(lost(NOW_S - RECENT_S - 10, &refused), None);
    }

    #[test]
    fn time_before_the_account_was_served_is_no_gap() {
        assert_eq!(trouble(&Coverage::default(), NOW_S), None);
        assert_eq!(trouble(&served_since(NOW_S - 60), NOW_S), None);
        assert_eq!(trouble(&served_since(NOW_S + 1), NOW_S), None, "it is served from the next second on");
    }

    #[test]
    fn the_gap_that_a_new_account_may_begin_with_is_none_unless_messages_were_refused() {
        for now_s in [NOW_S, NOW_S + 1, NOW_S + 60] {
            let begun_with = |reason: &Reason| {
                let mut coverage = Coverage::default();
                coverage.serve(NOW_S, &Reason::NotRunning);
                coverage.lose(NOW_S - 1, NOW_S + 1, reason);
                trouble(&coverage, now_s)
            };
            assert_eq!(begun_with(&Reason::NotRunning), None, "{now_s}");
            assert_eq!(begun_with(&Reason::refused("malformed", 1)), Some(AccountState::Refusing), "{now_s}");
        }
    }

    #[test]
    fn time_in_which_nothing_can_be_stored_is_told_while_it_lasts() {
        let mut coverage = served_since(NOW_S - 60);
        coverage.interrupt();
        assert_eq!(trouble(&coverage, NOW_S + 5), Some(AccountState::Refusing));
    }

    #[test]
    fn the_order_is_worst_first_and_names_are_those_of_the_api() {
        assert!(AccountState::ALL.is_sorted());
        let names = AccountState::ALL.map(|state| serde_json::to_value(state).unwrap());
        assert_eq!(names, AccountState::ALL.map(|state| serde_json::Value::from(state.name())));
    }
}
