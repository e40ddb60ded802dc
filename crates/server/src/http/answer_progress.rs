//! Progress of answers: which ones their peers do not read, and how many bytes all of them hold in memory.

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

use super::poll_body::{PollBody, PolledFrame, poll_frame_of};

/// Bytes given to hyper at once. Sending less than this does not count as progress.
const PIECE_BYTES_MAX: usize = 16 << 10;
/// Estimated memory of an answer besides its body: stream, task and head.
const HEAD_BYTES: usize = 6 << 10;
/// Bytes that all answers of a server socket may hold. Beyond it, the connections that have waited longest are closed.
const BYTES_MAX: usize = 64 << 20;
/// Beyond this, no answer gets more memory until those connections have ended.
const BYTES_LIMIT: usize = 2 * BYTES_MAX;

/// Marks an answer whose bytes are shared by all callers, so holding it costs no memory.
#[derive(Clone, Copy, Debug)]
pub struct CachedAnswer;

/// Counts the memory of all answers of a server socket.
#[derive(Debug)]
pub struct AnswerMemory {
    started: Instant,
    bytes: AtomicUsize,
    exceeded: Notify,
}

impl AnswerMemory {
    /// Starts at 0 bytes.
    pub fn new() -> Arc<AnswerMemory> {
        Arc::new(AnswerMemory {
            started: Instant::now(),
            bytes: AtomicUsize::new(0),
            exceeded: Notify::new(),
        })
    }

    /// Waits until the answers hold too much.
    pub async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    /// Bytes to free: down to three quarters of the limit, so that it is not exceeded again at once.
    pub fn excess_bytes(&self) -> usize {
        let bytes = self.bytes.load(Ordering::Relaxed);
        if bytes > BYTES_MAX { bytes - BYTES_MAX / 4 * 3 } else { 0 }
    }

    /// Bytes held now.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The answers of a connection that are not completely sent.
#[derive(Debug)]
pub struct ConnectionAnswers {
    memory: Arc<AnswerMemory>,
    open: Mutex<Vec<Weak<AnswerState>>>,
}

/// Progress of one answer. The answer is complete once all holders have dropped this.
#[derive(Debug)]
struct AnswerState {
    memory: Arc<AnswerMemory>,
    /// Bytes held in memory.
    bytes: AtomicUsize,
    /// Pieces that hyper holds and has not sent.
    pieces: AtomicUsize,
    /// Number of pieces sent.
    sent: AtomicU64,
    /// Whether the answer waits for its own next piece, not for the peer.
    waits_for_body: AtomicBool,
    /// When the last piece was sent, in milliseconds since `AnswerMemory::started`.
    moved_ms: AtomicU64,
    /// `sent` at the last check, plus 1. 0 if the answer did not wait for the peer then.
    seen: AtomicU64,
}

impl ConnectionAnswers {
    /// A connection without answers.
    pub fn new(memory: Arc<AnswerMemory>) -> ConnectionAnswers {
        ConnectionAnswers { memory, open: Mutex::default() }
    }

    /// Wraps an answer for hyper. If `is_watched`, its progress is tracked until all of it is sent.
    pub async fn track(&self, response: Response<Body>, is_watched: bool) -> Response<impl SentBody + use<>> {
        let (parts, body) = response.into_parts();
        let mut length = body.size_hint();
        let mut sent = AnswerBody { body, rest: Bytes::new(), other: None, unsent: None };
        if is_watched && !sent.body.is_end_stream() {
            let is_cached = parts.extensions.get::<CachedAnswer>().is_some();
            let has_begun = self.begin(&mut sent, is_cached).await;
            length = if has_begun { length } else { SizeHint::with_exact(0) };
        }
        Response::from_parts(
            parts,
            PollBody::new(&length, move |context, is_over| sent.next(context, is_over)),
        )
    }

    /// Begins to track an answer and takes its first piece if that is ready. False if the answer is empty.
    async fn begin(&self, sent: &mut AnswerBody, is_cached: bool) -> bool {
        let answer = Arc::new(AnswerState::new(&self.memory));
        let mut unsent = UnsentBytes { answer: answer.clone(), bytes: 0, is_cached };
        {
            let mut open = lock(&self.open);
            open.retain(|answer| answer.strong_count() > 0);
            open.push(Arc::downgrade(&answer));
        }
        unsent.take(HEAD_BYTES);
        sent.unsent = Some(unsent);
        // Polling once shows whether the body is in memory already.
        match poll_fn(|context| Poll::Ready(poll_frame_of(&mut sent.body, context, &mut false))).await {
            Poll::Pending => answer.waits_for_body.store(true, Ordering::Relaxed),
            Poll::Ready(None) => return false,
            Poll::Ready(Some(Err(error))) => sent.other = Some(Err(error)),
            Poll::Ready(Some(Ok(frame))) => sent.store(frame),
        }
        true
    }

    /// Whether all answers are completely sent.
    pub fn are_over(&self) -> bool {
        lock(&self.open).iter().all(|answer| answer.strong_count() == 0)
    }

    /// Whether the peer read nothing of one answer since the last call.
    pub fn has_stuck_answer(&self) -> bool {
        let mut open = lock(&self.open);
        open.retain(|answer| answer.strong_count() > 0);
        // `count` and not `any`: each answer must be checked.
        open.iter().filter_map(Weak::upgrade).filter(|answer| answer.is_stuck()).count() > 0
    }

