//! Ending a server without losing a request: every connection that was accepted is served once more, and is told that
//! this was the last answer. Only then no new one is accepted.
//!
//! A connection that is kept between requests must not just be closed: a client, such as nginx, may send its next request
//! at that very moment, and it does not repeat a POST. So its next answer says `Connection: close`, and only one that is
//! not used for a while is closed.

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

use super::super::activity::Activity;

/// How long a connection from before the stop may wait for its next request. A proxy with traffic uses it again within
/// milliseconds; one without has nothing to lose.
const KEPT_MAX: Duration = Duration::from_secs(1);
/// How long requests from before the stop are waited for while new connections are still accepted.
const ACCEPTING_MAX: Duration = Duration::from_secs(4);
/// How long a connection may take to send its request once no new one is accepted.
const SILENT_MAX: Duration = Duration::from_secs(1);
/// How long the requests then take at most: callbacks end within 4.9 s by themselves. All in all it is less than the
/// 10 s after which Docker kills.
const END_MAX: Duration = Duration::from_secs(5);
/// What has arrived meanwhile is seen after this: the runtime looks at its sockets whenever it looks at its timers.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Every answer is the last of its connection.
    LastAnswers,
    /// Connections from before the stop are not waited for any more unless a request is there.
    KeptEnd,
    /// No connection is.
    SilentEnd,
}

/// How far the stop of a server is.
#[derive(Debug)]
pub struct Stopping {
    phase: watch::Sender<Phase>,
    is_stopping: Arc<AtomicBool>,
    /// Every connection from before the stop has a receiver.
    earlier: watch::Sender<()>,
}

/// A connection's view of it.
#[derive(Debug)]
pub struct Follower {
    phase: watch::Receiver<Phase>,
    is_stopping: Arc<AtomicBool>,
    earlier: Option<watch::Receiver<()>>,
}

/// Whether an answer is the last of its connection.
#[derive(Clone, Debug)]
pub struct LastAnswer(Arc<AtomicBool>);

impl Stopping {
    /// Of a server that serves.
    pub fn new() -> Stopping {
        let is_stopping = Arc::default();
        Stopping { phase: watch::Sender::new(Phase::Serving), is_stopping, earlier: watch::Sender::new(()) }
    }

    /// For a connection that was just accepted.
    pub fn follower(&self) -> Follower {
        let is_stopping = self.is_stopping.load(Ordering::Relaxed);
        Follower {
            phase: self.phase.subscribe(),
            is_stopping: self.is_stopping.clone(),
            earlier: (!is_stopping).then(|| self.earlier.subscribe()),
        }
    }

    /// Begins the stop. Ready when no new connection need be accepted any more.
    pub async fn begin(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::LastAnswers);
        let until = Instant::now() + ACCEPTING_MAX;
        if timeout(KEPT_MAX, self.earlier.closed()).await.is_err() {
            self.phase.send_replace(Phase::KeptEnd);
            // Requests that take longer are waited for below, with all others.
            let _ = timeout_at(until, self.earlier.closed()).await;
        }
    }

    /// Waits for the connections that there are; false if some had to be cut off.
    pub async fn finish(self) -> bool {
        let Stopping { phase, .. } = self;
        if timeout(SILENT_MAX, phase.closed()).await.is_ok() {
            return true;
        }
        phase.send_replace(Phase::SilentEnd);
        timeout(END_MAX.saturating_sub(SILENT_MAX), phase.closed()).await.is_ok()
    }
}

impl LastAnswer {
    /// Says so on HTTP/1; HTTP/2 has a frame for that.
    pub fn mark(&self, version: Version, response: &mut Response<Body>) {
        if self.0.load(Ordering::Relaxed) && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl Follower {
    /// For the answers of the connection.
    pub fn last_answer(&self) -> LastAnswer {
        LastAnswer(self.is_stopping.clone())
    }

    /// Serves the connection to its end, or until the stop ends it.
    pub async fn serve(mut self, connection: impl GracefulConnection, activity: &Activity) {
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = self.reached(Phase::LastAnswers) => {}
        }
        let stages: &[(Wait, Phase)] = match self.earlier {
            Some(_) => &[(Wait::ForAny, Phase::KeptEnd), (Wait::ForBegun, Phase::SilentEnd)],
            None => &[(Wait::ForAny, Phase::SilentEnd)],
        };
        for (wait, until) in stages {
            let until = async {
                self.reached(*until).await;
                sleep(LOOK).await;
            };
            if goes_on(connection.as_mut(), activity, *wait, until).await.is_none() {
                return;
            }
        }
        connection.as_mut().graceful_shutdown();
        // An error here is the peer's.
        let _ = connection.await;
    }

    async fn reached(&mut self, phase: Phase) {
        // Fails only when the server is gone, and the connection with it.
        let _ = self.phase.wait_for(|reached| *reached >= phase).await;
    }
}

/// Which request a connection is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Also one that has not begun to arrive.
    ForAny,
    /// One of which something is there.
    ForBegun,
}

/// Serves the connection until then; none: it is over. It hears that it ends as soon as that loses no request.
async fn goes_on<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    wait: Wait,
    until: impl Future<Output = ()>,
) -> Option<()> {
    let mut until = pin!(until);
    let mut has_heard = false;
    std::future::poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        // With a running request it goes on until that is answered.
        let may_hear =
            activity.is_running() || activity.is_http2() || (wait == Wait::ForBegun && activity.is_silent());
        if may_hear && !has_heard {
            has_heard = true;
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
        }
        until.as_mut().poll(context).map(Some)
    })
    .await
}
