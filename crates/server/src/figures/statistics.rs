//! Exact figures of any range of days, including periods that are not over: the rows that answer a query.

mod query;

use std::collections::BTreeMap;

use counting::{Kind, rollup::KindFigures};
use datacube::{Figures, INTERFACES, Interface};
use serde::Serialize;
use storage::store::{AccountNumber, NewUsers, Slice, Store, StoreError, statistics::Span};

use crate::accounts::registry::ServedAccount;
pub use query::{COUNT_NAMES, QueryValues, Split, StatisticsQuery, day};

/// Most rows of an answer. Source: the contract.
pub const ROWS_MAX: usize = 10_000;
/// Periods that are read together. A shared store asks its servers once for all of them.
const SPANS_TOGETHER_MAX: usize = 1000;

/// The figures of one period. Periods without messages have no row.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatisticsRow {
    /// The start of the period in Beijing time: `2026-11-01T08` for an hour, otherwise `2026-11-01`. A week has its
    /// Monday, a month its 1st, a total the first day that was asked for.
    pub period: String,
    /// The kind of message, such as `text`. Only with `by=type` and `by=official`; without them a row holds the five
    /// types of the seven interfaces together.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<&'static str>,
    /// How many messages each of these users sent: `1-5`, `6-10` or `11+`. Only with `by=count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<&'static str>,
    /// Different users that sent these messages.
    pub users: u64,
    /// How many messages they sent. Missing with `by=count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Only with `new=true`.
    #[serde(flatten)]
    pub new: Option<NewInPeriod>,
    /// Events by the name in `Event`. Only in rows of type `event`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
}

/// How many of the users of a row are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NewInPeriod {
    /// Users whose first counted message lies in the days of the row.
    #[serde(rename = "new")]
    pub users: u64,
    /// The account was counted for less than 28 days before. Then most of these users are new to
    /// msgcube, but not to the account.
    #[serde(rename = "new_is_early")]
    pub is_early: bool,
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

impl StatisticsRow {
    /// What distinguishes it from the other rows of its period: the type, or the number of messages. None if it is the
    /// only one.
    pub fn key(&self) -> Option<&'static str> {
        self.kind.or(self.count)
    }
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

/// All rows of an account, in order of time. Blocks for the disk.
pub fn rows(
    store: &Store,
    now_s: i64,
    account: &ServedAccount,
    query: &StatisticsQuery,
) -> Result<Vec<AccountRow>, StatisticsError> {
    let mut all = Vec::new();
    let spans: Vec<(String, Span)> = query.spans(counting::day_of(now_s)).collect();
    for some in spans.chunks(SPANS_TOGETHER_MAX) {
        all.extend(rows_of_spans(store, now_s, account, query, some)?.into_iter().flatten());
        if all.len() > ROWS_MAX {
            return Err(StatisticsError::TooManyRows);
        }
    }
    Ok(all)
}

/// The rows of each of some of [`StatisticsQuery::spans`]. Blocks for the disk.
pub fn rows_of_spans(
    store: &Store,
    now_s: i64,
    account: &ServedAccount,
    query: &StatisticsQuery,
    spans: &[(String, Span)],
) -> Result<Vec<Vec<AccountRow>>, StoreError> {
    let stretches: Vec<Span> = spans.iter().map(|(_, span)| *span).collect();
    let figures: Vec<Vec<StatisticsRow>> = match query.by() {
        Some(Split::Count) => stretches
            .iter()
            .map(|span| rows_by_count(store, account.number, *span))
            .collect::<Result<_, _>>()?,
        by => {
            let slices = store.slices(account.number, &stretches)?.into_iter();
            slices.map(|slice| rows_of_slice(slice, by)).collect()
        }
    };
    let labelled = spans.iter().zip(figures);
    labelled
        .map(|((period, span), rows)| of_account(store, now_s, account, query, (period, *span), rows))
        .collect()
}

/// Adds to the rows of a period what does not depend on messages of one kind.
fn of_account(
    store: &Store,
    now_s: i64,
    account: &ServedAccount,
    query: &StatisticsQuery,
    (period, span): (&str, Span),
    figures: Vec<StatisticsRow>,
) -> Result<Vec<AccountRow>, StoreError> {
    let new = if query.with_new() && !figures.is_empty() {
        Some(new_users(store, account.number, span)?)
    } else {
        None
    };
    let rows = figures.into_iter().map(|row| StatisticsRow { period: period.to_owned(), new, ..row });
    let (start_s, end_s) = span.seconds();
    let (covered, bridged) = store.coverage(account.number, |coverage| {
        (coverage.holds(start_s, end_s, now_s), coverage.bridged_within(start_s, end_s))
    });
    let of_account = |row| AccountRow { account: account.config.appid.clone(), row, covered, bridged };
    Ok(rows.map(of_account).collect())
}

/// The rows of one period without its label. Without a split at most one.
fn rows_of_slice(slice: Slice, by: Option<Split>) -> Vec<StatisticsRow> {
    let row = |kind, users, messages| StatisticsRow {
        kind,
        users,
        messages: Some(messages),
        ..StatisticsRow::default()
    };
    match by {
        Some(Split::Kind) => {
            let kinds = slice.by_kind.into_iter();
            let of_kind = |(kind, figures): (Kind, KindFigures)| StatisticsRow {
                events: figures.events,
                ..row(Some(kind.name()), figures.users, figures.messages)
            };
            kinds.map(of_kind).collect()
        }
        Some(Split::Official) => {
            let types = slice.by_official_type();
            types.map(|found| row(Some(found.kind.name()), found.users, found.messages)).collect()
        }
        _ => {
            let of_all = || row(None, slice.users_counted, slice.messages_counted);
            (slice.messages_counted > 0).then(of_all).into_iter().collect()
        }
    }
}

/// The users of a whole period by their number of messages.
fn rows_by_count(
    store: &Store,
    account: AccountNumber,
    span: Span,
) -> Result<Vec<StatisticsRow>, StoreError> {
    let Span::Period(period) = span else { unreachable!("by=count takes whole periods: {span:?}") };
    let is_asked = |interface: &&Interface| {
        interface.granularity == period.granularity() && interface.figures == Figures::Distribution
    };
    let Some(interface) = INTERFACES.iter().find(is_asked) else {
        unreachable!("by=count takes days, weeks and months: {span:?}")
    };
    let found = store.rows(account, interface, &[period])?;
    let rows = found.into_iter().map(|found| StatisticsRow {
        count: found.count_interval.map(count_name),
        users: found.msg_user,
        ..StatisticsRow::default()
    });
    Ok(rows.collect())
}

/// The name of a value of `count_interval`.
fn count_name(interval: u8) -> &'static str {
    COUNT_NAMES[usize::from(interval.clamp(1, 3) - 1)]
}

fn new_users(store: &Store, account: AccountNumber, span: Span) -> Result<NewInPeriod, StoreError> {
    let (from, to) = match span {
        Span::Period(period) => (period.start(), period.last_day()),
        Span::Days(from, to) => (from, to),
    };
    let NewUsers { users, is_early } = store.new_users(account, from, to)?;
    Ok(NewInPeriod { users, is_early })
}
