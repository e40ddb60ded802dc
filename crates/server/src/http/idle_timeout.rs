//! Watches connections: when a request began to arrive, and which connections are idle and must be closed.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Response, Version},
};
use hyper::body::{Body as _, Incoming};
use system::sync::lock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::AbortHandle,
    time::Instant,
};

use super::answer_progress::{AnswerMemory, ConnectionAnswers, SentBody};

/// A connection is closed when it was silent for 45 to 90 s, or when its peer read nothing of an answer for as long.
/// Clients keep connections open between calls.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// `IDLE_MAX` while the program stops.
const IDLE_AT_END_MAX: Duration = Duration::from_secs(2);
/// Answers up to this size fit into the socket's buffer and are sent at once.
const SHORT_BYTES: u64 = 16 << 10;

/// Progress of one connection. A request counts only once its head is complete, so a peer that sends its head byte by
/// byte is idle too.
#[derive(Debug)]
pub struct Activity {
    opened: Instant,
    /// Microseconds from `opened` to the first byte of the head being read, plus 1. 0: no byte came yet.
    first_byte_us: AtomicU64,
    /// Whether a request body is being read. Then incoming bytes belong to it, not to the next head.
    is_in_body: AtomicBool,
    is_http2: AtomicBool,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Number of callbacks being answered.
    callbacks: AtomicU64,
    answers: ConnectionAnswers,
}

impl Activity {
    fn new(memory: Arc<AnswerMemory>) -> Activity {
        Activity {
            opened: Instant::now(),
            first_byte_us: AtomicU64::new(0),
            is_in_body: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            callbacks: AtomicU64::new(0),
            answers: ConnectionAnswers::new(memory),
        }
    }

    fn record_read(&self) {
        if !self.is_in_body.load(Ordering::Relaxed) && self.first_byte_us.load(Ordering::Relaxed) == 0 {
            let since_opened = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
            self.first_byte_us.store(since_opened + 1, Ordering::Relaxed);
        }
    }

    /// Records that a request head is complete. Returns when its first byte arrived; on HTTP/2, where requests share bytes,
    /// this is now.
    pub fn arrived(&self, request: &hyper::Request<Incoming>) -> Instant {
        let first_byte_us = self.first_byte_us.swap(0, Ordering::Relaxed);
        if request.version() > Version::HTTP_11 {
            self.is_http2.store(true, Ordering::Relaxed);
            return Instant::now();
        }
        self.is_in_body.store(!request.body().is_end_stream(), Ordering::Relaxed);
        match first_byte_us {
            0 => Instant::now(),
            first_byte_us => self.opened + Duration::from_micros(first_byte_us - 1),
        }
    }

    /// Records that the request body was read to its end or given up.
    pub fn body_ended(&self) {
        self.is_in_body.store(false, Ordering::Relaxed);
    }

    /// Records that a request is being answered, until the result is dropped.
    pub fn begin(self: Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    /// Records that a callback is being answered, until the result is dropped.
    pub fn callback(self: &Arc<Self>) -> RunningCallback {
        self.callbacks.fetch_add(1, Ordering::Relaxed);
        RunningCallback(self.clone())
    }

    /// Whether a callback is being answered.
    pub fn has_callback(&self) -> bool {
        self.callbacks.load(Ordering::Relaxed) > 0
    }

    /// Whether an HTTP/2 request has come.
    pub fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered.
    pub fn is_running(&self) -> bool {
        self.at_rest().is_none()
    }

    /// Whether no byte of a further request has come.
    pub fn is_silent(&self) -> bool {
        self.first_byte_us.load(Ordering::Relaxed) == 0
    }

    /// The number of requests begun, if none is running.
    fn at_rest(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::Relaxed);
        (self.ended.load(Ordering::Relaxed) == begun && self.answers.are_over()).then_some(begun)
    }
}

/// A request that is being answered. Dropping it ends the request, also if its stream was reset. Otherwise the connection
/// would never be at rest again.
pub struct Running(Arc<Activity>);

