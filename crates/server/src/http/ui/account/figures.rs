//! Reads the figures of an account's page. Each stretch of time is read once, and what `/v1` calculates is calculated by
//! the same functions.

use counting::{COUNTED_TYPES, Kind, Period};
use datacube::{Day, Granularity};
use pages::{
    AccountFiguresView, ChartPeriod, Compared, DistributionFigures, EventFigures, FigureTile, OFFICIAL_TYPES,
    PeriodFigures, RangeCoverage, TodayTile, TypeFigures, WeekUsers,
};
use storage::store::{
    AccountNumber, NewUsers, Slice, Store, StoreError,
    statistics::{Grouping, Span},
};

use super::{
    covered::{CountedTime, range_coverage},
    range::ChosenDays,
    sources::FigureSources,
};
use crate::{
    accounts::registry::ServedAccount,
    figures::statistics::{COUNT_NAMES, Split, StatisticsError, StatisticsQuery, rows},
};

/// Events by name that the page shows. A file has all of them.
pub const EVENTS_SHOWN_MAX: usize = 50;
/// Weekday and hour are shown for a range of so many days.
const DAYS_OF_HEAT_MAP: std::ops::RangeInclusive<i32> = 7..=92;
/// New and returning users are shown for a range of so many days.
const DAYS_OF_WEEKS: std::ops::RangeInclusive<i32> = 14..=400;

/// Reads figures of one account. Everything here blocks for the disk.
#[derive(Debug)]
pub struct AccountReader<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// The time, in Unix seconds.
    pub now_s: i64,
    /// The account.
    pub account: &'a ServedAccount,
    /// Its counted time.
    pub counted: &'a CountedTime,
    /// Where else its figures can be had.
    pub sources: &'a FigureSources,
}

/// The figures of the compared time, or why nothing is compared.
struct ComparedRange(Result<Slice, Compared>);

