//! `POST /v1/reload`: reads the configuration again.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};

use super::answer;
use crate::{http::state::App, reload::ReloadError};

/// Runs to its end also if the caller hangs up: what is on disk and what is in memory must agree.
pub async fn reload(State(app): State<Arc<App>>) -> Response<Body> {
    let done = tokio::spawn(async move { app.reload().run().await }).await;
    match done.unwrap_or_else(|error| Err(ReloadError::Wrong(error.to_string()))) {
        Ok(difference) => answer::own(StatusCode::OK, &difference),
        Err(error) => answer::own_error(status(&error), error.to_string()),
    }
}

fn status(error: &ReloadError) -> StatusCode {
    match error {
        ReloadError::Wrong(_) | ReloadError::Empty(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ReloadError::NoFile => StatusCode::CONFLICT,
        ReloadError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
