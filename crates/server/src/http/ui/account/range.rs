//! The days that an account's page shows: read from the query, checked, and the ranges that are one click away.

use datacube::{Day, Granularity};
use i18n::text;
use pages::{CompareWith, RangeForm, RangeLink, RangePreset, RangeProblem};

/// Most days of a range: five years.
const DAYS_MAX: i32 = 5 * 366;
/// Most days that are shown by the hour.
const DAYS_OF_HOURS_MAX: i32 = 31;
/// Most days that are shown by the day.
const DAYS_OF_DAYS_MAX: i32 = 400;
/// Most characters of a wrong date that are shown again.
const SHOWN_MAX: usize = 40;

const PRESETS: [RangePreset; 6] = [
    RangePreset::Today,
    RangePreset::Days(7),
    RangePreset::Days(28),
    RangePreset::Days(90),
    RangePreset::Month,
    RangePreset::TwelveMonths,
];

/// Days that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenDays {
    /// The first day.
    pub from: Day,
    /// The last day, at most today.
    pub to: Day,
    /// The length of the periods.
    pub granularity: Granularity,
    /// The first and the last day that they are compared with.
    pub before: Option<(Day, Day)>,
}

impl ChosenDays {
    /// Number of days.
    pub fn length(&self) -> i32 {
        length(self.from, self.to)
    }
}

/// A range as it was asked for.
#[derive(Clone, Debug)]
pub struct RangeQuery {
    /// The form with its values, and what is wrong with them.
    pub form: RangeForm,
    /// What can be shown. None: the form has an error.
    pub chosen: Option<ChosenDays>,
    links: RangeLinks,
}

impl RangeQuery {
    /// Reads a query. `path` is the address of the page. A value of `by` or `compare` that does not exist is as if it were
    /// left out.
    pub fn parse(path: &str, query: &str, today: Day) -> RangeQuery {
        let value = |name: &str| -> String {
            let pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.filter(|(known, _)| known == name).last();
            found.map(|(_, value)| value.trim().chars().take(SHOWN_MAX).collect()).unwrap_or_default()
        };
        let (by, compare) = (value("by"), value("compare"));
        let links = RangeLinks {
            path: path.to_owned(),
            by: granularity(&by),
            compare: CompareWith::ALL.into_iter().find(|with| with.code() == compare).unwrap_or_default(),
        };
        let (from, to) = (value("from"), value("to"));
        let chosen = links.days(&from, &to, today).and_then(|(from, to)| links.choose(from, to, today));
        let shown = |wanted: String, day: fn(&ChosenDays) -> Day| match &chosen {
            Ok(chosen) => day(chosen).to_string(),
            Err(_) => wanted,
        };
        // On some days two ranges have the same days, such as the month and 28 days. Only the first is marked.
        let current = PRESETS.into_iter().find(|preset| {
            chosen.as_ref().is_ok_and(|chosen| (chosen.from, chosen.to) == preset_days(*preset, today))
        });
        let form = RangeForm {
            presets: PRESETS.map(|preset| links.preset(preset, current, today)).into(),
            from: shown(from, |chosen| chosen.from),
            to: shown(to, |chosen| chosen.to),
            by: links.by,
            compare: links.compare,
            error: chosen.as_ref().err().cloned(),
        };
        RangeQuery { form, chosen: chosen.ok(), links }
    }

    /// The address of the page with other days.
    pub fn address(&self, from: Day, to: Day) -> String {
        self.links.address(from, to)
    }

    /// The query of a range that can be shown, which gives the same figures again.
    pub fn query(&self, chosen: &ChosenDays) -> String {
        self.links.query(chosen.from, chosen.to)
    }
}

/// What stays the same when another range is chosen.
#[derive(Clone, Debug)]
struct RangeLinks {
    path: String,
    by: Option<Granularity>,
    compare: CompareWith,
}

impl RangeLinks {
    fn query(&self, from: Day, to: Day) -> String {
        let by = self.by.map(|by| format!("&by={}", granularity_name(by))).unwrap_or_default();
        let compare = match self.compare {
            CompareWith::Before => String::new(),
            other => format!("&compare={}", other.code()),
        };
        format!("from={from}&to={to}{by}{compare}")
    }

    fn address(&self, from: Day, to: Day) -> String {
        format!("{}?{}", self.path, self.query(from, to))
    }

    /// A link with one click. It chooses the length of the periods anew.
    fn preset(&self, preset: RangePreset, current: Option<RangePreset>, today: Day) -> RangeLink {
        let (from, to) = preset_days(preset, today);
        let href = RangeLinks { by: None, ..self.clone() }.address(from, to);
        RangeLink { preset, href, is_current: current == Some(preset) }
    }

    /// The days of a query. A day that is left out follows from the other one, or from the default: 28 whole days.
    fn days(&self, from: &str, to: &str, today: Day) -> Result<(Day, Day), RangeProblem> {
        let (default_from, default_to) = preset_days(RangePreset::Days(28), today);
        let read = |text: &str| -> Result<Option<Day>, RangeProblem> {
            if text.is_empty() {
                return Ok(None);
            }
            text.parse().map(Some).map_err(|_| RangeProblem {
                text: text!("{value} is no date: write it like 2026-11-01.", value = text),
                remedy: Some((text!("Show the last 28 days"), self.address(default_from, default_to))),
            })
        };
        Ok(match (read(from)?, read(to)?) {
            (Some(from), Some(to)) => (from, to),
            (Some(from), None) => (from, default_to.max(from)),
            (None, Some(to)) => (to.plus_days(-27), to),
            (None, None) => (default_from, default_to),
        })
    }

