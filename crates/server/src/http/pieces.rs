//! A body whose pieces come from a function. All bodies here that look at what goes by, or change it, are made with it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{BoxError, body::Body};
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};

/// What became of asking for a piece: none yet, a piece, why there is none, or the end.
pub type Polled<D = Bytes, E = axum::Error> = Poll<Option<Result<Frame<D>, E>>>;

/// The body. The function captures what it keeps from piece to piece, and says with each piece whether it was the last.
#[derive(Debug)]
pub struct Pieces<F> {
    next: F,
    /// Bytes still to come, as far as that is known.
    left: Option<u64>,
    is_over: bool,
}

impl<F> Pieces<F> {
    /// As long as this hint says.
    pub fn new<D, E>(length: &SizeHint, next: F) -> Pieces<F>
    where
        F: FnMut(&mut Context<'_>, &mut bool) -> Polled<D, E> + Unpin,
    {
        let left = length.exact();
        Pieces { next, left, is_over: left == Some(0) }
    }
}

/// The same as a body for handlers and requests.
pub fn body<E: Into<BoxError> + 'static>(
    length: &SizeHint,
    next: impl FnMut(&mut Context<'_>, &mut bool) -> Polled<Bytes, E> + Send + Unpin + 'static,
) -> Body {
    Body::new(Pieces::new(length, next))
}

/// The next piece of another body, passed on as it is.
pub fn pass<B: hyper::body::Body + Unpin>(
    body: &mut B,
    context: &mut Context<'_>,
    is_over: &mut bool,
) -> Polled<B::Data, B::Error> {
    let polled = Pin::new(&mut *body).poll_frame(context);
    *is_over = body.is_end_stream();
    polled
}

impl<D: Buf, E, F> hyper::body::Body for Pieces<F>
where
    F: FnMut(&mut Context<'_>, &mut bool) -> Polled<D, E> + Unpin,
{
    type Data = D;
    type Error = E;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled<D, E> {
        let Pieces { next, left, is_over } = &mut *self;
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
