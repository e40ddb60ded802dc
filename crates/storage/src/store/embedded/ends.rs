//! Days that begin or end a month, without a union: see [`MonthEnds`]. Its pages are counted after a save and after a
//! query that missed one.

use counting::{Counters, MonthEnds, PageError, PageKey, PageSource as _, Period};
use datacube::{Day, Granularity};
use system::sync::lock;

use super::{
    Cell, Embedded,
    pages::{Save, page_key},
};
use crate::store::StoreError;

/// Limit of months that wait to be counted.
const WANTED_MONTHS_MAX: usize = 1000;

impl Embedded {
    /// The figures of the days from…to.
    pub(super) fn counters_of_days(&self, cell: &Cell, from: Day, to: Day) -> Result<Counters, StoreError> {
        let end = MonthEnds::month_of(from, to).map(|month| self.end_of_month(cell, month, from, to));
        match end.transpose().map_err(|error| self.pages.read_error(error))?.flatten() {
            Some(counters) => Ok(counters),
            None => Ok(self.senders(cell, from, to)?.counters()),
        }
    }

    /// The figures of days that begin or end this month. None if they must be united.
    fn end_of_month(
        &self,
        cell: &Cell,
        month: Day,
        from: Day,
        to: Day,
    ) -> Result<Option<Counters>, PageError> {
        let source = self.pages.of_account(cell.number);
        let mut figures = lock(&cell.figures);
        let sum = figures.messages_of_days(from, to, &source)?;
        let whole = figures.figures(Period::holding(Granularity::Month, month), &source)?;
        let whole = whole.cloned().unwrap_or_default();
        drop(figures);
        let messages = sum.messages_of_all_kinds();
        if messages == whole.messages_of_all_kinds() {
            return Ok(Some(whole));
        }
        if messages < self.options.ends_messages {
            return Ok(None);
        }
        let ends = MonthEnds::stored(month, &source)?;
        let counters = ends.and_then(|ends| ends.counters(from, to, &sum));
        if counters.is_none() {
            self.want_ends(cell.number, [month]);
        }
        Ok(counters)
    }

    /// Lets the next maintenance count the ends of these months.
    pub(super) fn want_ends(&self, account: u32, months: impl IntoIterator<Item = Day>) {
        let mut wanted = lock(&self.ends_wanted);
        let room = WANTED_MONTHS_MAX.saturating_sub(wanted.len());
        wanted.extend(months.into_iter().take(room).map(|month| (account, month)));
    }

    /// Counts the ends of the months that wait for it, from their saved days. Messages are received at the same time.
    pub(super) fn count_ends(&self) -> Result<(), StoreError> {
        let wanted = std::mem::take(&mut *lock(&self.ends_wanted));
        for (account, month) in wanted {
            let source = self.pages.of_account(account);
            // A month that cannot be read is left to the queries of it, which name the damage.
            let Ok(Some(stored)) = source.page(PageKey::Month(month)) else { continue };
            let Ok(former) = MonthEnds::stored(month, &source) else { continue };
            if former.is_some_and(|former| former.counts_all_of(&stored)) {
                continue;
            }
            let Ok(ends) = MonthEnds::count(month, &source) else { continue };
            let page = (page_key(account, PageKey::MonthEnds(month)), ends.encode());
            self.pages.save(&Save { pages: vec![page], ..Save::default() })?;
        }
        Ok(())
    }
}
