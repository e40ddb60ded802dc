//! One request as bytes, one answer as bytes: plain HTTP/1.1 over a socket, nothing added that the case did not say.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// No answer takes this long, unless the server hangs.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Chunks of a chunked body, in bytes: small enough to cut any body in the middle.
const CHUNK_BYTES: usize = 7;

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// `METHOD TARGET`
    pub line: Vec<u8>,
    pub headers: Vec<String>,
    pub body: Option<Vec<u8>>,
    pub chunked: bool,
}

/// What comes back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends `times` times over one connection. None: closed without an answer.
pub fn exchange(address: SocketAddr, request: &Request, times: usize) -> Vec<Option<Answer>> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.set_write_timeout(Some(WAIT_MAX)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut answers = Vec::new();
    for n in 0..times {
        let bytes = request.bytes(n + 1 == times);
        // A server may answer and close before it has read everything.
        let _ = (&stream).write_all(&bytes);
        answers.push(read_answer(&mut reader));
    }
    let _ = stream.shutdown(Shutdown::Both);
    answers
}

impl Request {
    fn bytes(&self, last: bool) -> Vec<u8> {
        let mut bytes = [self.line.as_slice(), b" HTTP/1.1\r\n"].concat();
        let mut header = |line: &str| bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
        header("Host: api.weixin.qq.com");
        self.headers.iter().for_each(|line| header(line));
        if last {
            header("Connection: close");
        }
        match &self.body {
            Some(_) if self.chunked => header("Transfer-Encoding: chunked"),
            Some(body) => header(&format!("Content-Length: {}", body.len())),
            None => {}
        }
        bytes.extend_from_slice(b"\r\n");
        match &self.body {
            Some(body) if self.chunked => bytes.extend(chunks(body)),
            Some(body) => bytes.extend_from_slice(body),
            None => {}
        }
        bytes
    }
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let one = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let mut all: Vec<u8> = body.chunks(CHUNK_BYTES).flat_map(one).collect();
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

fn read_answer(reader: &mut impl BufRead) -> Option<Answer> {
    let first = line(reader)?;
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let text = line(reader)?;
        let Some((name, value)) = text.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    answer.body = read_body(reader, &answer)?;
    Some(answer)
}

fn read_body(reader: &mut impl BufRead, answer: &Answer) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = answer.header("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    } else if answer.header("transfer-encoding").is_some() {
        while let Some(length) = line(reader).and_then(|size| usize::from_str_radix(&size, 16).ok()) {
            let mut part = vec![0; length];
            reader.read_exact(&mut part).ok()?;
            line(reader)?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&part);
        }
    } else {
        reader.read_to_end(&mut body).ok()?;
    }
    Some(body)
}

/// A line without its end; none at the end of the stream or when the connection is reset.
fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(0) => None,
        Err(error) => {
            let hangs = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            assert!(!hangs, "no answer within {WAIT_MAX:?}");
            None
        }
        Ok(_) => Some(line.trim_end().to_owned()),
    }
}
