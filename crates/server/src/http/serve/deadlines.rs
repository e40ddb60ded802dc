//! Tests of the deadlines of callbacks that do not arrive completely, on an in-process connection and a paused clock.

use storage::{
    store::{Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::{
    config::{Config, Networks},
    http,
};

const RELAYED: &str = "wx00000000000000a1";
const ALONE: &str = "wx00000000000000a2";
/// Timers round up to this.
const STEP: Duration = Duration::from_millis(2);

struct DeadlineTest {
    _folder: TempDir,
    app: Arc<App>,
    writer: Writer,
    stopping: Stopping,
}

impl DeadlineTest {
    /// One account with a relay that is never reached, and one without a relay.
    fn start() -> DeadlineTest {
        let folder = tempfile::tempdir().unwrap();
        let account = |appid| format!("[[account]]\nappid = \"{appid}\"\nsecret = \"s\"\ntoken = \"t\"\n");
        let text =
            format!("{}[account.relay]\nurl = \"http://127.0.0.1:9/\"\n{}", account(RELAYED), account(ALONE));
        let config = Config::parse(&text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
        let key = DataKey::load_or_create(&config.data_key_file).unwrap();
        let (app, writer) =
            App::start_with(config, Clock::real(), Store::Memory(Memory::default()), key).unwrap();
        DeadlineTest { _folder: folder, app, writer, stopping: Stopping::new() }
    }

    fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 << 10);
        let peer: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().header_read_timeout(None);
        let connection = Connection {
            builder,
            routes: http::router(self.app.clone()),
            activity: IdleTimeout::start().activity(),
            peer: Peer(peer),
            share: Arc::new(ConnectionShares::new(Networks::default()).take(peer.ip(), 1, 0).unwrap()),
            follower: self.stopping.follower(),
        };
        tokio::spawn(connection.serve(server));
        client
    }

    async fn end(self) {
        tokio::task::spawn_blocking(|| self.writer.stop()).await.unwrap();
    }
}

fn head(appid: &str) -> String {
    format!(
        "POST /callback/{appid}?signature=0&timestamp=1&nonce=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    )
}

/// Waits until the server closes the connection without an answer.
async fn closed_after(started: Instant, client: &mut DuplexStream) -> Duration {
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "");
    started.elapsed()
}

fn assert_is(found: Duration, wanted_ms: u64) {
    let wanted = Duration::from_millis(wanted_ms);
    assert!((wanted..=wanted + STEP).contains(&found), "{found:?}, not {wanted:?}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_relayed_callback_counts_from_its_first_byte() {
    let scene = DeadlineTest::start();
    let mut client = scene.connect();
    // The time since the connection was opened does not count.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let started = Instant::now();
    let (begin, end) = (&head(RELAYED)[..20], &head(RELAYED)[20..]);
    for piece in [begin, end, "<xml>"] {
        client.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_is(closed_after(started, &mut client).await, 4900);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_callback_without_a_relay_has_4500_ms_from_its_head() {
    let scene = DeadlineTest::start();
    let mut client = scene.connect();
    client.write_all(&head(ALONE).as_bytes()[..20]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.write_all(&head(ALONE).as_bytes()[20..]).await.unwrap();
    assert_is(closed_after(Instant::now(), &mut client).await, 4500);
    scene.end().await;
}

#[tokio::test(start_paused = true)]
async fn each_callback_on_a_kept_connection_has_its_own_deadline() {
    let scene = DeadlineTest::start();
    // Some clients send a blank line after a body.
    for behind in ["", "\r\n"] {
        let mut client = scene.connect();
        for _ in 0..2 {
            client.write_all((head(RELAYED) + &"x".repeat(99) + behind).as_bytes()).await.unwrap();
            let mut answer = [0; 4096];
            let length = client.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with("HTTP/1.1 401"), "its signature is wrong: {answer}");
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        let started = Instant::now();
        client.write_all((head(RELAYED) + "<xml>").as_bytes()).await.unwrap();
        assert_is(closed_after(started, &mut client).await, 4900);
    }
    scene.end().await;
}
