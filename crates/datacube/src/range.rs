//! Which ranges of dates an interface accepts, and how a longer range is split into accepted windows.

use crate::{DateProfile, Day, Granularity, Interface};

/// Why a range of dates is refused. On the wire, each is error 61501.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The range ends before it begins.
    #[error("begin_date is after end_date")]
    Backwards,
    /// The range has more days than the interface accepts.
    #[error("the range is {days} days long, {span_days} are allowed")]
    TooLong {
        /// Length of the requested range in days, first and last day included.
        days: i32,
        /// Longest allowed length in days.
        span_days: i32,
    },
    /// The range ends after the last day that has figures.
    #[error("end_date is after {last}, the last day that can be asked for")]
    TooLate {
        /// The last allowed day.
        last: Day,
    },
}

/// Checks that `begin` <= `end` <= `last`, and that the range is not too long for the interface. Source: WeChat's page of
/// the interface, "begin_date and end_date".
///
/// # Errors
/// The first rule that the range breaks, in the order of [`RangeError`].
pub fn check_range(
    interface: &Interface,
    profile: DateProfile,
    begin: Day,
    end: Day,
    last: Day,
) -> Result<(), RangeError> {
    let days = end.days_since(begin) + 1;
    let span_days = interface.span_days(profile);
    if days < 1 {
        Err(RangeError::Backwards)
    } else if days > span_days {
        Err(RangeError::TooLong { days, span_days })
    } else if end > last {
        Err(RangeError::TooLate { last })
    } else {
        Ok(())
    }
}

/// Splits a range, first and last day included, into the fewest windows that both date rules accept (those of
/// [`DateProfile::Strict`]). Each period whose first day is in the range is in exactly one window.
pub fn windows(interface: &Interface, begin: Day, end: Day) -> Vec<(Day, Day)> {
    let span_days = interface.span_days(DateProfile::Strict);
    let mut windows: Vec<(Day, Day)> = Vec::new();
    let mut period = first_period(interface.granularity, begin);
    while period <= end {
        match windows.last_mut() {
            Some((from, to)) if period.days_since(*from) < span_days => *to = period,
            _ => windows.push((period, period)),
        }
        period = period.start_of_next(interface.granularity);
    }
    windows
}

/// The first day on or after `begin` that starts a period: any day, a Monday, or a 1st.
fn first_period(granularity: Granularity, begin: Day) -> Day {
    if begin.start_of(granularity) == begin { begin } else { begin.start_of_next(granularity) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::INTERFACES;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_range_counts_its_first_and_last_day() {
        let last = day("2026-11-21");
        for interface in &INTERFACES {
            for profile in [DateProfile::Lenient, DateProfile::Strict] {
                let span = interface.span_days(profile);
                let check = |days| check_range(interface, profile, last.plus_days(1 - days), last, last);
                assert_eq!(check(span), Ok(()), "{}", interface.name);
                assert_eq!(check(span + 1), Err(RangeError::TooLong { days: span + 1, span_days: span }));
                assert_eq!(check(0), Err(RangeError::Backwards));
            }
            let tomorrow = last.plus_days(1);
            let late = check_range(interface, DateProfile::Lenient, tomorrow, tomorrow, last);
            assert_eq!(late, Err(RangeError::TooLate { last }));
        }
    }

    #[test]
    fn windows_hold_each_period_once_and_are_accepted() {
        let (begin, end) = (day("2025-12-30"), day("2027-03-02"));
        for interface in &INTERFACES {
            let windows = windows(interface, begin, end);
            let mut covered = Vec::new();
            for (from, to) in &windows {
                assert_eq!(check_range(interface, DateProfile::Strict, *from, *to, end), Ok(()));
                let days = (0..=to.days_since(*from)).map(|n| from.plus_days(n));
                covered.extend(days.filter(|day| day.start_of(interface.granularity) == *day));
            }
            let all = (0..=end.days_since(begin)).map(|n| begin.plus_days(n));
            let starts: Vec<Day> = all.filter(|day| day.start_of(interface.granularity) == *day).collect();
            assert_eq!(covered, starts, "{}", interface.name);
        }
    }

    #[test]
    fn a_range_without_a_first_of_a_month_has_no_windows() {
        let month = Interface::by_short_name("month").unwrap();
        assert_eq!(windows(month, day("2014-12-07"), day("2014-12-08")), []);
    }
}
