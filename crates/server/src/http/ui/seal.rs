//! The headers of each answer below `/ui`: nothing is stored, framed or sniffed, and only our own style and script
//! work in a page.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    middleware::Next,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use i18n::Lang;
use sha2::{Digest as _, Sha256};

use super::own_cookies;
use crate::http::state::App;

/// How long a browser keeps a chosen language, in seconds: a year.
const LANGUAGE_AGE_S: i64 = 365 * 24 * 3600;

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// Adds the headers to each answer, and remembers a language that the query chooses.
pub async fn seal(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let chosen = form_urlencoded::parse(query).find(|(name, _)| name == "lang");
    let chosen = chosen.and_then(|(_, code)| Lang::from_code(&code));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY)
        && let Ok(policy) = HeaderValue::try_from(policy("", ""))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let is_secure = app.config.get().has_https_ui();
    let cookie = chosen
        .and_then(|lang| own_cookies::set(own_cookies::LANGUAGE, lang.code(), LANGUAGE_AGE_S, is_secure));
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// A page in which only this style and this script work. An empty text means none.
pub fn html(status: StatusCode, document: String, style: &str, script: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::try_from(policy(style, script)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Hashes instead of `'self'`: the gateway answers on the same origin, and no script from there may run in a page.
fn policy(style: &str, script: &str) -> String {
    let source = |text: &str| match text {
        "" => "'none'".to_owned(),
        text => format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text))),
    };
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
        source(style),
        source(script)
    )
}

/// Leads a browser to another page of ours.
pub fn see_other(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
