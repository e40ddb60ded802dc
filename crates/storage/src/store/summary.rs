//! What an overview shows of an account: messages of today, of the time before, and of the last minutes.

use counting::COUNTED_TYPES;

use super::{AccountNumber, Store, StoreError};

/// Minutes that a summary shows.
pub const MINUTES: usize = 60;
/// Days that a summary shows: four weeks, so that weekdays repeat.
pub const DAYS: usize = 28;

/// An account's messages of the counted types around one moment, without users. Messages that are ahead of the moment
/// count for their day, as in [`Slice`](super::Slice).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// The newest CreateTime up to the end of tomorrow, in Unix seconds. It may be ahead of the moment.
    pub last_message_s: Option<i64>,
    /// Of the moment's Beijing day, in the order of [`COUNTED_TYPES`].
    pub today_by_type: [u64; COUNTED_TYPES.len()],
    /// Of the last days, today last.
    pub days: [u64; DAYS],
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
    pub minutes: [u32; MINUTES],
}

impl AccountSummary {
    /// Messages of all counted types today.
    pub fn today(&self) -> u64 {
        self.today_by_type.iter().sum()
    }

    /// Messages of the day before.
    pub fn yesterday(&self) -> u64 {
        self.days[DAYS - 2]
    }
}

impl Store {
    /// The summaries of all accounts at a time, by account number. They are kept current as messages are counted, so
    /// this reads figures only at the first call after the start and on each new day, unless
    /// [`Store::refresh_summaries`] did so before.
    ///
    /// # Errors
    ///
    /// If figures of an account cannot be read or are damaged.
    pub fn summaries(&self, now_s: i64) -> Result<Vec<AccountSummary>, StoreError> {
        match self {
            Store::Memory(store) => Ok(store.summaries(now_s)),
            Store::Embedded(store) => store.summaries(now_s),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.summaries(now_s),
        }
    }

    /// Prepares the summaries of some more accounts for a time. Called again and again, it spares readers the wait for
    /// figures on disk.
    pub fn refresh_summaries(&self, now_s: i64) {
        match self {
            Store::Memory(_) => {}
            Store::Embedded(store) => store.refresh_summaries(now_s),
            #[cfg(feature = "clickhouse")]
            Store::Shared(_) => {}
        }
    }

    /// The newest CreateTime of an account's counted messages, in Unix seconds, as in its summary at `now_s`.
    ///
    /// # Errors
    ///
    /// If figures of the account cannot be read or are damaged.
    pub fn last_message_s(&self, account: AccountNumber, now_s: i64) -> Result<Option<i64>, StoreError> {
        match self {
            Store::Memory(store) => store.last_message_s(account, now_s),
            Store::Embedded(store) => store.last_message_s(account, now_s),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.last_message_s(account, now_s),
        }
    }
}
