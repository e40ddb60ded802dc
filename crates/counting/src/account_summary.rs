//! What an overview shows of an account.

use crate::COUNTED_TYPES;

/// An account's messages of the counted types around one moment, without users. Messages that are ahead of the moment
/// count for their day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// The newest CreateTime up to the end of tomorrow, in Unix seconds. It may be ahead of the moment.
    pub last_message_s: Option<i64>,
    /// Of the moment's Beijing day, in the order of [`COUNTED_TYPES`].
    pub today_by_type: [u64; COUNTED_TYPES.len()],
    /// Of the last days, today last.
    pub days: [u64; AccountSummary::DAYS],
    /// Of the whole hours of the day that are over.
    pub same_hours_today: u64,
    /// Of the same hours seven days before.
    pub same_hours_last_week: u64,
    /// Of the calendar month of the day.
    pub month: u64,
    /// Of the days of that month that are over.
    pub month_before_today: u64,
    /// Of the calendar month before.
    pub last_month: u64,
    /// Of the days of the calendar month before that have the numbers of this month's days which are over: on the
    /// 11th, of its 1st to 10th.
    pub same_days_last_month: u64,
    /// Of the last minutes by CreateTime, the current one last.
    pub minutes: [u32; AccountSummary::MINUTES],
}

impl AccountSummary {
    /// Days that it shows: four weeks, so that weekdays repeat.
    pub const DAYS: usize = 28;
    /// Minutes that it shows.
    pub const MINUTES: usize = 60;

    /// Messages of all counted types today.
    pub fn today(&self) -> u64 {
        self.today_by_type.iter().sum()
    }

    /// Messages of the day before.
    pub fn yesterday(&self) -> u64 {
        self.days[AccountSummary::DAYS - 2]
    }
}

impl Default for AccountSummary {
    /// An account without messages.
    fn default() -> AccountSummary {
        AccountSummary {
            last_message_s: None,
            today_by_type: Default::default(),
            days: [0; AccountSummary::DAYS],
            same_hours_today: 0,
            same_hours_last_week: 0,
            month: 0,
            month_before_today: 0,
            last_month: 0,
            same_days_last_month: 0,
            minutes: [0; AccountSummary::MINUTES],
        }
    }
}
