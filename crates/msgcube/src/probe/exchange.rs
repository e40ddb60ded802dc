//! Sends raw HTTP/1.1 requests over one connection and reads the answers. Nothing is assumed about the other end.

use std::{io::Read as _, time::Duration};

use flate2::read::{GzDecoder, ZlibDecoder};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::ByteStream;

const HEAD_BYTES_MAX: u64 = 64 << 10;
const HEADERS_MAX: usize = 128;
const BODY_BYTES_MAX: usize = 8 << 20;
/// Limit of a line with the length of a chunk.
const LINE_BYTES_MAX: u64 = 1 << 10;

/// An HTTP answer as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    pub status: u16,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why no answer was received.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// No connection was made.
    Unreached,
    /// The connection was closed before the first byte.
    Closed,
    /// The connection was closed in the middle of the answer.
    BrokenOff,
    /// The answer is not HTTP/1.1.
    NotHttp,
    /// The body is over 8 MiB, or the head over 64 KiB.
    TooLarge,
    /// No answer within the time limit.
    Late,
}

/// The result of one request.
pub type ExchangeResult = Result<RawAnswer, NoAnswer>;

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends requests over one connection, each after the answer to the one before. `time_max` is for each.
pub async fn exchange(
    stream: Box<dyn ByteStream>,
    requests: impl IntoIterator<Item = Vec<u8>>,
    time_max: Duration,
) -> Vec<ExchangeResult> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let mut answers = Vec::new();
    for bytes in requests {
        let is_head = bytes.starts_with(b"HEAD ");
        let sent = async {
            // A server may answer and close before it has read everything.
            let _ = writer.write_all(&bytes).await;
            let _ = writer.flush().await;
        };
        let mut answer = std::pin::pin!(read_answer(&mut reader, is_head));
        let answered = async {
            tokio::select! {
                answer = &mut answer => answer,
                () = sent => answer.await,
            }
        };
        answers.push(tokio::time::timeout(time_max, answered).await.unwrap_or(Err(NoAnswer::Late)));
    }
    answers
}

async fn read_answer(reader: &mut (impl AsyncBufRead + Unpin), is_head: bool) -> ExchangeResult {
    let mut answer = loop {
        let answer = parse_head(&read_head(reader).await?)?;
        // Heads with a 1xx status come before the head of the answer.
        if !(100..200).contains(&answer.status) {
            break answer;
        }
    };
    if !is_head && ![204, 304].contains(&answer.status) {
        answer.body = decompress(&answer, read_body(reader, &answer).await?)?;
    }
    Ok(answer)
}

async fn read_head(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, NoAnswer> {
    let mut head = Vec::new();
    let mut reader = reader.take(HEAD_BYTES_MAX);
    loop {
        let start = head.len();
        // An error, such as a reset, ends the answer, too.
        let is_over = reader.read_until(b'\n', &mut head).await.unwrap_or(0) == 0;
        match &head[start..] {
            b"\r\n" | b"\n" if start > 0 => return Ok(head),
            _ if !is_over => {}
            _ if head.is_empty() => return Err(NoAnswer::Closed),
            _ if !head.starts_with(b"HTTP/") => return Err(NoAnswer::NotHttp),
            _ if reader.limit() == 0 => return Err(NoAnswer::TooLarge),
            _ => return Err(NoAnswer::BrokenOff),
        }
    }
}

fn parse_head(head: &[u8]) -> ExchangeResult {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match (response.parse(head), response.code) {
        (Ok(httparse::Status::Complete(_)), Some(status)) => {
            let header = |header: &httparse::Header<'_>| {
                let value = String::from_utf8_lossy(header.value).trim().to_owned();
                (header.name.to_ascii_lowercase(), value)
            };
            let headers = response.headers.iter().map(header).collect();
            Ok(RawAnswer { status, headers, body: Vec::new() })
        }
        (Err(httparse::Error::TooManyHeaders), _) => Err(NoAnswer::TooLarge),
        _ => Err(NoAnswer::NotHttp),
    }
}

