//! A copy of a request's body, kept while it is small, so that the request can be sent once more.

use std::{
    mem,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use system::{
    byte_budget::{Budget, Share},
    sync::lock,
};

use super::super::pieces::{self, Polled, pass};

/// A larger body is not sent twice. Source: the contract.
const BYTES_MAX: usize = 1 << 20;

/// A body that goes on, and what of it went by so far.
#[derive(Clone, Debug)]
pub struct Copy(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// None once it was read to its end, or taken back.
    body: Option<Body>,
    /// None if it is not kept, or not any more.
    kept: Option<Kept>,
    is_whole: bool,
    /// The rest is read for a second request; the first must not take that for the end.
    is_taken_back: bool,
    /// It broke off: what went by must not pass for all of it.
    is_broken: bool,
    /// Pieces that went by, kept or not.
    moved: u64,
    /// Of whoever waits for the next piece.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Kept {
    pieces: Vec<Bytes>,
    share: Share,
}

/// The body was taken back, to be sent from its beginning.
#[derive(Debug, thiserror::Error)]
#[error("the request is sent anew")]
struct TakenBack;

impl Copy {
    /// Of a body that can be sent again; without a budget it cannot.
    pub fn new(body: Body, budget: Option<&Budget>) -> Copy {
        let kept = budget.map(|budget| Kept { pieces: Vec::new(), share: budget.share() });
        let is_whole = body.is_end_stream();
        let state = State {
            body: Some(body),
            kept,
            is_whole,
            is_taken_back: false,
            is_broken: false,
            moved: 0,
            waker: None,
        };
        Copy(Arc::new(Mutex::new(state)))
    }

    /// The body as it goes on.
    pub fn stream(&self) -> Body {
        let length = lock(&self.0).body.as_ref().map_or_else(SizeHint::default, Body::size_hint);
        let copy = self.clone();
        pieces::body(&length, move |context, is_over| lock(&copy.0).next(context, is_over))
    }

    /// True if the body broke off before its end.
    pub fn is_broken(&self) -> bool {
        lock(&self.0).is_broken
    }

    /// A count that changes while the body moves.
    pub fn moved(&self) -> u64 {
        lock(&self.0).moved
    }

    /// All of the body if it is small: what went by, and the rest, which WeChat did not wait for.
    pub async fn whole(&self, idle_max: Duration) -> Option<Bytes> {
        let mut rest = self.take_back()?;
        while !lock(&self.0).is_whole {
            match tokio::time::timeout(idle_max, rest.frame()).await {
                Ok(Some(Ok(frame))) => lock(&self.0).note(Some(&frame)),
                Ok(None) => lock(&self.0).note(None),
                _ => {
                    lock(&self.0).break_off();
                    return None;
                }
            }
            lock(&self.0).kept.as_ref()?;
        }
        let mut state = lock(&self.0);
        let kept = state.kept.as_mut().filter(|kept| kept.share.bytes() <= BYTES_MAX)?;
        Some(mem::take(&mut kept.pieces).concat().into())
    }

    /// The rest of a body that is kept.
    fn take_back(&self) -> Option<Body> {
        let mut state = lock(&self.0);
        state.kept.as_ref()?;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        state.is_taken_back = !state.is_whole;
        Some(state.body.take().unwrap_or_default())
    }
}

impl State {
    fn note(&mut self, frame: Option<&Frame<Bytes>>) {
        self.moved += 1;
        match frame {
            None => self.is_whole = true,
            Some(frame) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                self.kept = self.kept.take().and_then(|kept| kept.with(data));
            }
        }
    }

    fn next(&mut self, context: &mut Context<'_>, is_over: &mut bool) -> Polled {
        let Some(body) = &mut self.body else {
            let taken_back = self.is_taken_back.then(|| Err(axum::Error::new(TakenBack)));
            return Poll::Ready(taken_back);
        };
        let polled = pass(body, context, is_over);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.note(Some(frame));
                // Whoever knows the length does not ask again after the last piece.
                if *is_over {
                    self.note(None);
                }
            }
            Poll::Ready(None) => self.note(None),
            Poll::Ready(Some(Err(_))) => self.break_off(),
            Poll::Pending => self.waker = Some(context.waker().clone()),
        }
        polled
    }

    fn break_off(&mut self) {
        (self.is_broken, self.is_taken_back) = (true, true);
        (self.kept, self.body) = (None, None);
    }
}

impl Kept {
    fn with(mut self, data: &[u8]) -> Option<Kept> {
        let fits = self.share.take(data.len());
        // Copied, since the piece holds on to the buffer it was read into.
        self.pieces.push(Bytes::copy_from_slice(data));
        (fits && self.share.bytes() <= BYTES_MAX).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(copy: &Copy, pieces: usize) {
        let mut stream = copy.stream();
        for _ in 0..pieces {
            stream.frame().await;
        }
    }

    fn body(pieces: usize, bytes: usize) -> Body {
        let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(Bytes::from(vec![7; bytes])));
        Body::from_stream(tokio_stream(pieces))
    }

    /// An iterator as a stream that is always ready.
    fn tokio_stream<I: Iterator + Unpin>(iterator: I) -> impl futures_core::Stream<Item = I::Item> {
        struct Ready<I>(I);
        impl<I: Iterator + Unpin> futures_core::Stream for Ready<I> {
            type Item = I::Item;
            fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
                Poll::Ready(self.0.next())
            }
        }
        Ready(iterator)
    }

    #[tokio::test]
    async fn a_small_body_is_whole_wherever_it_was_taken_back_and_a_large_one_never_is() {
        let budget = Budget::new(256 << 20);
        let second = Duration::from_secs(1);
        for went_by in 0..=5 {
            let copy = Copy::new(body(4, 1000), Some(&budget));
            pass(&copy, went_by).await;
            assert_eq!(copy.whole(second).await.map(|whole| whole.len()), Some(4000), "{went_by}");
            if went_by < 4 {
                assert!(copy.stream().frame().await.is_some_and(|frame| frame.is_err()), "{went_by}");
            }
        }
        for (pieces, bytes) in [(1, BYTES_MAX + 1), (1025, 1024)] {
            let copy = Copy::new(body(pieces, bytes), Some(&budget));
            pass(&copy, 1).await;
            assert_eq!(copy.whole(second).await, None);
        }
        assert_eq!(Copy::new(body(1, 1), None).whole(second).await, None, "without a budget nothing is kept");
        assert_eq!(budget.bytes(), 0, "all is given back");
    }
}
