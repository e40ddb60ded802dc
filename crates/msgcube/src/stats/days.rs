//! The days that are asked for, and the periods they are split into.

use datacube::{Day, Granularity};
use storage::store::statistics::Grouping;

use super::{StatsBy, StatsError, StatsPeriod};

/// Length of the range if only its end is known, in days, and in days of hours, weeks and months.
const DAYS: i32 = 28;
const HOURLY_DAYS: i32 = 2;
const WEEKS: i32 = 12;
const MONTHS: i32 = 12;
/// Before this year no message can have been sent. WeChat began in 2011.
const EARLIEST_YEAR: i16 = 2011;

/// A range of days in Beijing, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayRange {
    pub(super) from: Day,
    pub(super) to: Day,
}

/// A period that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BegunPeriod {
    /// As the rows name it.
    pub(super) label: String,
    /// `[start, end)` in Unix seconds.
    pub(super) start_s: i64,
    pub(super) end_s: i64,
}

impl DayRange {
    /// Fills in what was not typed.
    pub(super) fn new(
        from: Option<Day>,
        to: Option<Day>,
        period: StatsPeriod,
        today: Day,
    ) -> Result<DayRange, StatsError> {
        let to = to.unwrap_or(today);
        let from = from.unwrap_or_else(|| default_from(period, to));
        if from > to { Err(StatsError::EndBeforeStart { from, to }) } else { Ok(DayRange { from, to }) }
    }

    /// The periods of the range that have begun, in order.
    pub(super) fn begun(self, period: StatsPeriod, now_s: i64) -> Vec<BegunPeriod> {
        let from = match period {
            StatsPeriod::Total => self.from,
            _ => self.from.max(Day::from_ymd(EARLIEST_YEAR, 1, 1).unwrap_or(self.from)),
        };
        if from > self.to {
            return Vec::new();
        }
        let spans = grouping(period).spans(from, self.to).map(|(label, span)| {
            let (start_s, end_s) = span.seconds();
            BegunPeriod { label, start_s, end_s }
        });
        spans.take_while(|period| period.start_s <= now_s).collect()
    }
}

impl BegunPeriod {
    /// The period as people read it.
    pub(super) fn name(&self, period: StatsPeriod) -> String {
        match period {
            StatsPeriod::Hour => format!("{}:00", self.label.replacen('T', " ", 1)),
            StatsPeriod::Month => self.label.get(..7).unwrap_or(&self.label).to_owned(),
            StatsPeriod::Day | StatsPeriod::Week | StatsPeriod::Total => self.label.clone(),
        }
    }
}

/// The rows that a table needs beside its own: the whole range for its last line, or parts of the range for the spark
/// lines of totals. None: it needs no others.
pub(super) fn beside(period: StatsPeriod, by: Option<StatsBy>, days: DayRange) -> Option<StatsPeriod> {
    let length = days.to.days_since(days.from) + 1;
    match (period, by) {
        // Figures by count exist for calendar periods only.
        (_, Some(StatsBy::Count)) => None,
        (StatsPeriod::Total, _) => Some(match length {
            ..=2 => StatsPeriod::Hour,
            3..=62 => StatsPeriod::Day,
            63..=400 => StatsPeriod::Week,
            _ => StatsPeriod::Month,
        }),
        _ => Some(StatsPeriod::Total),
    }
}

fn default_from(period: StatsPeriod, to: Day) -> Day {
    match period {
        StatsPeriod::Hour => to.plus_days(1 - HOURLY_DAYS),
        StatsPeriod::Day | StatsPeriod::Total => to.plus_days(1 - DAYS),
        StatsPeriod::Week => to.monday().plus_days(7 * (1 - WEEKS)),
        StatsPeriod::Month => {
            // The day before the 1st lies in the month before.
            (1..MONTHS).fold(to.first_of_month(), |first, _| first.plus_days(-1).first_of_month())
        }
    }
}

fn grouping(period: StatsPeriod) -> Grouping {
    match period {
        StatsPeriod::Hour => Grouping::By(Granularity::Hour),
        StatsPeriod::Day => Grouping::By(Granularity::Day),
        StatsPeriod::Week => Grouping::By(Granularity::Week),
        StatsPeriod::Month => Grouping::By(Granularity::Month),
        StatsPeriod::Total => Grouping::Total,
    }
}
