//! Which dates an interface takes, and how a long range is split into windows that it takes.

use crate::{DateProfile, Day, Granularity, Interface};

/// Why a range of dates is refused (error 61501 on the wire). Days as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The range ends before it begins.
    #[error("begin_date is after end_date")]
    Backwards,
    /// end − begin in days is not smaller than the span.
    #[error("the range is {days} days long, {span_days} are allowed")]
    TooLong {
        /// Length asked for, both ends counted.
        days: i32,
        /// Largest length allowed, both ends counted.
        span_days: i32,
    },
    /// The range ends after the last day that can be asked for.
    #[error("end_date is after {last}, the last day that can be asked for")]
    TooLate {
        /// The last day that can be asked for.
        last: Day,
    },
}

/// Checks begin <= end <= `last` and end − begin < span (source: the interface's page, "begin_date and end_date").
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

/// Splits begin…end (both included) into the fewest windows that every reading of WeChat's page accepts (the
/// strict spans), so that each period named by a day inside begin…end is asked for exactly once.
pub fn windows(interface: &Interface, begin: Day, end: Day) -> Vec<(Day, Day)> {
    let span_days = interface.span_days(DateProfile::Strict);
    let mut windows: Vec<(Day, Day)> = Vec::new();
    let mut named = first_named(interface.granularity, begin);
    while named <= end {
        match windows.last_mut() {
            Some((from, to)) if named.days_since(*from) < span_days => *to = named,
            _ => windows.push((named, named)),
        }
        named = named.start_of_next(interface.granularity);
    }
    windows
}

/// The first day on or after `begin` that names a period: any day, a Monday, or a 1st.
fn first_named(granularity: Granularity, begin: Day) -> Day {
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
    fn both_ends_count_and_the_span_is_the_largest_length() {
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
    fn windows_name_each_period_once_and_are_legal() {
        let (begin, end) = (day("2025-12-30"), day("2027-03-02"));
        for interface in &INTERFACES {
            let windows = windows(interface, begin, end);
            let mut asked = Vec::new();
            for (from, to) in &windows {
                assert_eq!(check_range(interface, DateProfile::Strict, *from, *to, end), Ok(()));
                let days = (0..=to.days_since(*from)).map(|n| from.plus_days(n));
                asked.extend(days.filter(|day| day.start_of(interface.granularity) == *day));
            }
            let all = (0..=end.days_since(begin)).map(|n| begin.plus_days(n));
            let named: Vec<Day> = all.filter(|day| day.start_of(interface.granularity) == *day).collect();
            assert_eq!(asked, named, "{}", interface.name);
        }
    }

    #[test]
    fn a_range_without_a_first_holds_no_month() {
        let month = Interface::by_short_name("month").unwrap();
        assert_eq!(windows(month, day("2014-12-07"), day("2014-12-08")), []);
    }
}
