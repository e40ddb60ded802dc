//! Exact figures of any range of days, including periods that are not over: what can be asked for, and the rows.

use std::{borrow::Cow, collections::BTreeMap};

use datacube::Day;
use serde::Serialize;
use storage::store::{
    Slice, Store, StoreError,
    statistics::{Grouping, Span},
};

use crate::accounts::registry::ServedAccount;

/// Most rows of an answer. Source: the contract.
pub const ROWS_MAX: usize = 10_000;

/// The decoded values of a query, by name. The last value of a name counts.
pub type QueryValues<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Which figures are asked for.
#[derive(Clone, Copy, Debug)]
pub struct StatisticsQuery {
    /// First day, in Beijing time.
    pub from: Day,
    /// Last day, included. It may lie in the future.
    pub to: Day,
    /// The length of the periods.
    pub grouping: Grouping,
    /// One row for each type of message.
    pub by_type: bool,
}

/// The figures of one period. Periods without messages have no row.
#[derive(Clone, Debug, Serialize)]
pub struct StatisticsRow {
    /// The start of the period in Beijing time: `2026-11-01T08` for an hour, otherwise `2026-11-01`. A week has its
    /// Monday, a month its 1st, a total the first day that was asked for.
    pub period: String,
    /// The kind of message, such as `text`. Only with `by=type`; without it a row holds the five types of the seven
    /// interfaces together.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<&'static str>,
    /// Different users that sent these messages.
    pub users: u64,
    /// How many messages they sent.
    pub messages: u64,
    /// Events by the name in `Event`. Only in rows of type `event`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
}

/// A row of one account, in NDJSON, CSV and in pages of several accounts. The fields of [`StatisticsRow`] stand beside
/// these.
#[derive(Clone, Debug, Serialize)]
pub struct AccountRow {
    /// The appid.
    pub account: String,
    /// The figures.
    #[serde(flatten)]
    pub row: StatisticsRow,
    /// Whether all past time of the period is covered. If not, the figures may be too low.
    pub covered: bool,
    /// Short planned stops in the period. They count as covered: WeChat sends again what it got no answer for.
    pub bridged: usize,
}

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsError {
    /// The answer would be too long.
    #[error("more than {ROWS_MAX} rows; ask for fewer days or a longer period")]
    TooManyRows,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StatisticsQuery {
    /// Reads a query in which `from` and `to` are required.
    ///
    /// # Errors
    ///
    /// Says in English which parameter is wrong.
    pub fn parse(values: &QueryValues<'_>) -> Result<StatisticsQuery, String> {
        let day =
            |name: &str| day(values, name)?.ok_or(format!("{name} is missing; write {name}=2026-11-01"));
        let (from, to) = (day("from")?, day("to")?);
        StatisticsQuery::new(values, |_| (from, to))
    }

    /// Reads a query. `days` gives the first and the last day, since their defaults depend on the grouping.
    ///
    /// # Errors
    ///
    /// Says in English which parameter is wrong.
    pub fn new(
        values: &QueryValues<'_>,
        days: impl FnOnce(Grouping) -> (Day, Day),
    ) -> Result<StatisticsQuery, String> {
        let period = values.get("period").map_or("day", |period| period);
        let grouping = Grouping::by_name(period)
            .ok_or(format!("period={period}: use hour, day, week, month or total"))?;
        let (from, to) = days(grouping);
        if from > to {
            return Err("from must not be after to".to_owned());
        }
        let by_type = match values.get("by").map(AsRef::as_ref) {
            None | Some("") => false,
            Some("type") => true,
            Some(other) => return Err(format!("by={other}: only by=type is known")),
        };
        Ok(StatisticsQuery { from, to, grouping, by_type })
    }

    /// The periods of the rows in order, each with its label.
    pub fn spans(&self, today: Day) -> impl Iterator<Item = (String, Span)> + use<> {
        // There are no messages outside these days: CreateTime is checked on arrival.
        let earliest = Day::from_ymd(2011, 1, 1).unwrap_or(Day::EARLIEST_OFFICIAL);
        let to = self.to.min(today.plus_days(2));
        let from = self.from.max(earliest.first_of_month().monday());
        let StatisticsQuery { from: first, grouping, .. } = *self;
        let spans = (earliest.max(first) <= to).then(|| grouping.spans(from, to));
        let label = move |label| if grouping == Grouping::Total { first.to_string() } else { label };
        spans.into_iter().flatten().map(move |(named, span)| (label(named), span))
    }
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

/// All rows of an account, in order of time. Blocks for the disk.
pub fn rows(
    store: &Store,
    now_s: i64,
    account: &ServedAccount,
    query: &StatisticsQuery,
) -> Result<Vec<AccountRow>, StatisticsError> {
    let mut all = Vec::new();
    for (period, span) in query.spans(counting::day_of(now_s)) {
        all.extend(rows_of_span(store, now_s, account, query, (&period, span))?);
        if all.len() > ROWS_MAX {
            return Err(StatisticsError::TooManyRows);
        }
    }
    Ok(all)
}

/// The rows of one of [`StatisticsQuery::spans`]. Blocks for the disk.
pub fn rows_of_span(
    store: &Store,
    now_s: i64,
    account: &ServedAccount,
    query: &StatisticsQuery,
    (period, span): (&str, Span),
) -> Result<Vec<AccountRow>, StoreError> {
    let rows = rows_of_slice(period, store.slice(account.number, span)?, query.by_type);
    let (start_s, end_s) = span.seconds();
    let (covered, bridged) = store.coverage(account.number, |coverage| {
        (coverage.holds(start_s, end_s, now_s), coverage.bridged_within(start_s, end_s))
    });
    let of_account = |row| AccountRow { account: account.config.appid.clone(), row, covered, bridged };
    Ok(rows.into_iter().map(of_account).collect())
}

/// One row for each type with `by_type`, otherwise at most one.
fn rows_of_slice(period: &str, slice: Slice, by_type: bool) -> Vec<StatisticsRow> {
    let row = |kind, users, messages, events| StatisticsRow {
        period: period.to_owned(),
        kind,
        users,
        messages,
        events,
    };
    if by_type {
        let kinds = slice.by_kind.into_iter();
        kinds.map(|(kind, of)| row(Some(kind.name()), of.users, of.messages, of.events)).collect()
    } else {
        let has_any = slice.messages_counted > 0;
        let of_all = || row(None, slice.users_counted, slice.messages_counted, BTreeMap::new());
        has_any.then(of_all).into_iter().collect()
    }
}
