//! A scripted server in place of WeChat or a bot. It records every request.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Response, StatusCode},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
    time::Duration,
};

/// A request that the server received.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub after: Duration,
    pub location: Option<String>,
    pub encoding: Option<&'static str>,
    pub headers: Vec<(&'static str, &'static str)>,
}

impl Answer {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            content_type,
            body: body.into(),
            after: Duration::ZERO,
            location: None,
            encoding: None,
            headers: Vec::new(),
        }
    }

    pub fn json(body: impl Into<Vec<u8>>) -> Answer {
        Answer::new(200, "application/json; encoding=utf-8", body)
    }

    pub fn late(self, after: Duration) -> Answer {
        Answer { after, ..self }
    }
}

type Script = dyn Fn(&ReceivedRequest) -> Answer + Send + Sync;

#[derive(Clone)]
struct NeighbourState {
    seen: Arc<Mutex<Vec<ReceivedRequest>>>,
    script: Arc<Script>,
}

/// The server. It stops when dropped.
pub struct Neighbour {
    pub base: String,
    shared: NeighbourState,
    serving: JoinHandle<()>,
}

impl Neighbour {
    pub async fn start(script: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static) -> Neighbour {
        Neighbour::at(free_port().await, script).await
    }

    /// Starts on a port that was reserved before.
    pub async fn at(
        port: FreePort,
        script: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static,
    ) -> Neighbour {
        let listener = TcpListener::bind(("127.0.0.1", port.number)).await.unwrap();
        let shared = NeighbourState { seen: Arc::default(), script: Arc::new(script) };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Neighbour { base: format!("http://127.0.0.1:{port}"), shared, serving }
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// All requests whose path starts with this.
    pub fn requests_to(&self, path: &str) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(|seen| seen.target.starts_with(path)).collect()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<NeighbourState>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap_or_default().to_vec();
    let target = parts.uri.to_string();
    let seen = ReceivedRequest { method: parts.method, target, headers: parts.headers, body };
    let answer = (shared.script)(&seen);
    shared.seen.lock().unwrap().push(seen);
    tokio::time::sleep(answer.after).await;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    if !answer.content_type.is_empty() {
        response.headers_mut().insert("content-type", answer.content_type.parse().unwrap());
    }
    if let Some(encoding) = answer.encoding {
        response.headers_mut().insert("content-encoding", encoding.parse().unwrap());
    }
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    if let Some(location) = answer.location {
        response.headers_mut().insert("location", location.parse().unwrap());
    }
    response
}

/// A reserved port: nothing listens on it, and the system gives it to no other program.
pub struct FreePort {
    pub number: u16,
    /// Reserves the port. A program that names the port can still listen on it.
    _bound: TcpSocket,
}

impl fmt::Display for FreePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

pub async fn free_port() -> FreePort {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    FreePort { number: socket.local_addr().unwrap().port(), _bound: socket }
}

/// Polls until the condition holds. Fails after 200 s.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..4000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 200 s");
}
