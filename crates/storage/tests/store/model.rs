//! What a store must answer: the `rollup` of all acknowledged changes.

use std::collections::{BTreeMap, BTreeSet};

use counting::{Coverage, Message, Period, Reason, day_of, rollup, start_of_day_s};
use datacube::{Day, Figures, Granularity, INTERFACES, Row};
use storage::store::{
    AccountNumber, Change, NewUsers, Outcome, QuarantinedMessage, Slice, Store, StoreError, UnknownAccount,
    statistics::Span,
};

use crate::changes::APPIDS;

/// Times of which the periods are checked in a shared store.
const SHARED_TIMES: usize = 5;

/// All acknowledged changes so far.
#[derive(Clone, Debug, Default)]
pub struct Model {
    accounts: [ModelAccount; APPIDS.len()],
    /// Times of all messages, also of failed ones. Each is queried, so that a message counted by mistake is found.
    pub times: BTreeSet<i64>,
    facts: BTreeMap<String, Vec<u8>>,
    /// Several processes share the store. Its coverage has other rules, and each question takes long.
    is_shared: bool,
}

#[derive(Clone, Debug, Default)]
struct ModelAccount {
    messages: Vec<Message>,
    quarantined: Vec<QuarantinedMessage>,
    coverage: Coverage,
}

impl Model {
    /// The model of a store that several processes share.
    #[cfg(feature = "clickhouse")]
    pub fn of_shared_store() -> Model {
        Model { is_shared: true, ..Model::default() }
    }

    /// Applies a batch and returns the outcomes that the store must return.
    pub fn commit(&mut self, changes: &[Change]) -> Vec<Outcome> {
        self.remember_times(changes);
        changes.iter().map(|change| self.apply(change)).collect()
    }

    /// A failed batch: none of its changes counts.
    pub fn fail(&mut self, changes: &[Change]) {
        self.remember_times(changes);
        self.interrupt();
    }

    fn remember_times(&mut self, changes: &[Change]) {
        self.times.extend(changes.iter().filter_map(|change| match change {
            Change::Message { message, .. } => Some(message.create_time),
            _ => None,
        }));
    }

    /// A restart or a fault: no account is in service until the next change says so.
    pub fn interrupt(&mut self) {
        self.accounts.iter_mut().for_each(|account| account.coverage.interrupt());
    }

    fn serve(&mut self, at_s: i64, served: &[AccountNumber], serve: impl Fn(&mut Coverage)) -> Outcome {
        if let Some(unknown) = served.iter().find(|account| account.0 as usize >= APPIDS.len()) {
            return UnknownAccount(unknown.0).into();
        }
        for (number, ModelAccount { coverage, .. }) in (0..).zip(&mut self.accounts) {
            if served.contains(&AccountNumber(number)) {
                serve(coverage);
            } else {
                coverage.stop();
                coverage.cut(at_s);
            }
        }
        Outcome::Noted
    }

    /// A change of an unknown account fails. The rest of the batch is not affected.
    fn change_account(
        &mut self,
        account: AccountNumber,
        change: impl FnOnce(&mut ModelAccount) -> Outcome,
    ) -> Outcome {
        let known = self.accounts.get_mut(account.0 as usize);
        known.map_or_else(|| Outcome::from(UnknownAccount(account.0)), change)
    }

    fn change_coverage(&mut self, account: AccountNumber, change: impl FnOnce(&mut Coverage)) -> Outcome {
        self.change_account(account, |account| {
            change(&mut account.coverage);
            Outcome::Noted
        })
    }

