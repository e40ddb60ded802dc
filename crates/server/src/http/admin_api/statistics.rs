//! `GET /v1/accounts/{appid}/stats`: exact figures of any range of days, including periods that are not over. The query
//! and the rows are shared with the statistics of all accounts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use datacube::Day;
use serde::Serialize;
use storage::store::{
    Slice, StoreError,
    statistics::{Grouping, Span},
};

use super::{
    CoverageAnswer, no_account,
    page_format::{AccountRow, Format, StatisticsRow, rows_alone},
    parameters::QueryValues,
    store_failed,
};
use crate::{
    accounts::registry::ServedAccount,
    http::{answer, state::App},
};

/// Most rows of an answer. Source: the contract.
const ROWS_MAX: usize = 10_000;

/// The answer as JSON. NDJSON and CSV have rows only, as [`AccountRow`].
#[derive(Serialize)]
struct StatisticsAnswer {
    /// In order of time.
    rows: Vec<StatisticsRow>,
    /// Of the account's whole time, not only of the days that were asked for.
    coverage: CoverageAnswer,
}

/// Which figures a call asks for.
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

/// Why there are no rows.
enum StatisticsError {
    TooManyRows(String),
    Store(StoreError),
}

/// Answers a [`StatisticsAnswer`], or rows alone as NDJSON or CSV.
pub async fn answer(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    let query_text = request.uri().query().unwrap_or("");
    let values: QueryValues<'_> = form_urlencoded::parse(query_text.as_bytes()).collect();
    let parsed = StatisticsQuery::parse(&values)
        .and_then(|parsed| Ok((parsed, Format::choose(&values, request.headers())?)));
    let (query, format) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return answer::api_error(StatusCode::BAD_REQUEST, error),
    };
    // The semaphore is never closed, so this ends with a permit.
    let permit = app.statistics_permits.clone().acquire_owned().await;
    // A range that is no single period is counted from the messages of its days, which are on disk.
    let counted = tokio::task::spawn_blocking({
        let (app, account) = (app.clone(), account.clone());
        move || {
            // Held until counting ends, even if the caller hangs up.
            let _permit = permit;
            rows(&app, &account, &query)
        }
    });
    match counted.await {
        Ok(Ok(rows)) => rows_alone(&rows, format, query.by_type).unwrap_or_else(|| {
            let coverage = CoverageAnswer::new(&app, &account);
            let rows = rows.into_iter().map(|row| row.row).collect();
            answer::api_json(StatusCode::OK, &StatisticsAnswer { rows, coverage })
        }),
        Ok(Err(StatisticsError::TooManyRows(error))) => answer::api_error(StatusCode::BAD_REQUEST, error),
        Ok(Err(StatisticsError::Store(error))) => store_failed(&error),
        Err(_) => {
            answer::api_error(StatusCode::INTERNAL_SERVER_ERROR, "counting failed; see the log of the server")
        }
    }
}

impl StatisticsQuery {
    fn parse(values: &QueryValues<'_>) -> Result<StatisticsQuery, String> {
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

fn rows(
    app: &App,
    account: &ServedAccount,
    query: &StatisticsQuery,
) -> Result<Vec<AccountRow>, StatisticsError> {
    let mut all = Vec::new();
    for (period, span) in query.spans(counting::day_of(app.clock.now_s())) {
        let slice = app.store.slice(account.number, span).map_err(StatisticsError::Store)?;
        let mut rows = Vec::new();
        add_rows(&mut rows, &period, slice, query.by_type);
        all.extend(AccountRow::from_rows(app, account, span, rows));
        if all.len() > ROWS_MAX {
            return Err(StatisticsError::TooManyRows(format!(
                "more than {ROWS_MAX} rows; ask for fewer days or a longer period"
            )));
        }
    }
    Ok(all)
}

/// Adds the rows of one period: one for each type with `by_type`, otherwise at most one.
pub fn add_rows(rows: &mut Vec<StatisticsRow>, period: &str, slice: Slice, by_type: bool) {
    if by_type {
        rows.extend(slice.by_kind.into_iter().map(|(kind, figures)| StatisticsRow {
            period: period.to_owned(),
            kind: Some(kind.name()),
            users: figures.users,
            messages: figures.messages,
            events: figures.events,
        }));
    } else if slice.messages_counted > 0 {
        rows.push(StatisticsRow {
            period: period.to_owned(),
            kind: None,
            users: slice.users_counted,
            messages: slice.messages_counted,
            events: BTreeMap::new(),
        });
    }
}
