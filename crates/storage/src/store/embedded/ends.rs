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

#[cfg(test)]
mod tests {
    use counting::{Content, Kind, Message, start_of_day_s};

    use super::*;
    use crate::store::{Change, embedded::Options, statistics::Span};

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn put(store: &Embedded, user: u32, day: Day) {
        let account = store.account("wx").unwrap();
        let content = Content::Message { kind: Kind::Text, msg_id: 1 };
        let message = Message { user: format!("o{user}").into(), create_time: start_of_day_s(day), content };
        store.commit(&[Change::Message { account, message }]).unwrap();
    }

    #[test]
    fn a_page_is_counted_at_a_save_and_again_after_a_late_message_and_when_it_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { ends_messages: 1, ..Options::default() };
        let store = Embedded::open(folder.path(), &options).unwrap();
        let account = store.account("wx").unwrap();
        let (from, to) = (day("2026-11-17"), day("2026-11-30"));
        let users = || store.slice(account, Span::Days(from, to)).unwrap().users_counted;
        // The users that the page says; None while it is out of date.
        let stored = || {
            let source = store.pages.of_account(account.0);
            let sum =
                lock(&store.cell(account).unwrap().figures).messages_of_days(from, to, &source).unwrap();
            let ends = MonthEnds::stored(day("2026-11-01"), &source).unwrap();
            ends.and_then(|ends| ends.counters(from, to, &sum)).map(|counters| counters.users_counted())
        };
        for (user, date) in [(1, "2026-11-02"), (2, "2026-11-18"), (2, "2026-11-19"), (3, "2026-11-30")] {
            put(&store, user, day(date));
        }
        assert_eq!((users(), stored()), (2, None));
        store.maintain(true).unwrap();
        assert_eq!((users(), stored()), (2, Some(2)));
        put(&store, 1, day("2026-11-17"));
        assert_eq!((users(), stored()), (3, None));
        store.maintain(true).unwrap();
        assert_eq!((users(), stored()), (3, Some(3)));
        // As a folder of a former version, which has no such page.
        let key = page_key(account.0, PageKey::MonthEnds(day("2026-11-01")));
        store.pages.save(&Save { removed: vec![key], ..Save::default() }).unwrap();
        lock(&store.ends_wanted).clear();
        assert_eq!((users(), stored()), (3, None));
        store.maintain(false).unwrap();
        assert_eq!((users(), stored()), (3, Some(3)));
    }
}
