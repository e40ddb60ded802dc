//! Callbacks: the signature first, then the message, `success` only once it is durable.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Method, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use msgcube_cube::{Content, Message};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::{answer, body, body::BodyError, relay};
use crate::{
    accounts::Account,
    app::App,
    callback::{self, Query, Refusal},
    store::{Aside, Change, Outcome},
};

/// How long a callback waits for its body and the disk, together. WeChat itself waits 5 s.
const DEADLINE: Duration = Duration::from_millis(4500);
/// How many callbacks wait for the disk; further ones are closed at once. Source: the contract.
const WAITING_MAX: usize = 4096;
/// 2011-01-01 in Beijing. Source: the contract.
const EARLIEST_S: i64 = 1_293_811_200;
/// How far ahead a CreateTime may be.
const AHEAD_S_MAX: i64 = 24 * 3600;

/// WeChat's check of the address.
pub async fn verify(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return unknown_account(&app) };
    let query = Query::parse(request.uri().query().unwrap_or(""));
    match callback::verify_get(&account.keys, &query) {
        Ok(echostr) => {
            app.metrics.callback("verified", "");
            answer::text(StatusCode::OK, echostr)
        }
        // Anything but the signature's failure is the caller's mistake, too: the answer is always 401.
        Err(refusal) => {
            app.metrics.callback("refused", refusal.reason());
            answer::text(StatusCode::UNAUTHORIZED, refusal.to_string())
        }
    }
}

/// Whether a request is a POST to an account's callback address.
pub fn is_callback(request: &Request) -> bool {
    request.method() == Method::POST && appid_of(request.uri().path()).is_some()
}

/// The same for the router, which no message reaches: it only has to know the method.
pub async fn receive_routed(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    receive(&app, request, Instant::now()).await
}

fn appid_of(path: &str) -> Option<&str> {
    path.strip_prefix("/callback/").filter(|appid| !appid.is_empty() && !appid.contains('/'))
}

/// A message or an event, whose first byte arrived then.
pub async fn receive(app: &Arc<App>, request: Request, arrived: Instant) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let appid = percent_decode_str(appid_of(parts.uri.path()).unwrap_or_default()).decode_utf8_lossy();
    let Some(account) = app.accounts.get(&appid) else { return unknown_account(app) };
    if parts.headers.get(&app.via.0) == Some(&app.via.1) {
        return refuse_loop(app, &account);
    }
    let deadline = match &account.config.relay {
        None => Instant::now() + DEADLINE,
        Some(_) => arrived + relay::DEADLINE,
    };
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let body = timeout_at(deadline, body::read(body, callback::BODY_BYTES_MAX)).await;
    let body = match body.unwrap_or(Err(BodyError::TooSlow)) {
        Ok(body) => body,
        Err(BodyError::TooLarge) => return refuse_large(app),
        Err(BodyError::TooSlow | BodyError::Broken) => {
            app.metrics.callback("refused", "body_incomplete");
            return answer::no_answer();
        }
    };
    let now_s = app.clock.now_s();
    let opened = callback::open(&account.keys, &query, &body, now_s, Some(app.config.callback_max_age_s));
    let incoming = || relay::Incoming::new(parts.uri.query(), &parts.headers, body.clone());
    match (opened, &account.config.relay) {
        (Ok(message), Some(relay)) => {
            let keeping = Keeping::of(&account, message, now_s);
            relay::keep(app, &account, relay, keeping, &incoming(), deadline).await
        }
        // Only what proved itself can be lost.
        (Ok(message), None) => {
            let kept = keep(app, &account, Keeping::of(&account, message, now_s));
            timeout_at(deadline, kept).await.unwrap_or_else(|_| close(app, &account, "late"))
        }
        (Err(refusal), relay) => {
            let response = refuse(app, &account, &refusal, now_s);
            match relay {
                Some(relay) if refusal.may_be_relayed() => {
                    relay::pass_on_only(app, &account, relay, &incoming(), deadline).await
                }
                _ => response,
            }
        }
    }
}

/// What is to become durable of a callback.
#[derive(Debug)]
pub struct Keeping {
    pub change: Change,
    /// Why it is kept without being counted, if so.
    pub aside: Option<&'static str>,
}

impl Keeping {
    fn of(account: &Account, message: Message, now_s: i64) -> Keeping {
        let aside = implausible(message.create_time, now_s);
        let change = match aside {
            None => Change::Message { account: account.number, message },
            Some(reason) => Change::Aside { account: account.number, aside: aside_of(&message, reason) },
        };
        Keeping { change, aside }
    }
}

