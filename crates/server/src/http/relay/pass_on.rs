//! Passes one callback on to the bot, with retries until the bot replies or the deadline passes.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use msgcube_client::http::{Address, HttpClient};
use storage::account_metrics::RelayEnd;
use system::clock::Stopwatch;
use tokio::time::{Instant, timeout_at};

use crate::{
    accounts::{
        activity::{BotReply, RelayTime},
        registry::ServedAccount,
    },
    forward::raw_callback::RawCallback,
    http::state::App,
    net::body::{self, BodyError},
};

/// Bytes of a bot's reply. WeChat accepts a few KiB.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// The pause after the first try that did not reach the bot. Each further pause is twice as long.
const RETRY_FIRST: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_millis(400);
/// The first pause after a try that reached the bot but got no reply. The bot may have acted on it, so resends are few.
const RESEND_FIRST: Duration = Duration::from_millis(200);

/// Result of passing a callback on.
pub enum RelayResult {
    Answered(Response<Body>),
    /// The bot has the callback and did not reply in time.
    Late,
    /// The bot could not be reached.
    Unreachable,
    /// The bot's reply is too large to pass back.
    TooLarge,
}

impl RelayResult {
    /// The result in the metrics.
    pub fn end(&self) -> RelayEnd {
        match self {
            RelayResult::Answered(_) => RelayEnd::Answered,
            RelayResult::Late => RelayEnd::Late,
            RelayResult::Unreachable => RelayEnd::Unreachable,
            RelayResult::TooLarge => RelayEnd::TooLarge,
        }
    }
}

/// Sends the callback until the bot replies or the deadline passes. `account`: the account that it is for. None for an
/// event of a platform.
pub async fn pass_on(
    app: &App,
    account: Option<&ServedAccount>,
    url: &Address,
    callback: &RawCallback,
    deadline: Instant,
) -> RelayResult {
    let stopwatch = Stopwatch::start();
    let begin = || {
        let mut request = callback.request(url)?;
        request.headers_mut().insert(app.via.0.clone(), app.via.1.clone());
        let connection = capture_connection(&mut request);
        Some((move || is_connected(&connection), exchange(&app.relay, request)))
    };
    let passed = send_until(deadline, begin, |error| log_failure(app, url, error)).await;
    let status = match &passed {
        RelayResult::Answered(response) => status_class(response),
        RelayResult::Late | RelayResult::Unreachable | RelayResult::TooLarge => "",
    };
    let took = stopwatch.elapsed();
    app.metrics.relayed(passed.end(), status, took);
    app.intake.count_relayed(account, passed.end(), bot_reply(&passed, took));
    passed
}

fn bot_reply(passed: &RelayResult, took: Duration) -> BotReply {
    match passed {
        RelayResult::Answered(response) if response.status().is_success() => {
            BotReply::Answered(RelayTime::of(took))
        }
        RelayResult::Late => BotReply::Late,
        RelayResult::Answered(_) | RelayResult::Unreachable | RelayResult::TooLarge => BotReply::Failed,
    }
}

fn status_class(response: &Response<Body>) -> &'static str {
    match response.status().as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// Tries until the bot replies or the deadline passes. `begin` returns a try, and a function that says whether it has
/// reached the bot.
async fn send_until<C, E>(
    deadline: Instant,
    begin: impl Fn() -> Option<(C, E)>,
    log_failure: impl Fn(&str),
) -> RelayResult
where
    C: Fn() -> bool,
    E: Future<Output = Result<RelayResult, String>>,
{
    let (mut retry, mut resend) = (RETRY_FIRST, RESEND_FIRST);
    loop {
        let Some((is_connected, exchange)) = begin() else { return RelayResult::Unreachable };
        match timeout_at(deadline, exchange).await {
            Ok(Ok(passed)) => return passed,
            Ok(Err(error)) => log_failure(&error),
            Err(_) if is_connected() => return RelayResult::Late,
            Err(_) => return RelayResult::Unreachable,
        }
        let pause = if is_connected() { &mut resend } else { &mut retry };
        if timeout_at(deadline, tokio::time::sleep(*pause)).await.is_err() {
            return RelayResult::Unreachable;
        }
        *pause *= 2;
        retry = retry.min(RETRY_MAX);
    }
}

/// Logs at most once a minute, because thousands of callbacks may fail and each is retried.
fn log_failure(app: &App, url: &Address, error: &str) {
    let url = url.to_string();
    if app.log_throttle.may_log(&url, "relay_unreachable", app.clock.now_s()) {
        tracing::warn!(
            url,
            error,
            "a callback could not be passed on to the bot; retrying until its deadline"
        );
    }
}

