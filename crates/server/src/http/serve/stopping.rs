//! Stops a server without losing a request: each accepted connection gets one more answer, which says that it is the last.
//! Only then does the server stop accepting.
//!
//! A keep-alive connection must not simply be closed: a client such as nginx may send its next request at that moment,
//! and it does not repeat a POST. So the next answer says `Connection: close`. Only a connection that stays unused for a
//! while is closed.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Response, Version, header},
};
use hyper_util::server::graceful::GracefulConnection;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::super::idle_timeout::Activity;

/// How long a connection opened before the stop may wait for its next request. A busy proxy reuses it within
/// milliseconds; an idle one loses nothing.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(1);
/// How long the server waits for requests from before the stop, while it still accepts connections.
const ACCEPTING_MAX: Duration = Duration::from_secs(4);
/// How long a connection may take to send its request once the server accepts no more.
const SILENT_MAX: Duration = Duration::from_secs(1);
/// How long a request other than a callback may continue after that. A slow upload must not make the stop longer than
/// `bridge_s`, because the stop would then be a gap.
const OTHERS_MAX: Duration = Duration::from_millis(500);
/// How long the server waits for callbacks, which end within 4.9 s by themselves. The whole stop takes less than 10 s,
/// after which Docker kills the process.
const END_MAX: Duration = Duration::from_secs(5);
/// A pause that lets the runtime read what has arrived: it polls its sockets whenever it polls its timers.
const POLL_PAUSE: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Each answer is the last of its connection.
    LastAnswers,
    /// The server no longer waits for older connections, unless a request has begun.
    IdleEnd,
    /// The server no longer waits for any connection, unless a request has begun.
    SilentEnd,
}

/// Coordinates the stop of a server.
#[derive(Debug)]
pub struct Stopping {
    phase: watch::Sender<Phase>,
    has_begun: Arc<AtomicBool>,
    /// Each connection accepted before the stop holds a receiver.
    earlier: watch::Sender<()>,
    has_cut: Arc<AtomicBool>,
}

/// A connection's view of the stop.
#[derive(Debug)]
pub struct Follower {
    phase: watch::Receiver<Phase>,
    has_begun: Arc<AtomicBool>,
    earlier: Option<watch::Receiver<()>>,
    /// Set when a request is cut off.
    has_cut: Arc<AtomicBool>,
}

/// Says whether an answer is the last of its connection.
#[derive(Clone, Debug)]
pub struct LastAnswer(Arc<AtomicBool>);

impl Stopping {
    /// State of a server that is not stopping.
    pub fn new() -> Stopping {
        Stopping {
            phase: watch::Sender::new(Phase::Serving),
            has_begun: Arc::default(),
            earlier: watch::Sender::new(()),
            has_cut: Arc::default(),
        }
    }

    /// A view for a connection that was just accepted.
    pub fn follower(&self) -> Follower {
        let has_begun = self.has_begun.load(Ordering::Relaxed);
        Follower {
            phase: self.phase.subscribe(),
            has_begun: self.has_begun.clone(),
            earlier: (!has_begun).then(|| self.earlier.subscribe()),
            has_cut: self.has_cut.clone(),
        }
    }

    /// Begins the stop. Ready when the server may stop accepting connections.
    pub async fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::LastAnswers);
        let until = Instant::now() + ACCEPTING_MAX;
        if timeout(KEEP_ALIVE_MAX, self.earlier.closed()).await.is_err() {
            self.phase.send_replace(Phase::IdleEnd);
            // `finish` waits for requests that take longer.
            let _ = timeout_at(until, self.earlier.closed()).await;
        }
    }

    /// Waits for the open connections. False if some had to be cut off.
    pub async fn finish(self) -> bool {
        let Stopping { phase, has_cut, .. } = self;
        if timeout(SILENT_MAX, phase.closed()).await.is_ok() {
            return true;
        }
        phase.send_replace(Phase::SilentEnd);
        let all_ended = timeout(END_MAX.saturating_sub(SILENT_MAX), phase.closed()).await.is_ok();
        all_ended && !has_cut.load(Ordering::Relaxed)
    }
}

