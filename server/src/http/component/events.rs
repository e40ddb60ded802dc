//! What WeChat tells a third-party platform (role "receive"): its ticket, and which accounts authorise it. What is learnt
//! is made durable, and every authentic event goes on, unchanged, to the server that was there before.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    app::App,
    callback::{self, Info, PlatformEvent, Query, Refusal},
    components::Component,
    config::Role,
    http::{
        answer,
        callback::{DEADLINE, implausible, read, refused},
        relay,
    },
    incoming::Incoming,
    received::{EventError, Learnt},
};

/// `POST /component/{component}/events`
pub async fn receive(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let component = app.components.get(&appid).filter(|component| component.config.role == Role::Receive);
    let Some(component) = component else {
        app.metrics.callback("refused", "unknown_component");
        let error = "no [[component]] with role = \"receive\" has the appid in this URL";
        return answer::text(StatusCode::NOT_FOUND, error);
    };
    let deadline = Instant::now() + DEADLINE;
    let (parts, body) = request.into_parts();
    if parts.headers.get(&app.via.0) == Some(&app.via.1) {
        app.metrics.callback("refused", "loop");
        return answer::text(StatusCode::LOOP_DETECTED, "push_url leads back to msgcube itself");
    }
    let body = match read(&app, body, deadline).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let opened = callback::open_event(&component.keys, &query, &body);
    let incoming = Incoming::new(parts.uri.query(), &parts.headers, body);
    match opened {
        // Only who has the platform's key can play it, and it says nothing.
        Ok(PlatformEvent { info: info @ Info::Probe, .. }) => {
            app.metrics.callback("event", info.name());
            answer::success()
        }
        Ok(event) => take(app, component, event, incoming, deadline).await,
        Err(refusal) => refuse(app, component, &refusal, incoming, deadline).await,
    }
}

/// An event that cannot be read and is WeChat's all the same goes on: it did before, too.
async fn refuse(
    app: Arc<App>,
    component: Arc<Component>,
    refusal: &Refusal,
    incoming: Incoming,
    deadline: Instant,
) -> Response<Body> {
    let response = refused(&app, refusal, &component.config.appid);
    if refusal.may_be_relayed() && component.config.push_url.is_some() {
        return hand_on(&app, &component, &incoming, deadline).await;
    }
    response
}

/// `success` only once what was learnt is durable, and the event is kept for the server behind.
async fn take(
    app: Arc<App>,
    component: Arc<Component>,
    event: PlatformEvent,
    incoming: Incoming,
    deadline: Instant,
) -> Response<Body> {
    let is_learnt = timeout_at(deadline, learn(&app, &component, event)).await.unwrap_or(false);
    if is_learnt {
        return hand_on(&app, &component, &incoming, deadline).await;
    }
    if let Some(url) = &component.config.push_url {
        drop(relay::pass_event(&app, &component.relays_waiting, url, &incoming, deadline).await);
    }
    app.metrics.callback("closed", "not_durable");
    answer::no_answer()
}

/// True unless something was to be kept and could not be.
async fn learn(app: &Arc<App>, component: &Component, event: PlatformEvent) -> bool {
    let (component, name) = (&component.config.appid, event.info.name());
    if let Some(reason) = implausible(event.create_time, app.clock.now_s()).filter(|_| name != "other") {
        app.metrics.callback("event", reason);
        return true;
    }
    match app.received.learn(component, event).await {
        Ok(Learnt::News) => app.metrics.callback("event", name),
        Ok(Learnt::Replayed) => app.metrics.callback("event", "replayed"),
        Err(EventError::Removed) => app.metrics.callback("event", "before_removal"),
        Err(EventError::Implausible) => app.metrics.callback("event", "implausible"),
        Err(error @ (EventError::TooMany | EventError::NotDurable(_))) => {
            if app.refusals.may_log(component, "event_not_kept", app.clock.now_s()) {
                tracing::error!(%error, component, name, "an event could not be kept");
            }
            return false;
        }
    }
    true
}

/// Into the queue for the server behind, which survives a restart; if there is no room, to it at once.
async fn hand_on(
    app: &Arc<App>,
    component: &Component,
    incoming: &Incoming,
    deadline: Instant,
) -> Response<Body> {
    let Some(url) = &component.config.push_url else { return answer::success() };
    if app.copies.keep_passed_on(component, incoming).await {
        return answer::success();
    }
    relay::pass_event(app, &component.relays_waiting, url, incoming, deadline).await
}
