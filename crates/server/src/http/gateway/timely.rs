//! Bodies that break off when nothing moves for too long.

use std::{
    future::Future as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::super::pieces::{self, pass};

#[derive(Debug, thiserror::Error)]
#[error("nothing came for too long")]
struct TooSlow;

#[derive(Debug, thiserror::Error)]
#[error("it took too long in all")]
struct TooLong;

/// A body whose next piece has to come within this time. While nobody asks for a piece no time counts: that is
/// the caller's own, which the answer's place counts.
pub fn body(mut body: Body, idle_max: Duration) -> Body {
    let mut sleep = Box::pin(tokio::time::sleep(idle_max));
    let mut is_waiting = false;
    pieces::body(&body.size_hint(), move |context, is_over| {
        let polled = pass(&mut body, context, is_over);
        if polled.is_ready() {
            is_waiting = false;
            return polled;
        }
        if !is_waiting {
            is_waiting = true;
            sleep.as_mut().reset(Instant::now() + idle_max);
        }
        sleep.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(TooSlow))))
    })
}

/// A body that has to come to its end within this time, if there is one.
pub fn within(mut body: Body, time_max: Option<Duration>) -> (Body, Late) {
    let late = Late::default();
    let Some(time_max) = time_max.filter(|_| !body.is_end_stream()) else { return (body, late) };
    let mut sleep = Box::pin(tokio::time::sleep(time_max));
    let noted = late.clone();
    let timed = pieces::body(&body.size_hint(), move |context, is_over| {
        if sleep.as_mut().poll(context).is_ready() {
            noted.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new(TooLong))));
        }
        pass(&mut body, context, is_over)
    });
    (timed, late)
}

/// Whether a body took longer than it may.
#[derive(Clone, Debug, Default)]
pub struct Late(Arc<AtomicBool>);

impl Late {
    pub fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was read already, then the rest. The length that the head says is passed on with the head.
pub fn rejoined(first: Bytes, mut rest: Body) -> Body {
    let mut first = Some(first).filter(|first| !first.is_empty());
    pieces::body(&SizeHint::default(), move |context, is_over| match first.take() {
        Some(first) => {
            *is_over = rest.is_end_stream();
            Poll::Ready(Some(Ok(Frame::data(first))))
        }
        None => pass(&mut rest, context, is_over),
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::Pin, task::Context};

    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::Sleep;

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