impl LastAnswer {
    /// Adds `Connection: close` on HTTP/1. HTTP/2 has a frame for it.
    pub fn mark(&self, version: Version, response: &mut Response<Body>) {
        if self.0.load(Ordering::Relaxed) && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl Follower {
    /// Marks the answers of this connection.
    pub fn last_answer(&self) -> LastAnswer {
        LastAnswer(self.has_begun.clone())
    }

    /// Serves the connection until it ends, or until the stop ends it.
    pub async fn serve(mut self, connection: impl GracefulConnection, activity: &Activity) {
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = self.reached(Phase::LastAnswers) => {}
        }
        let stages: &[(WaitFor, Phase)] = match self.earlier {
            Some(_) => &[(WaitFor::AnyRequest, Phase::IdleEnd), (WaitFor::BegunRequest, Phase::SilentEnd)],
            None => &[(WaitFor::AnyRequest, Phase::SilentEnd)],
        };
        for (wait, until) in stages {
            let until = async {
                self.reached(*until).await;
                sleep(POLL_PAUSE).await;
            };
            if serve_until(connection.as_mut(), activity, *wait, until).await.is_none() {
                return;
            }
        }
        connection.as_mut().graceful_shutdown();
        // The peer could delay the rest of a half-sent head for ever.
        let is_half_head = !activity.is_running() && !activity.is_http2() && !activity.is_silent();
        if is_half_head {
            return;
        }
        // An error here comes from the peer.
        let ended = timeout(OTHERS_MAX, connection.as_mut()).await.is_ok();
        if !ended && activity.has_callback() {
            let _ = connection.await;
        } else if !ended {
            self.has_cut.store(true, Ordering::Relaxed);
        }
    }

    async fn reached(&mut self, phase: Phase) {
        // This fails only when the server is gone, and the connection with it.
        let _ = self.phase.wait_for(|reached| *reached >= phase).await;
    }
}

/// Which requests keep a connection open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitFor {
    /// Also a request that has not begun to arrive.
    AnyRequest,
    /// Only a request whose first bytes have arrived.
    BegunRequest,
}

