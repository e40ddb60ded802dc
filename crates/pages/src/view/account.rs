//! One account, over a range of days.

use datacube::{Day, Granularity};
use i18n::Text;

use super::{
    figures::{
        AccountName, Compared, CoverageSegment, Download, FigureSource, FigureTile, OFFICIAL_TYPES,
        ShownState,
    },
    time::{BeijingTime, ChartPeriod},
};

/// The page `/ui/accounts/{appid}`, also behind a share link.
#[derive(Clone, Debug)]
pub struct AccountPage {
    /// The account.
    pub account: AccountName,
    /// What it is doing.
    pub state: ShownState,
    /// Since when its messages are counted. None: nothing came yet.
    pub since: Option<BeijingTime>,
    /// The form above the figures.
    pub range: RangeForm,
    /// Today's tile.
    pub today: TodayTile,
    /// The figures of the range. None: the form has an error, or the range cannot be answered.
    pub figures: Option<AccountFiguresView>,
    /// Links that save the figures.
    pub downloads: Vec<Download>,
}

/// Today until now.
#[derive(Clone, Debug, Default)]
pub struct TodayTile {
    /// Messages.
    pub messages: u64,
    /// Their distinct users.
    pub users: u64,
    /// Where else to get them.
    pub source: FigureSource,
}

/// A range with one click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangePreset {
    /// Today, in hours.
    Today,
    /// So many whole days until yesterday.
    Days(u16),
    /// This month.
    Month,
    /// The last twelve months.
    TwelveMonths,
}

/// A link of the range picker.
#[derive(Clone, Debug)]
pub struct RangeLink {
    /// What it says.
    pub preset: RangePreset,
    /// Its address.
    pub href: String,
    /// It is the range that is shown.
    pub is_current: bool,
}

/// With what the range is compared. In the query: `compare`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompareWith {
    /// The period of the same length before.
    #[default]
    Before,
    /// The same weekdays a year (52 weeks) ago.
    YearBefore,
    /// Nothing.
    Nothing,
}

impl CompareWith {
    /// All choices.
    pub const ALL: [CompareWith; 3] = [CompareWith::Before, CompareWith::YearBefore, CompareWith::Nothing];

    /// The value in the query.
    pub fn code(self) -> &'static str {
        match self {
            CompareWith::Before => "before",
            CompareWith::YearBefore => "year",
            CompareWith::Nothing => "none",
        }
    }
}

/// What is wrong with the range, and one click to a range that works.
#[derive(Clone, Debug)]
pub struct RangeProblem {
    /// What is wrong, in one sentence.
    pub text: Text,
    /// What works, and its address.
    pub remedy: Option<(Text, String)>,
}

/// The form above the figures. In the query: `from`, `to`, `by`, `compare`.
#[derive(Clone, Debug, Default)]
pub struct RangeForm {
    /// Ranges with one click.
    pub presets: Vec<RangeLink>,
    /// The first day, as it was given: it may be wrong.
    pub from: String,
    /// The last day, as it was given.
    pub to: String,
    /// The length of the periods that was chosen. None: by the length of the range.
    pub by: Option<Granularity>,
    /// With what the range is compared.
    pub compare: CompareWith,
    /// What is wrong with it.
    pub error: Option<RangeProblem>,
}

/// Whether the whole range was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeCoverage {
    /// Every message was counted, up to now.
    Full,
    /// Messages may be missing: figures are at least so high.
    Part,
    /// The range ends before counting began.
    BeforeCounting,
}

/// One period of the range.
#[derive(Clone, Debug)]
pub struct PeriodFigures {
    /// The period.
    pub period: ChartPeriod,
    /// It is not over: drawn paler and dashed.
    pub is_open: bool,
    /// Distinct users. None: not counted at all, so the line is broken. A part that is counted is `Some`.
    pub users: Option<u64>,
    /// Distinct users of the period at the same place in the compared time.
    pub users_before: Option<u64>,
    /// Messages by type, in the order of WeChat's types.
    pub messages: [u64; OFFICIAL_TYPES],
}

/// Figures of one type over the range.
#[derive(Clone, Debug, Default)]
pub struct TypeFigures {
    /// Distinct users.
    pub users: u64,
    /// Messages.
    pub messages: u64,
    /// Messages in the compared time.
    pub compared: Compared,
}

/// Users by number of messages, over one calendar period.
#[derive(Clone, Debug)]
pub struct DistributionFigures {
    /// The period.
    pub period: ChartPeriod,
    /// It is not over.
    pub is_open: bool,
    /// Users with 1 to 5, 6 to 10, and more than 10 messages.
    pub users: [u64; 3],
    /// The same numbers of the calendar period before.
    pub compared: [Compared; 3],
    /// Where else to get them.
    pub source: FigureSource,
}

/// Events of one name.
#[derive(Clone, Debug)]
pub struct EventFigures {
    /// The name as WeChat sends it.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// Users of one week.
#[derive(Clone, Debug)]
pub struct WeekUsers {
    /// The Monday.
    pub monday: Day,
    /// Users who wrote for the first time.
    pub new: u64,
    /// Users who had written before.
    pub returning: u64,
    /// The account was counted for less than 28 days before: most users are new to msgcube only.
    pub new_is_early: bool,
    /// The week is not over.
    pub is_open: bool,
}

/// All figures of the range.
#[derive(Clone, Debug)]
pub struct AccountFiguresView {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Whether all of it was counted.
    pub coverage: RangeCoverage,
    /// The range is before counting began: the address of the first days that were counted.
    pub first_counted: Option<String>,
    /// Parts of the range, without holes.
    pub segments: Vec<CoverageSegment>,
    /// Distinct users.
    pub users: FigureTile,
    /// Messages.
    pub messages: FigureTile,
    /// Users whose first message lies in the range. None: not known.
    pub new_users: Option<FigureTile>,
    /// The account was counted for less than 28 days before the range: most users are new to msgcube only.
    pub new_is_early: bool,
    /// The periods. All have the same length.
    pub periods: Vec<PeriodFigures>,
    /// Where else to get the users of the periods.
    pub period_users_source: FigureSource,
    /// Where else to get the messages of the periods by type.
    pub periods_source: FigureSource,
    /// Figures by type, in WeChat's order.
    pub types: [TypeFigures; OFFICIAL_TYPES],
    /// Messages of kinds that WeChat does not count, such as `location`.
    pub not_counted: Vec<EventFigures>,
    /// Where else to get the types.
    pub types_source: FigureSource,
    /// Users by number of messages. None: no whole calendar period lies in the range.
    pub distribution: Option<DistributionFigures>,
    /// Events by name, most frequent first. At most 50 are usual.
    pub events: Vec<EventFigures>,
    /// Names of events that are not in the list.
    pub more_events: usize,
    /// Where else to get the events.
    pub events_source: FigureSource,
    /// Messages by weekday (from Monday) and hour, all weeks added up. None: the range is too short or too long.
    pub hours: Option<[[u64; 24]; 7]>,
    /// Where else to get the hours.
    pub hours_source: FigureSource,
    /// New and returning users a week, oldest first. Empty: not shown.
    pub weeks: Vec<WeekUsers>,
    /// Where else to get the weeks.
    pub weeks_source: FigureSource,
    /// Addresses of the charts as SVG files, by the names of [`account_svg_files`](crate::account_svg_files).
    pub chart_files: Vec<(&'static str, String)>,
}