async fn keep(app: &App, account: &Account, keeping: Keeping) -> Response<Body> {
    let waiting = app.waiting.fetch_add(1, Ordering::Relaxed);
    let _waits = Waits(app);
    if waiting >= WAITING_MAX {
        return close(app, account, "too_many_waiting");
    }
    match app.ingest.submit(keeping.change).await {
        Ok(Outcome::Failed(error)) => {
            tracing::error!(%error, appid = account.config.appid, "a message could not be counted");
            close(app, account, "store")
        }
        Ok(outcome) => {
            count(app, &outcome, keeping.aside);
            answer::success()
        }
        Err(_) => close(app, account, "not_durable"),
    }
}

/// Gives the place among the waiting back, also when the wait is cut off.
struct Waits<'a>(&'a App);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts what became of a callback.
pub fn count(app: &App, outcome: &Outcome, aside: Option<&'static str>) {
    let result = match outcome {
        Outcome::Counted => "counted",
        Outcome::Repeat => "repeat",
        Outcome::Noted | Outcome::Failed(_) => "aside",
    };
    app.metrics.callback(result, aside.unwrap_or(""));
    match outcome {
        Outcome::Counted => app.metrics.counted(1),
        Outcome::Repeat => app.metrics.repeated(1),
        Outcome::Noted | Outcome::Failed(_) => app.metrics.kept_aside(aside.unwrap_or("")),
    }
}

/// Why a CreateTime cannot be right, if so.
pub fn implausible(create_time: i64, now_s: i64) -> Option<&'static str> {
    if create_time < EARLIEST_S {
        Some("create_time_before_2011")
    } else if create_time > now_s.saturating_add(AHEAD_S_MAX) {
        Some("create_time_ahead")
    } else {
        None
    }
}

fn aside_of(message: &Message, reason: &str) -> Aside {
    let (msg_id, event, event_digest) = match &message.content {
        Content::Message { msg_id, .. } => (Some(*msg_id), None, None),
        Content::Event { name, key } => {
            let digest = Sha256::digest(key.as_bytes());
            (None, Some(name.to_string()), Some(URL_SAFE_NO_PAD.encode(&digest[..16])))
        }
    };
    Aside {
        reason: reason.to_owned(),
        user: message.user.to_string(),
        create_time: message.create_time,
        msg_type: message.kind().name().to_owned(),
        msg_id,
        event,
        event_digest,
    }
}

fn refuse(app: &App, account: &Account, refusal: &Refusal, now_s: i64) -> Response<Body> {
    app.metrics.callback("refused", refusal.reason());
    if app.refusals.may_log(&account.config.appid, refusal.reason(), now_s) {
        tracing::warn!(
            appid = account.config.appid,
            reason = refusal.reason(),
            "callback refused: {refusal}"
        );
    }
    if refusal.authentic() {
        app.ingest.lose(account.number, now_s, now_s + 1);
        // A plain signature proves no content, so a plain body may not say which time is lost.
        if let Some(time) = refusal.create_time().filter(|_| refusal.content_is_proven()) {
            // The time ahead cannot be lost yet.
            app.ingest.lose(account.number, time, time.saturating_add(1).min(now_s + 1));
        }
    }
    answer::text(
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
        refusal.to_string(),
    )
}

/// Closes the connection without an answer: WeChat sends the message again. Until then it is missing.
pub fn close(app: &App, account: &Account, reason: &'static str) -> Response<Body> {
    app.metrics.callback("closed", reason);
    lose_lately(app, account);
    answer::no_answer()
}

/// Takes the time since a callback arrived at the earliest out of the coverage.
pub fn lose_lately(app: &App, account: &Account) {
    let now_s = app.clock.now_s();
    let arrived_s = now_s - i64::try_from(relay::DEADLINE.as_secs()).unwrap_or(4) - 1;
    app.ingest.lose(account.number, arrived_s, now_s + 1);
}

/// What we passed on has come back: to pass it on again would never end.
fn refuse_loop(app: &App, account: &Account) -> Response<Body> {
    app.metrics.callback("refused", "loop");
    let error = "relay.url leads back to msgcube itself; name the address of the server behind it";
    if app.refusals.may_log(&account.config.appid, "loop", app.clock.now_s()) {
        tracing::warn!(appid = account.config.appid, error);
    }
    answer::text(StatusCode::LOOP_DETECTED, error)
}

fn refuse_large(app: &App) -> Response<Body> {
    app.metrics.callback("refused", "body_too_large");
    let mut response = answer::text(StatusCode::PAYLOAD_TOO_LARGE, "a callback has at most 64 KiB");
    response.headers_mut().insert("connection", axum::http::HeaderValue::from_static("close"));
    response
}

fn unknown_account(app: &App) -> Response<Body> {
    app.metrics.callback("refused", "unknown_account");
    answer::text(
        StatusCode::NOT_FOUND,
        "no account has the appid in this URL; `msgcube account list` shows those there are",
    )
}
