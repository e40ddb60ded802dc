//! Callbacks over HTTP: reads the request for [`crate::intake`] and answers with the outcome.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header},
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use storage::account_metrics::CallbackEnd;
use tokio::time::{Instant, timeout_at};
use wechat::callback::{BODY_BYTES_MAX, Refusal};

use super::{answer, relay};
use crate::{
    accounts::{activity::CallbackOutcome, registry::ServedAccount},
    forward::raw_callback::RawCallback,
    http::state::App,
    intake::{
        IntakeOutcome, Recipient,
        path::{self, CallbackPath},
    },
    net::body::{self, BodyError},
};

/// The route of a callback path for methods other than POST. `serve.rs` calls [`receive`] for POST.
pub fn route() -> MethodRouter<Arc<App>> {
    get(verify).fallback(wrong_method)
}

async fn wrong_method() -> Response<Body> {
    let mut response = answer::wrong_method();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD,POST"));
    response
}

/// Whether a request is a POST to a callback path of an account.
pub fn is_callback(request: &Request) -> bool {
    request.method() == Method::POST && CallbackPath::parse(request.uri().path()).is_some()
}

/// The URI without the trailing slash that consoles and proxies add, if this is a path that WeChat posts to.
pub fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = path::without_slash(uri.path())?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Answers WeChat's check of the URL.
async fn verify(State(app): State<Arc<App>>, uri: Uri) -> Response<Body> {
    let recipient = match app.intake.find_recipient(uri.path()).await {
        Ok(Some(recipient)) => recipient,
        Ok(None) => return unknown_account(&app),
        Err(_) => return answer::no_answer(),
    };
    match app.intake.verify(&recipient, uri.query().unwrap_or("")).await {
        Ok(echostr) => answer::plain_text(StatusCode::OK, echostr),
        // Any mistake of the caller is answered with 401, not only a wrong signature.
        Err(refusal) => answer::plain_text(StatusCode::UNAUTHORIZED, refusal.to_string()),
    }
}

/// Takes a message or an event. `arrived` is when its first byte arrived.
pub async fn receive(app: &Arc<App>, request: Request, arrived: Instant) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let recipient = match app.intake.find_recipient(parts.uri.path()).await {
        Ok(Some(recipient)) => recipient,
        Ok(None) => return unknown_account(app),
        Err(_) => return answer::no_answer(),
    };
    if is_loop(app, &parts.headers) {
        recipient.count(CallbackEnd::Unproven);
        return refuse_loop(app, &recipient);
    }
    let deadline = recipient.deadline(arrived);
    let account = recipient.account().map(Arc::as_ref);
    let body = match read_body(app, account, body, deadline).await {
        Ok(body) => body,
        Err(response) => {
            recipient.count(CallbackEnd::Unproven);
            return response;
        }
    };
    let query = parts.uri.query();
    match app.intake.receive(&recipient, query.unwrap_or(""), &body, deadline).await {
        IntakeOutcome::Durable => answer::success(),
        IntakeOutcome::Refused(refusal) => refusal_answer(&refusal),
        IntakeOutcome::Unanswered => answer::no_answer(),
        IntakeOutcome::PassOn(pass_on) => {
            let callback = RawCallback::new(query, &parts.headers, body);
            Box::pin(relay::answer(app, &recipient, pass_on, &callback, deadline)).await
        }
    }
}

/// Leaves a message or an event without an answer, because the state that the processes share cannot be read. WeChat sends
/// it again.
pub async fn leave(app: &Arc<App>, request: Request, arrived: Instant) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Some(recipient) = app.intake.recipient(parts.uri.path()) {
        let account = recipient.account().map(Arc::as_ref);
        if let Ok(body) = read_body(app, account, body, recipient.deadline(arrived)).await {
            app.intake.leave(&recipient, parts.uri.query().unwrap_or(""), &body);
        }
    }
    answer::no_answer()
}

/// Reads the body until the deadline. `account`: the account that the callback is for, if one is known.
///
/// # Errors
/// The answer to send if the body is too large or incomplete.
pub async fn read_body(
    app: &App,
    account: Option<&ServedAccount>,
    body: Body,
    deadline: Instant,
) -> Result<Bytes, Response<Body>> {
    let body = timeout_at(deadline, body::read(body, BODY_BYTES_MAX)).await;
    body.unwrap_or(Err(BodyError::TooSlow)).map_err(|error| match error {
        BodyError::TooLarge => refuse_large(app, account),
        BodyError::TooSlow | BodyError::Broken | BodyError::Full => {
            app.intake.count(account, CallbackOutcome::Refused("body_incomplete"));
            answer::no_answer()
        }
    })
}

/// The answer that says why a callback is refused.
pub fn refusal_answer(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    answer::plain_text(status, refusal.to_string())
}

/// Whether this process itself sent the request. Passing it on again would never end.
pub fn is_loop(app: &App, headers: &HeaderMap) -> bool {
    headers.get(&app.via.0) == Some(&app.via.1)
}

fn refuse_loop(app: &App, recipient: &Recipient) -> Response<Body> {
    app.intake.count(recipient.account().map(Arc::as_ref), CallbackOutcome::Refused("loop"));
    let appid = recipient.appid();
    let error = "relay.url leads back to msgcube itself; set it to the address of the bot";
    if app.log_throttle.may_log("", "loop", app.clock.now_s()) {
        tracing::warn!(appid, error);
    }
    answer::plain_text(StatusCode::LOOP_DETECTED, error)
}

fn refuse_large(app: &App, account: Option<&ServedAccount>) -> Response<Body> {
    app.intake.count(account, CallbackOutcome::Refused("body_too_large"));
    let mut response = answer::plain_text(StatusCode::PAYLOAD_TOO_LARGE, "a callback has at most 64 KiB");
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn unknown_account(app: &App) -> Response<Body> {
    app.metrics.callback("refused", "unknown_account");
    answer::plain_text(
        StatusCode::NOT_FOUND,
        "no account has the appid in this URL; `msgcube account list` shows the accounts",
    )
}
