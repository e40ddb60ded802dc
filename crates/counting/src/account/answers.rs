//! What an account answers: ready figures of a period, and senders for any range of days.

use datacube::{Day, Granularity};

use super::{Account, DayPage, SpanPage};
use crate::{
    Counters, Damaged, Period,
    day::DayFigures,
    page::{Cold, ColdError, PageKey},
    senders::Senders,
    varint::Reader,
};

/// A day or a whole month: what a range of days is put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Day(Day),
    Month(Day),
}

impl Piece {
    /// The days from…to as few pieces, in order.
    pub fn all(from: Day, to: Day) -> impl Iterator<Item = Piece> {
        let piece_at = move |day: Day| {
            let next_month = day.start_of_next(Granularity::Month);
            let is_whole = day == day.first_of_month() && next_month.plus_days(-1) <= to;
            if is_whole { (Piece::Month(day), next_month) } else { (Piece::Day(day), day.plus_days(1)) }
        };
        let mut next = from;
        std::iter::from_fn(move || {
            let (piece, after) = (next <= to).then(|| piece_at(next))?;
            next = after;
            Some(piece)
        })
    }

    /// Its page.
    fn key(self) -> PageKey {
        match self {
            Piece::Day(day) => PageKey::DaySenders(day),
            Piece::Month(day) => PageKey::MonthSenders(day),
        }
    }

    /// Adds the piece as it was last saved.
    pub fn add_cold(self, cold: &dyn Cold, senders: &mut Senders) -> Result<(), ColdError> {
        match self.page(cold)? {
            Some(page) => senders.add_page(&page).map_err(|damage| ColdError::Damaged(self.key(), damage)),
            None => Ok(()),
        }
    }

    fn page(self, cold: &dyn Cold) -> Result<Option<Vec<u8>>, ColdError> {
        let figures = match self {
            Piece::Day(day) => PageKey::DayFigures(day),
            Piece::Month(day) => PageKey::Month(day),
        };
        match cold.page(self.key())? {
            Some(page) => Ok(Some(page)),
            None if cold.page(figures)?.is_none() => Ok(None),
            // Saved just now, both at once; else it was lost, and must not pass for a time without messages.
            None => match cold.page(self.key())? {
                Some(page) => Ok(Some(page)),
                None => Err(ColdError::Damaged(self.key(), Damaged("it is missing"))),
            },
        }
    }
}

impl Account {
    /// Adds a piece if it is in memory; false if it must be read.
    pub fn add_in_memory(&self, piece: Piece, senders: &mut Senders) -> bool {
        match piece {
            Piece::Day(day) => match self.days.get(&day) {
                Some(DayPage { figures, open: Some(open), .. }) => {
                    senders.add_period(&figures.day, open.marks());
                }
                _ => return false,
            },
            Piece::Month(day) => match self.spans.get(&(Granularity::Month, day)) {
                Some(SpanPage { counters, marks: Some(marks), .. }) => senders.add_period(counters, marks),
                _ => return false,
            },
        }
        true
    }

    /// How many users sent their first counted message on one of the days from…to. What comes late moves them.
    pub fn new_users(&mut self, from: Day, to: Day, cold: &dyn Cold) -> Result<u64, ColdError> {
        self.first_days.count(from, to, cold)
    }

    /// The day of the first counted message, if there is any.
    pub fn first_day(&mut self, cold: &dyn Cold) -> Result<Option<Day>, ColdError> {
        self.first_days.earliest(cold)
    }

    /// The figures of a period, none if it has none.
    pub fn figures(&mut self, period: Period, cold: &dyn Cold) -> Result<Option<&Counters>, ColdError> {
        self.tick += 1;
        match period.granularity() {
            Granularity::Day => Ok(self.day_figures(period.start(), cold)?.map(|figures| &figures.day)),
            Granularity::Hour => {
                Ok(self.day_figures(period.start(), cold)?.and_then(|day| day.hour(period.hour_of_day())))
            }
            granularity => self.span_figures(granularity, period.start(), cold),
        }
    }

    fn day_figures(&mut self, day: Day, cold: &dyn Cold) -> Result<Option<&DayFigures>, ColdError> {
        if !self.days.contains_key(&day) {
            let key = PageKey::DayFigures(day);
            let Some(bytes) = cold.page(key)? else { return Ok(None) };
            let figures = DayFigures::decode(&bytes).map_err(|damage| ColdError::Damaged(key, damage))?;
            self.days.insert(day, DayPage { figures, ..DayPage::default() });
        }
        let tick = self.tick;
        Ok(self.days.get_mut(&day).map(|page| {
            page.state.used = tick;
            &page.figures
        }))
    }

    fn span_figures(
        &mut self,
        granularity: Granularity,
        start: Day,
        cold: &dyn Cold,
    ) -> Result<Option<&Counters>, ColdError> {
        if !self.spans.contains_key(&(granularity, start)) {
            let key = PageKey::of_span(granularity, start);
            let Some(bytes) = cold.page(key)? else { return Ok(None) };
            let counters = Counters::decode(&mut Reader::new(&bytes))
                .map_err(|damage| ColdError::Damaged(key, damage))?;
            self.spans.insert((granularity, start), SpanPage { counters, ..SpanPage::default() });
        }
        let tick = self.tick;
        Ok(self.spans.get_mut(&(granularity, start)).map(|page| {
            page.state.used = tick;
            &page.counters
        }))
    }
}
