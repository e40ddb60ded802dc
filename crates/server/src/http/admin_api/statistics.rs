//! `GET /v1/accounts/{appid}/stats`: exact figures of any range of days, open periods included. What is asked for, and
//! what a row is, holds for all accounts together, too.

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
    page_format::{AccountRow, Format, Row, rows_alone},
    parameters::Values,
    store_failed,
};
use crate::{
    accounts::registry::Account,
    http::{answer, state::App},
};

/// Source: the contract.
const ROWS_MAX: usize = 10_000;

#[derive(Serialize)]
struct Answer {
    rows: Vec<Row>,
    coverage: CoverageAnswer,
}

#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub from: Day,
    pub to: Day,
    pub grouping: Grouping,
    pub by_type: bool,
}

enum Failure {
    Asked(String),
    Store(StoreError),
}

pub async fn answer(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    let query = request.uri().query().unwrap_or("");
    let values: Values<'_> = form_urlencoded::parse(query.as_bytes()).collect();
    let asked =
        Question::parse(&values).and_then(|asked| Ok((asked, Format::of(&values, request.headers())?)));
    let (question, format) = match asked {
        Ok(asked) => asked,
        Err(error) => return answer::own_error(StatusCode::BAD_REQUEST, error),
    };
    // Never closed, so there is always a place in the end.
    let place = app.statistics_places.clone().acquire_owned().await;
    // Counting a range anew reads days from disk.
    let counted = tokio::task::spawn_blocking({
        let (app, account) = (app.clone(), account.clone());
        move || {
            // Held for as long as it counts, also if the caller hangs up.
            let _place = place;
            rows(&app, &account, &question)
        }
    });
    match counted.await {
        Ok(Ok(rows)) => rows_alone(&rows, format, question.by_type).unwrap_or_else(|| {
            let coverage = CoverageAnswer::of(&app, &account);
            let rows = rows.into_iter().map(|row| row.row).collect();
            answer::own(StatusCode::OK, &Answer { rows, coverage })
        }),
        Ok(Err(Failure::Asked(error))) => answer::own_error(StatusCode::BAD_REQUEST, error),
        Ok(Err(Failure::Store(error))) => store_failed(&error),
        Err(_) => answer::own_error(StatusCode::INTERNAL_SERVER_ERROR, "counting ended early; see the log"),
    }
}

impl Question {
    fn parse(values: &Values<'_>) -> Result<Question, String> {
        let day =
            |name: &str| day(values, name)?.ok_or(format!("{name} is missing; write {name}=2026-11-01"));
        let (from, to) = (day("from")?, day("to")?);
        Question::new(values, |_| (from, to))
    }

    /// What the values of a query ask for; `days` says of which days, once it is known how they are grouped.
    pub fn new(values: &Values<'_>, days: impl FnOnce(Grouping) -> (Day, Day)) -> Result<Question, String> {
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
        Ok(Question { from, to, grouping, by_type })
    }

    /// The stretches of time that rows are about, in order, each with its label.
    pub fn spans(&self, today: Day) -> impl Iterator<Item = (String, Span)> + use<> {
        // No message lies outside: their CreateTime is checked on arrival.
        let earliest = Day::from_ymd(2011, 1, 1).unwrap_or(Day::EARLIEST_OFFICIAL);
        let to = self.to.min(today.plus_days(2));
        let from = self.from.max(earliest.first_of_month().monday());
        let Question { from: first, grouping, .. } = *self;
        let spans = (earliest.max(first) <= to).then(|| grouping.spans(from, to));
        let label = move |label| if grouping == Grouping::Total { first.to_string() } else { label };
        spans.into_iter().flatten().map(move |(named, span)| (label(named), span))
    }
}

/// The day that a query names, if it does.
pub fn day(values: &Values<'_>, name: &str) -> Result<Option<Day>, String> {
    let day = values.get(name).map(|text| {
        text.parse().map_err(|error| format!("{name}={text}: {error}; write it like 2026-11-01"))
    });
    day.transpose()
}

fn rows(app: &App, account: &Account, question: &Question) -> Result<Vec<AccountRow>, Failure> {
    let mut all = Vec::new();
    for (period, span) in question.spans(app.clock.today()) {
        let slice = app.store.slice(account.number, span).map_err(Failure::Store)?;
        let mut rows = Vec::new();
        add_rows(&mut rows, &period, slice, question.by_type);
        all.extend(AccountRow::all(app, account, span, rows));
        if all.len() > ROWS_MAX {
            return Err(Failure::Asked(format!(
                "more than {ROWS_MAX} rows; ask for fewer days or a longer period"
            )));
        }
    }
    Ok(all)
}

/// The rows of one stretch of time, if there are any.
pub fn add_rows(rows: &mut Vec<Row>, period: &str, slice: Slice, by_type: bool) {
    if by_type {
        rows.extend(slice.by_kind.into_iter().map(|(kind, figures)| Row {
            period: period.to_owned(),
            kind: Some(kind.name()),
            users: figures.users,
            messages: figures.messages,
            events: figures.events,
        }));
    } else if slice.messages_counted > 0 {
        rows.push(Row {
            period: period.to_owned(),
            kind: None,
            users: slice.users_counted,
            messages: slice.messages_counted,
            events: BTreeMap::new(),
        });
    }
}
