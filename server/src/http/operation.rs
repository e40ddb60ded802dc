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

use super::{answer, own};
use crate::app::App;

#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(async || answer::text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
}

/// 503 while nothing can be made durable, with the reason.
async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    match app.ingest.fault() {
        None => answer::own(StatusCode::OK, &Ready { ready: true, reasons: Vec::new() }),
        Some(fault) => {
            answer::own(StatusCode::SERVICE_UNAVAILABLE, &Ready { ready: false, reasons: vec![fault] })
        }
    }
}

pub async fn metrics_behind_key(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    if own::is_allowed(&app, &headers) { metrics(State(app)).await } else { own::unauthorized() }
}

pub async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    let mut response = Response::new(Body::from(app.metrics.text(app.levels())));
    let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, openmetrics);
    response
}
