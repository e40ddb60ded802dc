//! The summaries of all accounts. Each account has a tally, to which the writer adds each counted message. So reading the
//! summaries costs no look at any figures.
//!
//! A tally belongs to one Beijing day. On another day, after the start, and when messages come true that were ahead of
//! the clock, it is built anew from the account's figures. The lock of the figures is held meanwhile, as it is while
//! a message is counted, so no message is missed or added twice.

use std::sync::Arc;

use counting::{Account, DayTotals, Kind, PageError, PageSource, day_of, hour_of};
use datacube::Day;
use system::sync::lock;

use super::{Cell, Embedded};
use crate::store::{AccountNumber, AccountSummary, DAYS, MINUTES, StoreError};

/// Minutes that a tally has room for: those that a summary shows, one before them for a reader whose clock is a moment
/// behind, and some after them for messages that are a little ahead.
const ROOM: i64 = 64;
const SLOTS: usize = 64;
/// Minutes after the current one that have room.
const AHEAD: i64 = 2;
/// Minutes before the current one for which a summary can still be read.
const BEHIND: i64 = 1;
/// Tallies that one refresh builds. Saving pages waits meanwhile, and so does the end of the program.
const BUILT_AT_ONCE: usize = 1000;

const _: () = assert!(MINUTES == 60 && 60 + AHEAD + BEHIND <= ROOM, "each shown minute has room");
const _: () = assert!(size_of::<SummaryTally>() <= 1024, "the table of limits says 1 KiB for each account");

/// The figures of one account for the summary of a day.
#[derive(Clone, Debug)]
pub struct SummaryTally {
    /// The Beijing day that is today.
    day: Day,
    /// The current minute: Unix seconds divided by 60.
    minute: i64,
    last_message_s: Option<i64>,
    today: DayTotals,
    /// As in the summary. Today's place is filled only there.
    days: [u64; DAYS],
    week_ago: DayTotals,
    month: u64,
    month_before_today: u64,
    last_month: u64,
    same_days_last_month: u64,
    /// Messages of a minute, at the minute modulo [`ROOM`].
    minutes: [u32; SLOTS],
    /// The earliest minute with messages that have no room yet.
    without_room: Option<i64>,
}

impl SummaryTally {
    fn build(figures: &mut Account, source: &dyn PageSource, now_s: i64) -> Result<SummaryTally, PageError> {
        let day = day_of(now_s);
        let month = day.first_of_month();
        let mut tally = SummaryTally {
            day,
            minute: minute_of(now_s),
            last_message_s: figures.newest_counted_s(day.plus_days(1), source)?,
            today: figures.day_totals(day, source)?,
            days: [0; DAYS],
            week_ago: figures.day_totals(day.plus_days(-7), source)?,
            month: figures.month_total(month, source)?,
            month_before_today: 0,
            last_month: figures.month_total(month.plus_days(-1).first_of_month(), source)?,
            same_days_last_month: 0,
            minutes: [0; SLOTS],
            without_room: None,
        };
        tally.read_days(figures, source)?;
        let first_day = day_of(tally.first_minute() * 60);
        if first_day < day && tally.days[DAYS - 2] > 0 {
            figures.each_counted_s(first_day, source, |time_s| tally.count_minute(time_s))?;
        }
        if tally.today.messages() > 0 {
            figures.each_counted_s(day, source, |time_s| tally.count_minute(time_s))?;
        }
        Ok(tally)
    }

    fn read_days(&mut self, figures: &Account, source: &dyn PageSource) -> Result<(), PageError> {
        if self.month == 0 && self.last_month == 0 {
            return Ok(());
        }
        for (age, messages) in (0..).zip(self.days.iter_mut().rev()).skip(1) {
            *messages = figures.day_totals(self.day.plus_days(-age), source)?.messages();
        }
        let mut day = self.day.first_of_month();
        while day < self.day {
            self.month_before_today += figures.day_totals(day, source)?.messages();
            day = day.plus_days(1);
        }
        let mut day = self.day.first_of_month().plus_days(-1).first_of_month();
        while self.last_month > 0 && self.is_same_day_last_month(day) {
            self.same_days_last_month += figures.day_totals(day, source)?.messages();
            day = day.plus_days(1);
        }
        Ok(())
    }

    /// Whether a day of last month has the number of a day of this month that is over.
    fn is_same_day_last_month(&self, day: Day) -> bool {
        let (month, today) = (day.first_of_month(), self.day.first_of_month());
        month == today.plus_days(-1).first_of_month() && day.days_since(month) < self.day.days_since(today)
    }