impl Running {
    /// Wraps the answer, so that the connection is not at rest until the answer is sent.
    pub async fn until_sent(
        self,
        response: Response<Body>,
        version: Version,
    ) -> Response<impl SentBody + use<>> {
        // On HTTP/2 even a short answer may have to wait for the peer's flow-control window.
        let is_short = response.body().size_hint().exact().is_some_and(|bytes| bytes <= SHORT_BYTES);
        let is_out_at_once = is_short && version <= Version::HTTP_11;
        self.0.answers.track(response, !is_out_at_once).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A callback that is being answered, until this is dropped.
pub struct RunningCallback(Arc<Activity>);

impl Drop for RunningCallback {
    fn drop(&mut self) {
        self.0.callbacks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes idle connections. One task checks all of them, so that no connection needs its own timer.
#[derive(Debug)]
pub struct IdleTimeout {
    connections: Arc<Mutex<Vec<WatchedConnection>>>,
    memory: Arc<AnswerMemory>,
    task: AbortHandle,
}

#[derive(Debug)]
struct WatchedConnection {
    activity: Arc<Activity>,
    connection: AbortHandle,
    /// The number of requests begun at the last check, if the connection was at rest.
    at_rest: Option<u64>,
}

impl IdleTimeout {
    /// Starts the task that checks the connections.
    pub fn start() -> IdleTimeout {
        let (connections, memory) = (Arc::new(Mutex::new(Vec::new())), AnswerMemory::new());
        let task = tokio::spawn(check_repeatedly(connections.clone(), memory.clone(), IDLE_MAX / 2));
        IdleTimeout { connections, memory, task: task.abort_handle() }
    }

    /// The progress of a connection that was just accepted.
    pub fn activity(&self) -> Arc<Activity> {
        Arc::new(Activity::new(self.memory.clone()))
    }

    /// Adds a connection to those that are checked.
    pub fn watch(&self, activity: Arc<Activity>, connection: AbortHandle) {
        let mut connections = lock(&self.connections);
        if connections.len() == connections.capacity() {
            // Ended connections would hold memory until the next check.
            connections.retain(|watched| !watched.connection.is_finished());
            let open = connections.len();
            if open > connections.capacity() / 2 {
                connections.reserve(open);
            }
        }
        connections.push(WatchedConnection { activity, connection, at_rest: None });
    }

    /// Shortens the timeout, because the program stops.
    pub fn shorten(&mut self) {
        self.task.abort();
        let checks = check_repeatedly(self.connections.clone(), self.memory.clone(), IDLE_AT_END_MAX / 2);
        self.task = tokio::spawn(checks).abort_handle();
    }
}

impl Drop for IdleTimeout {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Checks all connections again and again. Closes some at once when their answers hold too much memory.
async fn check_repeatedly(
    connections: Arc<Mutex<Vec<WatchedConnection>>>,
    memory: Arc<AnswerMemory>,
    pause: Duration,
) {
    loop {
        let until = Instant::now() + pause;
        while tokio::time::timeout_at(until, memory.exceeded()).await.is_ok() {
            free_memory(&lock(&connections), memory.excess_bytes());
            // An aborted task frees its memory only when it runs.
            tokio::task::yield_now().await;
        }
        lock(&connections).retain_mut(WatchedConnection::check);
    }
}

/// Closes the connections whose answers have waited longest for the peer, until `excess_bytes` are freed.
fn free_memory(connections: &[WatchedConnection], mut excess_bytes: usize) {
    let waiting = connections.iter().filter_map(|watched| {
        let (since_ms, bytes) = watched.activity.answers.waiting_since_ms()?;
        Some((since_ms, bytes, &watched.connection))
    });
    let mut waiting: Vec<_> = waiting.collect();
    waiting.sort_unstable_by_key(|(since_ms, ..)| *since_ms);
    for (_, bytes, connection) in waiting {
        if excess_bytes == 0 {
            return;
        }
        excess_bytes = excess_bytes.saturating_sub(bytes);
        connection.abort();
    }
}

impl WatchedConnection {
    /// Closes the connection if it, or one of its answers, made no progress since the last check. False once it has ended.
    fn check(&mut self) -> bool {
        let at_rest = self.activity.at_rest();
        let is_stuck = self.activity.answers.has_stuck_answer();
        if is_stuck || at_rest.is_some() && at_rest == self.at_rest {
            self.connection.abort();
        }
        self.at_rest = at_rest;
        !self.connection.is_finished()
    }
}

/// A stream that records when requests begin to arrive.
#[derive(Debug)]
pub struct TimedStream<T> {
    io: T,
    activity: Arc<Activity>,
}

impl<T> TimedStream<T> {
    /// Wraps a stream; `activity` gets the times.
    pub fn new(io: T, activity: Arc<Activity>) -> TimedStream<T> {
        TimedStream { io, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        // Line breaks between requests do not begin a request.
        if buffer.filled()[filled..].iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.activity.record_read();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TimedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
