//! The admin API below `/v1`, protected by API keys: bulk messages, statistics, coverage, health, quarantined messages,
//! a summary of all accounts, accounts, platforms, keys, share links, reload and backup. Every answer is JSON, except a backup, live
//! events, and rows that are asked for as NDJSON or CSV.

pub mod access;
pub mod accounts;
mod all_accounts;
mod backup;
mod bulk;
pub mod health;
pub mod keys;
pub mod live;
mod page_format;
mod parameters;
mod platforms;
mod reload;
pub mod share_links;
mod statistics;
mod summary;

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
use serde::{Deserialize as _, Deserializer, Serialize, de::DeserializeOwned};

use storage::store::StoreError;

use super::answer;
use crate::{
    accounts::registry::ServedAccount, auth::revocable::RevocableError, http::state::App,
    net::body::read_within,
};
use access::{Need, guarded};
use parameters::Parameters;

/// Most quarantined messages in one answer.
const QUARANTINED_MAX: usize = 1000;
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// All routes below `/v1`. Each names what the caller's key must allow.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let no_such_path = || async { answer::api_error(StatusCode::NOT_FOUND, "no such path below /v1") };
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
        .route("/v1/accounts/{appid}/health", guard(Need::ReadAccount, get(health::answer)))
        .route("/v1/accounts/{appid}/aside", guard(Need::ReadAccount, get(quarantined)))
        .route("/v1/stats", guard(Need::AnyKey, get(all_accounts::answer)))
        .route("/v1/summary", guard(Need::AnyKey, get(summary::answer)))
        .route("/v1/live", guard(Need::AnyKey, get(live::answer)))
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
        .route("/v1/share-links", guard(Need::Admin, get(share_links::list).post(share_links::add)))
        .route("/v1/share-links/{id}", guard(Need::Admin, delete(share_links::remove)))
        .route("/v1", guard(Need::AnyKey, any(no_such_path)))
        .route("/v1/", guard(Need::AnyKey, any(no_such_path)))
        .route("/v1/{*rest}", guard(Need::AnyKey, any(no_such_path)))
        .method_not_allowed_fallback(wrong_method)
}

/// Answers 405, or 401 without a valid key: callers without a key must not learn which paths exist.
async fn wrong_method(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    if access::access(&app, &headers).is_some() {
        answer::wrong_method()
    } else {
        access::unauthorized(&headers)
    }
}

