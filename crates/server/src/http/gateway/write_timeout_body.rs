//! Answers on their way back: each keeps its permit until it has ended, and ends when its caller takes nothing of it for
//! too long. Nobody asks such a body for a piece, so a task beside it looks at the time.

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

/// A body that holds its permit, and lets go of both when nobody takes a piece for this time.
pub fn body(body: Body, permit: CallPermit, idle_max: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let length = body.size_hint();
    let held = HeldAnswer { answer: Some((body, permit)), is_waiting: false, asked: Instant::now() };
    let held = Arc::new(Mutex::new(held));
    let watcher = tokio::spawn(watch(held.clone(), idle_max));
    let watched = WatchedBody { held, watcher };
    poll_body::body(&length, move |context, is_over| watched.next(context, is_over))
}

#[derive(Debug)]
struct HeldAnswer {
    /// None once it was let go.
    answer: Option<(Body, CallPermit)>,
    /// The caller waits for WeChat, whose time is counted elsewhere.
    is_waiting: bool,
    asked: Instant,
}

async fn watch(held: Arc<Mutex<HeldAnswer>>, idle_max: Duration) {
    while let Some(until) = looked_at(&held, idle_max) {
        tokio::time::sleep_until(until).await;
    }
}

/// When to look again; nothing if it was let go.
fn looked_at(held: &Mutex<HeldAnswer>, idle_max: Duration) -> Option<Instant> {
    let (mut held, now) = (lock(held), Instant::now());
    if held.is_waiting {
        held.asked = now;
    }
    let until = held.asked + idle_max;
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
#[error("nobody took anything for too long")]
struct WriteTimeout;

impl WatchedBody {
    fn next(&self, context: &mut Context<'_>, is_over: &mut bool) -> PolledFrame {
        let mut held = lock(&self.held);
        let Some((body, _)) = &mut held.answer else {
            return Poll::Ready(Some(Err(axum::Error::new(WriteTimeout))));
        };
        let polled = poll_frame_of(body, context, is_over);
        (held.is_waiting, held.asked) = (polled.is_pending(), Instant::now());
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
    use crate::http::concurrency_limit::{CallOwner, ConcurrencyLimit};
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn the_place_is_given_back_with_the_end_of_the_answer_or_when_nobody_takes_it() {
        // One permit of users.
        let limit = ConcurrencyLimit::beside(1);
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
