//! Asking for a real token: `stable_token` of WeChat, or a token server in its place.

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

/// A whole question. Source of nothing but patience: WeChat answers in well under a second.
const TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What a token server's token is taken for if it does not say how long it lives.
const LIFE_UNSAID_S: i64 = 60;

/// Why there is no token.
#[derive(Clone, PartialEq, Eq)]
pub enum Failure {
    /// The answer, to be passed on as it is: an error code that names the cause.
    Answered { status: StatusCode, content_type: Option<HeaderValue>, body: Bytes },
    /// Nobody answered, or nothing that makes sense.
    Unreachable(String),
    /// The same of a token server, which it names.
    NoToken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Answered { body, .. } => match serde_json::from_slice::<Answer>(body) {
                Ok(answer) => {
                    let code = answer.errcode.as_ref().and_then(integer).unwrap_or(0);
                    write!(f, "WeChat answered {code} {}", answer.errmsg.unwrap_or_default())
                }
                Err(_) => f.write_str("the answer holds no token"),
            },
            Failure::Unreachable(why) | Failure::NoToken(why) => f.write_str(why),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({self})")
    }
}

#[derive(Serialize)]
struct Question<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<Secret>,
    expires_in: Option<Value>,
    errcode: Option<Value>,
    errmsg: Option<String>,
}

/// Some token servers write numbers as text, or with a fraction.
fn integer(value: &Value) -> Option<i64> {
    let rounded = || value.as_f64().map(|number| format!("{number:.0}"));
    let text = || value.as_str().map(ToOwned::to_owned).or_else(rounded);
    value.as_i64().or_else(|| text()?.trim().parse().ok())
}

/// Whom to ask, and how to get there.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    pub config: &'a UpstreamConfig,
    pub client: &'a HttpClient<Body>,
}

impl Failure {
    /// WeChat's code and text, if that is what came back.
    pub fn code(&self) -> Option<(i64, String)> {
        let Failure::Answered { body, .. } = self else { return None };
        let answer: Answer = serde_json::from_slice(body).ok()?;
        Some((integer(&answer.errcode?)?, answer.errmsg.unwrap_or_default()))
    }
}

/// A token and the seconds it has left.
pub async fn token(way: Way<'_>, account: &AccountConfig, force: bool) -> Result<(Secret, i64), Failure> {
    if account.upstream_secret().reveal().is_empty() {
        let why = format!("{} has no secret; set upstream_secret to WeChat's", account.appid);
        return Err(Failure::NoToken(why));
    }
    let question = Question {
        grant_type: "client_credential",
        appid: &account.appid,
        secret: account.upstream_secret().reveal(),
        force_refresh: force,
    };
    let answer =
        tokio::time::timeout(TIME_MAX, ask(way, &question)).await.map(|answer| discreet(answer, &question));
    let too_late = |_| Err(Failure::Unreachable(format!("no answer within {} s", TIME_MAX.as_secs())));
    match (answer.unwrap_or_else(too_late), &way.config.token_url) {
        (Err(Failure::Unreachable(why)), Some(server)) => {
            Err(Failure::NoToken(format!("the token server {server} gives no token: {why}")))
        }
        (answer, _) => answer,
    }
}

/// An answer that is passed on and logged must not repeat the secret.
fn discreet(
    answer: Result<(Secret, i64), Failure>,
    question: &Question<'_>,
) -> Result<(Secret, i64), Failure> {
    let secret = question.secret.as_bytes();
    match answer {
        Err(Failure::Answered { body, .. }) if body.windows(secret.len()).any(|part| part == secret) => {
            Err(Failure::Unreachable("the answer holds no token, and repeats the secret".to_owned()))
        }
        answer => answer,
    }
}

async fn ask(way: Way<'_>, question: &Question<'_>) -> Result<(Secret, i64), Failure> {
    let Some(server) = &way.config.token_url else {
        let uri = way.config.base.below("/cgi-bin/stable_token");
        return read(send(way, post(uri.map_err(broken)?, question)?).await?);
    };
    // A token server is asked as stable_token is; one that takes no POST, by GET and without the secret.
    let posted = send(way, post(server.with_query(None).map_err(broken)?, question)?).await?;
    if !posted.wants_get() {
        return read(posted);
    }
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = server.with_query(Some(&query(question))).map_err(broken)?;
    read(send(way, request).await?)
}

fn query(question: &Question<'_>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("appid", question.appid);
    if question.force_refresh {
        query.append_pair("force_refresh", "true");
    }
    query.finish()
}

fn broken(error: impl fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}

fn post(uri: http::Uri, question: &Question<'_>) -> Result<Request<Body>, Failure> {
    let mut request = Request::new(Body::from(serde_json::to_vec(question).map_err(broken)?));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

struct Answered {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl Answered {
    /// No POST is taken there: HTTP's ways to say so, and WeChat's, 43001. Source: its list of return codes.
    fn wants_get(&self) -> bool {
        let refusals = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
        let code = || integer(&serde_json::from_slice::<Answer>(&self.body).ok()?.errcode?);
        refusals.contains(&self.status) || code() == Some(43001)
    }
}

async fn send(way: Way<'_>, request: Request<Body>) -> Result<Answered, Failure> {
    let response = way.client.send(request).await;
    let (parts, content) = response.map_err(|error| broken(error.causes()))?.into_parts();
    let body = body::read(Body::new(content), ANSWER_BYTES_MAX).await;
    let body =
        body.map_err(|_| Failure::Unreachable("the answer broke off, or is over 64 KiB".to_owned()))?;
    Ok(Answered {
        status: parts.status,
        content_type: parts.headers.get(header::CONTENT_TYPE).cloned(),
        body,
    })
}

fn read(answered: Answered) -> Result<(Secret, i64), Failure> {
    let answer: Option<Answer> = serde_json::from_slice(&answered.body).ok();
    let token = answer.as_ref().and_then(|answer| answer.access_token.clone());
    match token.filter(|token| is_token(token.reveal())) {
        Some(token) => {
            let expires_in = answer.and_then(|answer| integer(&answer.expires_in?));
            Ok((token, expires_in.unwrap_or(LIFE_UNSAID_S)))
        }
        None if answer.is_some_and(|answer| answer.errcode.is_some()) => {
            let Answered { status, content_type, body } = answered;
            Err(Failure::Answered { status, content_type, body })
        }
        None => Err(Failure::Unreachable(format!("status {} and no token", answered.status.as_u16()))),
    }
}

/// What can stand in a query, and is no page of a login portal. WeChat's have up to 512 characters. Source: its page on
/// access_token.
fn is_token(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
