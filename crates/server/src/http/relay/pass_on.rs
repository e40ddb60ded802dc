//! Passing one callback on: tried again and again until the bot replies, or its deadline.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, Response, header},
};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use msgcube_client::http::{Address, HttpClient};
use system::clock::Stopwatch;
use tokio::time::{Instant, timeout_at};

use crate::{
    forward::raw_callback::RawCallback,
    http::state::App,
    net::body::{self, BodyError},
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
pub async fn pass_on(app: &App, url: &Address, callback: &RawCallback, deadline: Instant) -> Passed {
    let stopwatch = Stopwatch::start();
    let begin = || {
        let mut request = callback.request(url)?;
        request.headers_mut().insert(app.via.0.clone(), app.via.1.clone());
        let connection = capture_connection(&mut request);
        Some((move || is_connected(&connection), exchange(&app.relay, request)))
    };
    let passed = send_until(deadline, begin, |error| complain(app, url, error)).await;
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

/// Tries until the bot replies or the time is over. `begin` makes a try, and something that says whether it has got as far
/// as the bot.
async fn send_until<C, E>(
    deadline: Instant,
    begin: impl Fn() -> Option<(C, E)>,
    complain: impl Fn(&str),
) -> Passed
where
    C: Fn() -> bool,
    E: Future<Output = Result<Passed, String>>,
{
    let (mut retry, mut resend) = (RETRY_FIRST, RESEND_FIRST);
    loop {
        let Some((is_connected, exchange)) = begin() else { return Passed::Unreachable };
        match timeout_at(deadline, exchange).await {
            Ok(Ok(passed)) => return passed,
            Ok(Err(error)) => complain(&error),
            Err(_) if is_connected() => return Passed::Late,
            Err(_) => return Passed::Unreachable,
        }
        let pause = if is_connected() { &mut resend } else { &mut retry };
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
async fn exchange(client: &HttpClient<Body>, request: Request<Body>) -> Result<Passed, String> {
    let (parts, content) = client.send(request).await.map_err(|error| error.causes())?.into_parts();
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

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering},
        },
    };

    use super::*;
    use crate::intake::RELAY_DEADLINE;

    /// What a try meets.
    #[derive(Clone, Copy, Debug)]
    enum Meets {
        Nobody,
        NobodyThatAnswersTheDoor,
        /// It takes the callback and breaks off.
        Rude,
        /// It takes the callback and replies so many milliseconds later.
        ReplyAfter(u64),
    }

    /// What came of it, when, and when each try began, in milliseconds. A try takes no time but that.
    async fn try_it(meets: impl Fn(u64) -> Meets) -> (&'static str, u64, Vec<u64>) {
        let started = Instant::now();
        let ms = move || u64::try_from(started.elapsed().as_millis()).unwrap();
        let tries = Mutex::new(Vec::new());
        let begin = || {
            tries.lock().unwrap().push(ms());
            let met = meets(ms());
            let is_connected = std::sync::Arc::new(AtomicBool::new(false));
            let connected = is_connected.clone();
            let exchange = async move {
                connected.store(
                    !matches!(met, Meets::Nobody | Meets::NobodyThatAnswersTheDoor),
                    Ordering::Relaxed,
                );
                match met {
                    Meets::Nobody | Meets::Rude => Err("no".to_owned()),
                    Meets::NobodyThatAnswersTheDoor => pending().await,
                    Meets::ReplyAfter(time) => {
                        tokio::time::sleep(Duration::from_millis(time)).await;
                        Ok(Passed::Answered(Response::new(Body::empty())))
                    }
                }
            };
            Some((move || is_connected.load(Ordering::Relaxed), exchange))
        };
        let passed = send_until(started + RELAY_DEADLINE, begin, |_| {}).await;
        let outcome = match passed {
            Passed::Answered(_) => "answered",
            Passed::Late => "late",
            Passed::Unreachable => "unreachable",
            Passed::TooLarge => "too large",
        };
        let ended = ms();
        (outcome, ended, tries.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_is_not_there_is_tried_again_until_the_deadline() {
        let (outcome, ended, tries) = try_it(|_| Meets::Nobody).await;
        assert_eq!((outcome, ended), ("unreachable", 4900));
        assert_eq!(tries[..6], [0, 25, 75, 175, 375, 775]);
        assert!(tries[5..].windows(2).all(|pair| pair[1] - pair[0] == 400), "{tries:?}");
        assert!(tries.last().unwrap() + 400 >= 4900, "to the end: {tries:?}");
        assert_eq!(try_it(|_| Meets::NobodyThatAnswersTheDoor).await, ("unreachable", 4900, vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_comes_within_the_deadline_gets_it_at_once() {
        for comes_at in [1, 2000, 4400] {
            let there = |now| if now < comes_at { Meets::Nobody } else { Meets::ReplyAfter(0) };
            let (outcome, ended, _) = try_it(there).await;
            assert_eq!(outcome, "answered");
            assert!((comes_at..comes_at + 400).contains(&ended), "{comes_at}: {ended}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_has_it_is_waited_for_until_the_deadline_and_not_sent_it_again() {
        assert_eq!(try_it(|_| Meets::ReplyAfter(4899)).await, ("answered", 4899, vec![0]));
        assert_eq!(try_it(|_| Meets::ReplyAfter(7000)).await, ("late", 4900, vec![0]));
        let late = |now| if now < 2000 { Meets::Nobody } else { Meets::ReplyAfter(7000) };
        let (outcome, ended, _) = try_it(late).await;
        assert_eq!((outcome, ended), ("late", 4900), "the deadline is the callback's, not the try's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_breaks_off_is_sent_it_again_a_few_times_only() {
        let (outcome, ended, tries) = try_it(|_| Meets::Rude).await;
        assert_eq!((outcome, ended, tries), ("unreachable", 4900, vec![0, 200, 600, 1400, 3000]));
    }
}
