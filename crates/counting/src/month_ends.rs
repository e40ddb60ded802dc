//! Different users of each first part and each last part of a month: the days 1 to n, and the days n to the end. A range
//! that begins or ends within a month then needs no union.
//!
//! Each number of users is kept with the number of messages that it was counted from. Messages are never removed, so a
//! part has the same users as long as it has the same number of messages. A page that is out of date, or missing, is
//! therefore found, and makes an answer slower but never wrong.

use datacube::{Day, Granularity};

use crate::{
    Counters, Damaged, Kind, packed,
    page::{PageError, PageKey, PageSource},
    senders::Senders,
    varint,
    varint::Reader,
};

use crate::account::Piece;

const FORMAT: u8 = 1;
const KINDS: usize = Kind::ALL.len();
const DAYS_MAX: usize = 31;

/// The users of all parts of one month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthEnds {
    /// One for each day of the month: the part until this day, and the part from this day on.
    days: Vec<[PartUsers; 2]>,
}

/// Number of different users of a part: by kind, of msg_type 4, of any counted type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PartUsers {
    messages: u64,
    by_kind: [u64; KINDS],
    of_videos: u64,
    counted: u64,
}

impl PartUsers {
    fn of(senders: &Senders) -> PartUsers {
        let counters = senders.counters();
        PartUsers {
            messages: counters.messages_of_all_kinds(),
            by_kind: Kind::ALL.map(|kind| counters.users(kind)),
            of_videos: counters.users_of_videos(),
            counted: counters.users_counted(),
        }
    }
}

impl MonthEnds {
    /// The month that the days from…to begin or end. None if they are no such part of one month.
    pub fn month_of(from: Day, to: Day) -> Option<Day> {
        let month = from.first_of_month();
        let last = month.start_of_next(Granularity::Month).plus_days(-1);
        (from <= to && to <= last && (from == month || to == last)).then_some(month)
    }

    /// Counts the stored days of the month that starts on this day.
    ///
    /// # Errors
    ///
    /// If a day cannot be read.
    pub fn count(month: Day, source: &dyn PageSource) -> Result<MonthEnds, PageError> {
        let length = month.start_of_next(Granularity::Month).days_since(month);
        let all: Vec<Day> = (0..length).map(|number| month.plus_days(number)).collect();
        let mut days = vec![<[PartUsers; 2]>::default(); all.len()];
        let mut senders = Senders::default();
        for (day, parts) in all.iter().zip(&mut days) {
            Piece::Day(*day).add_stored(source, &mut senders)?;
            parts[0] = PartUsers::of(&senders);
        }
        let mut senders = Senders::default();
        for (day, parts) in all.iter().zip(&mut days).rev() {
            Piece::Day(*day).add_stored(source, &mut senders)?;
            parts[1] = PartUsers::of(&senders);
        }
        Ok(MonthEnds { days })
    }

    /// Reads the page of a month, if it was ever written.
    ///
    /// # Errors
    ///
    /// If the page cannot be read or is damaged.
    pub fn stored(month: Day, source: &dyn PageSource) -> Result<Option<MonthEnds>, PageError> {
        let key = PageKey::MonthEnds(month);
        let page = source.page(key)?;
        page.map(|page| MonthEnds::decode(&page).map_err(|damage| PageError::Damaged(key, damage)))
            .transpose()
    }

    /// True if it was counted from all messages of the month. `figures`: the stored figures of the month.
    pub fn counts_all_of(&self, figures: &[u8]) -> bool {
        let messages = self.days.last().map(|parts| parts[0].messages);
        let figures = Counters::decode(&mut Reader::new(figures));
        figures.is_ok_and(|figures| messages == Some(figures.messages_of_all_kinds()))
    }

    /// The figures of the days from…to, which begin or end the month. `sum`: the messages of these days. None if the
    /// days have other messages now.
    pub fn counters(&self, from: Day, to: Day, sum: &Counters) -> Option<Counters> {
        let month = MonthEnds::month_of(from, to)?;
        let (day, side) = if from == month { (to, 0) } else { (from, 1) };
        let part = &self.days.get(usize::try_from(day.days_since(month)).ok()?)?[side];
        let is_same = part.messages == sum.messages_of_all_kinds();
        is_same.then(|| sum.with_users(part.by_kind, part.of_videos, part.counted))
    }

    /// Encodes the page.
    pub fn encode(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        varint::put(&mut plain, self.days.len() as u64);
        for part in self.days.as_flattened() {
            varint::put(&mut plain, part.messages);
            part.by_kind.iter().for_each(|users| varint::put(&mut plain, *users));
            varint::put(&mut plain, part.of_videos);
            varint::put(&mut plain, part.counted);
        }
        let mut page = vec![FORMAT];
        packed::put(&mut page, &plain);
        page
    }

    fn decode(page: &[u8]) -> Result<MonthEnds, Damaged> {
        let mut reader = Reader::new(page);
        if reader.byte()? != FORMAT {
            return Err(Damaged("a page of parts of a month of a format that this version does not know"));
        }
        let plain = packed::take(reader)?;
        let mut reader = Reader::new(&plain);
        let count = reader.number_as::<u32>()? as usize;
        if count > DAYS_MAX {
            return Err(Damaged("a month of more than 31 days"));
        }
        let mut days = vec![<[PartUsers; 2]>::default(); count];
        for part in days.as_flattened_mut() {
            part.messages = reader.number()?;
            for users in &mut part.by_kind {
                *users = reader.number()?;
            }
            part.of_videos = reader.number()?;
            part.counted = reader.number()?;
        }
        if reader.is_empty() {
            Ok(MonthEnds { days })
        } else {
            Err(Damaged("more than a month's parts in a page"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_part_begins_or_ends_one_month() {
        let month_of = |from, to| MonthEnds::month_of(day(from), day(to));
        assert_eq!(month_of("2026-02-01", "2026-02-03"), Some(day("2026-02-01")));
        assert_eq!(month_of("2026-02-03", "2026-02-28"), Some(day("2026-02-01")));
        assert_eq!(month_of("2026-02-01", "2026-02-28"), Some(day("2026-02-01")));
        assert_eq!(month_of("2026-02-03", "2026-02-27"), None);
        assert_eq!(month_of("2026-02-01", "2026-03-01"), None);
        assert_eq!(month_of("2026-01-31", "2026-02-28"), None);
        assert_eq!(month_of("2026-02-03", "2026-02-01"), None);
    }

    proptest! {
        #[test]
        fn pages_are_read_as_they_were_written(numbers in prop::collection::vec(any::<u64>(), 0..62)) {
            let part = |messages| PartUsers { messages, of_videos: 7, counted: messages / 3, by_kind: [5; KINDS] };
            let days = numbers.as_chunks().0.iter().map(|[one, two]| [part(*one), part(*two)]).collect();
            let ends = MonthEnds { days };
            prop_assert_eq!(MonthEnds::decode(&ends.encode()), Ok(ends));
        }

        #[test]
        fn damaged_pages_are_errors_and_not_panics(bytes: Vec<u8>) {
            let _ = MonthEnds::decode(&bytes);
            let mut page = vec![FORMAT];
            packed::put(&mut page, &bytes);
            let _ = MonthEnds::decode(&page);
        }
    }
}
