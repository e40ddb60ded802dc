//! Events of WeChat for a third-party platform (role "receive"), over HTTP. Each authentic event goes on, unchanged, to
//! the platform's own server.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use tokio::time::Instant;

use crate::{
    accounts::platform_issuer::Platform,
    forward::raw_callback::RawCallback,
    http::{
        answer,
        callback::{is_loop, read_body, refusal_answer},
        relay,
        state::App,
    },
    intake::{DEADLINE, EventOutcome},
};

/// Answers a POST to a platform's path for events.
pub async fn receive(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(platform) = app.intake.receiving_platform(&appid) else {
        app.metrics.callback("refused", "unknown_component");
        let error = "no [[component]] with role = \"receive\" has the appid in this URL";
        return answer::plain_text(StatusCode::NOT_FOUND, error);
    };
    let deadline = Instant::now() + DEADLINE;
    let (parts, body) = request.into_parts();
    if is_loop(&app, &parts.headers) {
        app.metrics.callback("refused", "loop");
        return answer::plain_text(StatusCode::LOOP_DETECTED, "push_url leads back to msgcube itself");
    }
    let body = match read_body(&app, None, body, deadline).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let query = parts.uri.query();
    let outcome = app.intake.receive_event(&platform, query.unwrap_or(""), &body, deadline).await;
    let event = RawCallback::new(query, &parts.headers, body);
    match outcome {
        EventOutcome::Probe => answer::success(),
        EventOutcome::Applied => forward_event(&app, &platform, &event, deadline).await,
        // An event that we cannot read goes on too, as it did before msgcube was added.
        EventOutcome::Refused(refusal) if refusal.may_be_relayed() && platform.config.push_url.is_some() => {
            forward_event(&app, &platform, &event, deadline).await
        }
        EventOutcome::Refused(refusal) => refusal_answer(&refusal),
        EventOutcome::NotDurable => {
            if let Some(url) = &platform.config.push_url {
                drop(relay::answer_event(&app, &platform, url, &event, deadline).await);
            }
            app.metrics.callback("closed", "not_durable");
            answer::no_answer()
        }
    }
}

/// Queues an event for the platform's own server; the queue survives a restart. If the queue is full, that server answers
/// the event directly.
async fn forward_event(
    app: &App,
    platform: &Platform,
    event: &RawCallback,
    deadline: Instant,
) -> Response<Body> {
    let Some(url) = &platform.config.push_url else { return answer::success() };
    if app.outbox.store_passed_on(platform, event).await {
        return answer::success();
    }
    relay::answer_event(app, platform, url, event, deadline).await
}
