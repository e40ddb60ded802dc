//! Splits a range of days into the rows of the statistics API.

use counting::{Period, start_of_day_s};
use datacube::{Day, Granularity};

/// The stretch of time of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A whole hour, day, week or month.
    Period(Period),
    /// A range of days, both ends included.
    Days(Day, Day),
}

impl Span {
    /// The whole period. None for a range of days.
    pub fn period(self) -> Option<Period> {
        match self {
            Span::Period(period) => Some(period),
            Span::Days(..) => None,
        }
    }

    /// `[from, to)` in Unix seconds.
    pub fn seconds(self) -> (i64, i64) {
        match self {
            Span::Period(period) => (period.start_s(), period.end_s()),
            Span::Days(from, to) => (start_of_day_s(from), start_of_day_s(to.plus_days(1))),
        }
    }
}

/// How a range of days is split into rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// One row for each hour, day, week or month.
    By(Granularity),
    /// One row for the whole range.
    Total,
}

impl Grouping {
    /// The grouping with this name in the API. None for other names.
    pub fn by_name(name: &str) -> Option<Grouping> {
        match name {
            "hour" => Some(Grouping::By(Granularity::Hour)),
            "day" => Some(Grouping::By(Granularity::Day)),
            "week" => Some(Grouping::By(Granularity::Week)),
            "month" => Some(Grouping::By(Granularity::Month)),
            "total" => Some(Grouping::Total),
            _ => None,
        }
    }

    /// Splits the days from…to, with a label for each row, in order. The first and the last row only contain the part
    /// inside the range.
    pub fn spans(self, from: Day, to: Day) -> Box<dyn Iterator<Item = (String, Span)>> {
        match self {
            Grouping::Total => Box::new(std::iter::once((from.to_string(), Span::Days(from, to)))),
            Grouping::By(Granularity::Hour) => {
                Box::new(days(from, to).flat_map(|day| (0..24).map(move |hour| hour_span(day, hour))))
            }
            Grouping::By(granularity) => {
                let starts = std::iter::successors(Some(from.start_of(granularity)), move |day| {
                    Some(day.start_of_next(granularity))
                });
                Box::new(
                    starts
                        .take_while(move |day| *day <= to)
                        .map(move |start| period_span(granularity, start, from, to)),
                )
            }
        }
    }
}

fn days(from: Day, to: Day) -> impl Iterator<Item = Day> {
    (0..=to.days_since(from)).map(move |n| from.plus_days(n))
}

fn hour_span(day: Day, hour: u8) -> (String, Span) {
    (format!("{day}T{hour:02}"), Span::Period(Period::hour(day, hour)))
}

fn period_span(granularity: Granularity, start: Day, from: Day, to: Day) -> (String, Span) {
    let period = Period::holding(granularity, start);
    let whole = from <= start && period.last_day() <= to;
    let span =
        if whole { Span::Period(period) } else { Span::Days(from.max(start), to.min(period.last_day())) };
    (start.to_string(), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn edges_hold_only_what_was_asked_for() {
        let spans: Vec<_> =
            Grouping::By(Granularity::Month).spans(day("2026-01-15"), day("2026-03-31")).collect();
        let labels: Vec<&str> = spans.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["2026-01-01", "2026-02-01", "2026-03-01"]);
        assert_eq!(spans[0].1, Span::Days(day("2026-01-15"), day("2026-01-31")));
        assert_eq!(spans[1].1, Span::Period(Period::holding(Granularity::Month, day("2026-02-01"))));
        assert_eq!(Grouping::By(Granularity::Hour).spans(day("2026-01-01"), day("2026-01-02")).count(), 48);
        assert_eq!(Grouping::Total.spans(day("2026-01-01"), day("2026-01-02")).count(), 1);
    }
}
