//! Callbacks: the signature first, then the message, `success` only once it is durable.

mod recipient;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use msgcube_cube::{Content, Message, Reason};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::{answer, relay};
use crate::{
    accounts::Account,
    app::App,
    body::{self, BodyError},
    callback::{self, Query, Refusal},
    config::WhenNotDurable,
    incoming::Incoming,
    store::{Aside, Outcome},
};

pub use recipient::{Keeping, without_slash};
use recipient::{NotTaken, Recipient};

/// How long a callback waits for its body and the disk, together. WeChat itself waits 5 s.
pub const DEADLINE: Duration = Duration::from_millis(4500);
/// How many callbacks wait for the disk; further ones are closed at once. Source: the contract.
const WAITING_MAX: usize = 4096;
/// 2011-01-01 in Beijing. Source: the contract.
const EARLIEST_S: i64 = 1_293_811_200;
/// How far ahead a CreateTime may be.
const AHEAD_S_MAX: i64 = 24 * 3600;

/// WeChat's check of the address.
pub async fn verify(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let recipient = Recipient::find(&app, request.uri());
    let Some(keys) = recipient.as_ref().and_then(Recipient::keys) else { return unknown_account(&app) };
    let query = Query::parse(request.uri().query().unwrap_or(""));
    match callback::verify_get(keys, &query) {
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
    request.method() == Method::POST && recipient::is_address(request.uri())
}

/// The same for the router, which no message reaches: it only has to know the method.
pub async fn receive_routed(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    receive(&app, request, Instant::now()).await
}

/// A message or an event, whose first byte arrived then.
pub async fn receive(app: &Arc<App>, request: Request, arrived: Instant) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Some(recipient) = Recipient::find(app, &parts.uri) else { return unknown_account(app) };
    if parts.headers.get(&app.via.0) == Some(&app.via.1) {
        return refuse_loop(app, recipient.appid());
    }
    let behind = recipient.behind();
    let deadline = match &behind {
        None => Instant::now() + DEADLINE,
        Some(_) => arrived + relay::DEADLINE,
    };
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let body = match read(app, body, deadline).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let opened = recipient.open(app, &query, &body);
    if let Some(behind) = &behind {
        let incoming = Incoming::new(parts.uri.query(), &parts.headers, body);
        // A relay's room is not taken for callbacks that have none.
        return Box::pin(receive_for(behind, app, &recipient, opened, &incoming, deadline)).await;
    }
    match opened {
        // Only what proved itself can be lost.
        Ok(keeping) => {
            let account = keeping.account.clone();
            let kept = keep(app, &account, keeping);
            timeout_at(deadline, kept).await.unwrap_or_else(|_| close(app, &account, "late"))
        }
        Err(NotTaken::TooMany) => too_many(app, &recipient),
        Err(NotTaken::Refused { refusal, loses }) => refuse(app, &recipient, &refusal, loses),
    }
}

/// The same for a bot behind, which answers what it may see.
async fn receive_for(
    behind: &relay::Behind<'_>,
    app: &Arc<App>,
    recipient: &Recipient,
    opened: Result<Keeping, NotTaken>,
    incoming: &Incoming,
    deadline: Instant,
) -> Response<Body> {
    let (response, may_see) = match opened {
        Ok(keeping) => return relay::keep(app, behind, keeping, incoming, deadline).await,
        Err(NotTaken::TooMany) => {
            let may_see = behind.config.when_not_durable == WhenNotDurable::Answer;
            (too_many(app, recipient), may_see)
        }
        Err(NotTaken::Refused { refusal, loses }) => {
            (refuse(app, recipient, &refusal, loses), refusal.may_be_relayed())
        }
    };
    if may_see { relay::pass_on_only(app, behind, incoming, deadline).await } else { response }
}

/// The body, or what is said in its place.
pub async fn read(app: &App, body: Body, deadline: Instant) -> Result<Bytes, Response<Body>> {
    let body = timeout_at(deadline, body::read(body, callback::BODY_BYTES_MAX)).await;
    body.unwrap_or(Err(BodyError::TooSlow)).map_err(|error| match error {
        BodyError::TooLarge => refuse_large(app),
        BodyError::TooSlow | BodyError::Broken | BodyError::Full => {
            app.metrics.callback("refused", "body_incomplete");
            answer::no_answer()
        }
    })
}

