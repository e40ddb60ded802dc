//! A scripted server: answers what it is told to, and notes all it is sent.

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

/// What it was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub after: Duration,
    pub location: Option<String>,
    pub encoding: Option<&'static str>,
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
        }
    }

    pub fn json(body: impl Into<Vec<u8>>) -> Answer {
        Answer::new(200, "application/json; encoding=utf-8", body)
    }

    pub fn late(self, after: Duration) -> Answer {
        Answer { after, ..self }
    }
}

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Script>,
}

/// The server; ends when dropped.
pub struct Neighbour {
    pub base: String,
    shared: Shared,
    serving: JoinHandle<()>,
}

impl Neighbour {
    pub async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Neighbour {
        Neighbour::at(free_port().await, script).await
    }

    /// On a port that is known already.
    pub async fn at(port: FreePort, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Neighbour {
        let listener = TcpListener::bind(("127.0.0.1", port.number)).await.unwrap();
        let shared = Shared { seen: Arc::default(), script: Arc::new(script) };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Neighbour { base: format!("http://127.0.0.1:{port}"), shared, serving }
    }

    /// What it was sent so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// What it was sent below this path.
    pub fn asked(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.target.starts_with(path)).collect()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap_or_default().to_vec();
    let target = parts.uri.to_string();
    let seen = Seen { method: parts.method, target, headers: parts.headers, body };
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
    if let Some(location) = answer.location {
        response.headers_mut().insert("location", location.parse().unwrap());
    }
    response
}

/// A port on which nobody listens, and that the system gives to nobody else meanwhile.
pub struct FreePort {
    pub number: u16,
    /// Whoever names the port may listen on it all the same.
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

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..4000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come to pass within 200 s");
}
