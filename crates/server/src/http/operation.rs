//! For operators: alive, ready, metrics.

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
    answer,
};
use crate::{
    auth::api_keys::Scope,
    config::{RelayConfig, Role, WhenNotDurable},
    http::state::App,
};

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(async || answer::text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
}

/// 503 while nothing can be made durable, with the reason; unless every account's bot goes on answering meanwhile.
async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    let none = Vec::new;
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
    answer::own(status, &ready)
}

fn every_bot_answers(app: &App) -> bool {
    let answers = |relay: Option<&RelayConfig>| {
        relay.is_some_and(|relay| relay.when_not_durable == WhenNotDurable::Answer)
    };
    // A platform's accounts have its bot.
    let accounts = app.accounts.select(|account| account.keys.is_some());
    let platforms = app.components.all();
    let platforms = platforms.iter().filter(|component| component.config.role == Role::Receive);
    let mut relays = platforms.map(|component| component.config.relay.as_ref()).collect::<Vec<_>>();
    relays.extend(accounts.iter().map(|account| account.config.relay.as_ref()));
    !relays.is_empty() && relays.into_iter().all(answers)
}

pub async fn metrics_behind_key(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    // Its figures are those of all accounts together.
    let scope = Scope::Read(None);
    match access(&app, &headers) {
        None => unauthorized(&headers),
        Some(access) if !access.allows(&scope) => forbidden(&scope),
        Some(_) => metrics(State(app)).await,
    }
}

pub async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    let mut response = Response::new(Body::from(app.metrics.text(app.levels())));
    let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, openmetrics);
    response
}
