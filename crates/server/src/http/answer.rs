//! Builds answers. WeChat's interfaces answer HTTP 200 with one line of JSON, errors with a rid and a hint. The admin
//! API uses status codes.

use std::net::IpAddr;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use datacube::ErrorCode;
use wechat::request_id::Rid;

use super::{connection::CloseWithoutAnswer, hint::AnswerHint};
use crate::http::state::App;

const JSON: HeaderValue = HeaderValue::from_static("application/json; encoding=utf-8");
const HINT: HeaderName = HeaderName::from_static("x-msgcube-hint");
const HINT_ZH: HeaderName = HeaderName::from_static("x-msgcube-hint-zh");

/// A JSON answer with the content type that WeChat uses.
pub fn wechat_json(body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// Goes with the response of an error, so that the error log can store it for `rid/get`.
#[derive(Clone, Debug)]
pub struct ErrorAnswer {
    /// The request id in the error text.
    pub rid: Rid,
    /// The JSON that was sent.
    pub body: Bytes,
}

/// `{"errcode":…,"errmsg":"… rid: …"}` with HTTP 200. The hint goes into headers.
pub fn wechat_error(app: &App, code: ErrorCode, hint: Option<&AnswerHint>) -> Response<Body> {
    error_with_text(app, code, code.text, hint)
}

/// The error `INVALID_IP`, whose text names the address.
pub fn invalid_ip(app: &App, address: IpAddr, hint: Option<&AnswerHint>) -> Response<Body> {
    let code = ErrorCode::INVALID_IP;
    error_with_text(app, code, &code.text.replace("A.B.C.D", &address.to_string()), hint)
}

fn error_with_text(app: &App, code: ErrorCode, text: &str, hint: Option<&AnswerHint>) -> Response<Body> {
    let rid = app.rids.next(app.clock.now_s());
    let body = Bytes::from(format!(r#"{{"errcode":{},"errmsg":"{text} rid: {rid}"}}"#, code.code));
    let mut response = wechat_json(body.clone());
    response.extensions_mut().insert(ErrorAnswer { rid, body });
    add_hint(&mut response, hint);
    response
}

/// Puts a hint into the headers of a response, in English and in Chinese.
pub fn add_hint(response: &mut Response<Body>, hint: Option<&AnswerHint>) {
    let Some(hint) = hint else { return };
    let texts = [(HINT, hint.header_en()), (HINT_ZH, hint.header_zh())];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// A JSON answer of the admin API.
pub fn api_json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error of the admin API: `{"error":"…"}`. The English text says what is wrong and how to correct it.
pub fn api_error(status: StatusCode, error: impl Into<String>) -> Response<Body> {
    #[derive(serde::Serialize)]
    struct ApiError {
        error: String,
    }
    api_json(status, &ApiError { error: error.into() })
}

/// 405: the path exists, and it does not take this method.
pub fn wrong_method() -> Response<Body> {
    let error = "this path takes other methods: the header Allow names them, /openapi.json describes them";
    api_error(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// An answer of plain text.
pub fn plain_text(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The answer to a callback that WeChat reads as: received, no reply to the user.
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
