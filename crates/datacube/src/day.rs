//! Calendar days as the interface writes them (`YYYY-MM-DD`). Knows no clock and no time zone: the caller converts a time
//! to a day in Beijing first.

use std::{fmt, str::FromStr};

use jiff::{ToSpan as _, civil};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The length of the periods an interface reports on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granularity {
    /// One hour of a day.
    Hour,
    /// One calendar day.
    Day,
    /// Monday to Sunday, named by its Monday.
    Week,
    /// One calendar month, named by its 1st.
    Month,
}

/// A calendar day from 0000-01-01 to 9999-12-31, stored as the number of days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// Why a text is not a day of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// Not four digits, a dash, two digits, a dash, two digits.
    #[error("not of the form YYYY-MM-DD")]
    Form,
    /// The form is right, but the calendar has no such day.
    #[error("no such day in the calendar")]
    NoSuchDay,
}

impl Day {
    /// The first day for which WeChat has figures, 2014-12-01. Source: WeChat's page of the interface.
    pub const EARLIEST_OFFICIAL: Day = Day(16_405);

    const MIN: i32 = -719_528;
    const MAX: i32 = 2_932_896;

    /// The day `days` days after 1970-01-01. A day outside the calendar's range becomes the first or the last day.
    pub fn from_days_since_1970(days: i64) -> Day {
        let clamped = days.clamp(i64::from(Self::MIN), i64::from(Self::MAX));
        Day(i32::try_from(clamped).unwrap_or(Self::MAX))
    }

    /// Days since 1970-01-01; negative before it.
    pub const fn days_since_1970(self) -> i32 {
        self.0
    }

    /// The day of the Gregorian calendar. None if the calendar has no such day.
    pub fn from_ymd(year: i16, month: i8, day: i8) -> Option<Day> {
        if year < 0 {
            return None;
        }
        civil::Date::new(year, month, day).ok().map(Day::from_civil)
    }

    /// The day `days` days later (negative: earlier). It stays inside the calendar's range.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Day {
        Day::from_days_since_1970(i64::from(self.0) + i64::from(days))
    }

    /// Days from `earlier` to this day; negative if this day is before it.
    pub fn days_since(self, earlier: Day) -> i32 {
        self.0 - earlier.0
    }

    /// The Monday of this day's week.
    #[must_use]
    pub fn monday(self) -> Day {
        // 1970-01-01 was a Thursday, three days after a Monday.
        self.plus_days(-(self.0 + 3).rem_euclid(7))
    }

    /// The 1st of this day's month.
    #[must_use]
    pub fn first_of_month(self) -> Day {
        Day::from_civil(self.civil().first_of_month())
    }

    /// The 1st of the following month.
    #[must_use]
    pub fn first_of_next_month(self) -> Day {
        self.first_of_month().plus_days(31).first_of_month()
    }

    /// The first day of the period that contains this day. For hours, the day itself.
    #[must_use]
    pub fn start_of(self, granularity: Granularity) -> Day {
        match granularity {
            Granularity::Hour | Granularity::Day => self,
            Granularity::Week => self.monday(),
            Granularity::Month => self.first_of_month(),
        }
    }

    /// The first day after the period that contains this day. For hours, the next day.
    #[must_use]
    pub fn start_of_next(self, granularity: Granularity) -> Day {
        match granularity {
            Granularity::Hour | Granularity::Day => self.plus_days(1),
            Granularity::Week => self.monday().plus_days(7),
            Granularity::Month => self.first_of_next_month(),
        }
    }

    /// Year, month (1 to 12) and day of the month.
    pub fn ymd(self) -> (i16, i8, i8) {
        let date = self.civil();
        (date.year(), date.month(), date.day())
    }

    /// `YYYY-MM-DD`. Written by hand because each row of an answer has a day, and `format!` is slower.
    fn text(self) -> [u8; 10] {
        let (year, month, day) = self.ymd();
        let (year, month, day) = (year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs());
        let digit = |number: u16| b'0' + (number % 10) as u8;
        let of = |number: u8| [digit(u16::from(number / 10)), digit(u16::from(number))];
        let ([m1, m2], [d1, d2]) = (of(month), of(day));
        let [y1, y2, y3, y4] = [year / 1000, year / 100, year / 10, year].map(digit);
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]
    }

    fn civil(self) -> civil::Date {
        civil::date(1970, 1, 1).saturating_add(self.0.days())
    }

    fn from_civil(date: civil::Date) -> Day {
        let days = date.duration_since(civil::date(1970, 1, 1)).as_hours() / 24;
        Day::from_days_since_1970(days)
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Day, DayError> {
        let bytes = text.as_bytes();
        let digits_and_dashes = bytes.len() == 10
            && bytes
                .iter()
                .enumerate()
                .all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
        if !digits_and_dashes {
            return Err(DayError::Form);
        }
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0_i16, |n, b| n * 10 + i16::from(b - b'0'))
        };
        let small = |range| i8::try_from(number(range)).unwrap_or(i8::MAX);
        Day::from_ymd(number(0..4), small(5..7), small(8..10)).ok_or(DayError::NoSuchDay)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` so that tables can align days; the text holds only digits and dashes.
        f.pad(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("date {text:?}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_day_is_written_the_same() {
        for text in ["1970-01-01", "2014-12-01", "2016-02-29", "0000-01-01", "9999-12-31", "2000-02-29"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        assert_eq!("2014-12-01".parse(), Ok(Day::EARLIEST_OFFICIAL));
    }

    #[test]
    fn wrong_forms_and_impossible_days_have_different_errors() {
        for text in
            ["", "2014-1-7", "20141207", "2014/12/07", " 2014-12-07", "2014-12-07 ", "+014-12-07", "２０14-1"]
        {
            assert_eq!(text.parse::<Day>(), Err(DayError::Form), "{text}");
        }
        for text in ["2014-02-29", "2014-00-01", "2014-13-01", "2014-04-31", "2014-01-00", "1900-02-29"] {
            assert_eq!(text.parse::<Day>(), Err(DayError::NoSuchDay), "{text}");
        }
    }

    #[test]
    fn every_day_of_a_century_has_its_monday_and_its_first() {
        let mut day: Day = "1970-01-01".parse().unwrap();
        let (mut monday, mut first) = (day.plus_days(-3), day);
        for _ in 0..36_525 {
            if day.days_since(monday) == 7 {
                monday = day;
            }
            if day.ymd().2 == 1 {
                first = day;
            }
            assert_eq!((day.monday(), day.first_of_month()), (monday, first));
            assert!(day < day.start_of_next(Granularity::Week) && day < day.first_of_next_month());
            day = day.plus_days(1);
        }
    }
}
