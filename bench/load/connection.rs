//! A keep-alive connection: sends the request in its buffer and reads the answer.

use std::io::{Error, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A connection with two reused buffers.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(addr: &str) -> Result<Connection> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, request: Vec::new(), answer: Vec::with_capacity(4096) })
    }

    /// The empty buffer for the next request.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        self.request.clear();
        &mut self.request
    }

    /// Sends the buffer and reads the answer. It must be a 200 whose body starts with `wanted`.
    pub(crate) async fn ask(&mut self, wanted: &[u8]) -> Result<()> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(Error::other("closed without an answer"));
            }
            let Some(head) = self.answer.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD)
            else {
                continue;
            };
            let body = head + END_OF_HEAD.len();
            if self.answer.len() >= body + content_length(&self.answer[..body])? {
                return check(&self.answer, &self.answer[body..], wanted);
            }
        }
    }
}

fn check(answer: &[u8], body: &[u8], wanted: &[u8]) -> Result<()> {
    if answer.starts_with(b"HTTP/1.1 200 ") && body.starts_with(wanted) {
        return Ok(());
    }
    Err(Error::other(String::from_utf8_lossy(&answer[..answer.len().min(400)]).into_owned()))
}

fn content_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok())
        .ok_or_else(|| Error::other("an answer without Content-Length"))
}
