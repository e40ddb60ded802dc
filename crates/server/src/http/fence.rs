//! Before a request is answered from the maps in memory, this process learns what other processes have changed. If it
//! cannot, the request is refused. With a store of one process nothing happens here.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use datacube::ErrorCode;
use i18n::text;
use storage::store::NotDurable;
use tokio::time::timeout;

use super::{answer, cloud, hint::AnswerHint};
use crate::{http::state::App, intake::path};

/// WeChat waits 5 s for the answer to a callback, and the message must still be stored.
const CALLBACK_WAITS: Duration = Duration::from_secs(2);
/// Longest wait of all other requests.
const OTHERS_WAIT: Duration = Duration::from_secs(5);
/// Paths that are answered without looking at accounts, keys or tokens.
const FREE: [&str; 6] = ["/", "/ui", "/debug", "/healthz", "/readyz", "/openapi.json"];
const ERROR: &str =
    "the state that the processes share cannot be read; see /readyz and the log of the server";

/// Waits until the process knows all that was decided before the request.
///
/// # Errors
/// If the shared state cannot be read in time.
pub async fn pass(app: &App, path: &str, is_public: bool) -> Result<(), NotDurable> {
    // On the operator's address the metrics need no key, and are wanted when something is wrong.
    let is_free = FREE.contains(&path) || (!is_public && path == "/metrics");
    if !app.store.is_shared() || is_free {
        return Ok(());
    }
    let longest = if is_of_callbacks(path) { CALLBACK_WAITS } else { OTHERS_WAIT };
    let passed = within(app, longest).await;
    if let Err(error) = &passed
        && app.log_throttle.may_log("", "fence", app.clock.now_s())
    {
        tracing::error!(%error, "requests are refused: the state that the processes share cannot be read");
    }
    passed
}

/// Like [`pass`], for `/readyz`.
pub async fn check(app: &App) -> Result<(), NotDurable> {
    if app.store.is_shared() { within(app, OTHERS_WAIT).await } else { Ok(()) }
}

async fn within(app: &App, longest: Duration) -> Result<(), NotDurable> {
    let fresh = timeout(longest, Box::pin(app.store.fresh())).await;
    fresh.unwrap_or_else(|_| Err(NotDurable(format!("no answer for {} s", longest.as_secs()))))
}

/// The answer to a request that could not pass.
pub fn refusal(app: &Arc<App>, path: &str) -> Response<Body> {
    let is_below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_of_callbacks(path) {
        app.metrics.callback("closed", "not_durable");
        answer::no_answer()
    } else if is_below("/v1") || is_below("/metrics") {
        answer::api_error(StatusCode::SERVICE_UNAVAILABLE, ERROR)
    } else if is_below("/ui") || is_below("/cgi-bin/componentloginpage") {
        answer::plain_text(StatusCode::SERVICE_UNAVAILABLE, ERROR)
    } else if path == "/cloud/admin" {
        cloud::busy(app)
    } else {
        let hint = AnswerHint::new(text!("see /readyz and the log of the server"));
        answer::wechat_error(app, ErrorCode::SYSTEM_ERROR, Some(&hint))
    }
}

fn is_of_callbacks(path: &str) -> bool {
    path.starts_with(path::OF_ACCOUNTS) || path.starts_with(path::OF_PLATFORMS)
}

#[cfg(test)]
mod tests;
