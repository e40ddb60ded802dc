//! Keeps a copy of a small request body while it streams, so that the request can be sent again.

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
    byte_budget::{BudgetShare, ByteBudget},
    sync::lock,
};

use super::super::poll_body::{self, PolledFrame, poll_frame_of};

/// A larger body is not kept. Source: the contract.
const BYTES_MAX: usize = 1 << 20;

/// A streaming body and a copy of the bytes that went by.
#[derive(Clone, Debug)]
pub struct RetryCopy(Arc<Mutex<CopyState>>);

#[derive(Debug)]
struct CopyState {
    /// None once the body ended or was taken back.
    body: Option<Body>,
    /// None if the body is not kept, or no longer.
    kept: Option<RememberedBody>,
    is_whole: bool,
    /// The second request reads the rest. The first must not take this for the end of the body.
    is_taken_back: bool,
    /// The body broke off, so the copy is incomplete.
    is_broken: bool,
    /// Number of pieces that went by, kept or not.
    moved: u64,
    /// Wakes the task that waits for the next piece.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct RememberedBody {
    pieces: Vec<Bytes>,
    share: BudgetShare,
}

/// The body was taken back, to be sent again from its beginning.
#[derive(Debug, thiserror::Error)]
#[error("the request is sent again")]
struct TakenBack;

impl RetryCopy {
    /// Wraps a body. Without a budget nothing is kept.
    pub fn new(body: Body, budget: Option<&ByteBudget>) -> RetryCopy {
        let kept = budget.map(|budget| RememberedBody { pieces: Vec::new(), share: budget.new_share() });
        let is_whole = body.is_end_stream();
        let state = CopyState {
            body: Some(body),
            kept,
            is_whole,
            is_taken_back: false,
            is_broken: false,
            moved: 0,
            waker: None,
        };
        RetryCopy(Arc::new(Mutex::new(state)))
    }

    /// The body for the first request.
    pub fn stream(&self) -> Body {
        let length = lock(&self.0).body.as_ref().map_or_else(SizeHint::default, Body::size_hint);
        let copy = self.clone();
        poll_body::body(&length, move |context, is_over| lock(&copy.0).next(context, is_over))
    }

    /// True if the body broke off before its end.
    pub fn is_broken(&self) -> bool {
        lock(&self.0).is_broken
    }

    /// A number that changes while the body moves.
    pub fn moved(&self) -> u64 {
        lock(&self.0).moved
    }

    /// The whole body if it is small: the copy, and the rest that WeChat did not read.
    pub async fn whole(&self, idle_max: Duration) -> Option<Bytes> {
        let mut rest = self.take_back()?;
        while !lock(&self.0).is_whole {
            match tokio::time::timeout(idle_max, rest.frame()).await {
                Ok(Some(Ok(frame))) => lock(&self.0).record_frame(Some(&frame)),
                Ok(None) => lock(&self.0).record_frame(None),
                _ => {
                    lock(&self.0).mark_broken();
                    return None;
                }
            }
            lock(&self.0).kept.as_ref()?;
        }
        let mut state = lock(&self.0);
        let kept = state.kept.as_mut().filter(|kept| kept.share.bytes() <= BYTES_MAX)?;
        Some(mem::take(&mut kept.pieces).concat().into())
    }

    /// Takes the rest of a kept body from the first request.
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

impl CopyState {
    fn record_frame(&mut self, frame: Option<&Frame<Bytes>>) {
        self.moved += 1;
        match frame {
            None => self.is_whole = true,
            Some(frame) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                self.kept = self.kept.take().and_then(|kept| kept.with(data));
            }
        }
    }

    fn next(&mut self, context: &mut Context<'_>, is_over: &mut bool) -> PolledFrame {
        let Some(body) = &mut self.body else {
            let taken_back = self.is_taken_back.then(|| Err(axum::Error::new(TakenBack)));
            return Poll::Ready(taken_back);
        };
        let polled = poll_frame_of(body, context, is_over);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record_frame(Some(frame));
                // A reader that knows the length does not poll again after the last piece.
                if *is_over {
                    self.record_frame(None);
                }
            }
            Poll::Ready(None) => self.record_frame(None),
            Poll::Ready(Some(Err(_))) => self.mark_broken(),
            Poll::Pending => self.waker = Some(context.waker().clone()),
        }
        polled
    }

    fn mark_broken(&mut self) {
        (self.is_broken, self.is_taken_back) = (true, true);
        (self.kept, self.body) = (None, None);
    }
}

impl RememberedBody {
    fn with(mut self, data: &[u8]) -> Option<RememberedBody> {
        let fits = self.share.take(data.len());
        // Copied, because the piece would keep its whole read buffer in memory.
        self.pieces.push(Bytes::copy_from_slice(data));
        (fits && self.share.bytes() <= BYTES_MAX).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(copy: &RetryCopy, pieces: usize) {
        let mut stream = copy.stream();
        for _ in 0..pieces {
            stream.frame().await;
        }
    }

    fn body(pieces: usize, bytes: usize) -> Body {
        let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(Bytes::from(vec![7; bytes])));
        Body::from_stream(tokio_stream(pieces))
    }

    /// Makes a stream of an iterator.
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
        let budget = ByteBudget::new(256 << 20);
        let second = Duration::from_secs(1);
        for went_by in 0..=5 {
            let copy = RetryCopy::new(body(4, 1000), Some(&budget));
            pass(&copy, went_by).await;
            assert_eq!(copy.whole(second).await.map(|whole| whole.len()), Some(4000), "{went_by}");
            if went_by < 4 {
                assert!(copy.stream().frame().await.is_some_and(|frame| frame.is_err()), "{went_by}");
            }
        }
        for (pieces, bytes) in [(1, BYTES_MAX + 1), (1025, 1024)] {
            let copy = RetryCopy::new(body(pieces, bytes), Some(&budget));
            pass(&copy, 1).await;
            assert_eq!(copy.whole(second).await, None);
        }
        assert_eq!(
            RetryCopy::new(body(1, 1), None).whole(second).await,
            None,
            "without a budget nothing is kept"
        );
        assert_eq!(budget.bytes(), 0, "all is given back");
    }
}
