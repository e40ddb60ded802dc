//! A server that gives every request the same answer after a delay.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::commands::scene::TestResult;

/// The server. It stops when dropped.
pub(crate) struct Stub {
    base: String,
    address: SocketAddr,
    has_ended: Arc<AtomicBool>,
}

impl Stub {
    /// `answer` is sent as it is; an empty one closes the connection.
    pub(crate) fn start(answer: &str, delay_ms: u64) -> TestResult<Stub> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let has_ended = Arc::new(AtomicBool::new(false));
        let (answer, ended) = (Arc::<str>::from(answer), has_ended.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let answer = answer.clone();
                thread::spawn(move || reply(stream, &answer, Duration::from_millis(delay_ms)));
            }
        });
        Ok(Stub { base: format!("http://{address}"), address, has_ended })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}

/// Reads once: the requests of these tests fit into one read.
fn reply(mut stream: TcpStream, answer: &str, delay: Duration) {
    let mut request = [0; 16 << 10];
    if matches!(stream.read(&mut request), Ok(1..)) {
        thread::sleep(delay);
        let _ = stream.write_all(answer.as_bytes());
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        // This connection wakes up the accept loop.
        let _ = TcpStream::connect(self.address);
    }
}