impl AccountReader<'_> {
    fn number(&self) -> AccountNumber {
        self.account.number
    }

    fn slice(&self, span: Span) -> Result<Slice, StoreError> {
        self.store.slice(self.number(), span)
    }

    fn slices(&self, spans: &[Span]) -> Result<Vec<Slice>, StoreError> {
        self.store.slices(self.number(), spans)
    }

    fn is_open(&self, end_s: i64) -> bool {
        end_s > self.now_s
    }

    /// Today until now.
    pub fn today(&self) -> Result<TodayTile, StoreError> {
        let today = counting::day_of(self.now_s);
        let slice = self.slice(whole(today, today))?;
        let source = self.sources.of_days((today, today), "period=total");
        Ok(TodayTile { messages: slice.messages_counted, users: slice.users_counted, source })
    }

    /// All figures of a range, with every event.
    pub fn figures(&self, chosen: &ChosenDays) -> Result<AccountFiguresView, StatisticsError> {
        let days = (chosen.from, chosen.to);
        let slice = self.slice(whole(chosen.from, chosen.to))?;
        let before = self.compared_range(chosen)?;
        let segments = self.counted.segments(chosen.from, chosen.to);
        let coverage = range_coverage(&segments, slice.messages_counted > 0);
        let is_at_least = coverage == RangeCoverage::Part;
        let tile = |of: fn(&Slice) -> u64| FigureTile {
            value: of(&slice),
            compared: before.as_ref().map_or(Compared::No, |before| before.of(of)),
            is_at_least,
            source: self.sources.of_days(days, "period=total"),
        };
        let new_users = self.store.new_users(self.number(), chosen.from, chosen.to)?;
        let (by, stats) = (super::range::granularity_name(chosen.granularity), &self.sources);
        Ok(AccountFiguresView {
            from: chosen.from,
            to: chosen.to,
            coverage,
            first_counted: None,
            segments,
            users: tile(|slice| slice.users_counted),
            messages: tile(|slice| slice.messages_counted),
            new_users: Some(self.new_users_tile(&new_users, chosen, is_at_least)),
            new_is_early: new_users.is_early,
            periods: self.periods(chosen)?,
            period_users_source: stats.table("periods", days, &format!("period={by}")),
            periods_source: stats.table("periods", days, &format!("period={by}&by=official")),
            types: types(&slice, before.as_ref()),
            not_counted: not_counted(&slice),
            types_source: stats.table("types", days, "period=total&by=official"),
            distribution: self.distribution(chosen)?,
            events: events(&slice),
            more_events: 0,
            events_source: stats.table("events", days, "period=total&by=type"),
            hours: self.hours(chosen)?,
            hours_source: stats.table("hours", days, "period=hour"),
            weeks: self.weeks(chosen)?,
            weeks_source: stats.table("weeks", whole_weeks(chosen), "period=week&new=true"),
            chart_files: stats.charts(),
        })
    }

    fn new_users_tile(&self, new_users: &NewUsers, chosen: &ChosenDays, is_at_least: bool) -> FigureTile {
        let source = self.sources.of_days((chosen.from, chosen.to), "period=total&new=true");
        FigureTile { value: new_users.users, compared: Compared::No, is_at_least, source }
    }

    /// None: nothing is compared, because the query says so.
    fn compared_range(&self, chosen: &ChosenDays) -> Result<Option<ComparedRange>, StoreError> {
        let Some((from, to)) = chosen.before else { return Ok(None) };
        let span = whole(from, to);
        let (start_s, end_s) = span.seconds();
        let slice = match self.counted.why_not(start_s, end_s) {
            Some(why) => Err(why),
            // A range with a day that is not over has nothing to be compared with as a whole.
            None if self.is_open(Span::Days(chosen.from, chosen.to).seconds().1) => Err(Compared::No),
            None => Ok(self.slice(span)?),
        };
        Ok(Some(ComparedRange(slice)))
    }

    fn periods(&self, chosen: &ChosenDays) -> Result<Vec<PeriodFigures>, StoreError> {
        let spans = |(from, to)| -> Vec<Span> {
            Grouping::By(chosen.granularity).spans(from, to).map(|(_, span)| span).collect()
        };
        let before: Vec<Span> = chosen.before.into_iter().flat_map(spans).collect();
        let mut before = before.iter().copied().zip(self.slices(&before)?);
        let asked = spans((chosen.from, chosen.to));
        let slices = self.slices(&asked)?;
        let periods = asked.into_iter().zip(slices).map(|(span, slice)| {
            let (start_s, end_s) = span.seconds();
            let is_counted = slice.messages_counted > 0 || self.counted.touches(start_s, end_s);
            let period = chart_period(span, chosen.granularity);
            PeriodFigures {
                period,
                is_open: self.is_open(calendar_period(period).end_s()),
                users: is_counted.then_some(slice.users_counted),
                users_before: before.next().and_then(|(span, slice)| self.users_of_covered(span, &slice)),
                messages: messages_by_type(&slice),
            }
        });
        Ok(periods.collect())
    }

    /// None: a part of it was not counted.
    fn users_of_covered(&self, span: Span, slice: &Slice) -> Option<u64> {
        let (start_s, end_s) = span.seconds();
        self.counted.why_not(start_s, end_s).is_none().then_some(slice.users_counted)
    }

    /// Of the newest whole month in the range, else the newest whole week, else the last day.
    fn distribution(&self, chosen: &ChosenDays) -> Result<Option<DistributionFigures>, StatisticsError> {
        let newest_whole = |granularity| {
            let last = chosen.to.plus_days(1).start_of(granularity).plus_days(-1);
            let period = Period::holding(granularity, last);
            (period.start() >= chosen.from).then_some(period)
        };
        let found =
            [Granularity::Month, Granularity::Week, Granularity::Day].into_iter().find_map(newest_whole);
        let Some(period) = found else { return Ok(None) };
        let users = self.users_by_count(period)?;
        let is_open = self.is_open(period.end_s());
        let before = Period::holding(period.granularity(), period.start().plus_days(-1));
        let compared = match self.counted.why_not(before.start_s(), before.end_s()) {
            _ if is_open || chosen.before.is_none() => [Compared::No; 3],
            Some(why) => [why; 3],
            None => self.users_by_count(before)?.map(Compared::With),
        };
        let by = super::range::granularity_name(period.granularity());
        let days = (period.start(), period.last_day());
        Ok(Some(DistributionFigures {
            period: ChartPeriod::containing(period.start(), period.granularity()),
            is_open,
            users,
            compared,
            source: self.sources.table("distribution", days, &format!("period={by}&by=count")),
        }))
    }

    fn users_by_count(&self, period: Period) -> Result<[u64; 3], StatisticsError> {
        let grouping = Grouping::By(period.granularity());
        let (days, today) = ((period.start(), period.last_day()), counting::day_of(self.now_s));
        let query = StatisticsQuery::new(days, grouping, Some(Split::Count), false, today);
        let query = query.unwrap_or_else(|error| unreachable!("a whole period: {error}"));
        let rows = rows(self.store, self.now_s, self.account, &query)?;
        let users =
            |name: &str| rows.iter().find(|row| row.row.count == Some(name)).map_or(0, |row| row.row.users);
        Ok(COUNT_NAMES.map(users))
    }

    /// Messages by weekday and hour. None: the range is too short or too long.
    fn hours(&self, chosen: &ChosenDays) -> Result<Option<[[u64; 24]; 7]>, StoreError> {
        if !DAYS_OF_HEAT_MAP.contains(&chosen.length()) {
            return Ok(None);
        }
        let mut sums = [[0; 24]; 7];
        let hours = Grouping::By(Granularity::Hour).spans(chosen.from, chosen.to);
        let hours: Vec<Span> = hours.map(|(_, span)| span).collect();
        for (span, slice) in hours.iter().zip(self.slices(&hours)?) {
            let ChartPeriod { day, hour, .. } = chart_period(*span, Granularity::Hour);
            let weekday = usize::try_from(day.days_since(day.monday())).unwrap_or_default();
            sums[weekday][usize::from(hour)] += slice.messages_counted;
        }
        Ok(Some(sums))
    }

    /// New and returning users of the whole weeks that the range touches.
    fn weeks(&self, chosen: &ChosenDays) -> Result<Vec<WeekUsers>, StoreError> {
        if !DAYS_OF_WEEKS.contains(&chosen.length()) {
            return Ok(Vec::new());
        }
        let (from, to) = whole_weeks(chosen);
        let spans: Vec<Span> =
            Grouping::By(Granularity::Week).spans(from, to).map(|(_, span)| span).collect();
        let slices = self.slices(&spans)?;
        let weeks = spans.into_iter().zip(slices).map(|(span, slice)| {
            let monday = chart_period(span, Granularity::Week).day;
            let new = self.store.new_users(self.number(), monday, monday.plus_days(6))?;
            let users = slice.users_counted;
            Ok(WeekUsers {
                monday,
                new: new.users,
                returning: users.saturating_sub(new.users),
                new_is_early: new.is_early,
                is_open: self.is_open(span.seconds().1),
            })
        });
        weeks.collect()
    }
}

