//! Answers on their way out: which ones their callers do not take, and how many bytes all of them hold in memory.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{body::Body, http::Response};
use bytes::{Buf, Bytes};
use hyper::body::{Body as _, Frame, SizeHint};
use system::sync::lock;
use tokio::{sync::Notify, time::Instant};

use super::pieces::{Pieces, Polled, pass};

/// What is given to hyper at once. A smaller part of an answer does not count as progress.
const PIECE_BYTES_MAX: usize = 16 << 10;
/// What an answer holds besides its body, about: its stream, its task, its head.
const HEAD_BYTES: usize = 6 << 10;
/// What all answers of an address may hold; beyond it the connections that have waited longest end.
const BYTES_MAX: usize = 64 << 20;
/// Beyond this, no answer gets more, until those connections have ended.
const BYTES_NEVER: usize = 2 * BYTES_MAX;

/// Marks an answer whose bytes are kept for everybody: to hold it costs no memory.
#[derive(Clone, Copy, Debug)]
pub struct KeptForAll;

/// The memory of all answers.
#[derive(Debug)]
pub struct Room {
    started: Instant,
    bytes: AtomicUsize,
    exceeded: Notify,
}

impl Room {
    /// Nothing is in it.
    pub fn new() -> Arc<Room> {
        Arc::new(Room { started: Instant::now(), bytes: AtomicUsize::new(0), exceeded: Notify::new() })
    }

    /// Waits until there is more in it than there may be.
    pub async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    /// What has to go: down to three quarters of the bound, so that it is not exceeded again at once.
    pub fn excess_bytes(&self) -> usize {
        let bytes = self.bytes.load(Ordering::Relaxed);
        if bytes > BYTES_MAX { bytes - BYTES_MAX / 4 * 3 } else { 0 }
    }

    /// What is in it.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The answers of a connection that have not been sent to their end.
#[derive(Debug)]
pub struct Answers {
    room: Arc<Room>,
    open: Mutex<Vec<Weak<Answer>>>,
}

/// Progress of an answer. The answer is over once this is dropped by all holders.
#[derive(Debug)]
struct Answer {
    room: Arc<Room>,
    /// What it holds in memory.
    bytes: AtomicUsize,
    /// Pieces that hyper has and that are not sent.
    pieces: AtomicUsize,
    /// Pieces that were sent.
    sent: AtomicU64,
    /// The next piece is still to be made here.
    is_ours: AtomicBool,
    /// When the last piece was sent, in milliseconds since the room was made.
    moved_ms: AtomicU64,
    /// `sent` when last looked at, and 1; 0 if it did not wait for the peer then.
    seen: AtomicU64,
}

impl Answers {
    /// None yet.
    pub fn new(room: Arc<Room>) -> Answers {
        Answers { room, open: Mutex::default() }
    }

    /// The same answer as hyper gets it. A watched one is looked after until all of it was sent.
    pub async fn sent(&self, response: Response<Body>, is_watched: bool) -> Response<impl SentBody + use<>> {
        let (parts, body) = response.into_parts();
        let mut length = body.size_hint();
        let mut sent = Sent { body, rest: Bytes::new(), other: None, going: None };
        if is_watched && !sent.body.is_end_stream() {
            let is_kept_for_all = parts.extensions.get::<KeptForAll>().is_some();
            let has_begun = self.begin(&mut sent, is_kept_for_all).await;
            length = if has_begun { length } else { SizeHint::with_exact(0) };
        }
        Response::from_parts(parts, Pieces::new(&length, move |context, is_over| sent.next(context, is_over)))
    }

    /// Looks after an answer, and takes what of it is there already. False if it is empty.
    async fn begin(&self, sent: &mut Sent, is_kept_for_all: bool) -> bool {
        let answer = Arc::new(Answer::new(&self.room));
        let mut going = Going { answer: answer.clone(), bytes: 0, is_kept_for_all };
        {
            let mut open = lock(&self.open);
            open.retain(|answer| answer.strong_count() > 0);
            open.push(Arc::downgrade(&answer));
        }
        going.take(HEAD_BYTES);
        sent.going = Some(going);
        // What is in memory already is known only by asking.
        match poll_fn(|context| Poll::Ready(pass(&mut sent.body, context, &mut false))).await {
            Poll::Pending => answer.is_ours.store(true, Ordering::Relaxed),
            Poll::Ready(None) => return false,
            Poll::Ready(Some(Err(error))) => sent.other = Some(Err(error)),
            Poll::Ready(Some(Ok(frame))) => sent.keep(frame),
        }
        true
    }

    /// Whether there is none.
    pub fn are_over(&self) -> bool {
        lock(&self.open).iter().all(|answer| answer.strong_count() == 0)
    }

    /// Whether the peer took nothing of one of them since this was asked last.
    pub fn is_one_stuck(&self) -> bool {
        let mut open = lock(&self.open);
        open.retain(|answer| answer.strong_count() > 0);
        // Each one is to be looked at.
        open.iter().filter_map(Weak::upgrade).filter(|answer| answer.is_stuck()).count() > 0
    }

