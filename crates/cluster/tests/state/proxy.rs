//! Stands between a state and PostgreSQL, and cuts the connection where a test wants it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Duration, sleep},
};

/// What happens at the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// Nothing.
    Never = 0,
    /// It is passed on; its answer is not.
    AfterCommit = 1,
    /// It is not passed on.
    BeforeCommit = 2,
    /// As `AfterCommit`, and then PostgreSQL is away.
    AfterCommitForever = 3,
    /// PostgreSQL is away.
    Away = 4,
}

#[derive(Clone)]
pub struct Proxy {
    cut: Arc<AtomicU8>,
    port: u16,
}

impl Proxy {
    /// A proxy to the first host of this address that can write.
    pub async fn to(url: &str) -> Proxy {
        let server = writable(url).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy { cut: Arc::default(), port: listener.local_addr().unwrap().port() };
        let cut = proxy.cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if cut.load(Ordering::SeqCst) == Cut::Away as u8 {
                    continue;
                }
                if let Ok(server) = TcpStream::connect(&server).await {
                    tokio::spawn(pass(client, server, cut.clone()));
                }
            }
        });
        proxy
    }

    pub fn set(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// The same address through this proxy.
    pub fn address(&self, url: &str) -> String {
        let (credentials, rest) = url.split_once('@').unwrap();
        let path = rest.split_once('/').unwrap().1;
        format!("{credentials}@127.0.0.1:{}/{path}", self.port)
    }
}

pub async fn writable(url: &str) -> String {
    let hosts = url.split_once('@').unwrap().1.split_once('/').unwrap().0;
    for host in hosts.split(',') {
        let single = url.replace(hosts, host);
        if tokio_postgres::connect(
            &format!("{}?target_session_attrs=read-write", single.split('?').next().unwrap()),
            tokio_postgres::NoTls,
        )
        .await
        .is_ok()
        {
            return host.to_owned();
        }
    }
    panic!("no host can write");
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicU8>) {
    let (mut from_client, mut from_server) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Some(bytes) = read.ok().filter(|bytes| *bytes > 0) else { return };
                let sent = &from_client[..bytes];
                let is_commit = sent.windows(7).any(|window| window == b"COMMIT\0");
                let order = cut.load(Ordering::SeqCst);
                if is_commit && order == Cut::BeforeCommit as u8 {
                    cut.store(Cut::Never as u8, Ordering::SeqCst);
                    return;
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
                if is_commit && (order == Cut::AfterCommit as u8 || order == Cut::AfterCommitForever as u8) {
                    let then = if order == Cut::AfterCommit as u8 { Cut::Never } else { Cut::Away };
                    sleep(Duration::from_millis(200)).await;
                    cut.store(then as u8, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Some(bytes) = read.ok().filter(|bytes| *bytes > 0) else { return };
                if client.write_all(&from_server[..bytes]).await.is_err() {
                    return;
                }
            }
            () = away(&cut) => return,
        }
    }
}

async fn away(cut: &AtomicU8) {
    while cut.load(Ordering::SeqCst) != Cut::Away as u8 {
        sleep(Duration::from_millis(10)).await;
    }
}
