//! The body of an answer to a caller. It holds the permit of its call until it ends, and fails if the caller reads nothing
//! for too long. Such a body is not polled, so a task watches the time.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use hyper::body::Body as _;
use system::sync::lock;
use tokio::{task::JoinHandle, time::Instant};

use super::super::poll_body::{self, PolledFrame, poll_frame_of};
use crate::http::concurrency_limit::CallPermit;

/// A body that holds a permit. Both are dropped if the body is not polled for `idle_max`.
pub fn body(body: Body, permit: CallPermit, idle_max: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let length = body.size_hint();
    let held = HeldAnswer { answer: Some((body, permit)), is_waiting: false, polled: Instant::now() };
    let held = Arc::new(Mutex::new(held));
    let watcher = tokio::spawn(watch(held.clone(), idle_max));
    let watched = WatchedBody { held, watcher };
    poll_body::body(&length, move |context, is_over| watched.next(context, is_over))
}

#[derive(Debug)]
struct HeldAnswer {
    /// None once the body was dropped.
    answer: Option<(Body, CallPermit)>,
    /// The caller waits for WeChat. `idle_timeout_body` limits that time.
    is_waiting: bool,
    polled: Instant,
}

async fn watch(held: Arc<Mutex<HeldAnswer>>, idle_max: Duration) {
    while let Some(until) = next_check(&held, idle_max) {
        tokio::time::sleep_until(until).await;
    }
}

/// When to check again. None if the answer was dropped.
fn next_check(held: &Mutex<HeldAnswer>, idle_max: Duration) -> Option<Instant> {
    let (mut held, now) = (lock(held), Instant::now());
    if held.is_waiting {
        held.polled = now;
    }
    let until = held.polled + idle_max;
    if until <= now {
        held.answer = None;
    }
    held.answer.is_some().then_some(until)
}

struct WatchedBody {
    held: Arc<Mutex<HeldAnswer>>,
    watcher: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
#[error("the caller read nothing for too long")]
struct WriteTimeout;

impl WatchedBody {
    fn next(&self, context: &mut Context<'_>, is_over: &mut bool) -> PolledFrame {
        let mut held = lock(&self.held);
        let Some((body, _)) = &mut held.answer else {
            return Poll::Ready(Some(Err(axum::Error::new(WriteTimeout))));
        };
        let polled = poll_frame_of(body, context, is_over);
        (held.is_waiting, held.polled) = (polled.is_pending(), Instant::now());
        polled
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.watcher.abort();
        lock(&self.held).answer = None;
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http::concurrency_limit::{CallOwner, ConcurrencyLimit};

    #[tokio::test]
    async fn the_permit_is_given_back_when_the_answer_ends_or_is_not_read() {
        // One permit of users.
        let limit = ConcurrencyLimit::for_connections(1);
        let permit = || limit.take(CallOwner::User, None);
        let read = body(Body::from("answer"), permit().unwrap(), Duration::from_secs(3600));
        assert!(permit().is_none());
        assert_eq!(read.collect().await.unwrap().to_bytes(), "answer");
        let mut left = body(Body::from("answer"), permit().unwrap(), Duration::from_millis(1));
        let given_back = async {
            while permit().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), given_back).await.unwrap();
        assert!(left.frame().await.unwrap().is_err(), "what was let go is no whole answer");
    }
}
