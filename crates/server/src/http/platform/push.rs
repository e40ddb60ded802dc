//! Pushes to platforms: a ticket every ten minutes, and events of authorisation, which wait on disk for a platform that
//! cannot be reached.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, header},
};
use bytes::Bytes;
use msgcube_client::http::Address;
use system::sync::lock;
use tokio::{sync::Notify, time::timeout};
use wechat::callback::seal::Sealed;

use crate::{
    accounts::platform_issuer::{
        Approval, Platform, PlatformError,
        event::{self, Event, is_taken},
        ticket::SLOT_S,
    },
    config::Role,
    forward::raw_callback::RawCallback,
    http::state::App,
};

/// One delivery.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Pauses between tries of one ticket. The next one comes in any case.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How often the clock is looked at, should it be set.
const LOOK_EVERY_S: i64 = 30;
/// Events that are older are not pushed any more.
const AGE_S_MAX: i64 = 24 * 3600;

/// Begins to push tickets, for as long as the program runs, and the events that an early end left untold.
pub fn start(app: &Arc<App>) {
    let left_over = event::left_over(&app.store, &app.key);
    if !left_over.is_empty() {
        let app = app.clone();
        tokio::spawn(async move {
            for event in left_over {
                tell(&app, event).await;
            }
        });
    }
    let all = app.components.all().into_iter();
    for component in all.filter(|component| component.config.role == Role::Serve) {
        let appid = component.config.appid.clone();
        tokio::spawn(push_tickets(Arc::downgrade(app), appid, component.push_now.clone()));
    }
}

/// Also for a platform without `push_url`, which may get one.
async fn push_tickets(app: Weak<App>, component: String, push_now: Arc<Notify>) {
    let mut pushed = None;
    loop {
        let Some(running) = app.upgrade() else { return };
        let Some(component) = running.components.get(&component) else { return };
        let now_s = running.clock.now_s();
        let slot = now_s.div_euclid(SLOT_S);
        if pushed != Some(slot) {
            pushed = Some(slot);
            // In the meantime it may be asked for again.
            tokio::select! {
                () = push_ticket(&running, &component) => {}
                () = push_now.notified() => pushed = None,
            }
            continue;
        }
        drop((running, component));
        let left_s = ((slot + 1) * SLOT_S - now_s).clamp(1, LOOK_EVERY_S);
        let pause = Duration::from_secs(u64::try_from(left_s).unwrap_or(1));
        if timeout(pause, push_now.notified()).await.is_ok() {
            pushed = None;
        }
    }
}

/// Pushes the present ticket; a few tries.
async fn push_ticket(app: &App, component: &Platform) {
    let Some(target) = &component.config.push_url else { return };
    for pause in PAUSES {
        let now_s = app.clock.now_s();
        let appid = &component.config.appid;
        let event = Event::ticket(appid, app.components.ticket(appid, now_s), now_s);
        let result = match event.sealed(component, now_s) {
            Ok(sealed) => push_once(app, target, &sealed).await,
            Err(error) => Err(error),
        };
        app.metrics.pushed(event.info_type.name(), if result.is_ok() { "delivered" } else { "failed" });
        note(component, &result, now_s);
        let Err(error) = result else { return };
        if app.refusals.may_log(appid, "ticket_not_pushed", now_s) {
            tracing::warn!(component = appid, %target, error, "a ticket could not be pushed; it is tried again soon, and in ten minutes");
        }
        tokio::time::sleep(pause).await;
    }
}

fn note(component: &Platform, result: &Result<(), String>, now_s: i64) {
    let mut pushes = lock(&component.ticket_pushes);
    pushes.taken_s = if result.is_ok() { Some(now_s) } else { pushes.taken_s };
    pushes.error = result.as_ref().err().cloned();
}

async fn push_once(app: &App, target: &Address, sealed: &Sealed) -> Result<(), String> {
    let uri = target.with_query(Some(&sealed.query)).map_err(|error| error.to_string())?;
    let mut request = Request::new(Body::from(sealed.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    request.headers_mut().insert(app.via.0.clone(), app.via.1.clone());
    let answered = async {
        let (parts, content) = app.relay.send(request).await.map_err(|error| error.causes())?.into_parts();
        let is_taken = is_taken(parts.status, content).await;
        if is_taken { Ok(()) } else { Err(format!("answered {}, not 200 success", parts.status)) }
    };
    timeout(TIME_MAX, answered).await.unwrap_or_else(|_| Err("no answer within 10 s".to_owned()))
}

/// Gives a platform an account's permission sets, and tells it. Runs to its end also if the caller hangs up.
pub async fn authorize(app: &Arc<App>, approval: Approval) -> Result<String, PlatformError> {
    let shared = app.clone();
    let authorized = tokio::spawn(async move {
        let (code, event) = shared.components.authorize(approval, shared.desk()).await?;
        if let Some(event) = event {
            tell(&shared, event).await;
        }
        Ok(code)
    });
    authorized.await.unwrap_or_else(|error| Err(PlatformError::Broken(error.to_string())))
}

/// Keeps an event, which is durable with what it tells of, for the platform's address, from where it is delivered.
pub async fn tell(app: &Arc<App>, event: Event) {
    let is_over = match app.components.get(&event.component) {
        Some(component) if event.age_s(app.clock.now_s()) <= AGE_S_MAX => {
            queue(app, &component, &event).await
        }
        // Nobody waits for it any more.
        _ => true,
    };
    if is_over && app.ingest.enqueue(event.told()).is_err() {
        tracing::warn!(component = event.component, "an event may be pushed once more after the next start");
    }
}

/// Whether nothing is left to do for an event.
async fn queue(app: &Arc<App>, component: &Platform, event: &Event) -> bool {
    let Some(target) = component.config.push_url.as_ref().filter(|_| component.config.role == Role::Serve)
    else {
        return true;
    };
    let kept = match event.sealed(component, app.clock.now_s()) {
        Ok(sealed) => {
            let callback = RawCallback {
                query: Some(sealed.query),
                content_type: Some(HeaderValue::from_static("text/xml")),
                user_agent: None,
                body: Bytes::from(sealed.body),
            };
            app.copies.keep_event(&component.config.appid, target, callback).await
        }
        Err(error) => {
            tracing::error!(error, "an event cannot be sealed");
            "not_durable"
        }
    };
    app.metrics.pushed(event.info_type.name(), kept);
    if kept != "kept" {
        tracing::error!(
            component = event.component,
            event = event.info_type.name(),
            kept,
            "an event is kept, and pushed after the next start"
        );
    }
    kept == "kept"
}
