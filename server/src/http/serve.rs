//! Serving a router on a socket: limits on connections and headers, ending gracefully, and closing a connection
//! without an answer, which a router alone cannot.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{callback, drain};
use crate::{app::App, store::lock};
use axum::{Router, body::Body, http::Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
};
use tower::ServiceExt as _;

/// Marks a response that must not be sent: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
#[derive(Clone, Copy, Debug)]
pub struct CloseWithoutAnswer;

/// What hyper is told then. It is expected, so nobody logs it.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Closed;

/// Connections at the same time; further ones wait in the socket's backlog.
const CONNECTIONS_MAX: usize = 8192;
/// Open files that are not connections: the store, the log, sockets.
const OTHER_FILES: u64 = 64;
/// A connection that is silent for this long, at most, is closed; for half of it, at least, it is not. Clients keep theirs open between calls.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// How long requests in flight may take at the end.
const END_MAX: Duration = Duration::from_secs(10);

/// A bound socket.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Binds; port 0 takes any free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        TcpListener::bind(address).await.map(Listener)
    }

    /// The address in use.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What happens at the edges of serving.
pub trait Watcher {
    /// A connection could not be taken, or had to wait.
    fn deaf(&self);
    /// No new connection is taken from now on.
    fn closing(&self);
}

/// Serves until `end` is ready, then answers what is in flight.
pub async fn serve(
    listener: Listener,
    routes: Routes,
    watcher: &impl Watcher,
    end: impl Future<Output = ()>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // No timer of hyper's on HTTP/1: it would be set and cleared for every request; `Idle` looks now and then.
    // And one write of one piece: answers are short.
    builder.http1().header_read_timeout(None).writev(false);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    let places = Arc::new(Semaphore::new(connections_max()));
    let graceful = GracefulShutdown::new();
    let idle = Idle::start();
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener.0, &places, watcher) => accepted,
            () = &mut end => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let routes = routes.clone();
        let activity = Arc::new(Activity::default());
        let service = service_fn({
            let activity = activity.clone();
            move |request| activity.clone().during(respond(routes.clone(), request))
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        let task = tokio::spawn(async move {
            // An error here is the peer's: a broken connection or no HTTP.
            let _ = watched.await;
            drop(place);
        });
        idle.watch(activity, task.abort_handle());
    }
    drop(listener);
    watcher.closing();
    if tokio::time::timeout(END_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still running after 10 s and were cut off");
    }
}

/// As many as there may be open files, with some left for the store.
fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    let left = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
    usize::try_from(left).unwrap_or(usize::MAX).min(CONNECTIONS_MAX)
}

/// Whether anything happens on a connection. A request is only counted once its head is there, so a peer that sends
/// its head drop by drop is idle, too.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    async fn during<T>(self: Arc<Self>, request: impl Future<Output = T>) -> T {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let _ended = Ended(&self);
        request.await
    }

    /// The requests begun, if none is running.
    fn at_rest(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::Relaxed);
        (self.ended.load(Ordering::Relaxed) == begun).then_some(begun)
    }
}

/// A request that is over, also if its stream was reset: otherwise its connection would never be at rest again.
struct Ended<'a>(&'a Activity);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Closes connections on which nothing happens. One task looks at all of them, so that none has a timer of its own.
#[derive(Debug)]
struct Idle {
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
    fn start() -> Idle {
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

    fn watch(&self, activity: Arc<Activity>, connection: AbortHandle) {
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

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    watcher: &impl Watcher,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = if let Ok(place) = places.clone().try_acquire_owned() {
        place
    } else {
        watcher.deaf();
        places.clone().acquire_owned().await.ok()?
    };
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are one small write; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            watcher.deaf();
            tracing::warn!(%error, "a connection could not be accepted; raise the limit of open files if this goes on");
            tokio::time::sleep(Duration::from_millis(500)).await;
            None
        }
    }
}

/// Who answers what.
#[derive(Clone, Debug)]
pub struct Routes {
    pub router: Router,
    /// Takes callbacks past the router, which costs a tenth of a callback's time. None: nobody takes callbacks here.
    pub callbacks: Option<Arc<App>>,
}

async fn respond(routes: Routes, request: hyper::Request<Incoming>) -> Result<Response<Body>, Closed> {
    let request = request.map(drain::body);
    let response = match routes.callbacks {
        Some(app) if callback::is_callback(&request) => callback::receive(&app, request).await,
        _ => routes.router.oneshot(request).await.unwrap_or_else(|error: Infallible| match error {}),
    };
    match response.extensions().get::<CloseWithoutAnswer>() {
        None => Ok(response),
        Some(CloseWithoutAnswer) => Err(Closed),
    }
}
