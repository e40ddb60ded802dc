//! What WeChat tells a third-party platform (role "receive"), over HTTP: every authentic event goes on, unchanged, to the
//! server that was there before.

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
        callback::{is_loop, read, refused},
        relay,
        state::App,
    },
    intake::{DEADLINE, EventOutcome},
};

/// A POST to a platform's path for events.
pub async fn receive(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(platform) = app.intake.receiving_platform(&appid) else {
        app.metrics.callback("refused", "unknown_component");
        let error = "no [[component]] with role = \"receive\" has the appid in this URL";
        return answer::text(StatusCode::NOT_FOUND, error);
    };
    let deadline = Instant::now() + DEADLINE;
    let (parts, body) = request.into_parts();
    if is_loop(&app, &parts.headers) {
        app.metrics.callback("refused", "loop");
        return answer::text(StatusCode::LOOP_DETECTED, "push_url leads back to msgcube itself");
    }
    let body = match read(&app, body, deadline).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let query = parts.uri.query();
    let outcome = app.intake.receive_event(&platform, query.unwrap_or(""), &body, deadline).await;
    let event = RawCallback::new(query, &parts.headers, body);
    match outcome {
        EventOutcome::Probe => answer::success(),
        EventOutcome::Applied => hand_on(&app, &platform, &event, deadline).await,
        // One that we cannot read goes on all the same: it did before msgcube was put between.
        EventOutcome::Refused(refusal) if refusal.may_be_relayed() && platform.config.push_url.is_some() => {
            hand_on(&app, &platform, &event, deadline).await
        }
        EventOutcome::Refused(refusal) => refused(&refusal),
        EventOutcome::NotDurable => {
            if let Some(url) = &platform.config.push_url {
                drop(relay::answer_event(&app, &platform, url, &event, deadline).await);
            }
            app.metrics.callback("closed", "not_durable");
            answer::no_answer()
        }
    }
}

/// Queues an event for the server behind, where it survives a restart. If there is no room, that server answers it at
/// once.
async fn hand_on(app: &App, platform: &Platform, event: &RawCallback, deadline: Instant) -> Response<Body> {
    let Some(url) = &platform.config.push_url else { return answer::success() };
    if app.copies.keep_passed_on(platform, event).await {
        return answer::success();
    }
    relay::answer_event(app, platform, url, event, deadline).await
}