    /// Since when the peer has let one of them wait, in milliseconds since the room was made; and what all hold. None if it
    /// lets none wait.
    pub fn waiting_since_ms(&self) -> Option<(u64, usize)> {
        let open = lock(&self.open);
        let answers = || open.iter().filter_map(Weak::upgrade);
        let waiting = answers().filter(|answer| answer.waits_for_peer());
        let since_ms = waiting.map(|answer| answer.moved_ms.load(Ordering::Relaxed)).min()?;
        Some((since_ms, answers().map(|answer| answer.bytes.load(Ordering::Relaxed)).sum()))
    }
}

impl Answer {
    fn new(room: &Arc<Room>) -> Answer {
        Answer {
            room: room.clone(),
            bytes: AtomicUsize::new(0),
            pieces: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            is_ours: AtomicBool::new(false),
            moved_ms: AtomicU64::new(room.now_ms()),
            seen: AtomicU64::new(0),
        }
    }

    fn waits_for_peer(&self) -> bool {
        self.pieces.load(Ordering::Relaxed) > 0 || !self.is_ours.load(Ordering::Relaxed)
    }

    fn is_stuck(&self) -> bool {
        let found = if self.waits_for_peer() { self.sent.load(Ordering::Relaxed) + 1 } else { 0 };
        found > 0 && self.seen.swap(found, Ordering::Relaxed) == found
    }

    /// False if there is no room for it at all.
    fn take(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > BYTES_MAX {
            self.room.exceeded.notify_one();
        }
        all <= BYTES_NEVER
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.room.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The body of an answer as hyper gets it: piece by piece.
#[derive(Debug)]
struct Sent {
    body: Body,
    /// What was taken from the body and not given on yet.
    rest: Bytes,
    /// What comes after it that is no data.
    other: Option<Result<Frame<Bytes>, axum::Error>>,
    /// None: nobody looks after it.
    going: Option<Going>,
}

/// What an answer holds that hyper does not have yet.
#[derive(Debug)]
struct Going {
    answer: Arc<Answer>,
    bytes: usize,
    is_kept_for_all: bool,
}

impl Going {
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.answer.take(bytes)
    }

    /// A piece of it for hyper.
    fn piece(&mut self, bytes: Bytes) -> Piece {
        let held = if self.is_kept_for_all { 0 } else { bytes.len().min(self.bytes) };
        self.bytes -= held;
        self.answer.pieces.fetch_add(1, Ordering::Relaxed);
        Piece { bytes, _held: Some(Held { answer: self.answer.clone(), bytes: held }) }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.answer.give_back(self.bytes);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("answers that nobody takes hold too much memory")]
struct Full;

impl Sent {
    fn keep(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                let going = self.going.as_mut().filter(|going| !going.is_kept_for_all);
                if going.is_none_or(|going| going.take(data.len())) {
                    self.rest = data;
                } else {
                    self.other = Some(Err(axum::Error::new(Full)));
                }
            }
            Err(frame) => self.other = Some(Ok(frame)),
        }
    }

    /// What is to be given on before the body is asked again.
    fn kept(&mut self) -> Option<Result<Frame<Piece>, axum::Error>> {
        if !self.rest.is_empty() {
            let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES_MAX));
            let piece = match &mut self.going {
                Some(going) => going.piece(bytes),
                None => Piece::free(bytes),
            };
            return Some(Ok(Frame::data(piece)));
        }
        let other = self.other.take()?;
        // Nothing is mapped: it is no data.
        Some(other.map(|frame| frame.map_data(Piece::free)))
    }

    fn next(&mut self, context: &mut Context<'_>, is_over: &mut bool) -> Polled<Piece> {
        if self.going.is_none() {
            return pass(&mut self.body, context, is_over).map_ok(|frame| frame.map_data(Piece::free));
        }
        loop {
            if let Some(kept) = self.kept() {
                *is_over = self.rest.is_empty() && self.other.is_none() && self.body.is_end_stream();
                return Poll::Ready(Some(kept));
            }
            let polled = pass(&mut self.body, context, &mut false);
            if let Some(going) = &self.going {
                going.answer.is_ours.store(polled.is_pending(), Ordering::Relaxed);
            }
            match ready!(polled) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => self.keep(frame),
            }
        }
    }
}

/// What hyper gets of an answer: pieces that tell when they were sent.
pub trait SentBody: hyper::body::Body<Data = Piece, Error = axum::Error> + Send + Unpin + 'static {}

impl<B: hyper::body::Body<Data = Piece, Error = axum::Error> + Send + Unpin + 'static> SentBody for B {}

/// Bytes for hyper, which lets go of them once they were sent.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    _held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    answer: Arc<Answer>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let answer = &self.answer;
        answer.give_back(self.bytes);
        answer.pieces.fetch_sub(1, Ordering::Relaxed);
        answer.sent.fetch_add(1, Ordering::Relaxed);
        answer.moved_ms.store(answer.room.now_ms(), Ordering::Relaxed);
    }
}

impl Piece {
    /// Counted nowhere.
    fn free(bytes: Bytes) -> Piece {
        Piece { bytes, _held: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