/// True if the connection to the bot was made.
fn is_connected(connection: &CaptureConnection) -> bool {
    connection.connection_metadata().is_some()
}

/// Makes one try. After an error a further try makes sense.
async fn exchange(client: &HttpClient, request: Request<Body>) -> Result<RelayResult, String> {
    let (parts, content) = client.send(request).await.map_err(|error| error.causes())?.into_parts();
    if parts.status.is_informational() {
        return Err("the bot sent an informational status (1xx) in place of a reply".to_owned());
    }
    match body::read(Body::new(content), REPLY_BYTES_MAX).await {
        Ok(content) => {
            let mut response = Response::new(Body::from(content));
            *response.status_mut() = parts.status;
            if let Some(content_type) = parts.headers.get(header::CONTENT_TYPE) {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
            }
            // If a browser is led here, the bot's reply must not act as a page of ours.
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            Ok(RelayResult::Answered(response))
        }
        Err(BodyError::TooLarge) => Ok(RelayResult::TooLarge),
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

    /// What the bot does with a try.
    #[derive(Clone, Copy, Debug)]
    enum Bot {
        RefusesConnection,
        NeverConnects,
        /// Takes the callback and closes the connection.
        BreaksOff,
        /// Takes the callback and replies this many milliseconds later.
        ReplyAfter(u64),
    }

    /// Returns the result, when it came, and when each try began, in milliseconds since the start.
    async fn run(bot: impl Fn(u64) -> Bot) -> (&'static str, u64, Vec<u64>) {
        let started = Instant::now();
        let ms = move || u64::try_from(started.elapsed().as_millis()).unwrap();
        let tries = Mutex::new(Vec::new());
        let begin = || {
            tries.lock().unwrap().push(ms());
            let behaviour = bot(ms());
            let is_connected = std::sync::Arc::new(AtomicBool::new(false));
            let connected = is_connected.clone();
            let exchange = async move {
                connected.store(
                    !matches!(behaviour, Bot::RefusesConnection | Bot::NeverConnects),
                    Ordering::Relaxed,
                );
                match behaviour {
                    Bot::RefusesConnection | Bot::BreaksOff => Err("no".to_owned()),
                    Bot::NeverConnects => pending().await,
                    Bot::ReplyAfter(time) => {
                        tokio::time::sleep(Duration::from_millis(time)).await;
                        Ok(RelayResult::Answered(Response::new(Body::empty())))
                    }
                }
            };
            Some((move || is_connected.load(Ordering::Relaxed), exchange))
        };
        let passed = send_until(started + RELAY_DEADLINE, begin, |_| {}).await;
        let outcome = match passed {
            RelayResult::Answered(_) => "answered",
            RelayResult::Late => "late",
            RelayResult::Unreachable => "unreachable",
            RelayResult::TooLarge => "too large",
        };
        let ended = ms();
        (outcome, ended, tries.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_is_not_there_is_tried_again_until_the_deadline() {
        let (outcome, ended, tries) = run(|_| Bot::RefusesConnection).await;
        assert_eq!((outcome, ended), ("unreachable", 4900));
        assert_eq!(tries[..6], [0, 25, 75, 175, 375, 775]);
        assert!(tries[5..].windows(2).all(|pair| pair[1] - pair[0] == 400), "{tries:?}");
        assert!(tries.last().unwrap() + 400 >= 4900, "to the end: {tries:?}");
        assert_eq!(run(|_| Bot::NeverConnects).await, ("unreachable", 4900, vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_comes_within_the_deadline_gets_it_at_once() {
        for comes_at in [1, 2000, 4400] {
            let there = |now| if now < comes_at { Bot::RefusesConnection } else { Bot::ReplyAfter(0) };
            let (outcome, ended, _) = run(there).await;
            assert_eq!(outcome, "answered");
            assert!((comes_at..comes_at + 400).contains(&ended), "{comes_at}: {ended}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_has_it_is_waited_for_until_the_deadline_and_not_sent_it_again() {
        assert_eq!(run(|_| Bot::ReplyAfter(4899)).await, ("answered", 4899, vec![0]));
        assert_eq!(run(|_| Bot::ReplyAfter(7000)).await, ("late", 4900, vec![0]));
        let late = |now| if now < 2000 { Bot::RefusesConnection } else { Bot::ReplyAfter(7000) };
        let (outcome, ended, _) = run(late).await;
        assert_eq!((outcome, ended), ("late", 4900), "the deadline is the callback's, not the try's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_breaks_off_is_sent_it_again_a_few_times_only() {
        let (outcome, ended, tries) = run(|_| Bot::BreaksOff).await;
        assert_eq!((outcome, ended, tries), ("unreachable", 4900, vec![0, 200, 600, 1400, 3000]));
    }
}