async fn keep(app: &App, account: &Account, keeping: Keeping) -> Response<Body> {
    let waiting = app.waiting.fetch_add(1, Ordering::Relaxed);
    let _waits = Waits(app);
    if waiting >= WAITING_MAX {
        return close(app, account, "too_many_waiting");
    }
    let aside = keeping.aside;
    let outcome = async { keeping.enqueue(app)?.await };
    match outcome.await {
        Ok(Outcome::Failed(error)) => {
            tracing::error!(%error, appid = account.config.appid, "a message could not be counted");
            close(app, account, "store")
        }
        Ok(outcome) => {
            count(app, &outcome, aside);
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
        Outcome::Noted => "aside",
        Outcome::Failed(_) => unreachable!("what failed is closed unanswered"),
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
        Content::Event { name, key, msg_id } => {
            let digest = Sha256::digest(key.as_bytes());
            (*msg_id, Some(name.to_string()), Some(URL_SAFE_NO_PAD.encode(&digest[..16])))
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

/// Counts a refusal, and what it loses.
fn refuse(app: &App, recipient: &Recipient, refusal: &Refusal, loses: bool) -> Response<Body> {
    let now_s = app.clock.now_s();
    if let Some(account) = recipient.account().filter(|_| refusal.authentic() && loses) {
        app.ingest.lose(account.number, now_s, now_s + 1, Reason::refused(refusal.reason(), 1));
        // A plain signature proves no content, so a plain body may not say which time is lost.
        if let Some(time) = refusal.create_time().filter(|_| refusal.content_is_proven()) {
            // The time ahead cannot be lost yet.
            let to_s = time.saturating_add(1).min(now_s + 1);
            app.ingest.lose(account.number, time, to_s, Reason::refused(refusal.reason(), 0));
        }
    }
    refused(app, refusal, logged_as(recipient))
}

/// What the log remembers refusals by: never an appid from outside, of which there is no end.
fn logged_as(recipient: &Recipient) -> &str {
    match recipient {
        Recipient::Through { component, account: None, .. } => &component.config.appid,
        _ => recipient.appid(),
    }
}

/// Counts a refusal, and says why.
pub fn refused(app: &App, refusal: &Refusal, appid: &str) -> Response<Body> {
    app.metrics.callback("refused", refusal.reason());
    if app.refusals.may_log_fault(appid, refusal.reason(), refusal.fault(), app.clock.now_s()) {
        tracing::warn!(appid, reason = refusal.reason(), "callback refused: {refusal}");
    }
    answer::text(
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
        refusal.to_string(),
    )
}

/// A message of an account for which there is no room.
fn too_many(app: &App, recipient: &Recipient) -> Response<Body> {
    app.metrics.callback("closed", "too_many_accounts");
    if app.refusals.may_log("", "too_many_accounts", app.clock.now_s()) {
        let appid = recipient.appid();
        tracing::error!(
            appid,
            "a platform brings more accounts than are taken; see the limits in docs/reference.md"
        );
    }
    answer::no_answer()
}

/// Closes the connection without an answer: WeChat sends the message again. Until then it is missing.
pub fn close(app: &App, account: &Account, reason: &'static str) -> Response<Body> {
    app.metrics.callback("closed", reason);
    let lost_for = if reason == "too_many_waiting" { Reason::TooMany } else { Reason::NotDurable };
    lose_lately(app, account, lost_for);
    answer::no_answer()
}

/// Takes the time since a callback arrived at the earliest out of the coverage.
pub fn lose_lately(app: &App, account: &Account, reason: Reason) {
    let now_s = app.clock.now_s();
    let arrived_s = now_s - i64::try_from(relay::DEADLINE.as_secs()).unwrap_or(4) - 1;
    app.ingest.lose(account.number, arrived_s, now_s + 1, reason);
}

/// What we passed on has come back: to pass it on again would never end.
fn refuse_loop(app: &App, appid: &str) -> Response<Body> {
    app.metrics.callback("refused", "loop");
    let error = "relay.url leads back to msgcube itself; name the address of the server behind it";
    if app.refusals.may_log("", "loop", app.clock.now_s()) {
        tracing::warn!(appid, error);
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
