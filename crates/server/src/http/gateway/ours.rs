//! What of ours stands in a call on its way to WeChat: tokens that msgcube gave out, and secrets that only msgcube knows.
//! A secret in its place gives way to WeChat's own. Anything else of ours stops the call.

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
    fields::{Field, Fields},
    head, path, spelled,
};
use crate::http::{
    answer,
    applicant::{Applicant, CLIENT_CREDENTIAL},
    connection::Peer,
    hint::Hint,
    state::App,
};

/// What an account's secret is called where WeChat takes it. Source: its pages on /sns/ and on clear_quota/v2.
const SECRET_NAMES: [&str; 2] = ["secret", "appsecret"];
/// In these, proxies and browsers repeat the address that was called, token and all. They are left out where they do.
const ADDRESS_HEADERS: [&str; 7] = [
    "referer",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-envoy-original-path",
    "x-request-uri",
];

/// Something of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    Token,
    Secret,
}

/// Why a call does not go on.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// Something of ours is not in its place.
    Shows(Ours),
    /// Who shows a secret of ours is bound by what its account allows.
    NotAllowed(ErrorCode, Option<Peer>),
}

/// A secret of WeChat's that took the place of the caller's.
pub type Swapped = Option<(Secret, Secret)>;

/// Keeps what is ours here: puts WeChat's secret in place of ours, or says why the call does not go on. `body` is all of
/// it if it is small enough to be searched. `has_token`: the real token will take the place of ours in the query.
pub fn keep(
    app: &App,
    parts: &mut Parts,
    mut body: Option<&mut Bytes>,
    has_token: bool,
) -> Result<Swapped, Refusal> {
    leave_out_addresses(app, &mut parts.headers);
    let swapped = swap_secret(app, parts, body.as_deref_mut())?;
    let body = body.map_or_else(Bytes::new, |body| body.clone());
    match in_head(app, parts, has_token).or_else(|| in_body(app, &body)) {
        None => Ok(swapped),
        Some(ours) => Err(Refusal::Shows(ours)),
    }
}

impl Refusal {
    /// What the caller hears.
    pub fn answer(self, app: &App) -> Response<Body> {
        let (code, hint) = match self {
            Refusal::Shows(Ours::Token) => (
                ErrorCode::INVALID_CREDENTIAL,
                Hint::new(text!(
                    "a token of msgcube's own is good in the query's access_token alone, and not under /sns/, where tokens are users': nothing was passed on"
                )),
            ),
            Refusal::Shows(Ours::Secret) => (
                ErrorCode::INVALID_APPSECRET,
                Hint::new(text!(
                    "a secret of msgcube's own, which WeChat does not know, stands in this call. WeChat's takes its place only under /sns/, as secret beside the account's own appid: nothing was passed on"
                )),
            ),
            Refusal::NotAllowed(code, _) => (
                code,
                Hint::new(text!(
                    "this account's ip_allow or secret_frozen does not let its secret be used so"
                )),
            ),
        };
        match self {
            Refusal::NotAllowed(ErrorCode::INVALID_IP, Some(client)) => {
                answer::invalid_ip(app, client.address(), Some(&hint))
            }
            _ => answer::error(app, code, Some(&hint)),
        }
    }
}

fn leave_out_addresses(app: &App, headers: &mut HeaderMap) {
    for name in ADDRESS_HEADERS {
        let shows = |value: &HeaderValue| in_text(app, value.as_bytes()).is_some();
        if headers.get_all(name).iter().any(shows) {
            headers.remove(name);
        }
    }
}

