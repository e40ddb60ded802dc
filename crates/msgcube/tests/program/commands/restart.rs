//! Restarts while callbacks arrive: with a socket that stays open, without one, and after a kill.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use crate::{
    commands::scene::{APPID, Scene, TestResult},
    harness::{
        Program, TOKEN,
        callbacks::{now_s, signed_query},
    },
};

/// A long limit, so that the tests do not depend on the speed of the machine.
const LONG_BRIDGE: &str = "\n[datacube]\nbridge_s = 300\n";

/// The bytes of a request with a plain text message of now.
fn request(msg_id: u64) -> String {
    let body = format!(
        "<xml><FromUserName>o{}</FromUserName><CreateTime>{}</CreateTime><MsgType>text</MsgType><MsgId>{msg_id}</MsgId></xml>",
        msg_id % 50,
        now_s()
    );
    format!(
        "POST /callback/{APPID}?{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        signed_query(TOKEN),
        body.len()
    )
}

/// A kept connection, as proxies use it: before sending it checks whether the other end has closed it.
struct KeptConnection(Option<TcpStream>);

impl KeptConnection {
    fn send(&mut self, address: SocketAddr, msg_id: u64) -> std::io::Result<String> {
        let stream = match self.0.take() {
            Some(stream) if is_open(&stream)? => stream,
            _ => TcpStream::connect(address)?,
        };
        let (answer, is_kept) = exchange(&stream, msg_id)?;
        self.0 = is_kept.then_some(stream);
        Ok(answer)
    }
}

fn is_open(stream: &TcpStream) -> std::io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock))
}

/// Sends a message. Returns the answer, and whether the connection stays open.
fn exchange(mut stream: &TcpStream, msg_id: u64) -> std::io::Result<(String, bool)> {
    stream.write_all(request(msg_id).as_bytes())?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        if text.ends_with("\r\n\r\nsuccess") || read == 0 {
            return Ok((text.clone(), !text.contains("connection: close") && read > 0));
        }
    }
}

