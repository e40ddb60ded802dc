//! `POST /v1/reload`: reads the configuration file again and applies what changed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};

use super::answer;
use crate::{http::state::App, reload::ReloadError};

/// Gives what changed, by name and never by value:
/// `{"accounts":{"added":[appid],"changed":[{"appid","keys"}],"removed":[appid]},"settings":[…],"needs_restart":[…]}`.
///
/// `settings` are the changed settings that apply now. `needs_restart` are those that keep their previous value until
/// the next start. The reload completes even if the caller hangs up: disk and memory must agree.
pub async fn reload(State(app): State<Arc<App>>) -> Response<Body> {
    let done = tokio::spawn(async move { app.reload().run().await }).await;
    match done.unwrap_or_else(|error| Err(ReloadError::Wrong(error.to_string()))) {
        Ok(difference) => answer::api_json(StatusCode::OK, &difference),
        Err(error) => answer::api_error(error_status(&error), error.to_string()),
    }
}

fn error_status(error: &ReloadError) -> StatusCode {
    match error {
        ReloadError::Wrong(_) | ReloadError::Empty(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ReloadError::NoFile => StatusCode::CONFLICT,
        ReloadError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