    /// Since when the oldest answer has waited for the peer, in milliseconds since `AnswerMemory::started`, and the bytes that
    /// all answers hold. None if no answer waits for the peer.
    pub fn waiting_since_ms(&self) -> Option<(u64, usize)> {
        let open = lock(&self.open);
        let answers = || open.iter().filter_map(Weak::upgrade);
        let waiting = answers().filter(|answer| answer.waits_for_peer());
        let since_ms = waiting.map(|answer| answer.moved_ms.load(Ordering::Relaxed)).min()?;
        Some((since_ms, answers().map(|answer| answer.bytes.load(Ordering::Relaxed)).sum()))
    }
}

impl AnswerState {
    fn new(memory: &Arc<AnswerMemory>) -> AnswerState {
        AnswerState {
            memory: memory.clone(),
            bytes: AtomicUsize::new(0),
            pieces: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            waits_for_body: AtomicBool::new(false),
            moved_ms: AtomicU64::new(memory.now_ms()),
            seen: AtomicU64::new(0),
        }
    }

    fn waits_for_peer(&self) -> bool {
        self.pieces.load(Ordering::Relaxed) > 0 || !self.waits_for_body.load(Ordering::Relaxed)
    }

    fn is_stuck(&self) -> bool {
        let found = if self.waits_for_peer() { self.sent.load(Ordering::Relaxed) + 1 } else { 0 };
        found > 0 && self.seen.swap(found, Ordering::Relaxed) == found
    }

    /// Counts bytes. False if this exceeds `BYTES_LIMIT`.
    fn take(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = self.memory.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > BYTES_MAX {
            self.memory.exceeded.notify_one();
        }
        all <= BYTES_LIMIT
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The body of an answer as hyper gets it, piece by piece.
#[derive(Debug)]
struct AnswerBody {
    body: Body,
    /// Bytes taken from the body and not yet given to hyper.
    rest: Bytes,
    /// An error or trailers that come after `rest`.
    other: Option<Result<Frame<Bytes>, axum::Error>>,
    /// None if the answer is not tracked.
    unsent: Option<UnsentBytes>,
}

/// Counts the bytes of an answer that hyper does not have yet.
#[derive(Debug)]
struct UnsentBytes {
    answer: Arc<AnswerState>,
    bytes: usize,
    is_cached: bool,
}

impl UnsentBytes {
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.answer.take(bytes)
    }

    /// Makes a piece for hyper.
    fn piece(&mut self, bytes: Bytes) -> Piece {
        let counted = if self.is_cached { 0 } else { bytes.len().min(self.bytes) };
        self.bytes -= counted;
        self.answer.pieces.fetch_add(1, Ordering::Relaxed);
        Piece { bytes, _sent_notifier: Some(SentNotifier { answer: self.answer.clone(), bytes: counted }) }
    }
}

impl Drop for UnsentBytes {
    fn drop(&mut self) {
        self.answer.give_back(self.bytes);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unread answers hold too much memory")]
struct MemoryExceeded;

impl AnswerBody {
    fn store(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                let unsent = self.unsent.as_mut().filter(|unsent| !unsent.is_cached);
                if unsent.is_none_or(|unsent| unsent.take(data.len())) {
                    self.rest = data;
                } else {
                    self.other = Some(Err(axum::Error::new(MemoryExceeded)));
                }
            }
            Err(frame) => self.other = Some(Ok(frame)),
        }
    }

    /// What must go to hyper before the body is polled again.
    fn next_ready(&mut self) -> Option<Result<Frame<Piece>, axum::Error>> {
        if !self.rest.is_empty() {
            let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES_MAX));
            let piece = match &mut self.unsent {
                Some(unsent) => unsent.piece(bytes),
                None => Piece::untracked(bytes),
            };
            return Some(Ok(Frame::data(piece)));
        }
        let other = self.other.take()?;
        // This frame holds trailers, so the function is never called.
        Some(other.map(|frame| frame.map_data(Piece::untracked)))
    }

    fn next(&mut self, context: &mut Context<'_>, is_over: &mut bool) -> PolledFrame<Piece> {
        if self.unsent.is_none() {
            return poll_frame_of(&mut self.body, context, is_over)
                .map_ok(|frame| frame.map_data(Piece::untracked));
        }
        loop {
            if let Some(ready) = self.next_ready() {
                *is_over = self.rest.is_empty() && self.other.is_none() && self.body.is_end_stream();
                return Poll::Ready(Some(ready));
            }
            let polled = poll_frame_of(&mut self.body, context, &mut false);
            if let Some(unsent) = &self.unsent {
                unsent.answer.waits_for_body.store(polled.is_pending(), Ordering::Relaxed);
            }
            match ready!(polled) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => self.store(frame),
            }
        }
    }
}

/// The type of body that hyper gets: pieces that record when they were sent.
pub trait SentBody: hyper::body::Body<Data = Piece, Error = axum::Error> + Send + Unpin + 'static {}

impl<B: hyper::body::Body<Data = Piece, Error = axum::Error> + Send + Unpin + 'static> SentBody for B {}

/// Bytes for hyper, which drops them once they are sent.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    _sent_notifier: Option<SentNotifier>,
}

/// Records that its piece was sent when hyper drops it.
#[derive(Debug)]
struct SentNotifier {
    answer: Arc<AnswerState>,
    bytes: usize,
}

impl Drop for SentNotifier {
    fn drop(&mut self) {
        let answer = &self.answer;
        answer.give_back(self.bytes);
        answer.pieces.fetch_sub(1, Ordering::Relaxed);
        answer.sent.fetch_add(1, Ordering::Relaxed);
        answer.moved_ms.store(answer.memory.now_ms(), Ordering::Relaxed);
    }
}

impl Piece {
    /// A piece that is not tracked.
    fn untracked(bytes: Bytes) -> Piece {
        Piece { bytes, _sent_notifier: None }
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