/// Only where WeChat takes a secret: anywhere else it might show up again where others read it.
fn swap_secret(app: &App, parts: &mut Parts, body: Option<&mut Bytes>) -> Result<Swapped, Refusal> {
    if !path::is_of_users(parts.uri.path()) {
        return Ok(None);
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let in_query = Fields::of_form(query.as_bytes());
    let in_body = Fields::of_body(body.as_ref().map_or(&[][..], |body| body));
    let named = in_query.all.iter().chain(&in_body.all).filter(|field| field.name == "appid");
    let mut appids = named.map(|field| field.value.as_str());
    let Some(appid) = appids.next().filter(|first| appids.all(|other| other == *first)) else {
        return Ok(None);
    };
    let Some(account) = app.accounts.get(appid) else { return Ok(None) };
    let Some(own) = account.config.own_secret() else { return Ok(None) };
    let is_shown = |field: &&Field| SECRET_NAMES.contains(&field.name.as_str()) && own.is(&field.value);
    let shown_in_query: Vec<&Field> = in_query.all.iter().filter(is_shown).collect();
    let shown_in_body: Vec<&Field> = in_body.all.iter().filter(is_shown).collect();
    if shown_in_query.is_empty() && shown_in_body.is_empty() {
        return Ok(None);
    }
    let client = parts.extensions.get().copied();
    let applicant = Applicant { appid, grant_type: CLIENT_CREDENTIAL, secret: own.reveal(), client };
    applicant.check(app).map_err(|code| Refusal::NotAllowed(code, client))?;
    let real = account.config.upstream_secret();
    if !shown_in_query.is_empty() {
        let query = in_query.with(query.as_bytes(), &shown_in_query, real.reveal());
        put_query(parts, &query);
    }
    if let Some(body) = body.filter(|_| !shown_in_body.is_empty()) {
        *body = in_body.with(body, &shown_in_body, real.reveal()).into();
    }
    Ok(Some((real.clone(), own.clone())))
}

/// What cannot be a query stays as it was, and is found there.
fn put_query(parts: &mut Parts, query: &[u8]) {
    let query = String::from_utf8_lossy(query);
    let mut pieces = parts.uri.clone().into_parts();
    if let Ok(path_and_query) = format!("{}?{query}", parts.uri.path()).parse() {
        pieces.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(pieces) {
            parts.uri = uri;
        }
    }
}

/// In all that goes on before the body.
fn in_head(app: &App, parts: &Parts, has_token: bool) -> Option<Ours> {
    let query = parts.uri.query().unwrap_or_default();
    let query = if has_token { head::without_token(query) } else { query.to_owned() };
    let method = Some(&parts.method).filter(|method| !is_usual(method)).map_or("", Method::as_str);
    let mut text = format!("{method}\n{}\n{query}", parts.uri.path()).into_bytes();
    for (name, value) in &parts.headers {
        text.push(b'\n');
        text.extend_from_slice(HeaderName::as_str(name).as_bytes());
        text.push(b'\n');
        text.extend_from_slice(value.as_bytes());
    }
    let values = || {
        let fields = Fields::of_form(query.as_bytes()).all;
        let segments = parts.uri.path().split('/').map(decoded);
        let headers =
            parts.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        segments.chain(headers).chain(fields.into_iter().flat_map(|field| [field.name, field.value]))
    };
    in_text(app, &text).or_else(|| whole(app, values))
}

fn is_usual(method: &Method) -> bool {
    let usual = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::HEAD,
        Method::OPTIONS,
    ];
    usual.contains(method)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn in_body(app: &App, body: &[u8]) -> Option<Ours> {
    if body.is_empty() {
        return None;
    }
    let values = || {
        let fields = Fields::of_form(body).all.into_iter().flat_map(|field| [field.name, field.value]);
        fields.chain(serde_json::from_slice(body).map_or_else(|_| Vec::new(), texts))
    };
    in_text(app, body).or_else(|| whole(app, values))
}

/// All texts in a JSON value, names among them.
fn texts(value: Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.into_iter().flat_map(texts).collect(),
        Value::Object(members) => {
            let both = members.into_iter().flat_map(|(name, value)| [vec![name], texts(value)]);
            both.flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// Anywhere in a text, however it is written.
fn in_text(app: &App, text: &[u8]) -> Option<Ours> {
    let secrets_of_platforms = app.components.own_secrets();
    spelled::readings(text).iter().find_map(|reading| {
        if app.tokens.stand_in(reading) {
            return Some(Ours::Token);
        }
        let is_secret = app.accounts.own_secrets(|secrets| secrets.stand_in(reading))
            || secrets_of_platforms.stand_in(reading);
        is_secret.then_some(Ours::Secret)
    })
}

/// Secrets that are too short to be looked for inside longer texts.
fn whole<I: Iterator<Item = String>>(app: &App, values: impl Fn() -> I) -> Option<Ours> {
    let of_platforms = app.components.own_secrets();
    let is_found = app.accounts.own_secrets(|of_accounts| {
        let is_needed = !of_accounts.is_empty() || !of_platforms.is_empty();
        let is_ours = |value: String| of_accounts.has(value.as_bytes()) || of_platforms.has(value.as_bytes());
        is_needed && values().any(is_ours)
    });
    is_found.then_some(Ours::Secret)
}

#[cfg(test)]
mod tests;
