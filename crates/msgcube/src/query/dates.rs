//! Dates as users type them: a year, a month or a day. It stands for its first or its last day.

use datacube::{Day, DayError};

/// Why a text is not a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateTextError {
    /// Not YYYY, YYYY-MM or YYYY-MM-DD.
    #[error("write YYYY, YYYY-MM or YYYY-MM-DD, such as 2026, 2026-10 or 2026-10-31")]
    Form,
    /// The month is not 01 to 12.
    #[error("there is no such month: write 01 to 12, such as 2026-10")]
    Month,
    /// The month has no such day. The value is its last day.
    #[error("there is no such day: that month ends on {0}")]
    Day(Day),
}

/// First day of the year, month or day that `text` names.
pub fn first_day(text: &str) -> Result<Day, DateTextError> {
    complete_date(text, ["-01-01", "-01"])
}

/// Last day of the year, month or day that `text` names.
pub fn last_day(text: &str) -> Result<Day, DateTextError> {
    match text.len() {
        7 => Ok(first_day(text)?.first_of_next_month().plus_days(-1)),
        _ => complete_date(text, ["-12-31", ""]),
    }
}

fn complete_date(text: &str, [after_year, after_month]: [&str; 2]) -> Result<Day, DateTextError> {
    let rest = match text.len() {
        4 => after_year,
        7 => after_month,
        10 => "",
        _ => return Err(DateTextError::Form),
    };
    format!("{text}{rest}").parse().map_err(|error| match error {
        DayError::Form => DateTextError::Form,
        DayError::NoSuchDay => no_such_day(text),
    })
}

/// The error for a text that looks like a date but is not in the calendar.
fn no_such_day(text: &str) -> DateTextError {
    let month = text.get(..7).and_then(|month| format!("{month}-01").parse::<Day>().ok());
    match month {
        Some(first) => DateTextError::Day(first.first_of_next_month().plus_days(-1)),
        None => DateTextError::Month,
    }
}

/// The range to ask for, and whether its end was moved to an earlier day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedRange {
    /// First day.
    pub begin: Day,
    /// Last day, at most the last day that has figures.
    pub end: Day,
    /// `end` is earlier than the day that was typed.
    pub clipped: bool,
}

/// Limits the range to `last`. None: nothing is left, or the range ends before it begins.
pub fn asked_range(from: Day, to: Option<Day>, last: Day) -> Option<AskedRange> {
    let end = to.unwrap_or(last).min(last);
    (from <= end).then_some(AskedRange { begin: from, end, clipped: to.is_some_and(|to| to > last) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_and_a_month_stand_for_their_first_and_last_day() {
        for (text, first, last) in [
            ("2026", "2026-01-01", "2026-12-31"),
            ("2024-02", "2024-02-01", "2024-02-29"),
            ("2026-12", "2026-12-01", "2026-12-31"),
            ("2026-10-05", "2026-10-05", "2026-10-05"),
        ] {
            assert_eq!(first_day(text).unwrap().to_string(), first);
            assert_eq!(last_day(text).unwrap().to_string(), last);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "26", "2026-1", "2026/10", "yesterday", "2026-10-5", "二〇二六"] {
            assert_eq!(first_day(text), Err(DateTextError::Form), "{text}");
            assert_eq!(last_day(text), Err(DateTextError::Form), "{text}");
        }
        for text in ["2026-13", "2026-00", "2026-13-01"] {
            assert_eq!(first_day(text), Err(DateTextError::Month), "{text}");
            assert_eq!(last_day(text), Err(DateTextError::Month), "{text}");
        }
        for (text, last) in
            [("2025-02-30", "2025-02-28"), ("2024-02-30", "2024-02-29"), ("2026-10-00", "2026-10-31")]
        {
            let error = first_day(text).unwrap_err();
            assert_eq!(last_day(text), Err(error));
            assert_eq!(error.to_string(), format!("there is no such day: that month ends on {last}"));
        }
    }

    #[test]
    fn the_end_is_brought_forward_to_the_last_day_that_can_be_asked_for() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let (from, last) = (day("2026-11-01"), day("2026-11-21"));
        let range = |end, clipped| Some(AskedRange { begin: from, end, clipped });
        assert_eq!(asked_range(from, Some(day("2026-11-30")), last), range(last, true));
        assert_eq!(asked_range(from, Some(last), last), range(last, false));
        assert_eq!(asked_range(from, None, last), range(last, false));
        assert_eq!(asked_range(last.plus_days(1), None, last), None);
        assert_eq!(asked_range(from, Some(from.plus_days(-1)), last), None);
    }
}
