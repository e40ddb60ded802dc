//! Serves a router on a socket: limits on connections and headers, a graceful stop, and closing a connection without
//! an answer, which a router alone cannot do.

mod connection_shares;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

mod stopping;

use super::{
    analysis,
    answer_progress::SentBody,
    body_reader, callback,
    connection::{CloseWithoutAnswer, Peer},
    error_recorder::ReceivedRequest,
    fence,
    idle_timeout::{Activity, IdleTimeout, TimedStream},
};
use crate::{
    http::state::App,
    net::{
        sockets::{Listener, connections_max},
        tls::Tls,
    },
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use counting::Reason;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use stopping::{Follower, LastAnswer, Stopping};
use storage::planned_stop::ListeningSocket;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tower::ServiceExt as _;

use connection_shares::{ConnectionShare, ConnectionShares, ShareExceeded};

/// Makes hyper close the connection. This is expected and not logged.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Closed;

/// Concurrent requests on an HTTP/2 connection.
const STREAMS_MAX: u32 = 64;
/// How often a blocked accept is reported. Gaps are recorded in seconds, so this must be well below one second.
const ACCEPT_BLOCKED_EVERY: Duration = Duration::from_millis(400);
/// Buffer of a connection in each direction. A request head must fit into it.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Ready when the server may accept connections.
pub type Opening<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Gets told when the server starts, blocks and stops accepting connections.
pub trait Watcher: Sync {
    /// Connections already wait in this socket. The server accepts the first one when this future is ready.
    fn opening(&self, socket: ListeningSocket) -> Opening<'_>;
    /// A connection could not be accepted, or had to wait.
    fn accept_blocked(&self);
    /// The server begins to stop. It still answers requests and accepts connections.
    fn stopping(&self) {}
    /// The server accepts no connection from now on.
    fn closing(&self);
}

/// On the public address a callback that cannot connect is lost, so its time becomes a gap.
impl Watcher for App {
    fn opening(&self, socket: ListeningSocket) -> Opening<'_> {
        Box::pin(self.ingest.begin(socket, self.config.get().datacube.bridge_s))
    }

    fn accept_blocked(&self) {
        self.ingest.lose_all(&Reason::NoConnectionTaken);
    }

    /// A live stream would hold the stop up.
    fn stopping(&self) {
        self.live.end();
    }

    fn closing(&self) {
        self.ingest.stop_listening();
    }
}

/// Serves until `end` is ready, then answers the requests in flight.
pub async fn serve(
    listener: Listener,
    routes: Routes,
    watcher: &dyn Watcher,
    end: impl Future<Output = ()> + Send,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's HTTP/1 timer would be set and cleared for every request. `IdleTimeout` checks all connections instead.
    // Without `writev` an answer is one write, which is faster because answers are short.
    builder.http1().header_read_timeout(None).writev(false).max_buf_size(BUFFER_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
    builder.http2().max_send_buf_size(BUFFER_BYTES_MAX);
    watcher.opening(listener.listening_socket()).await;
    let permits = Arc::new(Semaphore::new(connections_max()));
    let is_handed_over = listener.is_handed_over();
    let (socket, tls) = listener.into_parts();
    let shares = ConnectionShares::new(routes.app.config.get().proxies.clone());
    let mut server = HttpServer {
        builder,
        routes,
        tls,
        shares,
        idle_timeout: IdleTimeout::start(),
        stopping: Stopping::new(),
    };
    accept_until(pin!(end), &socket, &permits, watcher, &server).await;
    watcher.stopping();
    accept_until(pin!(server.stopping.begin()), &socket, &permits, watcher, &server).await;
    let left = (!is_handed_over).then(|| socket.into_std()).and_then(Result::ok);
    left.iter().for_each(|left| accept_waiting(left, &permits, watcher, &server));
    watcher.closing();
    drop(left);
    server.idle_timeout.shorten();
    if !server.stopping.finish().await {
        tracing::warn!("some requests were still running when the server stopped; they were cut off");
    }
}

async fn accept_until(
    mut end: Pin<&mut (dyn Future<Output = ()> + Send)>,
    socket: &TcpListener,
    permits: &Arc<Semaphore>,
    watcher: &dyn Watcher,
    server: &HttpServer,
) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(socket, permits, watcher) => accepted,
            () = &mut end => return,
        };
        if let Some((stream, peer, permit)) = accepted {
            server.start(stream, peer, permit, watcher);
        }
    }
}

