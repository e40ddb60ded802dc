//! Bodies that break off when nothing moves for too long.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body whose next piece has to come within this time. While nobody asks for a piece no time counts: that is
/// the caller's own, which the answer's place counts.
pub fn body(body: Body, idle_max: Duration) -> Body {
    Body::new(Timely { body, idle_max, sleep: Box::pin(tokio::time::sleep(idle_max)), is_waiting: false })
}

/// What was read already, then the rest.
pub fn rejoined(first: Bytes, rest: Body) -> Body {
    Body::new(Rejoined { first: Some(first), rest })
}

struct Timely {
    body: Body,
    idle_max: Duration,
    sleep: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl hyper::body::Body for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.is_waiting = false;
            return polled;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            let until = Instant::now() + self.idle_max;
            self.sleep.as_mut().reset(until);
        }
        match self.sleep.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(axum::Error::new(TooSlow)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing came for too long")]
struct TooSlow;

struct Rejoined {
    first: Option<Bytes>,
    rest: Body,
}

impl hyper::body::Body for Rejoined {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.first.take().filter(|first| !first.is_empty()) {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    // The length that the head says is passed on with the head.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
