//! Converts Unix time to Beijing hours, days, weeks and months. UTC+8 without daylight saving (source: the contract;
//! WeChat's pages imply it and never state it).

use datacube::{Day, Granularity};

/// Beijing time minus UTC, in seconds.
pub const BEIJING_OFFSET_S: i64 = 8 * HOUR_S;
/// Seconds of an hour.
pub const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

/// The Beijing day of a Unix time in seconds.
pub fn day_of(unix_s: i64) -> Day {
    Day::from_days_since_1970(unix_s.saturating_add(BEIJING_OFFSET_S).div_euclid(DAY_S))
}

/// One hour, day, week or month in Beijing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    granularity: Granularity,
    start: Day,
    hour: u8,
}

impl Period {
    /// The period of this length that contains a Unix time in seconds.
    pub fn of(granularity: Granularity, unix_s: i64) -> Period {
        let start = day_of(unix_s).start_of(granularity);
        let hour = match granularity {
            Granularity::Hour => hour_of(unix_s),
            _ => 0,
        };
        Period { granularity, start, hour }
    }

    /// The period of this length that contains a day. For hours: the first hour of the day.
    pub fn holding(granularity: Granularity, day: Day) -> Period {
        Period { granularity, start: day.start_of(granularity), hour: 0 }
    }

    /// The hour 0 to 23 of a day.
    pub fn hour(day: Day, hour: u8) -> Period {
        Period { granularity: Granularity::Hour, start: day, hour: hour.min(23) }
    }

    /// The length of the period.
    pub fn granularity(self) -> Granularity {
        self.granularity
    }

    /// `ref_date`: the day, the Monday or the 1st.
    pub fn start(self) -> Day {
        self.start
    }

    /// The hour of the day, 0 to 23; 0 for longer periods.
    pub fn hour_of_day(self) -> u8 {
        self.hour
    }

    /// The first second of the period, Unix time.
    pub fn start_s(self) -> i64 {
        start_of_day_s(self.start) + i64::from(self.hour) * HOUR_S
    }

    /// The first second after the period, Unix time.
    pub fn end_s(self) -> i64 {
        match self.granularity {
            Granularity::Hour => self.start_s() + HOUR_S,
            granularity => start_of_day_s(self.start.start_of_next(granularity)),
        }
    }

    /// The last day of the period.
    pub fn last_day(self) -> Day {
        self.start.start_of_next(self.granularity).plus_days(-1)
    }
}

/// The first second of a Beijing day, Unix time.
pub fn start_of_day_s(day: Day) -> i64 {
    i64::from(day.days_since_1970()) * DAY_S - BEIJING_OFFSET_S
}

/// The Beijing hour, 0 to 23, of a Unix time in seconds.
pub fn hour_of(unix_s: i64) -> u8 {
    (second_of_day(unix_s) / 3600) as u8
}

/// The second of the Beijing day, 0 to 86,399.
pub fn second_of_day(unix_s: i64) -> u32 {
    unix_s.saturating_add(BEIJING_OFFSET_S).rem_euclid(DAY_S).cast_unsigned() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_is_beijing_midnight() {
        // 2014-12-07T15:59:59Z is the last second of 7 December in Beijing, a Sunday.
        let last = 1_417_967_999;
        assert_eq!(day_of(last).to_string(), "2014-12-07");
        assert_eq!(day_of(last + 1).to_string(), "2014-12-08");
        assert_eq!((hour_of(last), hour_of(last + 1)), (23, 0));
        assert_eq!(Period::of(Granularity::Week, last).start().to_string(), "2014-12-01");
        assert_eq!(Period::of(Granularity::Week, last + 1).start().to_string(), "2014-12-08");
    }

    #[test]
    fn a_period_holds_exactly_its_own_seconds() {
        use Granularity::{Day, Hour, Month, Week};
        for start in [1_298_908_800_i64, 1_330_444_800, 1_451_577_600, 1_735_660_800, -1] {
            for granularity in [Hour, Day, Week, Month] {
                let period = Period::of(granularity, start);
                assert_eq!(Period::of(granularity, period.start_s()), period);
                assert_eq!(Period::of(granularity, period.end_s() - 1), period);
                assert_ne!(Period::of(granularity, period.start_s() - 1), period);
                assert_ne!(Period::of(granularity, period.end_s()), period);
            }
        }
    }
}