impl ComparedRange {
    fn of(&self, of: impl Fn(&Slice) -> u64) -> Compared {
        match &self.0 {
            Ok(slice) => Compared::With(of(slice)),
            Err(why) => *why,
        }
    }
}

/// A range of days. A whole day, week or month has its figures ready.
fn whole(from: Day, to: Day) -> Span {
    let is_whole = |granularity: &Granularity| {
        from.start_of(*granularity) == from && from.start_of_next(*granularity) == to.plus_days(1)
    };
    let found = [Granularity::Month, Granularity::Week, Granularity::Day].into_iter().find(is_whole);
    found.map_or(Span::Days(from, to), |granularity| Span::Period(Period::holding(granularity, from)))
}

fn whole_weeks(chosen: &ChosenDays) -> (Day, Day) {
    (chosen.from.monday(), chosen.to.monday().plus_days(6))
}

fn chart_period(span: Span, granularity: Granularity) -> ChartPeriod {
    match span {
        Span::Period(period) if granularity == Granularity::Hour => {
            ChartPeriod::hour(period.start(), period.hour_of_day())
        }
        Span::Period(period) => ChartPeriod::containing(period.start(), granularity),
        Span::Days(from, _) => ChartPeriod::containing(from, granularity),
    }
}

fn calendar_period(period: ChartPeriod) -> Period {
    match period.granularity {
        Granularity::Hour => Period::hour(period.day, period.hour),
        granularity => Period::holding(granularity, period.day),
    }
}

fn messages_by_type(slice: &Slice) -> [u64; OFFICIAL_TYPES] {
    let mut messages = [0; OFFICIAL_TYPES];
    for found in slice.by_official_type() {
        messages[place(found.msg_type)] = found.messages;
    }
    messages
}

/// The place of a type in WeChat's order.
fn place(msg_type: u8) -> usize {
    COUNTED_TYPES.iter().position(|known| *known == msg_type).unwrap_or_default()
}

fn types(slice: &Slice, before: Option<&ComparedRange>) -> [TypeFigures; OFFICIAL_TYPES] {
    let mut types: [TypeFigures; OFFICIAL_TYPES] = std::array::from_fn(|at| TypeFigures {
        // Why nothing is compared stands once, at the sum.
        compared: match before {
            Some(ComparedRange(Ok(slice))) => Compared::With(messages_by_type(slice)[at]),
            _ => Compared::No,
        },
        ..TypeFigures::default()
    });
    for found in slice.by_official_type() {
        let of_type = &mut types[place(found.msg_type)];
        (of_type.users, of_type.messages) = (found.users, found.messages);
    }
    types
}

/// Messages of kinds that WeChat does not count. Events have a table of their own.
fn not_counted(slice: &Slice) -> Vec<EventFigures> {
    let kinds =
        slice.by_kind.iter().filter(|(kind, _)| kind.counted_type().is_none() && **kind != Kind::Event);
    kinds
        .map(|(kind, figures)| EventFigures { name: kind.name().to_owned(), count: figures.messages })
        .collect()
}

/// Events by name, most frequent first.
fn events(slice: &Slice) -> Vec<EventFigures> {
    let named = slice.by_kind.get(&Kind::Event).into_iter().flat_map(|figures| &figures.events);
    let mut events: Vec<EventFigures> =
        named.map(|(name, count)| EventFigures { name: name.clone(), count: *count }).collect();
    // Names are in order, and sorting keeps that order among equals.
    events.sort_by_key(|event| std::cmp::Reverse(event.count));
    events
}
