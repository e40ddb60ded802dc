//! Bodies that fail when they make no progress for too long, or take too long in all.

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

use super::super::poll_body::{self, poll_frame_of};

#[derive(Debug, thiserror::Error)]
#[error("no data came for too long")]
struct IdleTooLong;

#[derive(Debug, thiserror::Error)]
#[error("the body took too long in all")]
struct TotalTooLong;

/// A body whose next piece must come within this time. Time does not count while the reader does not poll;
/// `write_timeout_body` limits that time.
pub fn body(mut body: Body, idle_max: Duration) -> Body {
    let mut sleep = Box::pin(tokio::time::sleep(idle_max));
    let mut is_waiting = false;
    poll_body::body(&body.size_hint(), move |context, is_over| {
        let polled = poll_frame_of(&mut body, context, is_over);
        if polled.is_ready() {
            is_waiting = false;
            return polled;
        }
        if !is_waiting {
            is_waiting = true;
            sleep.as_mut().reset(Instant::now() + idle_max);
        }
        sleep.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(IdleTooLong))))
    })
}

/// A body that must end within this time, if one is given.
pub fn with_deadline(mut body: Body, time_max: Option<Duration>) -> (Body, Late) {
    let late = Late::default();
    let Some(time_max) = time_max.filter(|_| !body.is_end_stream()) else { return (body, late) };
    let mut sleep = Box::pin(tokio::time::sleep(time_max));
    let noted = late.clone();
    let timed = poll_body::body(&body.size_hint(), move |context, is_over| {
        if sleep.as_mut().poll(context).is_ready() {
            noted.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new(TotalTooLong))));
        }
        poll_frame_of(&mut body, context, is_over)
    });
    (timed, late)
}

/// Says whether a body exceeded its time.
#[derive(Clone, Debug, Default)]
pub struct Late(Arc<AtomicBool>);

impl Late {
    pub fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body of the bytes already read and the rest. The head still carries the length.
pub fn chained(first: Bytes, mut rest: Body) -> Body {
    let mut first = Some(first).filter(|first| !first.is_empty());
    poll_body::body(&SizeHint::default(), move |context, is_over| match first.take() {
        Some(first) => {
            *is_over = rest.is_end_stream();
            Poll::Ready(Some(Ok(Frame::data(first))))
        }
        None => poll_frame_of(&mut rest, context, is_over),
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::Pin, task::Context};

    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::Sleep;

    use super::*;

    /// One piece each second, for ever.
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
        let (mut endless, late) = with_deadline(steady(), Some(Duration::from_secs(60)));
        let mut pieces = 0;
        while let Some(Ok(_)) = endless.frame().await {
            pieces += 1;
        }
        assert!((59..=61).contains(&pieces) && late.is_late(), "{pieces}");
        let (whole, late) = with_deadline(Body::from("ab"), Some(Duration::from_secs(60)));
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "ab");
        assert!(!late.is_late());
    }
}
