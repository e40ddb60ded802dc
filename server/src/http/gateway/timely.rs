//! Bodies that break off when nothing moves for too long.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body whose next piece has to come within this time. While nobody asks for a piece no time counts: that is
/// the caller's own, which the answer's place counts.
pub fn body(body: Body, idle_max: Duration) -> Body {
    Body::new(Timely { body, idle_max, sleep: Box::pin(tokio::time::sleep(idle_max)), is_waiting: false })
}

/// A body that has to come to its end within this time, if there is one.
pub fn within(body: Body, time_max: Option<Duration>) -> (Body, Late) {
    let late = Late::default();
    let Some(time_max) = time_max.filter(|_| !body.is_end_stream()) else { return (body, late) };
    let sleep = Box::pin(tokio::time::sleep(time_max));
    (Body::new(Within { body, sleep, late: late.clone() }), late)
}

/// Whether a body took longer than it may.
#[derive(Clone, Debug, Default)]
pub struct Late(Arc<AtomicBool>);

impl Late {
    pub fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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

struct Within {
    body: Body,
    sleep: Pin<Box<Sleep>>,
    late: Late,
}

impl hyper::body::Body for Within {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.sleep.as_mut().poll(context).is_ready() {
            self.late.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new(TooLong))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it took too long in all")]
struct TooLong;

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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// A piece each second, for ever.
    struct Steady(Pin<Box<Sleep>>);

    impl futures_core::Stream for Steady {
        type Item = Result<Frame<Bytes>, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            std::task::ready!(self.0.as_mut().poll(context));
            self.0.as_mut().reset(Instant::now() + Duration::from_secs(1));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_on_and_on_ends_when_its_time_is_over_and_a_whole_one_does_not() {
        let steady = || Body::new(StreamBody::new(Steady(Box::pin(tokio::time::sleep(Duration::ZERO)))));
        let (mut endless, late) = within(steady(), Some(Duration::from_secs(60)));
        let mut pieces = 0;
        while let Some(Ok(_)) = endless.frame().await {
            pieces += 1;
        }
        assert!((59..=61).contains(&pieces) && late.is_late(), "{pieces}");
        let (whole, late) = within(Body::from("ab"), Some(Duration::from_secs(60)));
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "ab");
        assert!(!late.is_late());
    }
}
