//! A copy of a request's body, kept while it is small, so that the request can be sent once more.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};

use crate::store::lock;

/// A larger body is not sent twice. Source: the contract.
const BYTES_MAX: usize = 1 << 20;

/// What of a body went by so far.
#[derive(Clone, Debug, Default)]
pub struct Copy(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    bytes: usize,
    is_whole: bool,
    /// Pieces that went by, kept or not.
    moved: u64,
}

impl Copy {
    /// The same body, copied as it goes by.
    pub fn of(&self, body: Body) -> Body {
        lock(&self.0).is_whole = body.is_end_stream();
        Body::new(Copied { body, copy: self.clone() })
    }

    /// A count that changes while the body moves.
    pub fn moved(&self) -> u64 {
        lock(&self.0).moved
    }

    /// All of the body, if it went by to its end and was small.
    pub fn take(&self) -> Option<Bytes> {
        let mut state = lock(&self.0);
        let is_small = state.bytes <= BYTES_MAX;
        (state.is_whole && is_small).then(|| std::mem::take(&mut state.pieces).concat().into())
    }

    fn note(&self, frame: Option<&Frame<Bytes>>) {
        let mut state = lock(&self.0);
        state.moved += 1;
        match frame {
            None => state.is_whole = true,
            Some(frame) => state.add(frame),
        }
    }
}

impl State {
    fn add(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else { return };
        self.bytes += data.len();
        if self.bytes <= BYTES_MAX {
            // Copied, since the piece holds on to the buffer it was read into.
            self.pieces.push(Bytes::copy_from_slice(data));
        } else {
            self.pieces.clear();
        }
    }
}

struct Copied {
    body: Body,
    copy: Copy,
}

impl hyper::body::Body for Copied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.copy.note(Some(frame)),
            Poll::Ready(None) => self.copy.note(None),
            _ => {}
        }
        // Whoever knows the length does not ask again after the last piece.
        if polled.is_ready() && self.body.is_end_stream() {
            self.copy.note(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
