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

use axum::{body::Body, http::Response};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::AbortHandle,
    time::Instant,
};

use crate::store::lock;

/// A connection that is silent for this long, at most, is closed; for half of it, at least, it is not. Clients keep theirs open between calls.
const IDLE_MAX: Duration = Duration::from_secs(90);
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
}

impl Activity {
    /// Of a connection that was just accepted.
    pub fn new() -> Activity {
        Activity {
            opened: Instant::now(),
            first_byte_us: AtomicU64::new(0),
            is_in_body: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
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
        if request.version() > hyper::Version::HTTP_11 {
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
        (self.ended.load(Ordering::Relaxed) == begun).then_some(begun)
    }
}

/// A request that is being answered. It is over when this is dropped, also if its stream was reset: otherwise its
/// connection would never be at rest again.
pub struct Running(Arc<Activity>);

impl Running {
    /// It lasts until its answer was sent.
    pub fn until_sent(self, response: Response<Body>) -> Response<Body> {
        // A short answer is out at once; a long one, or one that streams, keeps the request alive.
        let is_short = response.body().size_hint().exact().is_some_and(|bytes| bytes <= SHORT_BYTES);
        if is_short {
            return response;
        }
        response.map(|body| Body::new(Answering { body, _running: self }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of an answer, with the request it belongs to.
struct Answering {
    body: Body,
    _running: Running,
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Closes connections on which nothing happens. One task looks at all of them, so that none has a timer of its own.
#[derive(Debug)]
pub struct Idle {
    connections: Arc<Mutex<Vec<Watched>>>,
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
        let connections = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn({
            let connections = connections.clone();
            async move {
                loop {
                    tokio::time::sleep(IDLE_MAX / 2).await;
                    lock(&connections).retain_mut(Watched::goes_on);
                }
            }
        });
        Idle { connections, task: task.abort_handle() }
    }

    /// Looks after a connection, too.
    pub fn watch(&self, activity: Arc<Activity>, connection: AbortHandle) {
        lock(&self.connections).push(Watched { activity, connection, at_rest: None });
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    /// Ends the connection if nothing happened on it since the last look; false once it is over.
    fn goes_on(&mut self) -> bool {
        let at_rest = self.activity.at_rest();
        if at_rest.is_some() && at_rest == self.at_rest {
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
