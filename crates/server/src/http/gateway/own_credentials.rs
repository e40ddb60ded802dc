//! Finds msgcube's own credentials in calls to WeChat: tokens that msgcube gave out, and secrets that only msgcube knows.
//! A secret in its proper place is replaced by WeChat's. Any other credential of ours stops the call.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, request::Parts},
};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;
use serde_json::Value;
use system::secret::Secret;

use super::{
    decodings,
    fields::{InputField, InputFields},
    head, path,
};
use crate::http::{
    answer,
    client_credentials::{CLIENT_CREDENTIAL, ClientCredentials},
    connection::Peer,
    hint::AnswerHint,
    state::App,
};

/// Names of an account's secret where WeChat takes it. Source: WeChat's pages on /sns/ and on clear_quota/v2.
const SECRET_NAMES: [&str; 2] = ["secret", "appsecret"];
/// Headers in which proxies and browsers repeat the called address with its token. They are removed in this case.
const ADDRESS_HEADERS: [&str; 7] = [
    "referer",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-envoy-original-path",
    "x-request-uri",
];

/// A kind of credential that must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnCredential {
    Token,
    Secret,
}

/// Why a call is not passed on.
#[derive(Clone, Copy, Debug)]
pub enum GatewayRefusal {
    /// The call shows a credential of ours in the wrong place.
    Shows(OwnCredential),
    /// The account's settings do not allow its secret here. With the error code, and the caller.
    NotAllowed(ErrorCode, Option<Peer>),
}

/// WeChat's secret and the caller's secret that it replaced.
pub type SwappedSecret = Option<(Secret, Secret)>;

/// Replaces our secret by WeChat's, and refuses a call that shows any other credential of ours. `body` is the whole body if
/// it is small enough to be searched. `has_token`: the real token will replace ours in the query.
pub fn check_and_swap(
    app: &App,
    parts: &mut Parts,
    mut body: Option<&mut Bytes>,
    has_token: bool,
) -> Result<SwappedSecret, GatewayRefusal> {
    remove_address_headers(app, &mut parts.headers);
    let swapped = swap_secret(app, parts, body.as_deref_mut())?;
    let body = body.map_or_else(Bytes::new, |body| body.clone());
    match find_in_head(app, parts, has_token).or_else(|| find_in_body(app, &body)) {
        None => Ok(swapped),
        Some(ours) => Err(GatewayRefusal::Shows(ours)),
    }
}

impl GatewayRefusal {
    /// The answer to the caller.
    pub fn answer(self, app: &App) -> Response<Body> {
        let (code, hint) = match self {
            GatewayRefusal::Shows(OwnCredential::Token) => (
                ErrorCode::INVALID_CREDENTIAL,
                AnswerHint::new(text!(
                    "a token of msgcube's own works only as access_token in the query, and not under /sns/, where tokens belong to users; the call was not passed on"
                )),
            ),
            GatewayRefusal::Shows(OwnCredential::Secret) => (
                ErrorCode::INVALID_APPSECRET,
                AnswerHint::new(text!(
                    "this call contains a secret of msgcube's own, which WeChat does not know. It is replaced by WeChat's only under /sns/, as secret together with the account's appid; the call was not passed on"
                )),
            ),
            GatewayRefusal::NotAllowed(code, _) => (
                code,
                AnswerHint::new(text!(
                    "this account's ip_allow or secret_frozen does not allow this use of its secret"
                )),
            ),
        };
        match self {
            GatewayRefusal::NotAllowed(ErrorCode::INVALID_IP, Some(client)) => {
                answer::invalid_ip(app, client.address(), Some(&hint))
            }
            _ => answer::wechat_error(app, code, Some(&hint)),
        }
    }
}

fn remove_address_headers(app: &App, headers: &mut HeaderMap) {
    for name in ADDRESS_HEADERS {
        let shows = |value: &HeaderValue| find_in_text(app, value.as_bytes()).is_some();
        if headers.get_all(name).iter().any(shows) {
            headers.remove(name);
        }
    }
}

