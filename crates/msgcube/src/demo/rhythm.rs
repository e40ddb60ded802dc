//! How many messages a day has: growth over the year, weekdays, public holidays, the shopping day and one viral day.
//! All factors are integers in per mille, so that every machine computes the same.

use datacube::Day;

use super::account::Audience;

/// The date of Chinese New Year in each year. Source: conversion tables of the lunar calendar, Hong Kong Observatory.
/// Later years have no spring festival in the demo.
const NEW_YEARS_DAYS: [(i16, i8, i8); 10] = [
    (2024, 2, 10),
    (2025, 1, 29),
    (2026, 2, 17),
    (2027, 2, 6),
    (2028, 1, 26),
    (2029, 2, 13),
    (2030, 2, 3),
    (2031, 1, 23),
    (2032, 2, 11),
    (2033, 1, 31),
];

/// The viral day and the days after it, in per mille of an ordinary day.
const VIRAL: [u64; 5] = [14_000, 4_500, 2_400, 1_700, 1_300];

/// The first and the last day of the year, and the viral day.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    pub first: Day,
    pub last: Day,
    pub viral: Day,
}

impl Rhythm {
    /// The factor for an account's average on this day, in millionths.
    pub fn factor(&self, audience: &Audience, goes_viral: bool, day: Day) -> u64 {
        let weekday = usize::try_from(day.days_since(day.monday())).unwrap_or(0);
        let season = if is_holiday(day) {
            audience.holiday
        } else if is_shopping_day(day) {
            audience.shopping_day
        } else {
            1000
        };
        let viral = if goes_viral { self.viral_factor(day) } else { 1000 };
        // Four factors in per mille make 10^-12. Two divisions by 1000 leave millionths.
        self.growth(day) * audience.weekday[weekday % 7] * season / 1000 * viral / 1000
    }

    /// From 600 per mille of the average on the first day to 1400 on the last.
    fn growth(&self, day: Day) -> u64 {
        let days = u64::try_from(self.last.days_since(self.first)).unwrap_or(0).max(1);
        let gone = u64::try_from(day.days_since(self.first)).unwrap_or(0);
        600 + 800 * gone / days
    }

    fn viral_factor(&self, day: Day) -> u64 {
        let after = usize::try_from(day.days_since(self.viral)).ok();
        after.and_then(|days| VIRAL.get(days)).copied().unwrap_or(1000)
    }
}

/// New Year, the spring festival, and the fixed holidays in May and October. Holidays that the government moves each year
/// are left out.
fn is_holiday(day: Day) -> bool {
    let (_, month, of_month) = day.ymd();
    matches!((month, of_month), (1, 1) | (5, 1..=5) | (10, 1..=7)) || is_spring_festival(day)
}

/// From the day before Chinese New Year to the seventh day of the new year.
fn is_spring_festival(day: Day) -> bool {
    let known =
        NEW_YEARS_DAYS.iter().filter_map(|(year, month, of_month)| Day::from_ymd(*year, *month, *of_month));
    known.into_iter().any(|new_year| (-1..=6).contains(&day.days_since(new_year)))
}

fn is_shopping_day(day: Day) -> bool {
    let (_, month, of_month) = day.ymd();
    (month, of_month) == (11, 11)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::account::AUDIENCES;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn rhythm() -> Rhythm {
        Rhythm { first: day("2025-11-01"), last: day("2026-11-22"), viral: day("2026-07-15") }
    }

    #[test]
    fn the_year_grows_and_sundays_differ_from_mondays() {
        let (metro, early, late) = (&AUDIENCES[0], day("2025-11-03"), day("2026-11-16"));
        assert!(rhythm().factor(metro, false, late) > 2 * rhythm().factor(metro, false, early));
        assert!(rhythm().factor(metro, false, late.plus_days(-1)) < rhythm().factor(metro, false, late));
    }

    #[test]
    fn holidays_are_quiet_for_the_shop_and_the_day_of_shopping_is_not() {
        let shop = &AUDIENCES[2];
        let share = |date: &str, other: &str| {
            rhythm().factor(shop, false, day(date)) * 100 / rhythm().factor(shop, false, day(other))
        };
        assert!(share("2026-02-17", "2026-02-10") < 75, "new year's day against the Tuesday before");
        assert!(share("2026-10-05", "2026-09-28") < 75, "the first week of October");
        assert!(share("2026-11-11", "2026-11-04") > 250);
    }

    #[test]
    fn the_viral_day_fades_within_a_week() {
        let metro = &AUDIENCES[0];
        let viral = rhythm().factor(metro, true, day("2026-07-15"));
        assert!(viral > 12 * rhythm().factor(metro, true, day("2026-07-08")));
        assert_eq!(
            rhythm().factor(metro, true, day("2026-07-21")),
            rhythm().factor(metro, false, day("2026-07-21"))
        );
    }
}
