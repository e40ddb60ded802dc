//! The overview: all accounts that the viewer may read.

use datacube::Day;
use i18n::Text;

use super::{
    figures::{AccountName, Compared, Download, FigureSource, FigureTile, ShownState},
    time::BeijingTime,
};

/// The page `/ui/`.
#[derive(Clone, Debug)]
pub struct OverviewPage {
    /// How many accounts the viewer may read.
    pub accounts: usize,
    /// Messages today until now. Compared with the whole hours of the same weekday a week ago: see `today_until`.
    pub today: FigureTile,
    /// The comparison of today: whole hours that are over, today. The tile's `compared` is the same hours a week ago.
    pub today_whole_hours: u64,
    /// Where these whole hours end, such as 15:00.
    pub today_until: BeijingTime,
    /// Messages of this month until now.
    pub month: FigureTile,
    /// The comparison of this month: its whole days. The tile's `compared` is the same days of the month before.
    pub month_whole_days: u64,
    /// Messages of the whole last month.
    pub last_month: FigureTile,
    /// How many accounts need attention, and the worst of them.
    pub attention: Attention,
    /// Messages by day and account.
    pub days: DailyStack,
    /// How the list was asked for.
    pub list: ListState,
    /// The accounts of this page of the list, in order. At most 50 are usual.
    pub rows: Vec<OverviewRow>,
    /// Links that save the list.
    pub downloads: Vec<Download>,
    /// Where else the figures of the list can be had.
    pub source: FigureSource,
}

/// Accounts that somebody should look at.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// How many.
    pub count: usize,
    /// The worst one.
    pub worst: Option<(AccountName, ShownState)>,
}

/// Messages of consecutive days, by account. The last day is today and still open.
#[derive(Clone, Debug)]
pub struct DailyStack {
    /// The first day.
    pub first_day: Day,
    /// At most five accounts, the largest first, then one for all others. Each has one number a day, as many as the
    /// first one.
    pub series: Vec<DailySeries>,
    /// Where else to get them.
    pub source: FigureSource,
}

/// One account of a [`DailyStack`].
#[derive(Clone, Debug)]
pub struct DailySeries {
    /// The account's name, or the text for all others.
    pub name: Text,
    /// Messages of each day.
    pub messages: Vec<u64>,
}

/// The order of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverviewSort {
    /// Worst state first, then by messages of this month.
    #[default]
    Attention,
    /// By name.
    Name,
    /// Most messages today first.
    Today,
    /// Most messages of this month first.
    Month,
    /// Most messages of last month first.
    LastMonth,
    /// Longest silence first.
    LastMessage,
}

impl OverviewSort {
    /// All orders.
    pub const ALL: [OverviewSort; 6] = [
        OverviewSort::Attention,
        OverviewSort::Name,
        OverviewSort::Today,
        OverviewSort::Month,
        OverviewSort::LastMonth,
        OverviewSort::LastMessage,
    ];

    /// The value of `sort` in the query.
    pub fn code(self) -> &'static str {
        match self {
            OverviewSort::Attention => "attention",
            OverviewSort::Name => "name",
            OverviewSort::Today => "today",
            OverviewSort::Month => "month",
            OverviewSort::LastMonth => "last_month",
            OverviewSort::LastMessage => "last_message",
        }
    }
}

/// How the list was asked for. In the query: `q`, `sort`, `state`, `page`.
#[derive(Clone, Debug, Default)]
pub struct ListState {
    /// What is searched for in names and AppIDs.
    pub search: String,
    /// The order.
    pub sort: OverviewSort,
    /// Only accounts in this state.
    pub state: Option<ShownState>,
    /// Accounts that were found.
    pub found: usize,
    /// The page of the list, from 1.
    pub page: usize,
    /// Number of pages, at least 1.
    pub pages: usize,
}

/// One account of the list.
#[derive(Clone, Debug)]
pub struct OverviewRow {
    /// The account.
    pub account: AccountName,
    /// What it is doing.
    pub state: ShownState,
    /// CreateTime of its newest message.
    pub last_message: Option<BeijingTime>,
    /// Messages today until now.
    pub today: u64,
    /// Whole hours that are over: messages today, and in the same hours of the same weekday a week ago.
    pub same_hours: (u64, Compared),
    /// Messages of this month until now.
    pub month: u64,
    /// Whole days of this month, and the same days of the month before.
    pub same_days: (u64, Compared),
    /// Messages of last month.
    pub last_month: u64,
    /// Messages of each of the last days, oldest first. None: not counted on that day. Empty: no line.
    pub sparkline: Vec<Option<u64>>,
}