/// Replaces our secret only where WeChat takes one. Elsewhere an answer or a log could show it to others.
fn swap_secret(
    app: &App,
    parts: &mut Parts,
    body: Option<&mut Bytes>,
) -> Result<SwappedSecret, GatewayRefusal> {
    if !path::is_user_path(parts.uri.path()) {
        return Ok(None);
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let in_query = InputFields::of_form(query.as_bytes());
    let in_body = InputFields::of_body(body.as_ref().map_or(&[][..], |body| body));
    let named = in_query.all.iter().chain(&in_body.all).filter(|field| field.name == "appid");
    let mut appids = named.map(|field| field.value.as_str());
    let Some(appid) = appids.next().filter(|first| appids.all(|other| other == *first)) else {
        return Ok(None);
    };
    let Some(account) = app.accounts.get(appid) else { return Ok(None) };
    let Some(own) = account.config.own_secret() else { return Ok(None) };
    let is_shown =
        |field: &&InputField| SECRET_NAMES.contains(&field.name.as_str()) && own.matches(&field.value);
    let shown_in_query: Vec<&InputField> = in_query.all.iter().filter(is_shown).collect();
    let shown_in_body: Vec<&InputField> = in_body.all.iter().filter(is_shown).collect();
    if shown_in_query.is_empty() && shown_in_body.is_empty() {
        return Ok(None);
    }
    let client = parts.extensions.get().copied();
    let credentials =
        ClientCredentials { appid, grant_type: CLIENT_CREDENTIAL, secret: own.reveal(), client };
    credentials.check(app).map_err(|code| GatewayRefusal::NotAllowed(code, client))?;
    let real = account.config.upstream_secret();
    if !shown_in_query.is_empty() {
        let query = in_query.with(query.as_bytes(), &shown_in_query, real.reveal());
        set_query(parts, &query);
    }
    if let Some(body) = body.filter(|_| !shown_in_body.is_empty()) {
        *body = in_body.with(body, &shown_in_body, real.reveal()).into();
    }
    Ok(Some((real.clone(), own.clone())))
}

/// Sets the query. If it is not valid the old one stays, and the check below finds our secret in it.
fn set_query(parts: &mut Parts, query: &[u8]) {
    let query = String::from_utf8_lossy(query);
    let mut pieces = parts.uri.clone().into_parts();
    if let Ok(path_and_query) = format!("{}?{query}", parts.uri.path()).parse() {
        pieces.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(pieces) {
            parts.uri = uri;
        }
    }
}

/// Searches everything that is sent before the body.
fn find_in_head(app: &App, parts: &Parts, has_token: bool) -> Option<OwnCredential> {
    let query = parts.uri.query().unwrap_or_default();
    let query = if has_token { head::without_token(query) } else { query.to_owned() };
    let method = Some(&parts.method).filter(|method| !is_standard_method(method)).map_or("", Method::as_str);
    let mut text = format!("{method}\n{}\n{query}", parts.uri.path()).into_bytes();
    for (name, value) in &parts.headers {
        text.push(b'\n');
        text.extend_from_slice(HeaderName::as_str(name).as_bytes());
        text.push(b'\n');
        text.extend_from_slice(value.as_bytes());
    }
    let values = || {
        let fields = InputFields::of_form(query.as_bytes()).all;
        let segments = parts.uri.path().split('/').map(decoded);
        let headers =
            parts.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        segments.chain(headers).chain(fields.into_iter().flat_map(|field| [field.name, field.value]))
    };
    find_in_text(app, &text).or_else(|| find_in_values(app, values))
}

fn is_standard_method(method: &Method) -> bool {
    let standard = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::HEAD,
        Method::OPTIONS,
    ];
    standard.contains(method)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn find_in_body(app: &App, body: &[u8]) -> Option<OwnCredential> {
    if body.is_empty() {
        return None;
    }
    let values = || {
        let fields = InputFields::of_form(body).all.into_iter().flat_map(|field| [field.name, field.value]);
        fields.chain(serde_json::from_slice(body).map_or_else(|_| Vec::new(), strings_in))
    };
    find_in_text(app, body).or_else(|| find_in_values(app, values))
}

/// All strings in a JSON value, including names.
fn strings_in(value: Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.into_iter().flat_map(strings_in).collect(),
        Value::Object(members) => {
            let both = members.into_iter().flat_map(|(name, value)| [vec![name], strings_in(value)]);
            both.flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// Searches a text in all its decodings.
fn find_in_text(app: &App, text: &[u8]) -> Option<OwnCredential> {
    let secrets_of_platforms = app.platforms.own_secrets();
    decodings::decodings(text).iter().find_map(|decoding| {
        if app.tokens.occur_in(decoding) {
            return Some(OwnCredential::Token);
        }
        let is_secret = app.accounts.own_secrets(|secrets| secrets.occur_in(decoding))
            || secrets_of_platforms.occur_in(decoding);
        is_secret.then_some(OwnCredential::Secret)
    })
}

/// Compares whole values. Some secrets are too short to be searched for inside longer texts.
fn find_in_values<I: Iterator<Item = String>>(app: &App, values: impl Fn() -> I) -> Option<OwnCredential> {
    let of_platforms = app.platforms.own_secrets();
    let is_found = app.accounts.own_secrets(|of_accounts| {
        let is_needed = !of_accounts.is_empty() || !of_platforms.is_empty();
        let is_ours = |value: String| of_accounts.has(value.as_bytes()) || of_platforms.has(value.as_bytes());
        is_needed && values().any(is_ours)
    });
    is_found.then_some(OwnCredential::Secret)
}

#[cfg(test)]
mod tests;
