//! Points in time as people in Beijing read them.

use datacube::{Day, Granularity};

const OFFSET_S: i64 = 8 * 3600;
const DAY_S: i64 = 86_400;

/// A second of a day in Beijing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BeijingTime {
    /// The day.
    pub day: Day,
    /// Seconds since its midnight, 0 to 86,399.
    pub second: u32,
}

impl BeijingTime {
    /// From Unix seconds.
    pub fn from_unix_s(unix_s: i64) -> BeijingTime {
        let local_s = unix_s.saturating_add(OFFSET_S);
        let second = u32::try_from(local_s.rem_euclid(DAY_S)).unwrap_or_default();
        BeijingTime { day: Day::from_days_since_1970(local_s.div_euclid(DAY_S)), second }
    }

    /// As Unix seconds.
    pub fn unix_s(self) -> i64 {
        i64::from(self.day.days_since_1970()) * DAY_S + i64::from(self.second) - OFFSET_S
    }

    /// Hour, minute and second.
    pub fn clock(self) -> (u32, u32, u32) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }

    /// Hour and minute: `15:15`.
    pub fn hour_and_minute(self) -> String {
        let (hour, minute, _) = self.clock();
        format!("{hour:02}:{minute:02}")
    }
}

/// A period on the axis of a chart: one hour, day, week or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChartPeriod {
    /// How long it is.
    pub granularity: Granularity,
    /// Its first day.
    pub day: Day,
    /// Hours only: the hour, 0 to 23. Otherwise 0.
    pub hour: u8,
}

impl ChartPeriod {
    /// The hour of a day, 0 to 23.
    pub fn hour(day: Day, hour: u8) -> ChartPeriod {
        ChartPeriod { granularity: Granularity::Hour, day, hour }
    }

    /// The day, week or month that contains a day.
    pub fn containing(day: Day, granularity: Granularity) -> ChartPeriod {
        ChartPeriod { granularity, day: day.start_of(granularity), hour: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_shown_in_beijing() {
        let time = BeijingTime::from_unix_s(1_417_363_199);
        assert_eq!((time.day.to_string().as_str(), time.clock()), ("2014-11-30", (23, 59, 59)));
        assert_eq!(BeijingTime::from_unix_s(1_417_363_200).day.to_string(), "2014-12-01");
        assert_eq!(time.unix_s(), 1_417_363_199);
    }
}
