//! Pages: the values that an account stores on disk, the source that loads them, and when they changed.

use datacube::{Day, Granularity};

use crate::{Counters, Damaged, varint::Reader};

/// Key of a stored value of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKey {
    /// Openids of recent users, [`USERS_A_PAGE`](crate::USERS_A_PAGE) in a page.
    Users(u32),
    /// All messages of a day.
    DayMessages(Day),
    /// The figures of a day and its hours.
    DayFigures(Day),
    /// The figures of a week.
    Week(Day),
    /// The figures of a month.
    Month(Day),
    /// Senders of a day, by kind of message.
    DaySenders(Day),
    /// Senders of a month, by kind of message.
    MonthSenders(Day),
    /// Users of the first and last days of a month, see [`MonthEnds`](crate::MonthEnds).
    MonthEnds(Day),
    /// Days of the users' first counted messages, [`USERS_A_PAGE`](crate::USERS_A_PAGE) users in a page.
    FirstDays(u32),
    /// Number of users by their first day.
    NewUsers,
    /// Number of users in sorted pages.
    MergedUsers,
    /// Sorted pages of users. They are found by openid, see [`PageSource::sorted_users`].
    SortedUsers,
}

impl PageKey {
    pub(crate) fn of_span(granularity: Granularity, start: Day) -> PageKey {
        if granularity == Granularity::Month { PageKey::Month(start) } else { PageKey::Week(start) }
    }
}

/// Loads pages that are not in memory.
pub trait PageSource {
    /// The page as it was last saved. None if it was never saved.
    ///
    /// # Errors
    ///
    /// If the page cannot be read or is damaged.
    fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, PageError>;

    /// The sorted user page with the highest first openid that is not above this openid.
    ///
    /// # Errors
    ///
    /// If the page cannot be read or is damaged.
    fn sorted_users(&self, openid: &[u8]) -> Result<Option<Vec<u8>>, PageError>;
}

/// A page cannot be read, or a message cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The page exists and is damaged.
    #[error("page {0:?} is damaged: {1}")]
    Damaged(PageKey, Damaged),
    /// The page cannot be read.
    #[error("page {0:?} cannot be read: {1}")]
    Unreadable(PageKey, String),
    /// The CreateTime has no exact day and second. Two such messages could look like repeats.
    #[error("CreateTime {0} lies outside the calendar")]
    OutsideCalendar(i64),
    /// The account has reached its limit: 2^32 users or 4 GiB of recent openids.
    #[error("the account has as many users as can be numbered")]
    TooManyUsers,
}

/// When a page was last changed, saved and used, in ticks of the account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageState {
    pub changed: u64,
    pub saved: u64,
    pub used: u64,
}

impl PageState {
    pub fn is_clean(self) -> bool {
        self.changed == self.saved
    }
}

/// Pages to save.
#[derive(Debug)]
pub struct Snapshot {
    /// Keys and new values of the changed pages.
    pub pages: Vec<(PageKey, Vec<u8>)>,
    pub(crate) tick: u64,
    pub(crate) users: u32,
}

impl Snapshot {
    /// The changed months that have at least this number of messages.
    pub fn months_from(&self, messages: u64) -> impl Iterator<Item = Day> {
        self.pages.iter().filter_map(move |(key, page)| {
            let PageKey::Month(month) = key else { return None };
            let counters = Counters::decode(&mut Reader::new(page)).ok()?;
            (counters.messages_of_all_kinds() >= messages).then_some(*month)
        })
    }
}
