//! The two token endpoints, `/cgi-bin/token` and `/cgi-bin/stable_token`. The order of their checks is the contract's.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, Response},
};
use bytes::Bytes;
use datacube::ErrorCode;
use serde_json::{Map, Value};
use storage::store::NotDurable;

use super::{
    answer,
    client_credentials::{ClientCredentials, error_answer},
    error_recorder::CallContext,
    gateway,
};
use crate::{
    auth::access_token::{Endpoint, Holder, Issued},
    forward::upstream_token::{TokenFailure, UpstreamToken, UpstreamTokens},
    http::state::App,
    net::body::{self, BodyError},
};

/// 64 KiB. Small, because the caller is not known yet when the body is read. A larger body is answered with 47001.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// `GET /cgi-bin/token`: a new token.
pub async fn token(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let mut values = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_insert(value.into_owned());
    }
    let given = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    let credentials = ClientCredentials {
        appid: given("appid"),
        grant_type: given("grant_type"),
        secret: given("secret"),
        client: request.extensions().get().copied(),
    };
    match credentials.check(&app) {
        Ok(account) if let Some(upstream) = exposed_upstream(&app) => {
            answer_real_token(&app, "token", upstream.token(&account).await)
        }
        Ok(account) => {
            let shared = app.clone();
            let holder = Holder::account(&account.config.appid, Endpoint::Token);
            let issued =
                async move { shared.tokens.issue(holder, Vec::new(), &shared.ingest, &shared.clock).await };
            let context = CallContext::proven(account, Bytes::new());
            answer_issued(&app, "token", run_to_end(issued).await, context)
        }
        Err(code) => credentials.error_answer(&app, "token", code, Bytes::new()),
    }
}

/// `POST /cgi-bin/stable_token`: the valid token, or a new one.
pub async fn stable_token(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = request.extensions().get().copied();
    let (body, object) = match read_object(&app, request).await {
        Ok(body_and_object) => body_and_object,
        Err(code) => return error_answer(&app, "stable_token", code),
    };
    let given = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let force = object.get("force_refresh").and_then(Value::as_bool).unwrap_or(false);
    let (appid, grant_type, secret) = (given("appid"), given("grant_type"), given("secret"));
    let credentials = ClientCredentials { appid, grant_type, secret, client };
    match credentials.check(&app) {
        Ok(account) if let Some(upstream) = exposed_upstream(&app) => {
            let token = if force { upstream.forced(&account).await } else { upstream.token(&account).await };
            answer_real_token(&app, "stable_token", token)
        }
        Ok(account) => {
            let (shared, appid) = (app.clone(), account.config.appid.clone());
            let issued =
                async move { shared.tokens.issue_stable(&appid, force, &shared.ingest, &shared.clock).await };
            answer_issued(&app, "stable_token", run_to_end(issued).await, CallContext::proven(account, body))
        }
        Err(code) => credentials.error_answer(&app, "stable_token", code, body),
    }
}

async fn read_object(app: &App, request: Request) -> Result<(Bytes, Map<String, Value>), ErrorCode> {
    if request.method() != Method::POST {
        return Err(ErrorCode::REQUIRE_POST);
    }
    let budget = &app.bodies.unproven;
    let bytes = body::read_sharing(request.into_body(), BODY_BYTES_MAX, BODY_TIME_MAX, budget).await;
    let bytes = bytes.map_err(BodyError::code)?;
    let object = body::object(&bytes)?;
    Ok((bytes, object))
}

/// The source of real tokens, if the configuration gives them to callers.
fn exposed_upstream(app: &App) -> Option<Arc<UpstreamTokens>> {
    app.upstream().filter(|upstream| upstream.config.expose_real_token)
}

/// Answers the stored real token with its remaining seconds. It stays valid for all other callers.
fn answer_real_token(
    app: &App,
    name: &'static str,
    stored: Result<UpstreamToken, TokenFailure>,
) -> Response<Body> {
    match stored {
        Ok(stored) => {
            let expires_in = stored.left_s(app.clock.now_s());
            answer_token(app, name, &Issued { access_token: stored.token.reveal().to_owned(), expires_in })
        }
        Err(failure) => {
            app.metrics.call(name, ErrorCode::SYSTEM_ERROR.code);
            gateway::unavailable(app, failure)
        }
    }
}

/// Completes even if the caller hangs up: disk and memory must agree.
async fn run_to_end(
    issued: impl Future<Output = Result<Issued, NotDurable>> + Send + 'static,
) -> Result<Issued, NotDurable> {
    tokio::spawn(issued).await.unwrap_or_else(|error| Err(NotDurable(error.to_string())))
}

fn answer_issued(
    app: &App,
    name: &'static str,
    issued: Result<Issued, NotDurable>,
    context: CallContext,
) -> Response<Body> {
    match issued {
        Ok(issued) => answer_token(app, name, &issued),
        Err(error) => {
            tracing::error!(%error, "a token could not be issued");
            context.attach_to(error_answer(app, name, ErrorCode::SYSTEM_ERROR))
        }
    }
}

fn answer_token(app: &App, name: &'static str, issued: &Issued) -> Response<Body> {
    app.metrics.call(name, 0);
    answer::wechat_json(serde_json::to_vec(issued).unwrap_or_default())
}
