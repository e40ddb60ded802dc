//! Consecutive stretches of time that are counted in one pass. Pure.

use counting::{HOUR_S, Period, start_of_day_s};
use datacube::{Day, Granularity};

/// Consecutive stretches of time, each `[from, to)` in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Where each begins, and where the last one ends. Ascending.
    borders: Vec<i64>,
    /// The length of the stretches in seconds; the first and the last may be shorter. None: they have several lengths.
    step_s: Option<i64>,
}

impl Buckets {
    /// The whole periods from `first` to `last`, which have the same length.
    pub fn of_periods(first: Period, last: Period) -> Buckets {
        Buckets::by(first.granularity(), first.start_s(), last.end_s())
    }

    /// The days from…to, both included, split into hours, days, weeks or months. The first and the last stretch only hold
    /// what is inside the range.
    pub fn split(granularity: Granularity, from: Day, to: Day) -> Buckets {
        Buckets::by(granularity, start_of_day_s(from), start_of_day_s(to.plus_days(1)))
    }

    /// One stretch.
    pub fn range(from_s: i64, to_s: i64) -> Buckets {
        Buckets { borders: vec![from_s, to_s.max(from_s)], step_s: None }
    }

    fn by(granularity: Granularity, from_s: i64, to_s: i64) -> Buckets {
        let next = |start_s: &i64| Some(Period::of(granularity, *start_s).end_s());
        let starts = std::iter::successors(Some(from_s), next).take_while(|start_s| *start_s < to_s);
        let borders = starts.chain([to_s.max(from_s)]).collect();
        let step_s = match granularity {
            Granularity::Hour => Some(HOUR_S),
            Granularity::Day => Some(24 * HOUR_S),
            Granularity::Week => Some(7 * 24 * HOUR_S),
            Granularity::Month => None,
        };
        Buckets { borders, step_s }
    }

    /// How many stretches there are.
    pub fn len(&self) -> usize {
        self.borders.len().saturating_sub(1)
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[from, to)` of a stretch. None if there is no such stretch.
    pub fn bounds(&self, index: usize) -> Option<(i64, i64)> {
        Some((*self.borders.get(index)?, *self.borders.get(index + 1)?))
    }

    /// First and last second of all stretches as stored times. None if no stored time can be inside.
    pub(super) fn stored_bounds(&self) -> Option<(u32, u32)> {
        stored_bounds(*self.borders.first()?, *self.borders.last()?)
    }

    pub(super) fn borders(&self) -> &[i64] {
        &self.borders
    }

    pub(super) fn step_s(&self) -> Option<i64> {
        self.step_s
    }
}

/// First and last stored second of `[from_s, to_s)`. None if no stored time can be inside.
pub(super) fn stored_bounds(from_s: i64, to_s: i64) -> Option<(u32, u32)> {
    let first = u32::try_from(from_s.max(0)).ok()?;
    let last = u32::try_from(to_s.saturating_sub(1).min(i64::from(u32::MAX))).ok()?;
    (first <= last).then_some((first, last))
}
