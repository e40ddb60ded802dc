//! `GET /v1/accounts/{appid}/stats`: exact figures of any range of days, including periods that are not over.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use serde::Serialize;

use super::{
    CoverageAnswer, no_account,
    page_format::{Format, rows_alone},
    store_failed,
};
use crate::{
    figures::statistics::{QueryValues, StatisticsError, StatisticsQuery, StatisticsRow, rows},
    http::{answer, state::App},
};

/// The answer as JSON. NDJSON and CSV have rows only, with their account.
#[derive(Serialize)]
struct StatisticsAnswer {
    /// In order of time.
    rows: Vec<StatisticsRow>,
    /// Of the account's whole time, not only of the days that were asked for.
    coverage: CoverageAnswer,
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
    let parsed = StatisticsQuery::parse(&values, counting::day_of(app.clock.now_s()))
        .and_then(|parsed| Ok((parsed, Format::choose(&values, request.headers())?)));
    let (query, format) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return answer::api_error(StatusCode::BAD_REQUEST, error),
    };
    // A range that is no single period is counted from the messages of its days, which are on disk.
    let counted = app.read_blocking({
        let account = account.clone();
        move |app| rows(&app.store, app.clock.now_s(), &account, &query)
    });
    match counted.await {
        Ok(Ok(rows)) => rows_alone(&rows, format, &query).unwrap_or_else(|| {
            let coverage = CoverageAnswer::new(&app, &account);
            let rows = rows.into_iter().map(|row| row.row).collect();
            answer::api_json(StatusCode::OK, &StatisticsAnswer { rows, coverage })
        }),
        Ok(Err(error @ StatisticsError::TooManyRows)) => {
            answer::api_error(StatusCode::BAD_REQUEST, error.to_string())
        }
        Ok(Err(StatisticsError::Store(error))) => store_failed(&app, &error),
        Err(_) => {
            answer::api_error(StatusCode::INTERNAL_SERVER_ERROR, "counting failed; see the log of the server")
        }
    }
}