    fn apply(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Message { account, message } => {
                return self.change_account(*account, |account| account.count(message));
            }
            Change::Quarantine { account, message } => {
                return self.change_account(*account, |account| account.quarantine(message));
            }
            Change::Lose { account, from_s, to_s, reason } => {
                return self.change_coverage(*account, |coverage| coverage.lose(*from_s, *to_s, reason));
            }
            Change::Claim { account, from_s, to_s } => {
                return self.change_coverage(*account, |coverage| coverage.claim(*from_s, *to_s));
            }
            Change::Begin { account, at_s } => {
                return self.change_coverage(*account, |coverage| coverage.serve(*at_s, &Reason::NotRunning));
            }
            Change::Cease { account } => return self.change_coverage(*account, Coverage::stop),
            Change::Serve { at_s, accounts, reason } => {
                return self.serve(*at_s, accounts, |coverage| coverage.serve(*at_s, reason));
            }
            Change::Resume { end_s, at_s, accounts, is_bridged } => {
                let bridged = is_bridged.then_some((*end_s, *at_s));
                return self.serve(*at_s, accounts, |coverage| coverage.resume(*end_s, *at_s, bridged));
            }
            Change::Mark { at_s } => {
                self.accounts.iter_mut().for_each(|account| account.coverage.mark(*at_s));
            }
            Change::Fact { key, value: Some(value) } => {
                drop(self.facts.insert(key.clone(), value.clone()));
            }
            Change::Fact { key, value: None } => drop(self.facts.remove(key)),
        }
        Outcome::Noted
    }

    /// The first difference between the store's answers and this model.
    pub fn difference(&self, store: &Store) -> Option<String> {
        self.check(store).err()
    }

    fn times_to_check(&self) -> BTreeSet<i64> {
        let count = if self.is_shared { SHARED_TIMES } else { usize::MAX };
        self.times.iter().copied().take(count).collect()
    }

    fn check(&self, store: &Store) -> Result<(), String> {
        for (number, account) in (0..).zip(&self.accounts) {
            account
                .check(store, AccountNumber(number), &self.times_to_check(), self.is_shared)
                .map_err(|error| format!("account {number}: {error}"))?;
        }
        for prefix in ["", "token/", "token/b", "zz"] {
            let all = self.facts.iter().filter(|(key, _)| key.starts_with(prefix));
            let expected: Vec<_> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
            equal(&format!("facts {prefix:?}"), &store.facts(prefix), &expected)?;
        }
        let span = Span::Days(Day::EARLIEST_OFFICIAL, Day::EARLIEST_OFFICIAL);
        let unknown = store.slice(AccountNumber(77), span);
        let is_refused = matches!(unknown, Err(StoreError::UnknownAccount(UnknownAccount(77))));
        equal("an unknown account is refused", &is_refused, &true)
    }
}

impl ModelAccount {
    fn count(&mut self, message: &Message) -> Outcome {
        self.messages.push(message.clone());
        if rollup::without_repeats(&self.messages).len() == self.messages.len() {
            return Outcome::Counted;
        }
        self.messages.pop();
        Outcome::Repeat
    }

    fn quarantine(&mut self, message: &QuarantinedMessage) -> Outcome {
        let former = QuarantinedMessage {
            msg_id: message.msg_id.filter(|_| message.event.is_none()),
            ..message.clone()
        };
        let is_repeat = |other| identity(other) == identity(message) || identity(other) == identity(&former);
        if self.quarantined.iter().any(is_repeat) {
            return Outcome::Repeat;
        }
        self.quarantined.push(message.clone());
        Outcome::Noted
    }

    fn check(
        &self,
        store: &Store,
        number: AccountNumber,
        times: &BTreeSet<i64>,
        is_shared: bool,
    ) -> Result<(), String> {
        self.check_rows(store, number, times)?;
        self.check_slices(store, number, times)?;
        if !is_shared {
            equal("coverage", &store.coverage(number, Coverage::clone), &self.coverage)?;
        }
        self.check_quarantined(store, number)
    }

    fn check_rows(&self, store: &Store, number: AccountNumber, times: &BTreeSet<i64>) -> Result<(), String> {
        for interface in &INTERFACES {
            let empty = times.first().map(|time| time - 40 * 86_400);
            let periods: BTreeSet<Period> = times
                .iter()
                .copied()
                .chain(empty)
                .map(|time| Period::of(interface.granularity, time))
                .collect();
            let periods: Vec<Period> = periods.into_iter().collect();
            let rows = store.rows(number, interface, &periods).map_err(|error| refused(&error))?;
            let mut expected = rollup::rollup(&self.messages, interface.granularity, interface.figures);
            let is_asked = |row: &Row| periods.iter().any(|period| is_row_of(row, *period));
            expected.retain(is_asked);
            equal(interface.name, &rows, &expected)?;
            equal(
                "no periods",
                &store.rows(number, interface, &[]).map_err(|error| refused(&error))?,
                &Vec::new(),
            )?;
        }
        Ok(())
    }

