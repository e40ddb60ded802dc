//! Calls of a third-party platform whose accounts' messages come here (role "receive"): they go on to WeChat as they are.
//! The tokens in the answers are remembered, so that whoever shows one later is known.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody as _},
    http::{Response, StatusCode, request::Parts},
};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    auth::upstream_token_index::Whom,
    forward::upstream_token::UpstreamTokens,
    http::{
        answer,
        caller::{self, Failure},
        gateway,
        state::App,
    },
    net::body,
};

/// A larger answer holds no token.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long an answer waits for the disk to know its token.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);
/// What a token lives if the answer does not say so. Source: WeChat's pages of these calls.
const LIFE_S: i64 = 7200;

/// The platform that a remembered token of its own names: some calls have no `component_appid` in the body.
pub fn platform_of(app: &App, parts: &Parts) -> Option<String> {
    let whom = caller::remembered(app, parts)?;
    whom.account.is_none().then_some(whom.component)
}

/// Passes a call on, and remembers what its answer gives out.
pub async fn call(
    app: &Arc<App>,
    component: &str,
    parts: Parts,
    object: &Map<String, Value>,
    body: Bytes,
) -> Response<Body> {
    let Some(upstream) = app.upstream() else {
        let error = "this platform has role = \"receive\", so its calls go on to WeChat: set [upstream]";
        return answer::own_error(StatusCode::NOT_FOUND, error);
    };
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let is_known = platform_of(app, &parts).is_some_and(|known| known == component);
    if let Err(failure) = check(app, &name, &parts, &body, is_known) {
        return answer::error(app, failure.code, failure.hint.as_ref());
    }
    let response = pass(app, &upstream, parts, body).await;
    if !matches!(name.as_str(), "api_component_token" | "api_query_auth" | "api_authorizer_token") {
        return response;
    }
    let (parts, content) = response.into_parts();
    if content.size_hint().exact().is_none_or(|bytes| bytes > ANSWER_BYTES_MAX as u64) {
        return Response::from_parts(parts, content);
    }
    let Ok(content) = body::read_within(content, ANSWER_BYTES_MAX, gateway::IDLE_MAX).await else {
        return answer::own_error(StatusCode::BAD_GATEWAY, "WeChat's answer broke off");
    };
    if let Some(given) = Given::find(&name, component, object, &content) {
        given.remember(app).await;
    }
    Response::from_parts(parts, Body::from(content))
}

/// What would let an answer be taken for another platform's or account's. WeChat may read a body with a name twice
/// otherwise than we do; and whose refresh token it is only WeChat knows, so the platform has to be known by its token.
fn check(app: &App, name: &str, parts: &Parts, body: &[u8], is_known: bool) -> Result<(), Failure> {
    if serde_json::from_slice::<UniqueNames>(body).is_err() {
        return Err(caller::failure(ErrorCode::DATA_FORMAT, text!("a name stands twice in the body")));
    }
    if caller::carries_ours(app, parts) {
        return Err(caller::failure(
            ErrorCode::INVALID_CREDENTIAL,
            text!(
                "this is a token of msgcube's own, which WeChat does not know; use the one that api_component_token gave"
            ),
        ));
    }
    if name == "api_authorizer_token" && !is_known {
        return Err(caller::failure(
            ErrorCode::INVALID_CREDENTIAL,
            text!(
                "no api_component_token with this token went by here; fetch a new component_access_token by this server"
            ),
        ));
    }
    Ok(())
}

/// A JSON object in which no name stands twice.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<UniqueNames, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = UniqueNames;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object in which no name stands twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueNames, A::Error> {
                let mut seen = std::collections::HashSet::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if !seen.insert(name.to_ascii_lowercase()) {
                        return Err(serde::de::Error::custom("a name stands twice"));
                    }
                }
                Ok(UniqueNames)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

async fn pass(app: &Arc<App>, upstream: &Arc<UpstreamTokens>, parts: Parts, body: Bytes) -> Response<Body> {
    if parts.headers.get(&app.via.0) == Some(&app.via.1) {
        return gateway::loop_detected();
    }
    gateway::pass(app, upstream, None, parts, body).await
}

/// A token in an answer.
struct Given {
    token: String,
    whom: Whom,
    expires_in_s: i64,
}

impl Given {
    fn find(name: &str, component: &str, asked: &Map<String, Value>, content: &[u8]) -> Option<Given> {
        let answer: Value = serde_json::from_slice(content).ok()?;
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let (held, token, account) = match name {
            "api_component_token" => (&answer, "component_access_token", None),
            "api_query_auth" => {
                let held = &answer["authorization_info"];
                (held, "authorizer_access_token", Some(text(&held["authorizer_appid"])?))
            }
            _ => (&answer, "authorizer_access_token", Some(text(asked.get("authorizer_appid")?)?)),
        };
        let expires_in = &held["expires_in"];
        let said = expires_in.as_i64().or_else(|| expires_in.as_str()?.parse().ok());
        Some(Given {
            token: text(&held[token])?,
            whom: Whom { component: component.to_owned(), account },
            expires_in_s: said.unwrap_or(LIFE_S),
        })
    }

    /// WeChat's answer does not wait long for our disk: in memory the token is known already.
    async fn remember(self, app: &Arc<App>) {
        let now_s = app.clock.now_s();
        if let Some(account) = &self.whom.account {
            app.received.confirm(&self.whom.component, account);
        }
        let kept = app.remembered.remember(&self.token, self.whom, self.expires_in_s, now_s, &app.ingest);
        // Goes on also if the caller hangs up.
        let kept = tokio::spawn(kept);
        if !matches!(tokio::time::timeout(DURABLE_WITHIN, kept).await, Ok(Ok(Ok(())))) {
            tracing::warn!("a platform's token is only known in memory yet");
        }
    }
}