/// Senders that run until they are stopped. Half of them use a new connection for each message.
struct Load {
    ends: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    senders: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Load {
        let (ends, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let senders = (0..6).map(|sender| {
            let (ends, sent) = (ends.clone(), sent.clone());
            std::thread::spawn(move || {
                let (mut kept, mut failures) = (KeptConnection(None), Vec::new());
                while !ends.load(Ordering::Relaxed) {
                    if sender % 2 == 0 {
                        kept.0 = None;
                    }
                    let msg_id = sent.fetch_add(1, Ordering::Relaxed) + 1;
                    match kept.send(address, msg_id) {
                        Ok(answer) if answer.ends_with("success") => {}
                        other => failures.push(format!("{msg_id} of sender {sender}: {other:?}")),
                    }
                }
                failures
            })
        });
        let senders = senders.collect();
        Load { ends, sent, senders }
    }

    /// Waits until so many more messages were sent.
    fn wait_for(&self, more: u64) {
        let wanted = self.sent.load(Ordering::Relaxed) + more;
        while self.sent.load(Ordering::Relaxed) < wanted && !self.senders.iter().all(JoinHandle::is_finished)
        {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Stops the senders. Returns how many messages were sent, and the failures.
    fn end(self) -> (u64, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let failures = self.senders.into_iter().flat_map(|sender| sender.join().unwrap_or_default());
        let failures = failures.collect();
        (self.sent.load(Ordering::Relaxed), failures)
    }
}

#[tokio::test]
async fn ten_restarts_under_load_lose_nothing_and_leave_no_gap() -> TestResult<()> {
    let scene = Scene::new()?;
    scene.append_config(LONG_BRIDGE)?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let mut server = scene.serve_on(&socket, &[])?;
    let load = Load::start(socket.local_addr()?);
    for _ in 0..10 {
        load.wait_for(40);
        assert_eq!(server.terminate(), Some(0));
        server = scene.serve_on(&socket, &[])?;
    }
    load.wait_for(40);
    let (sent, failures) = load.end();
    assert!(failures.is_empty(), "of {sent}: {failures:?}");
    assert_eq!(server.texts(&scene.day(0)?, &scene.day(1)?).await, sent);
    let coverage = server.coverage(APPID).await;
    assert_eq!((&coverage["gaps"], &coverage["bridged"]), (&serde_json::json!([]), &serde_json::json!([])));
    Ok(())
}

/// Waits for more than a second, because coverage is kept in whole seconds.
fn let_seconds_pass() {
    let start_s = jiff::Timestamp::now().as_second();
    while jiff::Timestamp::now().as_second() <= start_s + 1 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Makes a planned stop after some seconds.
fn stop_later(server: Program) {
    let_seconds_pass();
    assert_eq!(server.terminate(), Some(0));
}

/// The reasons of the gaps and the number of bridged stops, as the restarted program shows them.
async fn gaps_after(scene: &Scene, server: Program) -> TestResult<(Vec<String>, usize)> {
    let_seconds_pass();
    let coverage = server.coverage(APPID).await;
    assert_eq!(server.terminate(), Some(0), "{}", scene.path("log"));
    let why = |gap: &serde_json::Value| gap[2].as_str().unwrap_or_default().to_owned();
    let gaps = coverage["gaps"].as_array().ok_or("no gaps")?.iter().map(why).collect();
    Ok((gaps, coverage["bridged"].as_array().ok_or("nothing bridged")?.len()))
}

#[tokio::test]
async fn kills_and_long_stops_are_gaps_and_short_planned_stops_are_bridged() -> TestResult<()> {
    let (none, gap): (Vec<String>, _) = (Vec::new(), vec!["not_running".to_owned()]);
    let (noon, next_day) = (&["--now", "2025-03-03T12:00:00+08:00"], &["--now", "2025-03-04T12:00:00+08:00"]);
    let socket = TcpListener::bind("127.0.0.1:0")?;

    let scene = Scene::new()?;
    scene.append_config(LONG_BRIDGE)?;
    stop_later(scene.serve()?);
    assert_eq!(
        gaps_after(&scene, scene.serve()?).await?,
        (none.clone(), 1),
        "a short stop without the socket"
    );
    assert_eq!(gaps_after(&scene, scene.serve_on(&socket, &[])?).await?, (none, 2), "another socket");
    let server = scene.serve_on(&socket, &[])?;
    // This request opens a connection. A kill before the first connection would lose nothing.
    server.coverage(APPID).await;
    drop(server);
    assert_eq!(gaps_after(&scene, scene.serve_on(&socket, &[])?).await?, (gap.clone(), 2), "SIGKILL");

    let scene = Scene::new()?;
    scene.append_config(LONG_BRIDGE)?;
    stop_later(scene.serve_on(&socket, noon)?);
    assert_eq!(
        gaps_after(&scene, scene.serve_on(&socket, next_day)?).await?,
        (gap.clone(), 0),
        "a long stop with the socket"
    );

    let scene = Scene::new()?;
    scene.append_config(&LONG_BRIDGE.replace("300", "0"))?;
    stop_later(scene.serve_on(&socket, &[])?);
    assert_eq!(gaps_after(&scene, scene.serve_on(&socket, &[])?).await?, (gap, 0), "bridge_s = 0");
    Ok(())
}

#[test]
fn the_error_names_a_socket_for_another_address() -> TestResult<()> {
    let scene = Scene::new()?;
    let socket = TcpListener::bind("127.0.0.1:0")?;
    let error = scene.serve_on(&socket, &["--listen", "127.0.0.1:1"]).err().ok_or("it started")?.to_string();
    for part in ["127.0.0.1:1\"", &socket.local_addr()?.to_string(), "msgcube.socket"] {
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}
