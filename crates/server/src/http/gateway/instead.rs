//! What is said in place of WeChat's answer, and why.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use datacube::ErrorCode;
use i18n::{Text, text};

use super::{
    outgoing::{Lost, Outgoing},
    unpacked::Coding,
};
use crate::{
    forward::upstream_token::Failure,
    http::{answer, hint::Hint, state::App},
};

/// No answer of WeChat's: its refusal of a token as it came, or that it cannot be reached.
pub fn failed(app: &App, failure: Failure) -> Response<Body> {
    match failure {
        Failure::Answered { status, content_type, body } => {
            if app.refusals.may_log("", "no_real_token", app.clock.now_s()) {
                let said = String::from_utf8_lossy(&body).into_owned();
                tracing::warn!(
                    said,
                    "WeChat gives no token; check the account's upstream_secret (or secret)"
                );
            }
            let mut response = answer::json(body);
            *response.status_mut() = status;
            if let Some(content_type) = content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
        Failure::Unreachable(why) => {
            if app.refusals.may_log("", "upstream_unreachable", app.clock.now_s()) {
                let base = app.upstream().map(|upstream| upstream.config.base.to_string());
                tracing::warn!(base, why, "WeChat cannot be reached; calls are answered with 502");
            }
            no_answer(
                app,
                StatusCode::BAD_GATEWAY,
                text!("WeChat cannot be reached; see the log of msgcube, and [upstream] base"),
            )
        }
        Failure::NoToken(why) => {
            if app.refusals.may_log("", "token_server", app.clock.now_s()) {
                tracing::warn!(why, "there is no real token; calls are answered with 502");
            }
            no_answer(
                app,
                StatusCode::BAD_GATEWAY,
                text!(
                    "there is no real token: set the account's upstream_secret, or see [upstream] token_url and the log of msgcube"
                ),
            )
        }
    }
}

/// As SDKs read errors. No address of a machine inside.
fn no_answer(app: &App, status: StatusCode, hint: Text) -> Response<Body> {
    let mut response = answer::error(app, ErrorCode::SYSTEM_ERROR, Some(&Hint::new(hint)));
    *response.status_mut() = status;
    response
}

/// What the caller hears if its body cannot go on.
pub fn lost(error: Lost) -> Response<Body> {
    let (status, text) = error.said();
    answer::own_error(status, text)
}

/// The answer is compressed although we did not ask for that, so we cannot search it for the real token.
pub fn packed(app: &App, coding: &Coding) -> Response<Body> {
    tracing::debug!(?coding, "WeChat's answer is compressed in a way that cannot be read");
    no_answer(
        app,
        StatusCode::BAD_GATEWAY,
        text!(
            "the answer came compressed although nobody asked for that, and not as gzip or deflate: keep whatever stands between msgcube and WeChat from compressing"
        ),
    )
}

/// Half of the real token may be at its end, and the caller asks for the other half next.
pub fn piece(app: &App) -> Response<Body> {
    no_answer(
        app,
        StatusCode::BAD_GATEWAY,
        text!("a piece of an answer is passed on of media alone: ask without the header Range"),
    )
}

/// What may be wrong if WeChat refuses a body.
pub fn refuses_chunks(response: &Response<Body>, body: &Outgoing) -> Option<Hint> {
    let is_refused = response.status() == StatusCode::PRECONDITION_FAILED && body.is_chunked();
    is_refused.then(|| {
        Hint::new(text!("WeChat may take no body in chunks: send one over 1 MiB with Content-Length"))
    })
}

/// Nothing came for too long.
pub fn too_slow(app: &App, waited: Duration) -> Response<Body> {
    let seconds = waited.as_secs();
    no_answer(app, StatusCode::GATEWAY_TIMEOUT, text!("WeChat did not answer within {seconds} s", seconds))
}
