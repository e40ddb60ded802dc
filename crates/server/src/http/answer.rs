//! Answers in WeChat's form: HTTP 200 with one line of JSON, errors with a rid and a hint.

use std::net::IpAddr;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use datacube::ErrorCode;
use wechat::request_id::Rid;

use super::{connection::CloseWithoutAnswer, hint::Hint};
use crate::http::state::App;

const JSON: HeaderValue = HeaderValue::from_static("application/json; encoding=utf-8");
const HINT: HeaderName = HeaderName::from_static("x-msgcube-hint");
const HINT_ZH: HeaderName = HeaderName::from_static("x-msgcube-hint-zh");

/// A response of an interface that WeChat has.
pub fn json(body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// Marks the answer of an error, for those who keep calls.
#[derive(Clone, Debug)]
pub struct ErrorAnswer {
    pub rid: Rid,
    pub body: Bytes,
}

/// An error code with its text, a rid, and what would be right.
pub fn error(app: &App, code: ErrorCode, hint: Option<&Hint>) -> Response<Body> {
    error_saying(app, code, code.text, hint)
}

/// The error that an address is not allowed, naming it.
pub fn invalid_ip(app: &App, address: IpAddr, hint: Option<&Hint>) -> Response<Body> {
    let code = ErrorCode::INVALID_IP;
    error_saying(app, code, &code.text.replace("A.B.C.D", &address.to_string()), hint)
}

fn error_saying(app: &App, code: ErrorCode, text: &str, hint: Option<&Hint>) -> Response<Body> {
    let rid = app.rids.next(app.clock.now_s());
    let body = Bytes::from(format!(r#"{{"errcode":{},"errmsg":"{text} rid: {rid}"}}"#, code.code));
    let mut response = json(body.clone());
    response.extensions_mut().insert(ErrorAnswer { rid, body });
    add_hint(&mut response, hint);
    response
}

/// Puts a hint into the headers of a response.
pub fn add_hint(response: &mut Response<Body>, hint: Option<&Hint>) {
    let Some(hint) = hint else { return };
    let texts = [(HINT, hint.header_en()), (HINT_ZH, hint.header_zh())];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// A response of our own interface.
pub fn own(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error of our own interface: what is wrong and what would be right.
pub fn own_error(status: StatusCode, error: impl Into<String>) -> Response<Body> {
    #[derive(serde::Serialize)]
    struct OwnError {
        error: String,
    }
    own(status, &OwnError { error: error.into() })
}

/// The path is right and the method is not.
pub fn wrong_method() -> Response<Body> {
    let error = "this path takes other methods: the header Allow names them, /openapi.json describes them";
    own_error(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// A short text.
pub fn text(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What WeChat takes as: done, no reply.
pub fn success() -> Response<Body> {
    let mut response = Response::new(Body::from("success"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Makes the connection close without an answer, so that WeChat sends the message again.
pub fn no_answer() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CloseWithoutAnswer);
    response
}
