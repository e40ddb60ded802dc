//! What comes in now.

use i18n::Text;

use super::{
    figures::{AccountName, FigureSource},
    time::BeijingTime,
};

/// Minutes of the chart.
pub const LIVE_MINUTES: usize = 60;

/// The page `/ui/live`. In the query: `account`, an AppID; without it, all accounts.
#[derive(Clone, Debug)]
pub struct LivePage {
    /// The account that is shown. None: all.
    pub selected: Option<AccountName>,
    /// What was searched for and not found. Shown below the field.
    pub unknown: Option<String>,
    /// The running minute, which is the last one of the chart.
    pub minute_now: BeijingTime,
    /// Messages of each minute, oldest first: one series for one account, otherwise the largest accounts and all others.
    pub minutes: Vec<MinuteSeries>,
    /// Where else to get today's figures.
    pub source: FigureSource,
    /// Messages of each hour today. None: the hour has not begun, or was not counted.
    pub today: [Option<u64>; 24],
    /// Messages of each hour of the same weekday last week. None: not counted.
    pub last_week: [Option<u64>; 24],
    /// Accounts by messages in the last five minutes, most first. At most 50.
    pub accounts: Vec<LiveAccountRow>,
}

/// One colour of the chart.
#[derive(Clone, Debug)]
pub struct MinuteSeries {
    /// The text for all messages, an account, or the text for all others.
    pub name: Text,
    /// Messages of each minute.
    pub messages: [u32; LIVE_MINUTES],
}

/// One account.
#[derive(Clone, Debug)]
pub struct LiveAccountRow {
    /// The account.
    pub account: AccountName,
    /// Messages in the last five minutes.
    pub last_minutes: u64,
    /// Messages today until now.
    pub today: u64,
    /// CreateTime of its newest message.
    pub last_message: Option<BeijingTime>,
}