/// Accepts the connections that wait in a socket. Closing the socket would close them too, because no other process has
/// it open.
fn accept_waiting(
    socket: &std::net::TcpListener,
    permits: &Arc<Semaphore>,
    watcher: &dyn Watcher,
    server: &HttpServer,
) {
    // The runtime may not know these connections yet, so this asks the operating system directly.
    while let Ok(permit) = permits.clone().try_acquire_owned()
        && let Ok((stream, peer)) = socket.accept()
        && stream.set_nonblocking(true).is_ok()
        && let Ok(stream) = TcpStream::from_std(stream)
    {
        let _ = stream.set_nodelay(true);
        server.start(stream, peer, permit, watcher);
    }
}

/// State shared by all connections of one socket.
struct HttpServer {
    builder: auto::Builder<TokioExecutor>,
    routes: Routes,
    tls: Option<Arc<Tls>>,
    shares: Arc<ConnectionShares>,
    idle_timeout: IdleTimeout,
    stopping: Stopping,
}

impl HttpServer {
    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        watcher: &dyn Watcher,
    ) {
        let app = &self.routes.app;
        let free = permit.semaphore().available_permits();
        let share = match self.shares.take(peer.ip(), free, app.clock.now_s()) {
            Ok(share) => Arc::new(share),
            Err(refused) => return refuse(app, watcher, Peer(peer), refused),
        };
        let activity = self.idle_timeout.activity();
        let connection = Connection {
            builder: self.builder.clone(),
            routes: self.routes.clone(),
            activity: activity.clone(),
            peer: Peer(peer),
            share,
            follower: self.stopping.follower(),
        };
        let tls = self.tls.clone();
        let task = tokio::spawn(async move {
            match tls {
                None => connection.serve(stream).await,
                Some(tls) => {
                    if let Some(stream) = tls.accept(stream).await {
                        connection.serve(stream).await;
                    }
                }
            }
            drop(permit);
        });
        self.idle_timeout.watch(activity, task.abort_handle());
    }
}

/// Serves one connection.
struct Connection {
    builder: auto::Builder<TokioExecutor>,
    routes: Routes,
    activity: Arc<Activity>,
    peer: Peer,
    share: Arc<ConnectionShare>,
    follower: Follower,
}

impl Connection {
    async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: T) {
        let Connection { builder, routes, activity, peer, share, follower } = self;
        let io = TokioIo::new(TimedStream::new(stream, activity.clone()));
        let (watched, last_answer) = (activity.clone(), follower.last_answer());
        let service = service_fn(move |request| {
            let arrived = activity.arrived(&request);
            let last_answer = last_answer.clone();
            respond(routes.clone(), request, peer, arrived, activity.clone(), share.clone(), last_answer)
        });
        follower.serve(builder.serve_connection(io, service).into_owned(), &watched).await;
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    watcher: &dyn Watcher,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = connection_permit(permits, watcher).await?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write. Waiting to fill a packet would only delay it.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            watcher.accept_blocked();
            tracing::warn!(%error, "a connection could not be accepted; if this continues, raise the limit of open files");
            tokio::time::sleep(Duration::from_millis(500)).await;
            None
        }
    }
}

/// Waits for a connection permit. Each second without a free permit is reported as blocked.
async fn connection_permit(permits: &Arc<Semaphore>, watcher: &dyn Watcher) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = permits.clone().try_acquire_owned() {
        return Some(permit);
    }
    let mut freed = std::pin::pin!(permits.clone().acquire_owned());
    loop {
        watcher.accept_blocked();
        if let Ok(permit) = tokio::time::timeout(ACCEPT_BLOCKED_EVERY, &mut freed).await {
            watcher.accept_blocked();
            return permit.ok();
        }
    }
}

