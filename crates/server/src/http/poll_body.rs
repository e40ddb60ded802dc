//! A body whose frames come from a function, like `std::future::poll_fn`. All bodies here that watch or change their
//! content are built with it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{BoxError, body::Body};
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};

/// Result of polling a body for its next frame.
pub type PolledFrame<D = Bytes, E = axum::Error> = Poll<Option<Result<Frame<D>, E>>>;

/// A body made from a function. The function also says with each frame whether it was the last.
#[derive(Debug)]
pub struct PollBody<F> {
    next: F,
    /// Bytes still to come, if known.
    left: Option<u64>,
    is_over: bool,
}

impl<F> PollBody<F> {
    /// A body of this length.
    pub fn new<D, E>(length: &SizeHint, next: F) -> PollBody<F>
    where
        F: FnMut(&mut Context<'_>, &mut bool) -> PolledFrame<D, E> + Unpin,
    {
        let left = length.exact();
        PollBody { next, left, is_over: left == Some(0) }
    }
}

/// Like [`PollBody::new`], as a body for handlers and requests.
pub fn body<E: Into<BoxError> + 'static>(
    length: &SizeHint,
    next: impl FnMut(&mut Context<'_>, &mut bool) -> PolledFrame<Bytes, E> + Send + Unpin + 'static,
) -> Body {
    Body::new(PollBody::new(length, next))
}

/// Polls another body for its next frame and passes it on unchanged.
pub fn poll_frame_of<B: hyper::body::Body + Unpin>(
    body: &mut B,
    context: &mut Context<'_>,
    is_over: &mut bool,
) -> PolledFrame<B::Data, B::Error> {
    let polled = Pin::new(&mut *body).poll_frame(context);
    *is_over = body.is_end_stream();
    polled
}

impl<D: Buf, E, F> hyper::body::Body for PollBody<F>
where
    F: FnMut(&mut Context<'_>, &mut bool) -> PolledFrame<D, E> + Unpin,
{
    type Data = D;
    type Error = E;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame<D, E> {
        let PollBody { next, left, is_over } = &mut *self;
        let polled = next(context, is_over);
        match &polled {
            Poll::Ready(None) => *is_over = true,
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                *left = left.map(|left| left.saturating_sub(bytes));
            }
            Poll::Pending | Poll::Ready(Some(Err(_))) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