async fn read_body(reader: &mut (impl AsyncBufRead + Unpin), head: &RawAnswer) -> Result<Vec<u8>, NoAnswer> {
    if head.header("transfer-encoding").is_some() {
        return read_chunks(reader).await;
    }
    let mut body = Vec::new();
    if let Some(length) = head.header("content-length") {
        let length = length.parse().map_err(|_| NoAnswer::NotHttp)?;
        read_exactly(reader, length, &mut body).await?;
        return Ok(body);
    }
    // Some servers close without ending TLS.
    let _ = reader.take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut body).await;
    if body.len() > BODY_BYTES_MAX { Err(NoAnswer::TooLarge) } else { Ok(body) }
}

async fn read_chunks(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    loop {
        let size = read_line(reader).await?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(size, 16).map_err(|_| NoAnswer::NotHttp)?;
        if length == 0 {
            while !read_line(reader).await?.is_empty() {}
            return Ok(body);
        }
        read_exactly(reader, length, &mut body).await?;
        read_line(reader).await?;
    }
}

async fn read_exactly(
    reader: &mut (impl AsyncBufRead + Unpin),
    length: usize,
    body: &mut Vec<u8>,
) -> Result<(), NoAnswer> {
    let start = body.len();
    if length > BODY_BYTES_MAX - start {
        return Err(NoAnswer::TooLarge);
    }
    body.resize(start + length, 0);
    reader.read_exact(&mut body[start..]).await.map_err(|_| NoAnswer::BrokenOff)?;
    Ok(())
}

/// Reads a line, without its line break.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String, NoAnswer> {
    let mut line = Vec::new();
    let read = reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
    match read {
        Ok(_) if line.ends_with(b"\n") => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
        _ => Err(NoAnswer::BrokenOff),
    }
}

/// Decompresses the body. Requests as wechatpy sends them allow compressed answers.
fn decompress(head: &RawAnswer, body: Vec<u8>) -> Result<Vec<u8>, NoAnswer> {
    let limit = BODY_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = match head.header("content-encoding") {
        Some("gzip") => GzDecoder::new(body.as_slice()).take(limit).read_to_end(&mut bytes),
        Some("deflate") => ZlibDecoder::new(body.as_slice()).take(limit).read_to_end(&mut bytes),
        _ => return Ok(body),
    };
    match read {
        Ok(_) if bytes.len() > BODY_BYTES_MAX => Err(NoAnswer::TooLarge),
        Ok(_) => Ok(bytes),
        Err(_) => Err(NoAnswer::NotHttp),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// The result of a server that sends these bytes and closes.
    async fn read(said: &[u8]) -> ExchangeResult {
        let (near, far) = tokio::io::duplex(64 << 10);
        let said = said.to_vec();
        tokio::spawn(async move {
            let (_reader, mut writer) = tokio::io::split(far);
            writer.write_all(&said).await
        });
        let request = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n".to_vec();
        exchange(Box::new(near), [request], Duration::from_secs(60)).await.remove(0)
    }

    #[tokio::test]
    async fn bodies_are_read_by_length_in_chunks_to_the_end_and_unpacked() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(b"{\"list\":[]}").unwrap();
        let packed = packed.finish().unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        for said in [
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"list\":[]}more".to_vec(),
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\n{\"li\r\n7\r\nst\":[]}\r\n0\r\nA: b\r\n\r\n".to_vec(),
            b"HTTP/1.0 200 OK\n\n{\"list\":[]}".to_vec(),
            [head.as_bytes(), &packed].concat(),
        ] {
            let answer = read(&said).await.unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, b"{\"list\":[]}".as_slice()));
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_apart() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(70_000));
        for (said, expected) in [
            ("", NoAnswer::Closed),
            ("HTTP/1.1 200 OK\r\nContent-", NoAnswer::BrokenOff),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{", NoAnswer::BrokenOff),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{", NoAnswer::BrokenOff),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", NoAnswer::NotHttp),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", NoAnswer::TooLarge),
            ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nplain", NoAnswer::NotHttp),
            (long.as_str(), NoAnswer::TooLarge),
            ("\u{15}\u{3}\u{1}", NoAnswer::NotHttp),
            ("SSH-2.0-OpenSSH\r\n\r\n", NoAnswer::NotHttp),
        ] {
            assert_eq!(read(said.as_bytes()).await, Err(expected), "{said:.60}");
        }
    }
}
