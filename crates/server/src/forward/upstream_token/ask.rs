//! Fetches a real token: from WeChat's `stable_token`, or from a token server instead.

use std::{fmt, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use bytes::Bytes;
use msgcube_client::http::HttpClient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use system::secret::Secret;

use crate::{
    config::{AccountConfig, UpstreamConfig},
    net::body,
};

/// Longest time of a request. Our choice: WeChat answers in well under a second.
const TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Assumed life, in seconds, of a token whose server does not state one.
const LIFE_DEFAULT_S: i64 = 60;

/// Why there is no token.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenFailure {
    /// WeChat's answer, to be passed on unchanged: its error code names the cause.
    Answered {
        /// The HTTP status.
        status: StatusCode,
        /// The header `Content-Type`.
        content_type: Option<HeaderValue>,
        /// The body.
        body: Bytes,
    },
    /// There was no answer, or none that can be read.
    Unreachable(String),
    /// The token server gave none. The text names the server.
    NoToken(String),
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenFailure::Answered { body, .. } => match serde_json::from_slice::<TokenReply>(body) {
                Ok(answer) => {
                    let code = answer.errcode.as_ref().and_then(integer).unwrap_or(0);
                    write!(f, "WeChat answered {code} {}", answer.errmsg.unwrap_or_default())
                }
                Err(_) => f.write_str("the answer holds no token"),
            },
            TokenFailure::Unreachable(why) | TokenFailure::NoToken(why) => f.write_str(why),
        }
    }
}

impl fmt::Debug for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenFailure({self})")
    }
}

#[derive(Serialize)]
struct UpstreamTokenRequest<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: Option<Secret>,
    expires_in: Option<Value>,
    errcode: Option<Value>,
    errmsg: Option<String>,
}

/// Reads a number. Some token servers write it as text or with a fraction.
fn integer(value: &Value) -> Option<i64> {
    let rounded = || value.as_f64().map(|number| format!("{number:.0}"));
    let text = || value.as_str().map(ToOwned::to_owned).or_else(rounded);
    value.as_i64().or_else(|| text()?.trim().parse().ok())
}

/// Where tokens are fetched from, and the client to use.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTokenSource<'a> {
    pub config: &'a UpstreamConfig,
    pub client: &'a HttpClient,
}

impl TokenFailure {
    /// WeChat's error code and text, if it answered with them.
    pub fn code(&self) -> Option<(i64, String)> {
        let TokenFailure::Answered { body, .. } = self else { return None };
        let answer: TokenReply = serde_json::from_slice(body).ok()?;
        Some((integer(&answer.errcode?)?, answer.errmsg.unwrap_or_default()))
    }
}

/// Fetches a token. Returns it and the seconds it has left.
pub async fn token(
    source: UpstreamTokenSource<'_>,
    account: &AccountConfig,
    force: bool,
) -> Result<(Secret, i64), TokenFailure> {
    if account.upstream_secret().reveal().is_empty() {
        let why = format!("{} has no secret; set upstream_secret to WeChat's", account.appid);
        return Err(TokenFailure::NoToken(why));
    }
    let question = UpstreamTokenRequest {
        grant_type: "client_credential",
        appid: &account.appid,
        secret: account.upstream_secret().reveal(),
        force_refresh: force,
    };
    let answer = tokio::time::timeout(TIME_MAX, ask(source, &question))
        .await
        .map(|answer| without_secret(answer, &question));
    let too_late = |_| Err(TokenFailure::Unreachable(format!("no answer within {} s", TIME_MAX.as_secs())));
    match (answer.unwrap_or_else(too_late), &source.config.token_url) {
        (Err(TokenFailure::Unreachable(why)), Some(server)) => {
            Err(TokenFailure::NoToken(format!("the token server {server} gives no token: {why}")))
        }
        (answer, _) => answer,
    }
}

/// Replaces an answer that repeats the secret: answers are passed on and logged.
fn without_secret(
    answer: Result<(Secret, i64), TokenFailure>,
    question: &UpstreamTokenRequest<'_>,
) -> Result<(Secret, i64), TokenFailure> {
    let secret = question.secret.as_bytes();
    match answer {
        Err(TokenFailure::Answered { body, .. }) if body.windows(secret.len()).any(|part| part == secret) => {
            Err(TokenFailure::Unreachable("the answer holds no token, and repeats the secret".to_owned()))
        }
        answer => answer,
    }
}

async fn ask(
    source: UpstreamTokenSource<'_>,
    question: &UpstreamTokenRequest<'_>,
) -> Result<(Secret, i64), TokenFailure> {
    let Some(server) = &source.config.token_url else {
        let uri = source.config.base.below("/cgi-bin/stable_token");
        return read(send(source, post(uri.map_err(broken)?, question)?).await?);
    };
    // A token server is asked like stable_token. If it accepts no POST, it is asked by GET without the secret.
    let posted = send(source, post(server.with_query(None).map_err(broken)?, question)?).await?;
    if !posted.wants_get() {
        return read(posted);
    }
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = server.with_query(Some(&query(question))).map_err(broken)?;
    read(send(source, request).await?)
}

fn query(question: &UpstreamTokenRequest<'_>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("appid", question.appid);
    if question.force_refresh {
        query.append_pair("force_refresh", "true");
    }
    query.finish()
}

fn broken(error: impl fmt::Display) -> TokenFailure {
    TokenFailure::Unreachable(error.to_string())
}

fn post(uri: http::Uri, question: &UpstreamTokenRequest<'_>) -> Result<Request<Body>, TokenFailure> {
    let mut request = Request::new(Body::from(serde_json::to_vec(question).map_err(broken)?));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

struct RawReply {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl RawReply {
    /// Whether the server refuses POST: by HTTP status, or by WeChat's code 43001. Source: WeChat's list of
    /// return codes.
    fn wants_get(&self) -> bool {
        let refusals = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
        let code = || integer(&serde_json::from_slice::<TokenReply>(&self.body).ok()?.errcode?);
        refusals.contains(&self.status) || code() == Some(43001)
    }
}

async fn send(source: UpstreamTokenSource<'_>, request: Request<Body>) -> Result<RawReply, TokenFailure> {
    let response = source.client.send(request).await;
    let (parts, content) = response.map_err(|error| broken(error.causes()))?.into_parts();
    let body = body::read(Body::new(content), ANSWER_BYTES_MAX).await;
    let body =
        body.map_err(|_| TokenFailure::Unreachable("the answer broke off, or is over 64 KiB".to_owned()))?;
    Ok(RawReply {
        status: parts.status,
        content_type: parts.headers.get(header::CONTENT_TYPE).cloned(),
        body,
    })
}

fn read(answered: RawReply) -> Result<(Secret, i64), TokenFailure> {
    let answer: Option<TokenReply> = serde_json::from_slice(&answered.body).ok();
    let token = answer.as_ref().and_then(|answer| answer.access_token.clone());
    match token.filter(|token| is_token(token.reveal())) {
        Some(token) => {
            let expires_in = answer.and_then(|answer| integer(&answer.expires_in?));
            Ok((token, expires_in.unwrap_or(LIFE_DEFAULT_S)))
        }
        None if answer.is_some_and(|answer| answer.errcode.is_some()) => {
            let RawReply { status, content_type, body } = answered;
            Err(TokenFailure::Answered { status, content_type, body })
        }
        None => Err(TokenFailure::Unreachable(format!("status {} and no token", answered.status.as_u16()))),
    }
}

/// True for text that fits in a query, which excludes the page of a login portal. WeChat's tokens have up to 512
/// characters. Source: WeChat's page on access_token.
fn is_token(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