/// Reads a JSON object of at most 64 KiB.
///
/// # Errors
///
/// A ready answer with status 400 if the body is too large, too slow, or not the expected object.
async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T, Response<Body>> {
    let bad_request = |what: String| answer::api_error(StatusCode::BAD_REQUEST, what);
    let bytes = read_within(body, BODY_BYTES_MAX, BODY_TIME_MAX).await;
    let bytes = bytes
        .map_err(|_| bad_request("the body is over 64 KiB, or did not arrive within 30 s".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| bad_request(format!("send a JSON object: {error}")))
}

/// Changes keys or share links, to the end even if the caller goes away. A failure becomes status and text of the answer.
async fn to_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, RevocableError>> + Send + 'static,
) -> Result<T, (StatusCode, String)> {
    let status = |error: &RevocableError| match error {
        RevocableError::TooManyKeys | RevocableError::TooManyLinks => StatusCode::CONFLICT,
        RevocableError::UnknownKey(_) | RevocableError::UnknownLink(_) | RevocableError::NoAccount => {
            StatusCode::NOT_FOUND
        }
        RevocableError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        RevocableError::Random(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match tokio::spawn(change).await {
        Ok(done) => done.map_err(|error| (status(&error), error.to_string())),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// Reads a whole number, also one that is written as 30.0: to JSON both are the same.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    let whole = number.to_string().parse();
    whole.map(Some).map_err(|_| serde::de::Error::custom(format!("{number} is no whole number from 0 on")))
}

fn no_account() -> Response<Body> {
    let error = "no account has this appid; GET /v1/accounts lists them";
    answer::api_error(StatusCode::NOT_FOUND, error)
}

/// `GET /v1/accounts/{appid}/coverage`: the time in which all messages of an account were counted.
///
/// Also the field `coverage` of other answers. All times are RFC 3339 in Beijing time, such as
/// `2026-11-01T08:00:00+08:00`, and each stretch of time excludes its end.
#[derive(Serialize)]
struct CoverageAnswer {
    /// Start of the covered time. `null` if no time is covered.
    since: Option<String>,
    /// Stretches after `since` that are not covered, in order of time.
    gaps: Vec<GapAnswer>,
    /// Short planned stops that are no gaps, as `[from, to]`. WeChat sends again what it got no answer for.
    bridged: Vec<[String; 2]>,
}

/// An array: `[from, to, reason]`, or `[from, to, "refused", {cause: callbacks}]` for refused callbacks.
///
/// The reasons are `not_running`, `not_durable`, `refused`, `too_many`, `no_connection_taken` and `unknown`. The causes
/// are named as in the metrics.
#[derive(Serialize)]
#[serde(untagged)]
enum GapAnswer {
    Refused(String, String, &'static str, BTreeMap<Box<str>, u64>),
    Other(String, String, &'static str),
}

impl GapAnswer {
    fn new(gap: Gap) -> GapAnswer {
        let (from, to, reason) = (beijing_time(gap.from_s), beijing_time(gap.to_s), gap.reason.name());
        match gap.reason {
            Reason::Refused(mut counts) => {
                // A refusal that touches two gaps is counted in one of them. The other must not show 0.
                counts.values_mut().for_each(|count| *count = (*count).max(1));
                GapAnswer::Refused(from, to, reason, counts)
            }
            _ => GapAnswer::Other(from, to, reason),
        }
    }
}

impl CoverageAnswer {
    fn new(app: &App, account: &ServedAccount) -> CoverageAnswer {
        app.store.coverage(account.number, |coverage| coverage.report(app.clock.now_s())).into()
    }
}

impl From<CoverageReport> for CoverageAnswer {
    fn from(CoverageReport { since, gaps, bridged }: CoverageReport) -> CoverageAnswer {
        CoverageAnswer {
            since: since.map(beijing_time),
            gaps: gaps.into_iter().map(GapAnswer::new).collect(),
            bridged: bridged.into_iter().map(|(from, to)| [beijing_time(from), beijing_time(to)]).collect(),
        }
    }
}

/// A time as RFC 3339 in Beijing time. A time that no calendar can show stays in Unix seconds.
pub fn beijing_time(unix_s: i64) -> String {
    let offset =
        tz::Offset::from_seconds(i32::try_from(BEIJING_OFFSET_S).unwrap_or(0)).unwrap_or(tz::Offset::UTC);
    match Timestamp::from_second(unix_s) {
        Ok(moment) => moment.display_with_offset(offset).to_string(),
        Err(_) => unix_s.to_string(),
    }
}

async fn coverage(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    match app.accounts.get(&appid) {
        Some(account) => answer::api_json(StatusCode::OK, &CoverageAnswer::new(&app, &account)),
        None => no_account(),
    }
}

/// `GET /v1/accounts/{appid}/aside`: messages that are stored and not counted, as
/// `{"messages":[{"reason","user","create_time","msg_type",…}]}`.
///
/// `reason` is named as in the metrics, `user` is `FromUserName`, `create_time` is in Unix seconds, and `msg_type` is
/// `MsgType`. `msg_id` is missing if the message has no id. `event` and `event_digest` are missing for messages that
/// are no events. At most 1,000 messages are listed, and there is no next page.
async fn quarantined(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    let read = move |app: &Arc<App>| app.store.quarantined_messages(account.number, QUARANTINED_MAX);
    match app.read_blocking(read).await {
        Ok(Ok(messages)) => answer::api_json(StatusCode::OK, &BTreeMap::from([("messages", messages)])),
        Ok(Err(error)) => store_failed(&app, &error),
        Err(_) => {
            answer::api_error(StatusCode::INTERNAL_SERVER_ERROR, "reading failed; see the log of the server")
        }
    }
}

fn store_failed(app: &App, error: &StoreError) -> Response<Body> {
    app.log_store_failure(error);
    answer::api_error(
        // The servers of a shared store may be back soon.
        if matches!(error, StoreError::Servers(_)) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        },
        "the store cannot be read; see the log of the server",
    )
}
