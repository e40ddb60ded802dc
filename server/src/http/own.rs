//! Our own interface, behind the admin key: bulk messages, statistics, coverage, messages kept aside.

mod bulk;
mod statistics;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    middleware::{self, Next},
    routing::{any, get, post},
};
use jiff::{Timestamp, tz};
use msgcube_cube::BEIJING_OFFSET_S;
use serde::Serialize;

use super::answer;
use crate::{accounts::Account, app::App};

/// Most messages kept aside that one answer shows.
const ASIDES_MAX: usize = 1000;

pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let no_such_path = || async { answer::own_error(StatusCode::NOT_FOUND, "no such path below /v1") };
    Router::new()
        .route("/v1/accounts", get(accounts))
        .route("/v1/accounts/{appid}/messages", post(bulk::receive))
        .route("/v1/accounts/{appid}/stats", get(statistics::answer))
        .route("/v1/accounts/{appid}/coverage", get(coverage))
        .route("/v1/accounts/{appid}/aside", get(asides))
        .route("/v1", any(no_such_path))
        .route("/v1/", any(no_such_path))
        .route("/v1/{*rest}", any(no_such_path))
        .layer(middleware::from_fn_with_state(app.clone(), require_key))
}

async fn require_key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    if is_allowed(&app, request.headers()) { next.run(request).await } else { unauthorized() }
}

/// True if the request shows the admin key. Without a configured key nobody is allowed.
pub fn is_allowed(app: &App, headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match (&app.config.admin_key, shown) {
        (Some(key), Some((_, shown))) => key.is(shown.trim()),
        _ => false,
    }
}

pub fn unauthorized() -> Response<Body> {
    let error = "send the header: Authorization: Bearer ADMIN_KEY (admin_key of the configuration)";
    let mut response = answer::own_error(StatusCode::UNAUTHORIZED, error);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn no_account() -> Response<Body> {
    let error = "no [[account]] of the configuration has this appid; GET /v1/accounts lists them";
    answer::own_error(StatusCode::NOT_FOUND, error)
}

/// Covered time as it is shown.
#[derive(Serialize)]
struct CoverageAnswer {
    since: Option<String>,
    gaps: Vec<[String; 2]>,
}

impl CoverageAnswer {
    fn of(app: &App, account: &Account) -> CoverageAnswer {
        let (since, gaps) = app.store.coverage(account.number, |coverage| coverage.report(app.clock.now_s()));
        CoverageAnswer {
            since: since.map(beijing),
            gaps: gaps.into_iter().map(|(from, to)| [beijing(from), beijing(to)]).collect(),
        }
    }
}

/// A moment as people in Beijing write it, with its offset.
fn beijing(unix_s: i64) -> String {
    let offset =
        tz::Offset::from_seconds(i32::try_from(BEIJING_OFFSET_S).unwrap_or(0)).unwrap_or(tz::Offset::UTC);
    match Timestamp::from_second(unix_s) {
        Ok(moment) => moment.display_with_offset(offset).to_string(),
        Err(_) => unix_s.to_string(),
    }
}

async fn coverage(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    match app.accounts.get(&appid) {
        Some(account) => answer::own(StatusCode::OK, &CoverageAnswer::of(&app, &account)),
        None => no_account(),
    }
}

async fn accounts(State(app): State<Arc<App>>) -> Response<Body> {
    #[derive(Serialize)]
    struct Shown<'a> {
        appid: &'a str,
        coverage: CoverageAnswer,
    }
    let mut all = app.accounts.all();
    all.sort_by(|one, other| one.config.appid.cmp(&other.config.appid));
    let accounts: Vec<Shown<'_>> = all
        .iter()
        .map(|account| Shown { appid: &account.config.appid, coverage: CoverageAnswer::of(&app, account) })
        .collect();
    answer::own(StatusCode::OK, &BTreeMap::from([("accounts", accounts)]))
}

async fn asides(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    match app.store.asides(account.number, ASIDES_MAX) {
        Ok(messages) => answer::own(StatusCode::OK, &BTreeMap::from([("messages", messages)])),
        Err(error) => store_failed(&error),
    }
}

fn store_failed(error: &crate::store::StoreError) -> Response<Body> {
    tracing::error!(%error, "the store cannot be read");
    answer::own_error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the store cannot be read; see the log of the server",
    )
}
