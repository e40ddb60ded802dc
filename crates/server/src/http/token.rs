//! The two token endpoints. The order of their checks is the contract's.

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
    applicant::{Applicant, refuse},
    gateway,
    record::Told,
};
use crate::{
    auth::access_token::{Endpoint, Holder, Issued},
    forward::upstream_token::{Failure, Kept, UpstreamTokens},
    http::state::App,
    net::body::{self, BodyError},
};

/// Nobody is known yet when the body is read, so little of it is kept. Larger ones are no data: 47001.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// `/cgi-bin/token`
pub async fn token(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let mut values = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_insert(value.into_owned());
    }
    let given = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    let applicant = Applicant {
        appid: given("appid"),
        grant_type: given("grant_type"),
        secret: given("secret"),
        client: request.extensions().get().copied(),
    };
    match applicant.check(&app) {
        Ok(account) if let Some(upstream) = exposing(&app) => {
            finish_real(&app, "token", upstream.token(&account).await)
        }
        Ok(account) => {
            let shared = app.clone();
            let holder = Holder::account(&account.config.appid, Endpoint::Token);
            let issued =
                async move { shared.tokens.issue(holder, Vec::new(), &shared.ingest, &shared.clock).await };
            let told = Told::proven(account, Bytes::new());
            finish(&app, "token", to_its_end(issued).await, told)
        }
        Err(code) => applicant.refuse(&app, "token", code, Bytes::new()),
    }
}

/// `/cgi-bin/stable_token`
pub async fn stable_token(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = request.extensions().get().copied();
    let (body, object) = match read_object(&app, request).await {
        Ok(read) => read,
        Err(code) => return refuse(&app, "stable_token", code),
    };
    let given = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let force = object.get("force_refresh").and_then(Value::as_bool).unwrap_or(false);
    let (appid, grant_type, secret) = (given("appid"), given("grant_type"), given("secret"));
    let applicant = Applicant { appid, grant_type, secret, client };
    match applicant.check(&app) {
        Ok(account) if let Some(upstream) = exposing(&app) => {
            let token = if force { upstream.forced(&account).await } else { upstream.token(&account).await };
            finish_real(&app, "stable_token", token)
        }
        Ok(account) => {
            let (shared, appid) = (app.clone(), account.config.appid.clone());
            let issued =
                async move { shared.tokens.issue_stable(&appid, force, &shared.ingest, &shared.clock).await };
            finish(&app, "stable_token", to_its_end(issued).await, Told::proven(account, body))
        }
        Err(code) => applicant.refuse(&app, "stable_token", code, body),
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

/// WeChat, if callers are given the real token.
fn exposing(app: &App) -> Option<Arc<UpstreamTokens>> {
    app.upstream().filter(|upstream| upstream.config.expose_real_token)
}

/// The kept real token with the seconds it has left: whoever asks, nobody's is taken.
fn finish_real(app: &App, name: &'static str, kept: Result<Kept, Failure>) -> Response<Body> {
    match kept {
        Ok(kept) => {
            let expires_in = (kept.expires_s - app.clock.now_s()).max(0);
            give(app, name, &Issued { access_token: kept.token.reveal().to_owned(), expires_in })
        }
        Err(failure) => {
            app.metrics.call(name, ErrorCode::SYSTEM_ERROR.code);
            gateway::failed(app, failure)
        }
    }
}

/// Runs also if the caller hangs up: what is on disk and what is in memory must agree.
async fn to_its_end(
    issued: impl Future<Output = Result<Issued, NotDurable>> + Send + 'static,
) -> Result<Issued, NotDurable> {
    tokio::spawn(issued).await.unwrap_or_else(|error| Err(NotDurable(error.to_string())))
}

fn finish(app: &App, name: &'static str, issued: Result<Issued, NotDurable>, told: Told) -> Response<Body> {
    match issued {
        Ok(issued) => give(app, name, &issued),
        Err(error) => {
            tracing::error!(%error, "no token was given out");
            told.beside(refuse(app, name, ErrorCode::SYSTEM_ERROR))
        }
    }
}

fn give(app: &App, name: &'static str, issued: &Issued) -> Response<Body> {
    app.metrics.call(name, 0);
    answer::json(serde_json::to_vec(issued).unwrap_or_default())
}
