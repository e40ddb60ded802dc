//! Passing one callback on: tried again and again until the bot replies, or its deadline.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, Response, header},
};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::time::{Instant, timeout_at};

use crate::{
    app::App,
    body::{self, BodyError},
    clock::Stopwatch,
    incoming::Incoming,
    outbound::{Address, Outbound, cause},
};

/// A bot's reply, in bytes. WeChat takes a few KiB.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// The pause after a first try that did not reach the bot; each further one is twice as long.
const RETRY_FIRST: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_millis(400);
/// The same after tries that the bot took and did not answer: it may have acted on them, so they are few.
const RESEND_FIRST: Duration = Duration::from_millis(200);

/// What became of passing a callback on.
pub enum Passed {
    Answered(Response<Body>),
    /// The bot has it, and did not reply in time.
    Late,
    /// The bot could not be reached.
    Unreachable,
    /// The bot's reply is too large to pass back.
    TooLarge,
}

/// Sends it until the bot replies or the time is over.
pub async fn pass_on(app: &App, url: &Address, incoming: &Incoming, deadline: Instant) -> Passed {
    let stopwatch = Stopwatch::start();
    let passed = send_until(app, url, incoming, deadline).await;
    let (result, status) = match &passed {
        Passed::Answered(response) => ("answered", status_class(response)),
        Passed::Late => ("late", ""),
        Passed::Unreachable => ("unreachable", ""),
        Passed::TooLarge => ("reply_too_large", ""),
    };
    app.metrics.relayed(result, status, stopwatch.elapsed());
    passed
}

fn status_class(response: &Response<Body>) -> &'static str {
    match response.status().as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

async fn send_until(app: &App, url: &Address, incoming: &Incoming, deadline: Instant) -> Passed {
    let (mut retry, mut resend) = (RETRY_FIRST, RESEND_FIRST);
    loop {
        let Some(mut request) = incoming.request(url) else { return Passed::Unreachable };
        request.headers_mut().insert(app.via.0.clone(), app.via.1.clone());
        let connection = capture_connection(&mut request);
        match timeout_at(deadline, exchange(&app.relay.client, request)).await {
            Ok(Ok(passed)) => return passed,
            Ok(Err(error)) => complain(app, url, &error),
            Err(_) if is_connected(&connection) => return Passed::Late,
            Err(_) => return Passed::Unreachable,
        }
        let pause = if is_connected(&connection) { &mut resend } else { &mut retry };
        if timeout_at(deadline, tokio::time::sleep(*pause)).await.is_err() {
            return Passed::Unreachable;
        }
        *pause *= 2;
        retry = retry.min(RETRY_MAX);
    }
}

/// Once a minute: there may be thousands, and each is tried again.
fn complain(app: &App, url: &Address, error: &str) {
    let url = url.to_string();
    if app.refusals.may_log(&url, "relay_unreachable", app.clock.now_s()) {
        tracing::warn!(url, error, "a callback could not be passed on; it is tried again until its deadline");
    }
}

/// True if a try got as far as the bot.
fn is_connected(connection: &CaptureConnection) -> bool {
    connection.connection_metadata().is_some()
}

/// One try. An error is worth another.
async fn exchange(client: &Outbound, request: Request<Body>) -> Result<Passed, String> {
    let (parts, content) = client.send(request).await.map_err(|error| cause(&error))?.into_parts();
    if parts.status.is_informational() {
        return Err("an interim answer where a reply belongs".to_owned());
    }
    match body::read(Body::new(content), REPLY_BYTES_MAX).await {
        Ok(content) => {
            let mut response = Response::new(Body::from(content));
            *response.status_mut() = parts.status;
            if let Some(content_type) = parts.headers.get(header::CONTENT_TYPE) {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
            }
            Ok(Passed::Answered(response))
        }
        Err(BodyError::TooLarge) => Ok(Passed::TooLarge),
        Err(_) => Err("the reply broke off".to_owned()),
    }
}
