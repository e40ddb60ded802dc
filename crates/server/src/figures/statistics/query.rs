//! What statistics can be asked for, checked: each query that exists has an answer.

use std::{borrow::Cow, collections::BTreeMap};

use counting::Kind;
use datacube::{Day, Granularity};
use storage::store::statistics::{Grouping, Span};

/// The decoded values of a query, by name. The last value of a name counts.
pub type QueryValues<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// The names of the values of `count_interval`, from 1 on.
pub const COUNT_NAMES: [&str; 3] = ["1-5", "6-10", "11+"];

/// What the rows of one period stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The kinds of messages, events and messages of unknown types included.
    Kind,
    /// The five types of the seven interfaces.
    Official,
    /// Users by the number of messages they sent. Only whole calendar periods have this figure.
    Count,
}

impl Split {
    fn by_name(name: &str) -> Option<Split> {
        match name {
            "type" => Some(Split::Kind),
            "official" => Some(Split::Official),
            "count" => Some(Split::Count),
            _ => None,
        }
    }

    /// The field and the column that hold the key of a row.
    pub fn column(self) -> &'static str {
        match self {
            Split::Kind | Split::Official => "type",
            Split::Count => "count",
        }
    }

    /// The place of a row with this key among the rows of its period. None: no row has this key.
    pub fn place_of(self, key: &str) -> Option<usize> {
        match self {
            Split::Kind | Split::Official => Kind::ALL.iter().position(|kind| kind.name() == key),
            Split::Count => COUNT_NAMES.iter().position(|name| *name == key),
        }
    }
}

/// Which figures are asked for.
#[derive(Clone, Copy, Debug)]
pub struct StatisticsQuery {
    from: Day,
    to: Day,
    grouping: Grouping,
    by: Option<Split>,
    with_new: bool,
}

impl StatisticsQuery {
    /// Checks a query.
    ///
    /// `from` and `to` are the first and the last day in Beijing time. `to` may lie in the future. Without `by` there is
    /// one row for each period. `with_new`: each row says how many users are new.
    ///
    /// # Errors
    ///
    /// Says in English which parameter is wrong, and what would be right.
    pub fn new(
        (from, to): (Day, Day),
        grouping: Grouping,
        by: Option<Split>,
        with_new: bool,
        today: Day,
    ) -> Result<StatisticsQuery, String> {
        if from > to {
            return Err("from must not be after to".to_owned());
        }
        if with_new && by.is_some() {
            return Err(
                "new=true: new users are counted over all types together; leave out by or new".to_owned()
            );
        }
        if with_new && grouping == Grouping::By(Granularity::Hour) {
            return Err(
                "new=true: new users are counted by the day; use period=day, week, month or total".to_owned()
            );
        }
        if by == Some(Split::Count) {
            check_whole(from, to, grouping, today)?;
        }
        Ok(StatisticsQuery { from, to, grouping, by, with_new })
    }

    /// Reads a query in which `from` and `to` are required.
    ///
    /// # Errors
    ///
    /// Says in English which parameter is wrong.
    pub fn parse(values: &QueryValues<'_>, today: Day) -> Result<StatisticsQuery, String> {
        let day =
            |name: &str| day(values, name)?.ok_or(format!("{name} is missing; write {name}=2026-11-01"));
        let (from, to) = (day("from")?, day("to")?);
        StatisticsQuery::parse_with_days(values, today, |_| (from, to))
    }

    /// Reads a query. `days` gives the first and the last day, since their defaults depend on the grouping.
    ///
    /// # Errors
    ///
    /// Says in English which parameter is wrong.
    pub fn parse_with_days(
        values: &QueryValues<'_>,
        today: Day,
        days: impl FnOnce(Grouping) -> (Day, Day),
    ) -> Result<StatisticsQuery, String> {
        let period = values.get("period").map_or("day", |period| period);
        let grouping = Grouping::by_name(period)
            .ok_or(format!("period={period}: use hour, day, week, month or total"))?;
        let by = match values.get("by").map(AsRef::as_ref) {
            None | Some("") => None,
            Some(name) => {
                Some(Split::by_name(name).ok_or(format!("by={name}: use type, official or count"))?)
            }
        };
        let with_new = match values.get("new").map(AsRef::as_ref) {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(format!("new={other}: use true or false")),
        };
        StatisticsQuery::new(days(grouping), grouping, by, with_new, today)
    }

    /// First day.
    pub fn from(&self) -> Day {
        self.from
    }

    /// Last day, included.
    pub fn to(&self) -> Day {
        self.to
    }

    /// What each period is split by. None: one row for each period.
    pub fn by(&self) -> Option<Split> {
        self.by
    }

    /// Each row says how many users are new.
    pub fn with_new(&self) -> bool {
        self.with_new
    }

    /// The periods of the rows in order, each with its label. With [`Split::Count`] all of them are whole.
    pub fn spans(&self, today: Day) -> impl Iterator<Item = (String, Span)> + use<> {
        // There are no messages outside these days: CreateTime is checked on arrival.
        let earliest = Day::from_ymd(2011, 1, 1).unwrap_or(Day::EARLIEST_OFFICIAL);
        let to = self.to.min(today.plus_days(2));
        let from = self.from.max(earliest.first_of_month().monday());
        let StatisticsQuery { from: first, grouping, .. } = *self;
        let has_any = earliest.max(first) <= to;
        let (from, to) = match (self.by, grouping) {
            (Some(Split::Count), Grouping::By(granularity)) => {
                (from.start_of(granularity), to.start_of_next(granularity).plus_days(-1))
            }
            _ => (from, to),
        };
        let spans = has_any.then(|| grouping.spans(from, to));
        let label = move |label| if grouping == Grouping::Total { first.to_string() } else { label };
        spans.into_iter().flatten().map(move |(named, span)| (label(named), span))
    }
}

/// Checks that the days are whole days, weeks or months. The last one may be unfinished.
fn check_whole(from: Day, to: Day, grouping: Grouping, today: Day) -> Result<(), String> {
    let granularity = match grouping {
        Grouping::By(Granularity::Hour) | Grouping::Total => {
            return Err("by=count: users by number of messages are counted for days, weeks and months; use period=day, week or month".to_owned());
        }
        Grouping::By(granularity) => granularity,
    };
    let (start, next) = (from.start_of(granularity), from.start_of_next(granularity));
    if start != from {
        return Err(format!("from={from}: by=count needs whole periods; use from={start} or from={next}"));
    }
    let (before, last) =
        (to.start_of(granularity).plus_days(-1), to.start_of_next(granularity).plus_days(-1));
    if to < today && to != last {
        let earlier = if before >= from { format!("to={before} or ") } else { String::new() };
        return Err(format!("to={to}: by=count needs whole periods; use {earlier}to={last}"));
    }
    Ok(())
}

/// The day in a parameter. None if the query does not have it.
///
/// # Errors
///
/// Says in English how to write a day.
pub fn day(values: &QueryValues<'_>, name: &str) -> Result<Option<Day>, String> {
    let day = values.get(name).map(|text| {
        text.parse().map_err(|error| format!("{name}={text}: {error}; write it like 2026-11-01"))
    });
    day.transpose()
}
