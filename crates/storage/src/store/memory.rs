//! The plain model as a store. It keeps every message and computes every answer with the rollup. Other stores are
//! compared with it. It is also good enough for a trial.

mod group;
mod held_inserts;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use counting::{COUNTED_TYPES, Coverage, Message, Period, Reason, day_of, hour_of, rollup};
use datacube::{Day, Interface, Row};

use super::{
    AccountNumber, AccountSummary, Change, DAYS, MINUTES, NewUsers, NotDurable, Outcome, QuarantinedMessage,
    Slice, StoreError, Told, UnknownAccount, statistics::Span,
};
use group::Member;
pub use group::MemoryTurn;
pub use held_inserts::HeldInserts;
use system::sync::lock;

/// A store in memory. See the module.
#[derive(Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<MemoryState>>,
    /// Set if other stores have the same content.
    member: Option<Member>,
    /// Set if a test decides when inserts end.
    held: Option<Arc<HeldInserts>>,
}

#[derive(Debug, Default)]
struct MemoryState {
    accounts: Vec<StoredAccount>,
    facts: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Default)]
struct StoredAccount {
    appid: String,
    messages: Vec<Message>,
    quarantined: Vec<QuarantinedMessage>,
    coverage: Coverage,
}

impl Memory {
    /// See [`super::Store::account`].
    pub fn account(&self, appid: &str) -> Result<AccountNumber, NotDurable> {
        Ok(self.reserve(appid))
    }

    /// See [`super::Store::reserve`].
    pub fn reserve(&self, appid: &str) -> AccountNumber {
        let mut state = lock(&self.state);
        let known = state.accounts.iter().position(|account| account.appid == appid);
        let number = known.unwrap_or_else(|| {
            state.accounts.push(StoredAccount { appid: appid.to_owned(), ..StoredAccount::default() });
            state.accounts.len() - 1
        });
        AccountNumber::at(number)
    }

