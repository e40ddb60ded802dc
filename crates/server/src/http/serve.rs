//! Serving a router on a socket: limits on connections and headers, ending gracefully, and closing a connection
//! without an answer, which a router alone cannot.

mod shares;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

mod stopping;

use super::{
    activity::{Activity, Idle, Timed},
    answering::SentBody,
    callback,
    connection::{CloseWithoutAnswer, Peer},
    drain,
    record::Asked,
};
use crate::http::analysis;
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

use shares::{Refused, Share, Shares};

/// What hyper is told then. It is expected, so nobody logs it.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Closed;

/// Requests at the same time on a connection of HTTP/2.
const STREAMS_MAX: u32 = 64;
/// How often it is noted that there is no place: at least once in each second.
const DEAF_EVERY: Duration = Duration::from_millis(400);
/// What a connection buffers in each direction; a head has to fit into it.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// What happens at the edges of serving.
pub trait Watcher {
    /// Connections wait in this socket; the first is taken when this is ready.
    fn opening(&self, socket: ListeningSocket) -> impl Future<Output = ()> + Send;
    /// A connection could not be taken, or had to wait.
    fn deaf(&self);
    /// No new connection is taken from now on.
    fn closing(&self);
}

/// The public address: whoever cannot reach it is lost.
impl Watcher for App {
    async fn opening(&self, socket: ListeningSocket) {
        self.ingest.begin(socket, self.config.get().datacube.bridge_s).await;
    }

    fn deaf(&self) {
        self.ingest.lose_all(&Reason::NoConnectionTaken);
    }

    fn closing(&self) {
        self.ingest.stop_listening();
    }
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
    builder.http1().header_read_timeout(None).writev(false).max_buf_size(BUFFER_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
    builder.http2().max_send_buf_size(BUFFER_BYTES_MAX);
    watcher.opening(listener.listening_socket()).await;
    let places = Arc::new(Semaphore::new(connections_max()));
    let is_handed_over = listener.is_handed_over();
    let (socket, tls) = listener.into_parts();
    let shares = Shares::new(routes.app.config.get().proxies.clone());
    let mut server = Server { builder, routes, tls, shares, idle: Idle::start(), stopping: Stopping::new() };
    accept_until(end, &socket, &places, watcher, &server).await;
    accept_until(server.stopping.begin(), &socket, &places, watcher, &server).await;
    let left = (!is_handed_over).then(|| socket.into_std()).and_then(Result::ok);
    left.iter().for_each(|left| accept_those_left(left, &places, watcher, &server));
    watcher.closing();
    drop(left);
    server.idle.hurry();
    if !server.stopping.finish().await {
        tracing::warn!("some requests were still running at the end and were cut off");
    }
}

async fn accept_until(
    end: impl Future<Output = ()>,
    socket: &TcpListener,
    places: &Arc<Semaphore>,
    watcher: &impl Watcher,
    server: &Server,
) {
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = accept(socket, places, watcher) => accepted,
            () = &mut end => return,
        };
        if let Some((stream, peer, place)) = accepted {
            server.start(stream, peer, place, watcher);
        }
    }
}

/// A socket that nobody else has open is closed now, with all connections that wait in it.
fn accept_those_left(
    socket: &std::net::TcpListener,
    places: &Arc<Semaphore>,
    watcher: &impl Watcher,
    server: &Server,
) {
    // The runtime may not have heard of them yet, so the system itself is asked.
    while let Ok(place) = places.clone().try_acquire_owned()
        && let Ok((stream, peer)) = socket.accept()
        && stream.set_nonblocking(true).is_ok()
        && let Ok(stream) = TcpStream::from_std(stream)
    {
        let _ = stream.set_nodelay(true);
        server.start(stream, peer, place, watcher);
    }
}

/// What connections are served with.
struct Server {
    builder: auto::Builder<TokioExecutor>,
    routes: Routes,
    tls: Option<Arc<Tls>>,
    shares: Arc<Shares>,
    idle: Idle,
    stopping: Stopping,
}

impl Server {
    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        watcher: &impl Watcher,
    ) {
        let app = &self.routes.app;
        let free = place.semaphore().available_permits();
        let share = match self.shares.take(peer.ip(), free, app.clock.now_s()) {
            Ok(share) => Arc::new(share),
            Err(refused) => return refuse(app, watcher, Peer(peer), refused),
        };
        let activity = self.idle.activity();
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
            drop(place);
        });
        self.idle.watch(activity, task.abort_handle());
    }
}

/// What serving one connection needs.
struct Connection {
    builder: auto::Builder<TokioExecutor>,
    routes: Routes,
    activity: Arc<Activity>,
    peer: Peer,
    share: Arc<Share>,
    follower: Follower,
}

impl Connection {
    async fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: T) {
        let Connection { builder, routes, activity, peer, share, follower } = self;
        let io = TokioIo::new(Timed::new(stream, activity.clone()));
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
    places: &Arc<Semaphore>,
    watcher: &impl Watcher,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = place(places, watcher).await?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are one small write; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, place))
        }
        Err(error) => {
            watcher.deaf();
            tracing::warn!(%error, "a connection could not be accepted; raise the limit of open files if this goes on");
            tokio::time::sleep(Duration::from_millis(500)).await;
            None
        }
    }
}

/// A place for a connection. While there is none nobody new is heard, in every second of it.
async fn place(places: &Arc<Semaphore>, watcher: &impl Watcher) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = places.clone().try_acquire_owned() {
        return Some(place);
    }
    let mut freed = std::pin::pin!(places.clone().acquire_owned());
    loop {
        watcher.deaf();
        if let Ok(place) = tokio::time::timeout(DEAF_EVERY, &mut freed).await {
            watcher.deaf();
            return place.ok();
        }
    }
}

