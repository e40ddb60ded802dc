//! How texts, numbers, days and times are written in one language.

use datacube::{Day, Granularity};
use i18n::{Lang, Text, format::percent, text};

use crate::view::{
    figures::ShownState,
    time::{BeijingTime, ChartPeriod},
};

/// Writes for people who read one language.
#[derive(Clone, Copy, Debug)]
pub struct Words(pub Lang);

impl Words {
    /// A text in the language.
    pub fn say(self, text: impl std::borrow::Borrow<Text>) -> String {
        text.borrow().in_lang(self.0)
    }

    /// Day, month and year: `2 Nov 2026`.
    pub fn date(self, day: Day) -> String {
        let (year, month, number) = day.ymd();
        self.say(text!("{day} {month} {year}", day = number, month = month_name(month), year))
    }

    /// Day and month: `2 Nov`.
    pub fn short_date(self, day: Day) -> String {
        let (_, month, number) = day.ymd();
        self.say(text!("{day} {month}", day = number, month = month_name(month)))
    }

    /// Weekday, day and month: `Mon 2 Nov`.
    pub fn weekday_date(self, day: Day) -> String {
        self.say(text!(
            "{weekday} {date}",
            weekday = weekday_name(weekday(day)),
            date = Text::plain(self.short_date(day))
        ))
    }

    /// The weekday, 0 for Monday to 6: `Mon`.
    pub fn weekday(self, number: usize) -> String {
        self.say(weekday_name(number))
    }

    /// Month and year: `Nov 2026`.
    pub fn month(self, day: Day) -> String {
        let (year, month, _) = day.ymd();
        self.say(text!("{month} {year}", month = month_name(month), year))
    }

    /// Date, hour, minute and second: `28 Nov 2026 15:14:41`.
    pub fn moment(self, time: BeijingTime) -> String {
        let (hour, minute, second) = time.clock();
        format!("{} {hour:02}:{minute:02}:{second:02}", self.date(time.day))
    }

    /// How long ago a time was, in short: `18 s ago`. A time in the future is now.
    pub fn ago(self, time: BeijingTime, now: BeijingTime) -> String {
        self.say(text!("{span} ago", span = i18n::format::span(now.unix_s() - time.unix_s())))
    }

    /// A period as a row of a table names it.
    pub fn period(self, period: ChartPeriod) -> String {
        match period.granularity {
            Granularity::Hour => format!("{} {:02}:00", self.weekday_date(period.day), period.hour),
            Granularity::Day => self.weekday_date(period.day),
            Granularity::Week => {
                self.say(text!("week of {date}", date = Text::plain(self.short_date(period.day))))
            }
            Granularity::Month => self.month(period.day),
        }
    }

    /// Two days with a dash between them.
    pub fn range(self, from: Day, to: Day) -> String {
        if from == to { self.date(from) } else { format!("{} – {}", self.date(from), self.date(to)) }
    }

    /// A state in one or two words.
    pub fn state(self, state: ShownState) -> String {
        self.say(match state {
            ShownState::Refusing => text!("refusing callbacks"),
            ShownState::Gap => text!("gap today"),
            ShownState::WaitingCheck => text!("not connected"),
            ShownState::WaitingMessage => text!("no message yet"),
            ShownState::Quiet => text!("quiet for a day"),
            ShownState::Receiving => text!("counting"),
        })
    }

    /// A change in percent with its direction as a sign and as a word.
    pub fn change(self, value: u64, before: u64) -> Changed {
        let direction = match value.cmp(&before) {
            std::cmp::Ordering::Greater => ("▲", self.say(text!("up"))),
            std::cmp::Ordering::Less => ("▼", self.say(text!("down"))),
            std::cmp::Ordering::Equal => ("=", self.say(text!("unchanged"))),
        };
        Changed { sign: direction.0, word: direction.1, percent: percent(value.abs_diff(before), before) }
    }

    /// The five types that WeChat counts.
    pub fn types(self) -> [String; 5] {
        [text!("text"), text!("image"), text!("voice"), text!("video"), text!("link")]
            .map(|name| self.say(name))
    }

    /// Messages a user, as WeChat groups them.
    pub fn intervals(self) -> [String; 3] {
        ["1–5".to_owned(), "6–10".to_owned(), self.say(text!("over 10"))]
    }
}

/// A change, ready to be shown.
pub struct Changed {
    /// An arrow.
    pub sign: &'static str,
    /// The word for it.
    pub word: String,
    /// How large it is, without a sign.
    pub percent: String,
}

/// 0 for Monday to 6 for Sunday.
pub fn weekday(day: Day) -> usize {
    usize::try_from(day.days_since(day.monday())).unwrap_or_default()
}

fn weekday_name(number: usize) -> Text {
    match number {
        0 => text!("Mon"),
        1 => text!("Tue"),
        2 => text!("Wed"),
        3 => text!("Thu"),
        4 => text!("Fri"),
        5 => text!("Sat"),
        _ => text!("Sun"),
    }
}

fn month_name(number: i8) -> Text {
    match number {
        1 => text!("Jan"),
        2 => text!("Feb"),
        3 => text!("Mar"),
        4 => text!("Apr"),
        5 => text!("May"),
        6 => text!("Jun"),
        7 => text!("Jul"),
        8 => text!("Aug"),
        9 => text!("Sep"),
        10 => text!("Oct"),
        11 => text!("Nov"),
        _ => text!("Dec"),
    }
}