    /// See [`super::Store::commit`].
    pub fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        let has_facts = changes.iter().any(|change| matches!(change, Change::Fact { .. }));
        match &self.member {
            Some(member) if has_facts => {
                let _turn = member.turn_blocking()?;
                Ok(self.commit_in_turn(changes))
            }
            _ => Ok(self.take_all(changes)),
        }
    }

    /// See [`super::Store::inserts_max`].
    pub fn inserts_max(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.max)
    }

    /// See [`super::Store::insert`].
    pub fn insert(&self, changes: Vec<Change>, told: Told) {
        match &self.held {
            Some(held) => held.hold(changes, told),
            None => told(self.commit(&changes)),
        }
    }

    fn take_all(&self, changes: &[Change]) -> Vec<Outcome> {
        let mut state = lock(&self.state);
        changes.iter().map(|change| state.take(change)).collect()
    }

    /// See [`super::Store::is_blank`].
    pub fn is_blank(&self) -> bool {
        let state = lock(&self.state);
        state.accounts.is_empty() && state.facts.is_empty()
    }

    /// See [`super::Store::rows`].
    pub fn rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        let asked: HashSet<_> =
            periods.iter().map(|period| (period.start(), u16::from(period.hour_of_day()))).collect();
        let hour_of = |row: &Row| row.ref_hour.map_or(0, |hour| hour / 100);
        let mut rows = self.look(account, |account| {
            rollup::rollup(&account.messages, interface.granularity, interface.figures)
        })?;
        rows.retain(|row| asked.contains(&(row.ref_date, hour_of(row))));
        Ok(rows)
    }

    /// See [`super::Store::slice`].
    pub fn slice(&self, account: AccountNumber, span: Span) -> Result<Slice, StoreError> {
        let (from_s, to_s) = span.seconds();
        let inside = |message: &&Message| (from_s..to_s).contains(&message.create_time);
        let messages: Vec<Message> =
            self.look(account, |account| account.messages.iter().filter(inside).cloned().collect())?;
        let (from, to) = (day_of(from_s), day_of(to_s - 1));
        let (users_counted, messages_counted) = rollup::counted(&messages, from, to);
        Ok(Slice {
            by_kind: rollup::by_kind(&messages, from, to),
            users_counted,
            messages_counted,
            users_of_videos: rollup::users_of_videos(&messages, from, to),
        })
    }

    /// See [`super::Store::new_users`].
    pub fn new_users(&self, account: AccountNumber, from: Day, to: Day) -> Result<NewUsers, StoreError> {
        let new_users = |account: &StoredAccount| {
            let counted = account.messages.iter().filter(|message| message.kind().counted_type().is_some());
            let first_day = counted.map(|message| day_of(message.create_time)).min();
            let users = rollup::new_users(&account.messages, from, to);
            NewUsers::new(users, from, first_day, account.coverage.since())
        };
        Ok(self.look(account, new_users)?)
    }

    /// See [`super::Store::summaries`].
    pub fn summaries(&self, now_s: i64) -> Vec<AccountSummary> {
        lock(&self.state).accounts.iter().map(|account| account.summary(now_s)).collect()
    }

    /// See [`super::Store::last_message_s`].
    pub fn last_message_s(&self, account: AccountNumber, now_s: i64) -> Result<Option<i64>, StoreError> {
        Ok(self.look(account, |account| account.summary(now_s).last_message_s)?)
    }

    /// See [`super::Store::coverage`].
    pub fn coverage<T>(&self, account: AccountNumber, look: impl FnOnce(&Coverage) -> T) -> T {
        match self.look(account, |account| look(&account.coverage)) {
            Ok(seen) => seen,
            Err(error) => unreachable!("{error}"),
        }
    }

    /// See [`super::Store::quarantined_messages`].
    pub fn quarantined_messages(
        &self,
        account: AccountNumber,
        limit: usize,
    ) -> Result<Vec<QuarantinedMessage>, StoreError> {
        let mut messages = self.look(account, |account| account.quarantined.clone())?;
        messages.sort_by_key(|message| std::cmp::Reverse(message.create_time));
        messages.truncate(limit);
        Ok(messages)
    }

    /// See [`super::Store::facts`].
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        if let Some(member) = &self.member {
            return member.facts(prefix);
        }
        let state = lock(&self.state);
        let all = state.facts.iter().filter(|(key, _)| key.starts_with(prefix));
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn look<T>(
        &self,
        account: AccountNumber,
        look: impl FnOnce(&StoredAccount) -> T,
    ) -> Result<T, UnknownAccount> {
        let state = lock(&self.state);
        state.accounts.get(account.0 as usize).map(look).ok_or(UnknownAccount(account.0))
    }
}

impl MemoryState {
    fn take(&mut self, change: &Change) -> Outcome {
        match change {
            Change::Message { account, message } => self.change(*account, |account| account.take(message)),
            Change::Quarantine { account, message } => {
                self.change(*account, |account| account.quarantine(message))
            }
            Change::Lose { account, from_s, to_s, reason } => {
                self.cover(*account, |coverage| coverage.lose(*from_s, *to_s, reason))
            }
            Change::Claim { account, from_s, to_s } => {
                self.cover(*account, |coverage| coverage.claim(*from_s, *to_s))
            }
            Change::Serve { at_s, accounts, reason } => {
                self.serve(*at_s, accounts, |coverage| coverage.serve(*at_s, reason))
            }
            Change::Resume { end_s, at_s, accounts, is_bridged } => {
                let bridged = is_bridged.then_some((*end_s, *at_s));
                self.serve(*at_s, accounts, |coverage| coverage.resume(*end_s, *at_s, bridged))
            }
            Change::Begin { at_s, account } => {
                self.cover(*account, |coverage| coverage.serve(*at_s, &Reason::NotRunning))
            }
            Change::Cease { account } => self.cover(*account, Coverage::stop),
            Change::Mark { at_s } => {
                self.accounts.iter_mut().for_each(|account| account.coverage.mark(*at_s));
                Outcome::Noted
            }
            Change::Fact { key, value } => {
                match value {
                    Some(value) => drop(self.facts.insert(key.clone(), value.clone())),
                    None => drop(self.facts.remove(key)),
                }
                Outcome::Noted
            }
        }
    }

