//! Queries of an account: figures of a period, and senders of a range of days.

use datacube::{Day, Granularity};

use super::{Account, DayPage, SpanPage};
use crate::{
    Counters, Damaged, Period,
    day::DayFigures,
    page::{PageError, PageKey, PageSource},
    senders::Senders,
    varint::Reader,
};

/// A day or a whole month. A range of days is composed of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A single Beijing day.
    Day(Day),
    /// The whole month that starts on this day.
    Month(Day),
}

impl Piece {
    /// Splits the days from…to into as few pieces as possible, in order.
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

    /// The key of its page of senders.
    fn key(self) -> PageKey {
        match self {
            Piece::Day(day) => PageKey::DaySenders(day),
            Piece::Month(day) => PageKey::MonthSenders(day),
        }
    }

    /// Adds the piece as it was last saved.
    ///
    /// # Errors
    ///
    /// If the page cannot be read, is damaged, or is missing although the piece has figures.
    pub fn add_stored(self, source: &dyn PageSource, senders: &mut Senders) -> Result<(), PageError> {
        match self.page(source)? {
            Some(page) => senders.add_page(&page).map_err(|damage| PageError::Damaged(self.key(), damage)),
            None => Ok(()),
        }
    }

    fn page(self, source: &dyn PageSource) -> Result<Option<Vec<u8>>, PageError> {
        let figures = match self {
            Piece::Day(day) => PageKey::DayFigures(day),
            Piece::Month(day) => PageKey::Month(day),
        };
        match source.page(self.key())? {
            Some(page) => Ok(Some(page)),
            None if source.page(figures)?.is_none() => Ok(None),
            // The page may have been saved just now, together with the figures. If it is still missing it was lost;
            // the piece must not count as empty.
            None => match source.page(self.key())? {
                Some(page) => Ok(Some(page)),
                None => Err(PageError::Damaged(self.key(), Damaged("it is missing"))),
            },
        }
    }
}

impl Account {
    /// Adds a piece if it is in memory. Returns false if it must be read from disk.
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

    /// The messages of the days from…to, without their users.
    pub fn messages_of_days(
        &mut self,
        from: Day,
        to: Day,
        source: &dyn PageSource,
    ) -> Result<Counters, PageError> {
        self.tick += 1;
        let mut sum = Counters::default();
        for number in 0..=to.days_since(from) {
            if let Some(figures) = self.day_figures(from.plus_days(number), source)? {
                sum.add_messages_of(&figures.day);
            }
        }
        Ok(sum)
    }

    /// Number of users whose first counted message lies in the days from…to. A late message can move a user to an
    /// earlier day.
    pub fn new_users(&mut self, from: Day, to: Day, source: &dyn PageSource) -> Result<u64, PageError> {
        self.first_days.count(from, to, source)
    }

    /// The day of the first counted message. None if there is none.
    pub fn first_day(&mut self, source: &dyn PageSource) -> Result<Option<Day>, PageError> {
        self.first_days.earliest(source)
    }

    /// The figures of a period. None if it has no messages.
    pub fn figures(
        &mut self,
        period: Period,
        source: &dyn PageSource,
    ) -> Result<Option<&Counters>, PageError> {
        self.tick += 1;
        match period.granularity() {
            Granularity::Day => Ok(self.day_figures(period.start(), source)?.map(|figures| &figures.day)),
            Granularity::Hour => {
                Ok(self.day_figures(period.start(), source)?.and_then(|day| day.hour(period.hour_of_day())))
            }
            granularity => self.span_figures(granularity, period.start(), source),
        }
    }

    fn day_figures(&mut self, day: Day, source: &dyn PageSource) -> Result<Option<&DayFigures>, PageError> {
        if !self.days.contains_key(&day) {
            let key = PageKey::DayFigures(day);
            let Some(bytes) = source.page(key)? else { return Ok(None) };
            let figures = DayFigures::decode(&bytes).map_err(|damage| PageError::Damaged(key, damage))?;
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
        source: &dyn PageSource,
    ) -> Result<Option<&Counters>, PageError> {
        if !self.spans.contains_key(&(granularity, start)) {
            let key = PageKey::of_span(granularity, start);
            let Some(bytes) = source.page(key)? else { return Ok(None) };
            let counters = Counters::decode(&mut Reader::new(&bytes))
                .map_err(|damage| PageError::Damaged(key, damage))?;
            self.spans.insert((granularity, start), SpanPage { counters, ..SpanPage::default() });
        }
        let tick = self.tick;
        Ok(self.spans.get_mut(&(granularity, start)).map(|page| {
            page.state.used = tick;
            &page.counters
        }))
    }
}
