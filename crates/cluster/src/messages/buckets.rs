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

    /// Where each stretch begins, and where the last one ends.
    pub(super) fn borders(&self) -> &[i64] {
        &self.borders
    }

    /// Where the stretch of full length begins whose end is that of the first stretch. From here on steps are counted.
    pub(super) fn base_s(&self) -> i64 {
        match (self.step_s, self.borders.as_slice()) {
            (Some(step_s), [start_s, end_s, _, ..]) => (end_s - step_s).min(*start_s),
            (_, [start_s, ..]) => *start_s,
            _ => 0,
        }
    }

    /// The index of the stretch that a server names: by its number if all have one length, else by its first second.
    pub(super) fn index_of(&self, bucket: i64) -> Option<usize> {
        let index = match self.step_s {
            None if self.len() > 1 => self.borders.binary_search(&bucket).ok()?,
            _ => usize::try_from(bucket).ok()?,
        };
        (index < self.len()).then_some(index)
    }

    /// The length of all stretches but the first and the last, if they have the same.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// The bucket of a second, computed as the server does.
    fn of_server(buckets: &Buckets, second: i64) -> Option<usize> {
        let bucket = match buckets.step_s() {
            _ if buckets.len() == 1 => 0,
            Some(step_s) => (second - buckets.base_s()) / step_s,
            None => *buckets.borders().iter().rev().find(|border| **border <= second).unwrap(),
        };
        buckets.index_of(bucket)
    }

    fn granularity() -> impl Strategy<Value = Granularity> {
        use Granularity::{Day, Hour, Month, Week};
        prop_oneof![Just(Hour), Just(Day), Just(Week), Just(Month)]
    }

    proptest! {
        #[test]
        fn seconds_fall_into_the_periods_of_the_calendar(
            granularity in granularity(), first in -10_i32..24_000, days in 0_i32..100, at in 0.0..1.0_f64
        ) {
            let (from, to) = (Day::from_days_since_1970(first.into()), Day::from_days_since_1970((first + days).into()));
            let buckets = Buckets::split(granularity, from, to);
            let (start_s, end_s) = (start_of_day_s(from), start_of_day_s(to.plus_days(1)));
            prop_assert_eq!((buckets.borders()[0], *buckets.borders().last().unwrap()), (start_s, end_s));
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let inside = start_s + ((end_s - start_s - 1) as f64 * at) as i64;
            for index in 0..buckets.len() {
                let (bucket_start, bucket_end) = buckets.bounds(index).unwrap();
                let period = Period::of(granularity, bucket_start);
                prop_assert_eq!(bucket_start, period.start_s().max(start_s));
                prop_assert_eq!(bucket_end, period.end_s().min(end_s));
                prop_assert_eq!(of_server(&buckets, bucket_start), Some(index));
                prop_assert_eq!(of_server(&buckets, bucket_end - 1), Some(index));
                if (bucket_start..bucket_end).contains(&inside) {
                    prop_assert_eq!(of_server(&buckets, inside), Some(index));
                }
            }
        }

        #[test]
        fn whole_periods_are_those_of_the_calendar(granularity in granularity(), at in 0_i64..4_000_000_000, count in 1_usize..30) {
            let first = Period::of(granularity, at);
            let periods: Vec<Period> =
                std::iter::successors(Some(first), |period| Some(Period::of(granularity, period.end_s()))).take(count).collect();
            let buckets = Buckets::of_periods(first, *periods.last().unwrap());
            let bounds: Vec<_> = (0..buckets.len()).map(|index| buckets.bounds(index).unwrap()).collect();
            prop_assert_eq!(bounds, periods.iter().map(|period| (period.start_s(), period.end_s())).collect::<Vec<_>>());
            prop_assert_eq!(buckets.bounds(count), None);
        }
    }

    #[test]
    fn one_stretch_has_one_bucket_and_an_empty_one_holds_nothing() {
        let range = Buckets::range(100, 200);
        assert_eq!((range.len(), range.bounds(0), range.index_of(0)), (1, Some((100, 200)), Some(0)));
        assert_eq!(range.stored_bounds(), Some((100, 199)));
        assert_eq!(Buckets::range(200, 100).stored_bounds(), None);
        let one = Buckets::split(Granularity::Month, day("2026-02-03"), day("2026-02-05"));
        assert_eq!((one.len(), one.index_of(0), one.index_of(1)), (1, Some(0), None));
    }

    #[test]
    fn stored_seconds_end_where_the_column_ends() {
        let last = i64::from(u32::MAX);
        assert_eq!(stored_bounds(-10, 5), Some((0, 4)));
        assert_eq!(stored_bounds(-10, 0), None);
        assert_eq!(stored_bounds(last, last + 100), Some((u32::MAX, u32::MAX)));
        assert_eq!(stored_bounds(last + 1, last + 100), None);
        assert_eq!(stored_bounds(i64::MIN, i64::MAX), Some((0, u32::MAX)));
        assert_eq!(stored_bounds(0, i64::MIN), None);
    }
}