/// Serves the connection until `until` is ready. None if the connection ended. The connection is told to shut down as
/// soon as this cannot lose a request.
async fn serve_until<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    wait: WaitFor,
    until: impl Future<Output = ()>,
) -> Option<()> {
    let mut until = pin!(until);
    let mut is_shutting_down = false;
    std::future::poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        // During a request, shutting down waits until it is answered.
        let may_shut_down = activity.is_running()
            || activity.is_http2()
            || (wait == WaitFor::BegunRequest && activity.is_silent());
        if may_shut_down && !is_shutting_down {
            is_shutting_down = true;
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
        }
        until.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::service::service_fn;
    use hyper_util::{
        rt::{TokioExecutor, TokioIo},
        server::conn::auto,
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
        task::JoinHandle,
    };

    use super::{
        super::super::idle_timeout::{IdleTimeout, TimedStream},
        *,
    };

    /// The client's end of a connection, and its task at the server.
    fn connect(stopping: &Stopping) -> (DuplexStream, JoinHandle<()>) {
        connect_to(stopping, Duration::ZERO, false)
    }

    /// Like `connect`, with answers that take this long.
    fn connect_to(stopping: &Stopping, takes: Duration, is_callback: bool) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(4096);
        let (follower, activity) = (stopping.follower(), IdleTimeout::start().activity());
        let last_answer = follower.last_answer();
        let task = tokio::spawn(async move {
            let watched = activity.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                activity.arrived(&request);
                let (running, last_answer) = (activity.clone().begin(), last_answer.clone());
                let callback = is_callback.then(|| activity.callback());
                async move {
                    sleep(takes).await;
                    drop(callback);
                    let (version, mut response) = (request.version(), Response::new(Body::from("success")));
                    last_answer.mark(version, &mut response);
                    Ok::<_, Infallible>(running.until_sent(response, version).await)
                }
            });
            let io = TokioIo::new(TimedStream::new(far, watched.clone()));
            let builder = auto::Builder::new(TokioExecutor::new());
            follower.serve(builder.serve_connection(io, service).into_owned(), &watched).await;
        });
        (near, task)
    }

    /// Returns the answer, and whether the connection ends with it.
    async fn ask(connection: &mut DuplexStream, request: &str) -> (String, bool) {
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"success") {
            let read = connection.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "closed without an answer");
        }
        let text = String::from_utf8(answer).unwrap();
        let is_last = text.contains("connection: close");
        if is_last {
            assert_eq!(connection.read(&mut [0]).await.unwrap(), 0);
        }
        (text, is_last)
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test]
    async fn each_accepted_connection_gets_one_more_answer_which_says_that_it_is_the_last() {
        tokio::time::pause();
        let stopping = Arc::new(Stopping::new());
        let (mut kept, _) = connect(&stopping);
        let (mut silent, _) = connect(&stopping);
        assert!(!ask(&mut kept, REQUEST).await.1, "before the stop the connection stays open");
        let stop = tokio::spawn({
            let stopping = stopping.clone();
            async move { stopping.begin().await }
        });
        tokio::task::yield_now().await;
        // The rest of this head arrives only after the server has stopped waiting for silent connections.
        let (mut slow, _) = connect(&stopping);
        slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert!(ask(&mut kept, REQUEST).await.1 && ask(&mut silent, REQUEST).await.1);
        stop.await.unwrap();
        let (mut late, _) = connect(&stopping);
        let finish = tokio::spawn(Arc::into_inner(stopping).unwrap().finish());
        assert!(ask(&mut late, REQUEST).await.1 && ask(&mut slow, "Host: x\r\n\r\n").await.1);
        assert!(finish.await.unwrap());
    }

    #[tokio::test]
    async fn connections_on_which_nothing_comes_do_not_hold_the_stop_up() {
        tokio::time::pause();
        let stopping = Stopping::new();
        let (mut kept, kept_task) = connect(&stopping);
        let (_silent, silent_task) = connect(&stopping);
        let (mut half, half_task) = connect(&stopping);
        ask(&mut kept, REQUEST).await;
        half.write_all(b"GET / HT").await.unwrap();
        let started = Instant::now();
        stopping.begin().await;
        kept_task.await.unwrap();
        silent_task.await.unwrap();
        assert!(stopping.finish().await);
        half_task.await.unwrap();
        assert!(started.elapsed() < ACCEPTING_MAX + END_MAX);
    }

    #[tokio::test]
    async fn a_slow_request_that_is_no_callback_does_not_make_the_stop_longer() {
        tokio::time::pause();
        let stopping = Stopping::new();
        let (mut early, _) = connect_to(&stopping, Duration::from_secs(60), false);
        early.write_all(REQUEST.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stopping.begin().await;
        let (mut late, _) = connect_to(&stopping, Duration::from_secs(60), false);
        late.write_all(REQUEST.as_bytes()).await.unwrap();
        let last_accept = Instant::now();
        assert!(!stopping.finish().await, "they were cut off");
        assert!(
            last_accept.elapsed() <= SILENT_MAX + OTHERS_MAX + 10 * POLL_PAUSE,
            "{:?}",
            last_accept.elapsed()
        );
    }

    #[tokio::test]
    async fn a_slow_callback_is_answered() {
        tokio::time::pause();
        let stopping = Stopping::new();
        stopping.begin().await;
        let (mut late, _) = connect_to(&stopping, Duration::from_millis(4500), true);
        let finish = tokio::spawn(stopping.finish());
        assert!(ask(&mut late, REQUEST).await.1);
        assert!(finish.await.unwrap());
    }
}
