//! What happens on connections: when a request began to arrive, and which connections are idle and are closed.

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

use super::answering::{Answers, Room, SentBody};

/// A connection that is silent for this long, at most, is closed; for half of it, at least, it is not. Clients keep theirs
/// open between calls. The same holds for one on which the peer takes nothing of an answer.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// The same while the program ends.
const IDLE_AT_END_MAX: Duration = Duration::from_secs(2);
/// Answers up to this many bytes are out as soon as they are made.
const SHORT_BYTES: u64 = 16 << 10;

/// Whether anything happens on a connection. A request is only counted once its head is there, so a peer that sends
/// its head drop by drop is idle, too.
#[derive(Debug)]
pub struct Activity {
    opened: Instant,
    /// Microseconds from `opened` to the first byte of the head that is being read, and 1; 0: none came yet.
    first_byte_us: AtomicU64,
    /// The body of a request is being read: what comes in belongs to it and not to the next head.
    is_in_body: AtomicBool,
    is_http2: AtomicBool,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Callbacks that are being answered.
    callbacks: AtomicU64,
    answers: Answers,
}

impl Activity {
    /// Of a connection that was just accepted.
    fn new(room: Arc<Room>) -> Activity {
        Activity {
            opened: Instant::now(),
            first_byte_us: AtomicU64::new(0),
            is_in_body: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            callbacks: AtomicU64::new(0),
            answers: Answers::new(room),
        }
    }

    /// Bytes came in.
    fn read(&self) {
        if !self.is_in_body.load(Ordering::Relaxed) && self.first_byte_us.load(Ordering::Relaxed) == 0 {
            let since_opened = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
            self.first_byte_us.store(since_opened + 1, Ordering::Relaxed);
        }
    }

    /// The head of a request is complete: when its first byte arrived. On HTTP/2, where requests share their bytes, it
    /// is now.
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

    /// The body of the request was read to its end, or nobody reads it any more.
    pub fn body_ended(&self) {
        self.is_in_body.store(false, Ordering::Relaxed);
    }

    /// A request begins to be answered.
    pub fn begin(self: Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    /// The request that is being answered is a callback, until this is dropped.
    pub fn callback(self: &Arc<Self>) -> RunningCallback {
        self.callbacks.fetch_add(1, Ordering::Relaxed);
        RunningCallback(self.clone())
    }

    /// A callback is being answered.
    pub fn has_callback(&self) -> bool {
        self.callbacks.load(Ordering::Relaxed) > 0
    }

    /// A request came that is not one of HTTP/1.
    pub fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// A request is being answered.
    pub fn is_running(&self) -> bool {
        self.at_rest().is_none()
    }

    /// Nothing of another request has come.
    pub fn is_silent(&self) -> bool {
        self.first_byte_us.load(Ordering::Relaxed) == 0
    }

    /// The requests begun, if none is running.
    fn at_rest(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::Relaxed);
        (self.ended.load(Ordering::Relaxed) == begun && self.answers.are_over()).then_some(begun)
    }
}

/// A request that is being answered, until its answer is made. It is over when this is dropped, also if its stream was
/// reset: otherwise its connection would never be at rest again.
pub struct Running(Arc<Activity>);

impl Running {
    /// The answer as it is sent; until then its connection is not at rest.
    pub async fn until_sent(
        self,
        response: Response<Body>,
        version: Version,
    ) -> Response<impl SentBody + use<>> {
        // A short answer is out at once, except on HTTP/2, where the peer says when.
        let is_short = response.body().size_hint().exact().is_some_and(|bytes| bytes <= SHORT_BYTES);
        let is_out_at_once = is_short && version <= Version::HTTP_11;
        self.0.answers.sent(response, !is_out_at_once).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A callback that is being answered.
pub struct RunningCallback(Arc<Activity>);

impl Drop for RunningCallback {
    fn drop(&mut self) {
        self.0.callbacks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes connections on which nothing happens. One task looks at all of them, so that none has a timer of its own.
#[derive(Debug)]
pub struct Idle {
    connections: Arc<Mutex<Vec<Watched>>>,
    room: Arc<Room>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Watched {
    activity: Arc<Activity>,
    connection: AbortHandle,
    /// What it was at when last looked at, if it was at rest.
    at_rest: Option<u64>,
}

impl Idle {
    /// Starts looking.
    pub fn start() -> Idle {
        let (connections, room) = (Arc::new(Mutex::new(Vec::new())), Room::new());
        let task = tokio::spawn(look(connections.clone(), room.clone(), IDLE_MAX / 2));
        Idle { connections, room, task: task.abort_handle() }
    }

    /// What happens on a connection that was just accepted.
    pub fn activity(&self) -> Arc<Activity> {
        Arc::new(Activity::new(self.room.clone()))
    }

    /// Looks after a connection, too.
    pub fn watch(&self, activity: Arc<Activity>, connection: AbortHandle) {
        let mut connections = lock(&self.connections);
        if connections.len() == connections.capacity() {
            // Those that are over hold memory until they are let go, and the next look may be far.
            connections.retain(|watched| !watched.connection.is_finished());
            let open = connections.len();
            if open > connections.capacity() / 2 {
                connections.reserve(open);
            }
        }
        connections.push(Watched { activity, connection, at_rest: None });
    }

    /// The program ends: connections without progress are closed sooner.
    pub fn hurry(&mut self) {
        self.task.abort();
        let looks = look(self.connections.clone(), self.room.clone(), IDLE_AT_END_MAX / 2);
        self.task = tokio::spawn(looks).abort_handle();
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks at all of them again and again, and ends some at once if their answers hold too much memory.
async fn look(connections: Arc<Mutex<Vec<Watched>>>, room: Arc<Room>, pause: Duration) {
    loop {
        let until = Instant::now() + pause;
        while tokio::time::timeout_at(until, room.exceeded()).await.is_ok() {
            make_room(&lock(&connections), room.excess_bytes());
            // Those that end give their memory back only once they run.
            tokio::task::yield_now().await;
        }
        lock(&connections).retain_mut(Watched::goes_on);
    }
}

/// Ends the connections whose peers have let answers wait longest, until so many bytes are free.
fn make_room(connections: &[Watched], mut excess_bytes: usize) {
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

impl Watched {
    /// Ends the connection if nothing happened on it since the last look, or on one of its answers; false once it is over.
    fn goes_on(&mut self) -> bool {
        let at_rest = self.activity.at_rest();
        let is_stuck = self.activity.answers.is_one_stuck();
        if is_stuck || at_rest.is_some() && at_rest == self.at_rest {
            self.connection.abort();
        }
        self.at_rest = at_rest;
        !self.connection.is_finished()
    }
}

/// A connection that notes when requests begin to arrive.
#[derive(Debug)]
pub struct Timed<T> {
    io: T,
    activity: Arc<Activity>,
}

impl<T> Timed<T> {
    /// Notes it there.
    pub fn new(io: T, activity: Arc<Activity>) -> Timed<T> {
        Timed { io, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        // Line breaks between requests belong to none.
        if buffer.filled()[filled..].iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.activity.read();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
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