    fn change(
        &mut self,
        account: AccountNumber,
        change: impl FnOnce(&mut StoredAccount) -> Outcome,
    ) -> Outcome {
        self.accounts.get_mut(account.0 as usize).map_or_else(|| UnknownAccount(account.0).into(), change)
    }

    fn serve(&mut self, at_s: i64, accounts: &[AccountNumber], serve: impl Fn(&mut Coverage)) -> Outcome {
        let known = self.accounts.len();
        if let Some(unknown) = accounts.iter().find(|account| account.0 as usize >= known) {
            return UnknownAccount(unknown.0).into();
        }
        for (number, account) in self.accounts.iter_mut().enumerate() {
            if accounts.contains(&AccountNumber::at(number)) {
                serve(&mut account.coverage);
            } else {
                account.coverage.stop();
                account.coverage.cut(at_s);
            }
        }
        Outcome::Noted
    }

    fn cover(&mut self, account: AccountNumber, change: impl FnOnce(&mut Coverage)) -> Outcome {
        self.change(account, |account| {
            change(&mut account.coverage);
            Outcome::Noted
        })
    }
}

impl StoredAccount {
    fn take(&mut self, message: &Message) -> Outcome {
        let before = rollup::without_repeats(&self.messages).len();
        self.messages.push(message.clone());
        if rollup::without_repeats(&self.messages).len() > before {
            return Outcome::Counted;
        }
        self.messages.pop();
        Outcome::Repeat
    }

    fn summary(&self, now_s: i64) -> AccountSummary {
        let counted = self.messages.iter().filter(|message| message.kind().counted_type().is_some());
        let times = || counted.clone().map(|message| message.create_time);
        let number = |inside: &dyn Fn(i64) -> bool| times().filter(|time| inside(*time)).count() as u64;
        let today = day_of(now_s);
        let is_over = |time| hour_of(time) < hour_of(now_s);
        let month = today.first_of_month();
        let last_month = month.plus_days(-1).first_of_month();
        let of_type = |number| {
            let of_type = counted.clone().filter(|message| message.kind().counted_type() == Some(number));
            of_type.filter(|message| day_of(message.create_time) == today).count() as u64
        };
        let mut minutes = [0; MINUTES];
        for time in times() {
            let ago = usize::try_from(now_s.div_euclid(60) - time.div_euclid(60));
            if let Some(shown) = ago.ok().and_then(|ago| minutes.iter_mut().rev().nth(ago)) {
                *shown += 1;
            }
        }
        AccountSummary {
            last_message_s: times().filter(|time| day_of(*time) <= today.plus_days(1)).max(),
            today_by_type: COUNTED_TYPES.map(of_type),
            days: std::array::from_fn(|at| {
                number(&|time| usize::try_from(today.days_since(day_of(time))) == Ok(DAYS - 1 - at))
            }),
            same_hours_today: number(&|time| day_of(time) == today && is_over(time)),
            same_hours_last_week: number(&|time| day_of(time) == today.plus_days(-7) && is_over(time)),
            month: number(&|time| day_of(time).first_of_month() == month),
            month_before_today: number(&|time| {
                let day = day_of(time);
                day.first_of_month() == month && day < today
            }),
            last_month: number(&|time| day_of(time).first_of_month() == last_month),
            same_days_last_month: number(&|time| {
                let day = day_of(time);
                day.first_of_month() == last_month && day.days_since(last_month) < today.days_since(month)
            }),
            minutes,
        }
    }

    fn quarantine(&mut self, message: &QuarantinedMessage) -> Outcome {
        let same = |other: &QuarantinedMessage, message: &QuarantinedMessage| {
            QuarantinedMessage {
                reason: message.reason.clone(),
                msg_type: message.msg_type.clone(),
                ..other.clone()
            } == *message
        };
        let former = message.without_event_msg_id();
        let is_repeat =
            |other| same(other, message) || former.as_ref().is_some_and(|former| same(other, former));
        if self.quarantined.iter().any(is_repeat) {
            return Outcome::Repeat;
        }
        self.quarantined.push(message.clone());
        Outcome::Noted
    }
}
