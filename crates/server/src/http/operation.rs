//! For operators: `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    routing::get,
};
use serde::Serialize;

use super::{
    admin_api::access::{access, forbidden, unauthorized},
    answer, fence,
};
use crate::{
    auth::api_keys::Scope,
    config::{RelayConfig, Role, WhenNotDurable},
    http::state::App,
};

/// `GET /readyz`.
#[derive(Serialize)]
struct Readiness {
    /// With `true` the status is 200, otherwise 503.
    ready: bool,
    /// Why it is not ready, in English. Missing if it is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// Why messages cannot be made durable while bots still answer, in English. Missing if they can.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

/// `/healthz` and `/readyz`, which need no key.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(async || answer::plain_text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
}

/// Answers 503 with the reason while messages cannot be made durable. Answers 200 if all bots still reply to users
/// then.
async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    let none = Vec::new;
    if let Err(error) = fence::check(&app).await {
        let reason = format!("the state that the processes share cannot be read: {error}");
        let ready = Readiness { ready: false, reasons: vec![reason], degraded: none() };
        return answer::api_json(StatusCode::SERVICE_UNAVAILABLE, &ready);
    }
    let (status, ready) = match app.ingest.fault() {
        None => (StatusCode::OK, Readiness { ready: true, reasons: none(), degraded: none() }),
        Some(fault) if every_bot_answers(&app) => {
            (StatusCode::OK, Readiness { ready: true, reasons: none(), degraded: vec![fault] })
        }
        Some(fault) => {
            let ready = Readiness { ready: false, reasons: vec![fault], degraded: none() };
            (StatusCode::SERVICE_UNAVAILABLE, ready)
        }
    };
    answer::api_json(status, &ready)
}

fn every_bot_answers(app: &App) -> bool {
    let answers = |relay: Option<&RelayConfig>| {
        relay.is_some_and(|relay| relay.when_not_durable == WhenNotDurable::Answer)
    };
    // Accounts without keys of their own use the relay of their platform.
    let accounts = app.accounts.select(|account| account.keys.is_some());
    let platforms = app.platforms.all();
    let platforms = platforms.iter().filter(|platform| platform.config.role == Role::Receive);
    let mut relays = platforms.map(|platform| platform.config.relay.as_ref()).collect::<Vec<_>>();
    relays.extend(accounts.iter().map(|account| account.config.relay.as_ref()));
    !relays.is_empty() && relays.into_iter().all(answers)
}

/// `GET /metrics` on the public address: needs a key that may read all accounts.
pub async fn metrics_behind_key(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    // Metrics hold figures of all accounts.
    let scope = Scope::Read(None);
    match access(&app, &headers) {
        None => unauthorized(&headers),
        Some(access) if !access.allows(&scope) => forbidden(&scope),
        Some(_) => metrics(State(app)).await,
    }
}

/// `GET /metrics` in the OpenMetrics text format.
pub async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    let mut response = Response::new(Body::from(app.metrics.text(&app.levels())));
    let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, openmetrics);
    response
}
