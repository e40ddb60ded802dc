//! Pages: what an account keeps on disk, where they come from, and when they changed.

use datacube::{Day, Granularity};

use crate::Damaged;

/// What an account keeps on disk, one value a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKey {
    /// Openids of the users that came last, [`USERS_A_PAGE`](crate::USERS_A_PAGE) at a time.
    Users(u32),
    /// All messages of a day.
    DayMessages(Day),
    /// The figures of a day and its hours.
    DayFigures(Day),
    /// The figures of a week.
    Week(Day),
    /// The figures of a month.
    Month(Day),
    /// Who wrote on a day, by kind of message.
    DaySenders(Day),
    /// Who wrote in a month, by kind of message.
    MonthSenders(Day),
    /// The day of each user's first counted message, [`USERS_A_PAGE`](crate::USERS_A_PAGE) users at a time.
    FirstDays(u32),
    /// How many users each day was the first of.
    NewUsers,
    /// How many users are in sorted pages.
    MergedUsers,
    /// All other users, sorted by openid: of these pages see [`Cold::sorted_users`].
    SortedUsers,
}

impl PageKey {
    pub(crate) fn of_span(granularity: Granularity, start: Day) -> PageKey {
        if granularity == Granularity::Month { PageKey::Month(start) } else { PageKey::Week(start) }
    }
}

/// Where pages come from that are not in memory.
pub trait Cold {
    /// The page as it was last saved, none if it never was.
    fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, ColdError>;

    /// Of the sorted pages of users the last one whose lowest openid is this one or lower.
    fn sorted_users(&self, openid: &[u8]) -> Result<Option<Vec<u8>>, ColdError>;
}

/// Why a page could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColdError {
    /// It is there and makes no sense.
    #[error("page {0:?} is damaged: {1}")]
    Damaged(PageKey, Damaged),
    /// It could not be read.
    #[error("page {0:?} cannot be read: {1}")]
    Unreadable(PageKey, String),
    /// Two such messages could be taken for one.
    #[error("CreateTime {0} lies outside the calendar")]
    OutsideCalendar(i64),
    /// 2^32 users or 4 GiB of openids: the limit of one account.
    #[error("the account has as many users as can be numbered")]
    TooManyUsers,
}

/// When a page was last changed, saved and used, in the account's own count.
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
    /// Each page's new value.
    pub pages: Vec<(PageKey, Vec<u8>)>,
    pub(crate) tick: u64,
    pub(crate) users: u32,
}