    fn check_slices(
        &self,
        store: &Store,
        number: AccountNumber,
        times: &BTreeSet<i64>,
    ) -> Result<(), String> {
        let days: BTreeSet<Day> = times.iter().map(|time| day_of(*time)).collect();
        for time in times.iter().take(6) {
            for granularity in [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month] {
                let period = Period::of(granularity, *time);
                let slice = slice_of(store, number, Span::Period(period))?;
                equal("slice", &slice, &self.slice(Span::Period(period)))?;
                self.check_official_types(&slice, period)?;
            }
        }
        let neighbours = days.iter().zip(days.iter().skip(1)).take(4);
        let spans = neighbours.map(|(from, to)| (*from, (*to).min(from.plus_days(40))));
        let around = days.iter().take(2).map(|day| (day.plus_days(-2), day.plus_days(9)));
        // Days that begin or end a month.
        let month_ends = days.iter().take(6).flat_map(|day| {
            let month = Period::of(Granularity::Month, start_of_day_s(*day));
            [(month.start(), *day), (*day, month.last_day())]
        });
        for (from, to) in spans.chain(around).chain(month_ends) {
            let span = Span::Days(from, to);
            equal("days", &slice_of(store, number, span)?, &self.slice(span))?;
            self.check_new_users(store, number, from, to)?;
        }
        Ok(())
    }

    fn check_new_users(
        &self,
        store: &Store,
        number: AccountNumber,
        from: Day,
        to: Day,
    ) -> Result<(), String> {
        let found = store.new_users(number, from, to).map_err(|error| refused(&error))?;
        let counted = self.messages.iter().filter(|message| message.kind().counted_type().is_some());
        let since = self.coverage.report(i64::MAX).since;
        let counted_from = counted.map(|message| message.create_time).chain(since).min();
        let is_early = counted_from.is_none_or(|time| from.days_since(day_of(time)) < 28);
        let users = rollup::new_users(&self.messages, from, to);
        equal("new users", &found, &NewUsers { users, is_early })
    }

    fn slice(&self, span: Span) -> Slice {
        let (from_s, to_s) = span.seconds();
        let inside = self.messages.iter().filter(|message| (from_s..to_s).contains(&message.create_time));
        let messages: Vec<Message> = inside.cloned().collect();
        let (from, to) = (day_of(from_s), day_of(to_s - 1));
        let (users_counted, messages_counted) = rollup::counted(&messages, from, to);
        Slice {
            by_kind: rollup::by_kind(&messages, from, to),
            users_counted,
            messages_counted,
            users_of_videos: rollup::users_of_videos(&messages, from, to),
        }
    }

    /// The figures by official type are the rows of the seven interfaces.
    fn check_official_types(&self, slice: &Slice, period: Period) -> Result<(), String> {
        let mut rows = rollup::rollup(&self.messages, period.granularity(), Figures::Totals);
        rows.retain(|row| is_row_of(row, period));
        let expected: Vec<_> = rows.iter().map(|row| (row.msg_type, row.msg_user, row.msg_count)).collect();
        let types = slice.by_official_type();
        let found: Vec<_> =
            types.map(|found| (Some(found.msg_type), found.users, Some(found.messages))).collect();
        equal("official types", &found, &expected)
    }

    fn check_quarantined(&self, store: &Store, number: AccountNumber) -> Result<(), String> {
        let found = store.quarantined_messages(number, usize::MAX).map_err(|error| refused(&error))?;
        let newest_first = found.is_sorted_by_key(|message| std::cmp::Reverse(message.create_time));
        equal("quarantined messages are sorted", &newest_first, &true)?;
        let sorted = |quarantined: &[QuarantinedMessage]| {
            let mut texts: Vec<String> = quarantined.iter().map(|message| format!("{message:?}")).collect();
            texts.sort();
            texts
        };
        equal("quarantined messages", &sorted(&found), &sorted(&self.quarantined))?;
        let two = store.quarantined_messages(number, 2).map_err(|error| refused(&error))?;
        equal("two quarantined messages", &two.as_slice(), &&found[..found.len().min(2)])
    }
}

fn is_row_of(row: &Row, period: Period) -> bool {
    let hour = row.ref_hour.map_or(0, |hour| hour / 100);
    row.ref_date == period.start() && hour == u16::from(period.hour_of_day())
}

fn identity(message: &QuarantinedMessage) -> impl PartialEq + '_ {
    (&message.user, message.create_time, message.msg_id, &message.event, &message.event_digest)
}

fn slice_of(store: &Store, number: AccountNumber, span: Span) -> Result<Slice, String> {
    store.slice(number, span).map_err(|error| refused(&error))
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}

/// Begins the text of a store's error. An error is right if files are damaged; wrong figures never are.
pub const REFUSED: &str = "refused: ";

fn refused(error: &StoreError) -> String {
    format!("{REFUSED}{error}")
}
