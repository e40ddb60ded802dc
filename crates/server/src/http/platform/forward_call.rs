//! Calls of a third-party platform (role "receive") go on to WeChat unchanged. The tokens in the answers are remembered,
//! so that later calls with them are recognised.

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
    auth::upstream_token_index::TokenOwner,
    forward::upstream_token::UpstreamTokens,
    http::{
        answer,
        caller::{self, CallFailure},
        gateway,
        state::App,
    },
    net::body,
};

/// A larger answer does not contain a token.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long an answer waits until its token is durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);
/// Lifetime of a token in seconds if the answer does not name one. Source: WeChat's pages on these calls.
const LIFE_S: i64 = 7200;

/// The platform of a remembered token. Some calls have no `component_appid` in the body.
pub fn platform_of(app: &App, parts: &Parts) -> Option<String> {
    let owner = caller::upstream_token_owner(app, parts)?;
    owner.account.is_none().then_some(owner.component)
}

/// Passes a call on and remembers the token in its answer.
pub async fn call(
    app: &Arc<App>,
    platform: &str,
    parts: Parts,
    object: &Map<String, Value>,
    body: Bytes,
) -> Response<Body> {
    let Some(upstream) = app.upstream() else {
        let error = "this platform has role = \"receive\", so its calls go on to WeChat: set [upstream]";
        return answer::api_error(StatusCode::NOT_FOUND, error);
    };
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let is_known = platform_of(app, &parts).is_some_and(|known| known == platform);
    if let Err(failure) = check(app, &name, &parts, &body, is_known) {
        return answer::wechat_error(app, failure.code, failure.hint.as_ref());
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
        return answer::api_error(StatusCode::BAD_GATEWAY, "WeChat's answer broke off");
    };
    if let Some(issued) = IssuedToken::find(&name, platform, object, &content) {
        issued.remember(app).await;
    }
    Response::from_parts(parts, Body::from(content))
}

/// Refuses calls whose answer could be recorded for the wrong platform or account. If a name occurs twice, WeChat may read
/// another value than we do. Only WeChat knows the owner of a refresh token, so there the platform's token must be known.
fn check(app: &App, name: &str, parts: &Parts, body: &[u8], is_known: bool) -> Result<(), CallFailure> {
    if serde_json::from_slice::<UniqueNames>(body).is_err() {
        return Err(caller::failure(ErrorCode::DATA_FORMAT, text!("a name occurs twice in the body")));
    }
    if caller::contains_own_token(app, parts) {
        return Err(caller::failure(
            ErrorCode::INVALID_CREDENTIAL,
            text!(
                "this is a token of msgcube's own, which WeChat does not know; use the one from api_component_token"
            ),
        ));
    }
    if name == "api_authorizer_token" && !is_known {
        return Err(caller::failure(
            ErrorCode::INVALID_CREDENTIAL,
            text!(
                "this component_access_token was not fetched through this server; fetch a new one through this server"
            ),
        ));
    }
    Ok(())
}

/// A JSON object in which no name occurs twice.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<UniqueNames, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = UniqueNames;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object in which no name occurs twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueNames, A::Error> {
                let mut seen = std::collections::HashSet::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if !seen.insert(name.to_ascii_lowercase()) {
                        return Err(serde::de::Error::custom("a name occurs twice"));
                    }
                }
                Ok(UniqueNames)
            }
        }
        deserializer.deserialize_map(NamesVisitor)
    }
}

async fn pass(app: &Arc<App>, upstream: &Arc<UpstreamTokens>, parts: Parts, body: Bytes) -> Response<Body> {
    if parts.headers.get(&app.via.0) == Some(&app.via.1) {
        return gateway::loop_detected();
    }
    gateway::pass(app, upstream, None, parts, body).await
}

/// A token that WeChat issued in an answer.
struct IssuedToken {
    token: String,
    owner: TokenOwner,
    expires_in_s: i64,
}

impl IssuedToken {
    fn find(name: &str, platform: &str, asked: &Map<String, Value>, content: &[u8]) -> Option<IssuedToken> {
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
        Some(IssuedToken {
            token: text(&held[token])?,
            owner: TokenOwner { component: platform.to_owned(), account },
            expires_in_s: said.unwrap_or(LIFE_S),
        })
    }

    /// Remembers the token in memory at once, and waits a short time until it is durable.
    async fn remember(self, app: &Arc<App>) {
        let now_s = app.clock.now_s();
        if let Some(account) = &self.owner.account {
            app.platform_receiver.confirm(&self.owner.component, account);
        }
        let kept =
            app.upstream_token_index.remember(&self.token, self.owner, self.expires_in_s, now_s, &app.ingest);
        // The task continues if the caller hangs up.
        let kept = tokio::spawn(kept);
        if !matches!(tokio::time::timeout(DURABLE_WITHIN, kept).await, Ok(Ok(Ok(())))) {
            tracing::warn!("a platform's token is not durable yet; it is only in memory");
        }
    }
}