    /// Checks days, and says what to compare them with.
    fn choose(&self, from: Day, to: Day, today: Day) -> Result<ChosenDays, RangeProblem> {
        self.check_order(from, to, today)?;
        let days = length(from, to);
        self.check_length(from, to, days)?;
        let granularity = self.by.unwrap_or_else(|| usual_granularity(days));
        let before = match self.compare {
            CompareWith::Before => Some(time_before(from, to)),
            CompareWith::YearBefore => Some((from.plus_days(-364), to.plus_days(-364))),
            CompareWith::Nothing => None,
        };
        Ok(ChosenDays { from, to, granularity, before })
    }

    fn check_order(&self, from: Day, to: Day, today: Day) -> Result<(), RangeProblem> {
        let error = |text, remedy, days: (Day, Day)| {
            Err(RangeProblem { text, remedy: Some((remedy, self.address(days.0, days.1))) })
        };
        if from > today {
            let days = preset_days(RangePreset::Days(28), today);
            return error(text!("These days are in the future."), text!("Show the last 28 days"), days);
        }
        if from > to {
            let turned = (to, from);
            return error(text!("The first day is after the last one."), text!("Turn them round"), turned);
        }
        if to > today {
            return error(text!("The last day is in the future."), text!("Show until today"), (from, today));
        }
        Ok(())
    }

    fn check_length(&self, from: Day, to: Day, days: i32) -> Result<(), RangeProblem> {
        if days > DAYS_MAX {
            return Err(RangeProblem {
                text: text!("{days} days are too many: at most {most} can be shown.", days, most = DAYS_MAX),
                remedy: Some((
                    text!("Show the last {days} days of them", days = DAYS_MAX),
                    self.address(to.plus_days(1 - DAYS_MAX), to),
                )),
            });
        }
        let text = match self.by {
            Some(Granularity::Hour) if days > DAYS_OF_HOURS_MAX => {
                text!("{days} days have too many hours: at most {most} days.", days, most = DAYS_OF_HOURS_MAX)
            }
            Some(Granularity::Day) if days > DAYS_OF_DAYS_MAX => {
                text!("{days} days are too many rows: at most {most}.", days, most = DAYS_OF_DAYS_MAX)
            }
            _ => return Ok(()),
        };
        let (by, remedy) = if days > DAYS_OF_DAYS_MAX {
            (Granularity::Week, text!("Choose weeks"))
        } else {
            (Granularity::Day, text!("Choose days"))
        };
        let address = RangeLinks { by: Some(by), ..self.clone() }.address(from, to);
        Err(RangeProblem { text, remedy: Some((remedy, address)) })
    }
}

fn length(from: Day, to: Day) -> i32 {
    to.days_since(from) + 1
}

/// The days of a range with one click. All but today's end yesterday, so that no half day is in them.
fn preset_days(preset: RangePreset, today: Day) -> (Day, Day) {
    let yesterday = today.plus_days(-1);
    match preset {
        RangePreset::Today => (today, today),
        RangePreset::Days(days) => (today.plus_days(-i32::from(days)), yesterday),
        RangePreset::Month => (yesterday.first_of_month(), yesterday),
        RangePreset::TwelveMonths => (months_earlier(yesterday, 11), yesterday),
    }
}

fn granularity(name: &str) -> Option<Granularity> {
    use Granularity::{Day, Hour, Month, Week};
    [Hour, Day, Week, Month].into_iter().find(|known| granularity_name(*known) == name)
}

/// The name in queries, of pages and of `/v1`.
pub fn granularity_name(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Hour => "hour",
        Granularity::Day => "day",
        Granularity::Week => "week",
        Granularity::Month => "month",
    }
}

fn usual_granularity(days: i32) -> Granularity {
    match days {
        ..=2 => Granularity::Hour,
        3..=92 => Granularity::Day,
        93..=DAYS_OF_DAYS_MAX => Granularity::Week,
        _ => Granularity::Month,
    }
}

/// As many days before, so that whole weeks have the same weekdays. Days that begin with the 1st of a month and are no
/// whole weeks are compared with the same days of the months before.
fn time_before(from: Day, to: Day) -> (Day, Day) {
    let days = length(from, to);
    if from != from.first_of_month() || days % 7 == 0 {
        return (from.plus_days(-days), from.plus_days(-1));
    }
    let months = month_number(to) - month_number(from) + 1;
    let first = months_earlier(to, months);
    let last = first.first_of_next_month().plus_days(-1);
    let is_last = to.plus_days(1) == to.first_of_next_month();
    let same = first.plus_days(i32::from(to.ymd().2) - 1).min(last);
    (months_earlier(from, months), if is_last { last } else { same })
}

fn month_number(day: Day) -> i32 {
    let (year, month, _) = day.ymd();
    i32::from(year) * 12 + i32::from(month) - 1
}

/// The 1st of the month so many months before.
fn months_earlier(day: Day, months: i32) -> Day {
    let number = month_number(day) - months;
    let year = i16::try_from(number.div_euclid(12)).unwrap_or_default();
    let month = i8::try_from(number.rem_euclid(12) + 1).unwrap_or(1);
    Day::from_ymd(year, month, 1).unwrap_or(day.first_of_month())
}

#[cfg(test)]
mod tests;