/// Closes a connection whose address already holds its share. It could have brought a callback only if authentic
/// callbacks come from that address.
fn refuse(app: &App, watcher: &dyn Watcher, peer: Peer, refused: ShareExceeded) {
    if refused.may_be_wechat {
        watcher.accept_blocked();
    }
    if app.log_throttle.may_log("", "connections_of_an_address", app.clock.now_s()) {
        let address = peer.address();
        tracing::warn!(%address, "connections are closed: this address holds as many connections as are free for all others; if it is a proxy, add it to proxies");
    }
}

/// Remembers that the address sends authentic callbacks. Only those are answered with 200, by msgcube or by the bot.
fn record_callback(app: &App, share: &ConnectionShare, response: &Response<Body>) {
    if response.status() == StatusCode::OK
        && response.extensions().get::<CloseWithoutAnswer>().is_none()
        && let Some((from_s, to_s)) = share.record_authentic_callback(app.clock.now_s())
    {
        app.ingest.lose_all_between(from_s, to_s, &Reason::NoConnectionTaken);
    }
}

/// The routes of one address.
#[derive(Clone, Debug)]
pub struct Routes {
    /// All routes, including the fallback.
    pub router: Router,
    /// State of the handlers.
    pub app: Arc<App>,
    /// Whether this is the public address. It takes callbacks. They and the seven interfaces bypass the router, which would
    /// cost a tenth of their time.
    pub is_public: bool,
}

async fn respond(
    routes: Routes,
    request: hyper::Request<Incoming>,
    peer: Peer,
    arrived: Instant,
    activity: Arc<Activity>,
    share: Arc<ConnectionShare>,
    last_answer: LastAnswer,
) -> Result<Response<impl SentBody + use<>>, Closed> {
    let (running, watched) = (activity.clone().begin(), activity.clone());
    let version = request.version();
    let mut request = request.map(|incoming| body_reader::body(incoming, version, activity));
    if let Some(uri) = callback::without_slash(request.uri()).filter(|_| routes.is_public) {
        *request.uri_mut() = uri;
    }
    let passed = fence::pass(&routes.app, request.uri().path(), routes.is_public).await;
    let mut response = if routes.is_public && callback::is_callback(&request) {
        let _callback = watched.callback();
        let response = match passed {
            Ok(()) => callback::receive(&routes.app, request, arrived).await,
            Err(_) => Box::pin(callback::leave(&routes.app, request, arrived)).await,
        };
        record_callback(&routes.app, &share, &response);
        response
    } else {
        request.extensions_mut().insert(peer);
        let received = ReceivedRequest::new(&request, peer, arrived);
        let public = routes.is_public.then_some(&routes.app);
        let response = match passed {
            Ok(()) => route(routes.router, public, request).await,
            Err(_) => fence::refusal(&routes.app, request.uri().path()),
        };
        if let Some(logged) = received.logged_error(&routes.app, &response) {
            let App { error_log, clock, store, key, .. } = &*routes.app;
            // Boxed, so that other answers do not reserve the memory.
            Box::pin(error_log.add_for_all(logged, clock.now_s(), store, key)).await;
        }
        response
    };
    last_answer.mark(version, &mut response);
    match response.extensions().get::<CloseWithoutAnswer>() {
        None => Ok(running.until_sent(response, version).await),
        Some(CloseWithoutAnswer) => Err(Closed),
    }
}

async fn route(router: Router, public: Option<&Arc<App>>, request: Request) -> Response<Body> {
    if let Some(app) = public
        && let Some(interface) = analysis::interface_at(request.uri().path())
    {
        return Box::pin(analysis::answer(interface, State(app.clone()), request)).await;
    }
    let response = router.oneshot(request).await;
    response.unwrap_or_else(|error: Infallible| match error {})
}

#[cfg(test)]
mod deadlines;

#[cfg(test)]
mod tests;
