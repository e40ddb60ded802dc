//! Answers on their way back: each keeps its place until it has ended, and ends when its caller takes nothing of it for
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

use super::super::pieces::{self, Polled, pass};
use crate::http::concurrency_limit::Place;

/// A body that holds its place, and lets go of both when nobody takes a piece for this time.
pub fn body(body: Body, place: Place, idle_max: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let length = body.size_hint();
    let held = Held { going: Some((body, place)), is_waiting: false, asked: Instant::now() };
    let held = Arc::new(Mutex::new(held));
    let watcher = tokio::spawn(watch(held.clone(), idle_max));
    let taken = Taken { held, watcher };
    pieces::body(&length, move |context, is_over| taken.next(context, is_over))
}

#[derive(Debug)]
struct Held {
    /// None once it was let go.
    going: Option<(Body, Place)>,
    /// The caller waits for WeChat, whose time is counted elsewhere.
    is_waiting: bool,
    asked: Instant,
}

async fn watch(held: Arc<Mutex<Held>>, idle_max: Duration) {
    while let Some(until) = looked_at(&held, idle_max) {
        tokio::time::sleep_until(until).await;
    }
}

/// When to look again; nothing if it was let go.
fn looked_at(held: &Mutex<Held>, idle_max: Duration) -> Option<Instant> {
    let (mut held, now) = (lock(held), Instant::now());
    if held.is_waiting {
        held.asked = now;
    }
    let until = held.asked + idle_max;
    if until <= now {
        held.going = None;
    }
    held.going.is_some().then_some(until)
}

struct Taken {
    held: Arc<Mutex<Held>>,
    watcher: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
#[error("nobody took anything for too long")]
struct NobodyTakes;

impl Taken {
    fn next(&self, context: &mut Context<'_>, is_over: &mut bool) -> Polled {
        let mut held = lock(&self.held);
        let Some((body, _)) = &mut held.going else {
            return Poll::Ready(Some(Err(axum::Error::new(NobodyTakes))));
        };
        let polled = pass(body, context, is_over);
        (held.is_waiting, held.asked) = (polled.is_pending(), Instant::now());
        polled
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.watcher.abort();
        lock(&self.held).going = None;
    }
}

#[cfg(test)]
mod tests {
    use crate::http::concurrency_limit::{ConcurrencyLimit, Whose};
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn the_place_is_given_back_with_the_end_of_the_answer_or_when_nobody_takes_it() {
        // One place of users.
        let places = ConcurrencyLimit::beside(1);
        let place = || places.take(Whose::User, None);
        let read = body(Body::from("answer"), place().unwrap(), Duration::from_secs(3600));
        assert!(place().is_none());
        assert_eq!(read.collect().await.unwrap().to_bytes(), "answer");
        let mut left = body(Body::from("answer"), place().unwrap(), Duration::from_millis(1));
        let given_back = async {
            while place().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), given_back).await.unwrap();
        assert!(left.frame().await.unwrap().is_err(), "what was let go is no whole answer");
    }
}
