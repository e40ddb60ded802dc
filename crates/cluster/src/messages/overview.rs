//! Counts of all accounts around one moment.

/// An account's messages of the counted types around one moment, without users. Times ahead of the moment count for their
/// day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountOverview {
    /// The account.
    pub appid: Box<str>,
    /// The newest CreateTime up to the end of tomorrow, in Unix seconds. It may be ahead of the moment.
    pub last_message_s: Option<i64>,
    /// Of the moment's Beijing day, in the order of [`counting::COUNTED_TYPES`].
    pub today_by_type: [u64; 5],
    /// Of the last 28 days, today last.
    pub days: [u64; 28],
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
    /// Of the days of the calendar month before that have the numbers of this month's days which are over.
    pub same_days_last_month: u64,
    /// Of the last minutes by CreateTime, the current one last.
    pub minutes: [u32; 60],
}
