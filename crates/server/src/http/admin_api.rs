//! Our own interface, behind keys: bulk messages, statistics, coverage, messages kept aside, accounts, keys.

pub mod access;
mod accounts;
mod all_accounts;
mod backup;
mod bulk;
mod keys;
mod page_format;
mod parameters;
mod platforms;
mod reload;
mod statistics;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Response, StatusCode},
    routing::{any, delete, get, post},
};
use counting::{BEIJING_OFFSET_S, CoverageReport, Gap, Reason};
use jiff::{Timestamp, tz};
use serde::{Serialize, de::DeserializeOwned};

use super::answer;
use crate::{accounts::registry::Account, http::state::App, net::body::read_within};
use access::{Need, guarded};
use parameters::Parameters;

/// Most messages kept aside that one answer shows.
const ASIDES_MAX: usize = 1000;
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let no_such_path = || async { answer::own_error(StatusCode::NOT_FOUND, "no such path below /v1") };
    let parameters = Arc::new(Parameters::new(&app.config.get()));
    let guard = |need, routes| guarded(app, &parameters, need, routes);
    let account = get(accounts::show).patch(accounts::change).delete(accounts::remove);
    Router::new()
        .route(
            "/v1/accounts",
            guard(Need::AnyKey, get(accounts::list)).merge(guard(Need::Admin, post(accounts::add))),
        )
        .route("/v1/accounts/{appid}", guard(Need::Admin, account))
        .route("/v1/accounts/{appid}/rotate", guard(Need::Admin, post(accounts::rotate)))
        .route("/v1/accounts/{appid}/messages", guard(Need::WriteAccount, post(bulk::receive)))
        .route("/v1/accounts/{appid}/stats", guard(Need::ReadAccount, get(statistics::answer)))
        .route("/v1/accounts/{appid}/coverage", guard(Need::ReadAccount, get(coverage)))
        .route("/v1/accounts/{appid}/aside", guard(Need::ReadAccount, get(asides)))
        .route("/v1/stats", guard(Need::AnyKey, get(all_accounts::answer)))
        .route("/v1/components/{component}", guard(Need::Admin, get(platforms::show)))
        .route("/v1/components/{component}/ticket", guard(Need::Admin, get(platforms::ticket)))
        .route(
            "/v1/components/{component}/authorizations",
            guard(Need::Admin, get(platforms::authorizations).post(platforms::authorize)),
        )
        .route(
            "/v1/components/{component}/authorizations/{appid}",
            guard(Need::Admin, delete(platforms::withdraw)),
        )
        .route("/v1/backup", guard(Need::Admin, post(backup::send)))
        .route("/v1/reload", guard(Need::Admin, post(reload::reload)))
        .route("/v1/keys", guard(Need::Admin, get(keys::list).post(keys::add)))
        .route("/v1/keys/{id}", guard(Need::Admin, delete(keys::remove)))
        .route("/v1", guard(Need::AnyKey, any(no_such_path)))
        .route("/v1/", guard(Need::AnyKey, any(no_such_path)))
        .route("/v1/{*rest}", guard(Need::AnyKey, any(no_such_path)))
        .method_not_allowed_fallback(wrong_method)
}

/// Without a key nobody learns which paths there are.
async fn wrong_method(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    if access::access(&app, &headers).is_some() {
        answer::wrong_method()
    } else {
        access::unauthorized(&headers)
    }
}

/// Reads a JSON object, or says why it is none.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Response<Body>> {
    let bad = |what: String| answer::own_error(StatusCode::BAD_REQUEST, what);
    let bytes = read_within(body, BODY_BYTES_MAX, BODY_TIME_MAX).await;
    let bytes =
        bytes.map_err(|_| bad("the body is over 64 KiB, or did not arrive within 30 s".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("send a JSON object: {error}")))
}

fn no_account() -> Response<Body> {
    let error = "no account has this appid; GET /v1/accounts lists them";
    answer::own_error(StatusCode::NOT_FOUND, error)
}

/// Covered time as it is shown.
#[derive(Serialize)]
struct CoverageAnswer {
    since: Option<String>,
    gaps: Vec<GapAnswer>,
    bridged: Vec<[String; 2]>,
}

/// From, to, and why; of refused callbacks also how many for which reason.
#[derive(Serialize)]
#[serde(untagged)]
enum GapAnswer {
    Refused(String, String, &'static str, BTreeMap<Box<str>, u64>),
    Other(String, String, &'static str),
}

impl GapAnswer {
    fn of(gap: Gap) -> GapAnswer {
        let (from, to, why) = (beijing(gap.from_s), beijing(gap.to_s), gap.reason.name());
        match gap.reason {
            Reason::Refused(mut counts) => {
                // One that took time from two gaps is counted in the other.
                counts.values_mut().for_each(|count| *count = (*count).max(1));
                GapAnswer::Refused(from, to, why, counts)
            }
            _ => GapAnswer::Other(from, to, why),
        }
    }
}

impl CoverageAnswer {
    fn of(app: &App, account: &Account) -> CoverageAnswer {
        let report = app.store.coverage(account.number, |coverage| coverage.report(app.clock.now_s()));
        let CoverageReport { since, gaps, bridged } = report;
        CoverageAnswer {
            since: since.map(beijing),
            gaps: gaps.into_iter().map(GapAnswer::of).collect(),
            bridged: bridged.into_iter().map(|(from, to)| [beijing(from), beijing(to)]).collect(),
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

async fn asides(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    match app.store.asides(account.number, ASIDES_MAX) {
        Ok(messages) => answer::own(StatusCode::OK, &BTreeMap::from([("messages", messages)])),
        Err(error) => store_failed(&error),
    }
}

fn store_failed(error: &storage::store::StoreError) -> Response<Body> {
    tracing::error!(%error, "the store cannot be read");
    answer::own_error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the store cannot be read; see the log of the server",
    )
}
