//! Parts that several pages show: names and states of accounts, figures with their source, coverage.

use datacube::Day;
use i18n::Text;

use super::time::BeijingTime;

/// The types that WeChat counts, in its order: text, image, voice, video (with short video), link.
pub const OFFICIAL_TYPES: usize = 5;

/// An account as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName {
    /// Its AppID.
    pub appid: String,
    /// The configured name. Empty: the AppID is shown in its place.
    pub name: String,
}

impl AccountName {
    /// The name, or the AppID of an account without a name.
    pub fn shown(&self) -> &str {
        if self.name.is_empty() { &self.appid } else { &self.name }
    }
}

/// What an account is doing, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShownState {
    /// Authentic callbacks were refused or closed in the last 24 hours.
    Refusing,
    /// A gap touches the last 24 hours.
    Gap,
    /// WeChat has not checked the address yet, and no message came.
    WaitingCheck,
    /// The address was checked, but no message came yet.
    WaitingMessage,
    /// No message for 24 hours.
    Quiet,
    /// Messages arrive and are counted.
    Receiving,
}

impl ShownState {
    /// All states, worst first.
    pub const ALL: [ShownState; 6] = [
        ShownState::Refusing,
        ShownState::Gap,
        ShownState::WaitingCheck,
        ShownState::WaitingMessage,
        ShownState::Quiet,
        ShownState::Receiving,
    ];

    /// The word for it in queries and in JSON.
    pub fn code(self) -> &'static str {
        match self {
            ShownState::Refusing => "refusing",
            ShownState::Gap => "gap",
            ShownState::WaitingCheck => "waiting_check",
            ShownState::WaitingMessage => "waiting_message",
            ShownState::Quiet => "quiet",
            ShownState::Receiving => "receiving",
        }
    }

    /// Whether somebody should look at the account.
    pub fn needs_attention(self) -> bool {
        matches!(self, ShownState::Refusing | ShownState::Gap | ShownState::WaitingCheck)
    }
}

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertLevel {
    /// Messages are lost, or the program cannot do its work.
    Bad,
    /// Something will become bad, or a figure is incomplete.
    Warning,
    /// All is well.
    Good,
}

/// Where else a figure can be had. An empty text means: nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FigureSource {
    /// A complete `curl` command that answers with the same number. It names the variable of the key, not the key.
    pub curl: String,
    /// Address of the same figures as CSV.
    pub csv: String,
}

/// A link that saves the figures of a page as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The format: `CSV`, `XLSX`, `Parquet`, `SVG`.
    pub format: &'static str,
    /// The address.
    pub href: String,
}

/// The same figure at an earlier time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compared {
    /// No comparison was asked for, or none makes sense.
    #[default]
    No,
    /// The figure at the earlier time, which was fully covered.
    With(u64),
    /// The earlier time was not fully covered: messages were not counted before this day. So no percentage is shown.
    NotCountedBefore(Day),
    /// A gap touches the earlier time. So no percentage is shown.
    HasGap,
}

/// One large number at the top of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FigureTile {
    /// The number.
    pub value: u64,
    /// The number at an earlier time.
    pub compared: Compared,
    /// The time is not fully covered: the true number may be higher.
    pub is_at_least: bool,
    /// Where else to get it.
    pub source: FigureSource,
}

/// Whether messages were counted during a part of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoverageKind {
    /// Every message was counted.
    Covered,
    /// Messages may be missing.
    CoverageGap {
        /// Why, in words.
        cause: Text,
    },
    /// A short planned stop. WeChat repeats messages it could not deliver, so none should be missing.
    Bridged,
    /// Counting had not begun.
    BeforeCounting,
    /// In the future.
    Ahead,
}

/// A part of a range. Parts follow each other without holes and fill the whole range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageSegment {
    /// Where it begins.
    pub from: BeijingTime,
    /// Where it ends (exclusive).
    pub to: BeijingTime,
    /// What it is.
    pub kind: CoverageKind,
}
