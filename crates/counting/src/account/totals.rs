//! Messages of the counted types, without users. Reading them keeps no page in memory, so that reading many accounts
//! does not push the pages out that messages need.

use datacube::{Day, Granularity};

use super::Account;
use crate::{
    COUNTED_TYPES, Counters, Kind, block,
    calendar::start_of_day_s,
    day::DayFigures,
    page::{PageError, PageKey, PageSource},
    varint::Reader,
};

/// Messages of the counted types on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayTotals {
    /// In the order of [`COUNTED_TYPES`].
    pub by_type: [u64; COUNTED_TYPES.len()],
    /// By hour of the Beijing day.
    pub by_hour: [u64; 24],
}

impl DayTotals {
    fn of(figures: &DayFigures) -> DayTotals {
        let mut totals = DayTotals::default();
        for kind in Kind::ALL {
            if let Some(index) = kind.counted_index() {
                totals.by_type[index] += figures.day.messages(kind);
            }
        }
        for (hour, counters) in figures.hours() {
            totals.by_hour[usize::from(hour)] = counters.messages_counted();
        }
        totals
    }

    /// Messages of all counted types.
    pub fn messages(&self) -> u64 {
        self.by_type.iter().sum()
    }
}

impl Account {
    /// The totals of a day.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or is damaged.
    pub fn day_totals(&self, day: Day, source: &dyn PageSource) -> Result<DayTotals, PageError> {
        if let Some(page) = self.days.get(&day) {
            return Ok(DayTotals::of(&page.figures));
        }
        let key = PageKey::DayFigures(day);
        let Some(bytes) = source.page(key)? else { return Ok(DayTotals::default()) };
        let figures = DayFigures::decode(&bytes).map_err(|damage| PageError::Damaged(key, damage))?;
        Ok(DayTotals::of(&figures))
    }

    /// Messages of all counted types in the month that starts on this day.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or is damaged.
    pub fn month_total(&self, start: Day, source: &dyn PageSource) -> Result<u64, PageError> {
        if let Some(page) = self.spans.get(&(Granularity::Month, start)) {
            return Ok(page.counters.messages_counted());
        }
        let key = PageKey::Month(start);
        let Some(bytes) = source.page(key)? else { return Ok(0) };
        let counters = Counters::decode(&mut Reader::new(&bytes));
        Ok(counters.map_err(|damage| PageError::Damaged(key, damage))?.messages_counted())
    }

    /// Visits the CreateTime, in Unix seconds, of each message of a counted type on one day. In any order.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or is damaged.
    pub fn each_counted_s(
        &self,
        day: Day,
        source: &dyn PageSource,
        mut visit: impl FnMut(i64),
    ) -> Result<(), PageError> {
        let start_s = start_of_day_s(day);
        let mut visit_counted = |second: u32, kind: Kind| {
            if kind.counted_type().is_some() {
                visit(start_s + i64::from(second));
            }
        };
        if let Some(open) = self.days.get(&day).and_then(|page| page.open.as_ref()) {
            open.each_time(visit_counted);
            return Ok(());
        }
        let key = PageKey::DayMessages(day);
        let Some(bytes) = source.page(key)? else { return Ok(()) };
        let (messages, _) = block::decode(&bytes).map_err(|damage| PageError::Damaged(key, damage))?;
        messages.iter().for_each(|entry| visit_counted(entry.second(), entry.kind()));
        Ok(())
    }

    /// The newest CreateTime, in Unix seconds, of a message of a counted type up to the end of a day. None if there is
    /// none.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or is damaged.
    pub fn newest_counted_s(&mut self, last: Day, source: &dyn PageSource) -> Result<Option<i64>, PageError> {
        let Some(first) = self.first_day(source)? else { return Ok(None) };
        let mut month = last.first_of_month();
        while month >= first.first_of_month() {
            if self.month_total(month, source)? > 0
                && let Some(found) = self.newest_of_month(month, last, source)?
            {
                return Ok(Some(found));
            }
            month = month.plus_days(-1).first_of_month();
        }
        Ok(None)
    }

    fn newest_of_month(
        &self,
        month: Day,
        last: Day,
        source: &dyn PageSource,
    ) -> Result<Option<i64>, PageError> {
        let mut day = last.min(month.start_of_next(Granularity::Month).plus_days(-1));
        while day >= month {
            if self.day_totals(day, source)?.messages() > 0 {
                let mut newest = None;
                self.each_counted_s(day, source, |time_s| newest = newest.max(Some(time_s)))?;
                return Ok(newest);
            }
            day = day.plus_days(-1);
        }
        Ok(None)
    }
}