    /// Adds a message. Kinds that are not counted change nothing.
    pub fn count(&mut self, time_s: i64, kind: Kind) {
        let Some(index) = kind.counted_index() else { return };
        let day = day_of(time_s);
        if day <= self.day.plus_days(1) {
            self.last_message_s = self.last_message_s.max(Some(time_s));
        }
        for (totals, of) in [(&mut self.today, self.day), (&mut self.week_ago, self.day.plus_days(-7))] {
            if day == of {
                totals.by_type[index] += 1;
                totals.by_hour[usize::from(hour_of(time_s))] += 1;
            }
        }
        let place =
            usize::try_from(self.day.days_since(day)).ok().and_then(|age| (DAYS - 1).checked_sub(age));
        if let Some(messages) = place.and_then(|place| self.days.get_mut(place)) {
            *messages += 1;
        }
        self.same_days_last_month += u64::from(self.is_same_day_last_month(day));
        let (month, of) = (day.first_of_month(), self.day.first_of_month());
        self.month += u64::from(month == of);
        self.month_before_today += u64::from(month == of && day < self.day);
        self.last_month += u64::from(month == of.plus_days(-1).first_of_month());
        self.count_minute(time_s);
    }

    fn count_minute(&mut self, time_s: i64) {
        let minute = minute_of(time_s);
        if minute > self.minute + AHEAD {
            self.without_room = Some(self.without_room.map_or(minute, |first| first.min(minute)));
        } else if minute >= self.first_minute() {
            let count = &mut self.minutes[slot(minute)];
            *count = count.saturating_add(1);
        }
    }

    /// The earliest minute that has room.
    fn first_minute(&self) -> i64 {
        self.minute + AHEAD + 1 - ROOM
    }

    /// Advances to a time. False if the tally must be built anew for it.
    fn advance(&mut self, now_s: i64) -> bool {
        let minute = minute_of(now_s);
        if day_of(now_s) != self.day || minute < self.minute - BEHIND {
            return false;
        }
        if minute > self.minute {
            if self.without_room.is_some_and(|first| first <= minute + AHEAD) {
                return false;
            }
            let first_new = self.minute.max(minute - ROOM) + AHEAD + 1;
            (first_new..=minute + AHEAD).for_each(|new| self.minutes[slot(new)] = 0);
            self.minute = minute;
        }
        true
    }

    /// The summary at a time to which it was advanced.
    fn summary(&self, now_s: i64) -> AccountSummary {
        let over = usize::from(hour_of(now_s));
        let newest = minute_of(now_s);
        let mut minutes = [0; MINUTES];
        for (ago, shown) in (0..).zip(minutes.iter_mut().rev()) {
            *shown = self.minutes[slot(newest - ago)];
        }
        let mut days = self.days;
        days[DAYS - 1] = self.today.messages();
        AccountSummary {
            last_message_s: self.last_message_s,
            today_by_type: self.today.by_type,
            days,
            same_hours_today: self.today.by_hour[..over].iter().sum(),
            same_hours_last_week: self.week_ago.by_hour[..over].iter().sum(),
            month: self.month,
            month_before_today: self.month_before_today,
            last_month: self.last_month,
            same_days_last_month: self.same_days_last_month,
            minutes,
        }
    }
}

fn minute_of(unix_s: i64) -> i64 {
    unix_s.div_euclid(60)
}

fn slot(minute: i64) -> usize {
    let Ok(slot) = usize::try_from(minute.rem_euclid(ROOM)) else {
        unreachable!("a remainder below {ROOM} is an index");
    };
    slot
}

impl Embedded {
    /// See [`crate::store::Store::summaries`].
    pub fn summaries(&self, now_s: i64) -> Result<Vec<AccountSummary>, StoreError> {
        let cells = self.read_accounts().by_number.clone();
        cells.iter().map(|cell| self.with_tally(cell, now_s, |tally| tally.summary(now_s))).collect()
    }

    /// See [`crate::store::Store::last_message_s`].
    pub fn last_message_s(&self, account: AccountNumber, now_s: i64) -> Result<Option<i64>, StoreError> {
        let cell = self.cell(account)?;
        self.with_tally(&cell, now_s, |tally| tally.last_message_s)
    }

    /// See [`crate::store::Store::refresh_summaries`].
    pub fn refresh_summaries(&self, now_s: i64) {
        let cells: Vec<Arc<Cell>> = self.read_accounts().by_number.clone();
        let stale = cells.iter().filter(|cell| advanced(cell, now_s, |_| ()).is_none());
        for cell in stale.take(BUILT_AT_ONCE) {
            // A page that cannot be read is reported to whoever reads the summaries.
            let _ = self.with_tally(cell, now_s, |_| ());
        }
    }

    /// Passes an account's tally to `read`, advanced to `now_s`.
    fn with_tally<T>(
        &self,
        cell: &Cell,
        now_s: i64,
        read: impl Fn(&SummaryTally) -> T,
    ) -> Result<T, StoreError> {
        if let Some(found) = advanced(cell, now_s, &read) {
            return Ok(found);
        }
        let mut figures = lock(&cell.figures);
        let built = SummaryTally::build(&mut figures, &self.pages.of_account(cell.number), now_s);
        let tally = Box::new(built.map_err(|error| self.pages.read_error(error))?);
        let found = read(&tally);
        *lock(&cell.summary) = Some(tally);
        Ok(found)
    }
}

/// Passes an account's tally to `read`, advanced to `now_s`. None if it must be built anew.
fn advanced<T>(cell: &Cell, now_s: i64, read: impl Fn(&SummaryTally) -> T) -> Option<T> {
    let mut summary = lock(&cell.summary);
    let tally = summary.as_mut()?;
    tally.advance(now_s).then(|| read(tally))
}
