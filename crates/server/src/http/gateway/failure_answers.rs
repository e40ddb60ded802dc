//! Answers that msgcube gives in place of WeChat's.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use datacube::ErrorCode;
use i18n::{Text, text};

use super::{
    answer_inspection,
    decompression::Coding,
    outgoing_body::{BodyFailure, OutgoingBody},
};
use crate::{
    forward::upstream_token::TokenFailure,
    http::{answer, hint::AnswerHint, state::App},
};

/// The answer if there is no real token, or if WeChat cannot be reached. WeChat's refusal of a token is passed on
/// unchanged.
pub fn unavailable(app: &App, failure: TokenFailure) -> Response<Body> {
    match failure {
        TokenFailure::Answered { status, content_type, body } => {
            if app.log_throttle.may_log("", "no_real_token", app.clock.now_s()) {
                let said = String::from_utf8_lossy(&body).into_owned();
                tracing::warn!(
                    said,
                    "WeChat refuses to give a token; check the account's upstream_secret (or secret)"
                );
            }
            let mut response = answer::wechat_json(body);
            *response.status_mut() = status;
            if let Some(content_type) = content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
                answer_inspection::sandbox_always(response.headers_mut());
            }
            response
        }
        TokenFailure::Unreachable(why) => {
            if app.log_throttle.may_log("", "upstream_unreachable", app.clock.now_s()) {
                let base = app.upstream().map(|upstream| upstream.config.base.to_string());
                tracing::warn!(base, why, "WeChat cannot be reached; calls are answered with 502");
            }
            no_answer(
                app,
                StatusCode::BAD_GATEWAY,
                text!("WeChat cannot be reached; see the log of msgcube and check [upstream] base"),
            )
        }
        TokenFailure::NoToken(why) => {
            if app.log_throttle.may_log("", "token_server", app.clock.now_s()) {
                tracing::warn!(why, "there is no real token; calls are answered with 502");
            }
            no_answer(
                app,
                StatusCode::BAD_GATEWAY,
                text!(
                    "there is no real token; set the account's upstream_secret, or check [upstream] token_url and the log of msgcube"
                ),
            )
        }
    }
}

/// An error in the form that SDKs expect. It must not contain an internal address.
fn no_answer(app: &App, status: StatusCode, hint: Text) -> Response<Body> {
    let mut response = answer::wechat_error(app, ErrorCode::SYSTEM_ERROR, Some(&AnswerHint::new(hint)));
    *response.status_mut() = status;
    response
}

/// The answer if the caller's body cannot be passed on.
pub fn body_failed(error: BodyFailure) -> Response<Body> {
    let (status, text) = error.answer();
    answer::api_error(status, text)
}

/// The answer if WeChat's answer has a compression that cannot be searched for the real token.
pub fn unsupported_coding(app: &App, coding: &Coding) -> Response<Body> {
    tracing::debug!(?coding, "WeChat's answer has a compression that is not supported");
    no_answer(
        app,
        StatusCode::BAD_GATEWAY,
        text!(
            "WeChat's answer came compressed although msgcube did not ask for it, and not as gzip or deflate; turn off compression in the proxy between msgcube and WeChat"
        ),
    )
}

/// The answer if WeChat sends a part of a body. Half of the real token could be in each part, so it cannot be searched.
pub fn partial_content(app: &App) -> Response<Body> {
    no_answer(
        app,
        StatusCode::BAD_GATEWAY,
        text!("parts of an answer are passed on only for media; send the request without the header Range"),
    )
}

/// A hint for a chunked body that WeChat refuses.
pub fn chunk_hint(response: &Response<Body>, body: &OutgoingBody) -> Option<AnswerHint> {
    let is_refused = response.status() == StatusCode::PRECONDITION_FAILED && body.is_chunked();
    is_refused.then(|| {
        AnswerHint::new(text!(
            "WeChat may not accept chunked bodies; send bodies over 1 MiB with Content-Length"
        ))
    })
}

/// The answer if WeChat did not answer in time.
pub fn too_slow(app: &App, waited: Duration) -> Response<Body> {
    let seconds = waited.as_secs();
    no_answer(app, StatusCode::GATEWAY_TIMEOUT, text!("WeChat did not answer within {seconds} s", seconds))
}