/// A connection of an address that holds as many as are free for all others. It might have brought a callback only if
/// some come from there.
fn refuse(app: &App, watcher: &impl Watcher, peer: Peer, refused: Refused) {
    if refused.may_be_wechat {
        watcher.deaf();
    }
    if app.refusals.may_log("", "connections_of_an_address", app.clock.now_s()) {
        let address = peer.address();
        tracing::warn!(%address, "connections are closed: this address holds as many as are left for all others; if it is a proxy, name it in proxies");
    }
}

/// Only an authentic callback is answered with 200, by us or by the bot behind.
fn note_callback(app: &App, share: &Share, response: &Response<Body>) {
    if response.status() == StatusCode::OK
        && response.extensions().get::<CloseWithoutAnswer>().is_none()
        && let Some((from_s, to_s)) = share.prove(app.clock.now_s())
    {
        app.ingest.lose_all_between(from_s, to_s, &Reason::NoConnectionTaken);
    }
}

/// Who answers what.
#[derive(Clone, Debug)]
pub struct Routes {
    pub router: Router,
    /// Keeps the calls that are refused.
    pub app: Arc<App>,
    /// The public address, where callbacks come in. They and the seven are taken past the router, which costs a tenth of
    /// their time.
    pub is_public: bool,
}

async fn respond(
    routes: Routes,
    request: hyper::Request<Incoming>,
    peer: Peer,
    arrived: Instant,
    activity: Arc<Activity>,
    share: Arc<Share>,
    last_answer: LastAnswer,
) -> Result<Response<impl SentBody + use<>>, Closed> {
    let (running, watched) = (activity.clone().begin(), activity.clone());
    let version = request.version();
    let mut request = request.map(|incoming| drain::body(incoming, version, activity));
    if let Some(uri) = callback::without_slash(request.uri()).filter(|_| routes.is_public) {
        *request.uri_mut() = uri;
    }
    let mut response = if routes.is_public && callback::is_callback(&request) {
        let _callback = watched.callback();
        let response = callback::receive(&routes.app, request, arrived).await;
        note_callback(&routes.app, &share, &response);
        response
    } else {
        request.extensions_mut().insert(peer);
        let asked = Asked::new(&request, peer, arrived);
        let public = routes.is_public.then_some(&routes.app);
        let response = routed(routes.router, public, request).await;
        asked.keep(&routes.app, &response);
        response
    };
    last_answer.mark(version, &mut response);
    match response.extensions().get::<CloseWithoutAnswer>() {
        None => Ok(running.until_sent(response, version).await),
        Some(CloseWithoutAnswer) => Err(Closed),
    }
}

async fn routed(router: Router, public: Option<&Arc<App>>, request: Request) -> Response<Body> {
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{config::Config, http::answer};
    use storage::store::{Change, Memory, Store};
    use system::{clock::Clock, data_key::DataKey};

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Watcher for Counting {
        fn deaf(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn closing(&self) {}

        async fn opening(&self, _: ListeningSocket) {}
    }

    #[tokio::test]
    async fn while_all_places_are_taken_time_is_lost_again_and_again_and_once_more_at_the_end() {
        let (places, watcher) = (Arc::new(Semaphore::new(1)), Counting::default());
        let taken = place(&places, &watcher).await.unwrap();
        let noted = || watcher.0.load(Ordering::Relaxed);
        assert_eq!(noted(), 0);
        let give_back = async {
            while noted() < 3 {
                tokio::time::sleep(DEAF_EVERY / 4).await;
            }
            let before = noted();
            drop(taken);
            before
        };
        let waiting = tokio::time::timeout(DEAF_EVERY * 100, give_back);
        let (found, before) = tokio::join!(place(&places, &watcher), waiting);
        assert!(found.is_some() && before.unwrap() < noted());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn refusals_are_gaps_only_where_authentic_callbacks_come_from_the_same_address() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n";
        let config = Config::parse(text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
        let key = DataKey::load_or_create(&config.data_key_file).unwrap();
        let (app, writer) =
            App::start_with(config, Clock::real(), Store::Memory(Memory::default()), key).unwrap();
        let account = app.accounts.all().first().unwrap().number;
        let (app, now_s) = (Arc::new(app), Clock::real().now_s());
        let peer = Peer("192.0.2.7:1".parse().unwrap());
        let shares = Shares::new(app.config.get().proxies.clone());
        let share = shares.take(peer.address(), 0, now_s).unwrap();
        let covers = Change::Claim { account, from_s: now_s - 100, to_s: now_s };
        app.ingest.submit(covers).await.unwrap();
        let watcher = Counting::default();
        let refused = |at_s| shares.take(peer.address(), 0, at_s).unwrap_err();
        refuse(&app, &watcher, peer, refused(now_s - 50));
        note_callback(&app, &share, &answer::text(StatusCode::UNAUTHORIZED, "wrong signature"));
        note_callback(&app, &share, &answer::no_answer());
        assert_eq!(watcher.0.load(Ordering::Relaxed), 0, "nothing says yet that it is WeChat's");
        let lost = async || {
            app.ingest.submit(Change::Fact { key: "a".to_owned(), value: None }).await.unwrap();
            !app.store.coverage(account, |coverage| coverage.touches(now_s - 50, now_s - 49, now_s))
        };
        assert!(!lost().await);
        note_callback(&app, &share, &answer::success());
        assert!(lost().await, "the callback shows that it was");
        refuse(&app, &watcher, peer, refused(now_s));
        assert_eq!(watcher.0.load(Ordering::Relaxed), 1);
        tokio::task::spawn_blocking(|| writer.stop()).await.unwrap();
    }
}
