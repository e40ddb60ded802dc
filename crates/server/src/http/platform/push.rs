//! Pushes to platforms (role "serve"): a ticket every ten minutes, and authorisation events. Events wait on disk while a
//! platform cannot be reached.

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
        event::{self, Event, is_accepted},
        ticket::SLOT_S,
    },
    config::Role,
    forward::raw_callback::RawCallback,
    http::state::App,
};

/// Time limit of one push.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Pauses between tries of one ticket. The next ticket follows in any case.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How often the clock is read again, because it may be set, in seconds.
const LOOK_EVERY_S: i64 = 30;
/// How often events are looked for that other processes left.
const LEFT_EVERY: Duration = Duration::from_secs(30);
/// Older events are not pushed, in seconds.
const AGE_S_MAX: i64 = 24 * 3600;

/// Starts pushing tickets for as long as the program runs, and queues the events that an earlier stop left over.
pub fn start(app: &Arc<App>) {
    let left_over = event::undelivered(&app.store, &app.key);
    if app.store.is_shared() {
        tokio::spawn(deliver_left(Arc::downgrade(app)));
    } else if !left_over.is_empty() {
        let app = app.clone();
        tokio::spawn(async move {
            for event in left_over {
                deliver_event(&app, event).await;
            }
        });
    }
    let all = app.platforms.all().into_iter();
    for platform in all.filter(|platform| platform.config.role == Role::Serve) {
        let appid = platform.config.appid.clone();
        tokio::spawn(push_tickets(Arc::downgrade(app), appid, platform.push_now.clone()));
    }
}

/// Delivers the events that processes which died left, one process each.
async fn deliver_left(app: Weak<App>) {
    loop {
        let Some(running) = app.upgrade() else { return };
        match event::claim_left(&running.store, &running.key, &running.ingest, &running.clock).await {
            Ok(left) => {
                for event in left {
                    deliver_event(&running, event).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "events that another process left cannot be delivered yet");
            }
        }
        drop(running);
        tokio::time::sleep(LEFT_EVERY).await;
    }
}

/// Pushes a ticket per slot. Also runs for a platform without `push_url`, because a reload may set one.
async fn push_tickets(app: Weak<App>, platform: String, push_now: Arc<Notify>) {
    let mut pushed = None;
    loop {
        let Some(running) = app.upgrade() else { return };
        let Some(platform) = running.platforms.get(&platform) else { return };
        let now_s = running.clock.now_s();
        let slot = now_s.div_euclid(SLOT_S);
        if pushed != Some(slot) {
            pushed = Some(slot);
            // A ticket may be requested again during the push.
            tokio::select! {
                () = push_ticket(&running, &platform) => {}
                () = push_now.notified() => pushed = None,
            }
            continue;
        }
        drop((running, platform));
        let left_s = ((slot + 1) * SLOT_S - now_s).clamp(1, LOOK_EVERY_S);
        let pause = Duration::from_secs(u64::try_from(left_s).unwrap_or(1));
        if timeout(pause, push_now.notified()).await.is_ok() {
            pushed = None;
        }
    }
}

/// Pushes the current ticket, with a few tries.
async fn push_ticket(app: &App, platform: &Platform) {
    let Some(target) = &platform.config.push_url else { return };
    for pause in PAUSES {
        let now_s = app.clock.now_s();
        let appid = &platform.config.appid;
        let event = Event::ticket(appid, app.platforms.ticket(appid, now_s), now_s);
        let result = match event.sealed(platform, now_s) {
            Ok(sealed) => push_once(app, target, &sealed).await,
            Err(error) => Err(error),
        };
        app.metrics.pushed(event.info_type.name(), if result.is_ok() { "delivered" } else { "failed" });
        record_ticket_push(platform, &result, now_s);
        let Err(error) = result else { return };
        if app.log_throttle.may_log(appid, "ticket_not_pushed", now_s) {
            tracing::warn!(component = appid, %target, error, "a ticket could not be pushed; retrying soon, and again in ten minutes");
        }
        tokio::time::sleep(pause).await;
    }
}

fn record_ticket_push(platform: &Platform, result: &Result<(), String>, now_s: i64) {
    let mut pushes = lock(&platform.ticket_pushes);
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
        let is_accepted = is_accepted(parts.status, content).await;
        if is_accepted { Ok(()) } else { Err(format!("answered {}, not 200 success", parts.status)) }
    };
    timeout(TIME_MAX, answered).await.unwrap_or_else(|_| Err("no answer within 10 s".to_owned()))
}

/// Gives a platform an account's permission sets and queues the event. Completes even if the caller hangs up.
///
/// # Errors
/// If the approval is refused or cannot be made durable.
pub async fn authorize(app: &Arc<App>, approval: Approval) -> Result<String, PlatformError> {
    let shared = app.clone();
    let authorized = tokio::spawn(async move {
        let (code, event) = shared.platforms.authorize(approval, shared.authorization_context()).await?;
        if let Some(event) = event {
            deliver_event(&shared, event).await;
        }
        Ok(code)
    });
    authorized.await.unwrap_or_else(|error| Err(PlatformError::Broken(error.to_string())))
}

/// Queues an event in the outbox, which delivers it to the platform's address. The event is already durable with the change
/// that it reports.
pub async fn deliver_event(app: &Arc<App>, event: Event) {
    let is_over = match app.platforms.get(&event.component) {
        Some(platform) if event.age_s(app.clock.now_s()) <= AGE_S_MAX => {
            queue_event(app, &platform, &event).await
        }
        // The platform is gone, or the event is too old.
        _ => true,
    };
    if !is_over {
        return;
    }
    let mut changes = vec![event.delivered_fact()];
    if app.store.is_shared() {
        changes.push(event.claim_end());
    }
    if app.ingest.submit_all(changes).is_err() {
        tracing::warn!(component = event.component, "an event may be pushed again after the next start");
    }
}

/// Queues an event. True if it is queued or need not be pushed.
async fn queue_event(app: &Arc<App>, platform: &Platform, event: &Event) -> bool {
    let Some(target) = platform.config.push_url.as_ref().filter(|_| platform.config.role == Role::Serve)
    else {
        return true;
    };
    let kept = match event.sealed(platform, app.clock.now_s()) {
        Ok(sealed) => {
            let callback = RawCallback {
                query: Some(sealed.query),
                content_type: Some(HeaderValue::from_static("text/xml")),
                user_agent: None,
                body: Bytes::from(sealed.body),
            };
            app.outbox.store_event(&platform.config.appid, target, callback).await
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
            "an event could not be queued; it is pushed after the next start"
        );
    }
    kept == "kept"
}
