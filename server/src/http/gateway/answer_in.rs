//! Looking at an answer on its way back: only small ones of type JSON or text, for an error that refuses the token.

use axum::{
    body::{Body, HttpBody as _},
    http::{header, response::Parts},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde::Deserialize;

/// Answers up to this many bytes are looked at. Source: the contract.
const BYTES_MAX: usize = 64 << 10;

/// An answer after the look.
pub enum Looked {
    /// Too large, or of another type: what was read of it, and the rest.
    Streamed(Bytes, Body),
    /// All of it, and its error code if it has one.
    Whole(Bytes, Option<i64>),
    /// It broke off.
    Broken,
}

/// True for the codes by which WeChat refuses a token. Source: the contract.
pub fn refuses_token(code: i64) -> bool {
    matches!(code, 40001 | 40014 | 42001)
}

/// Reads an answer if it may hold an error code. What is read and too large goes on as a stream.
pub async fn look(parts: &Parts, mut body: Body) -> Looked {
    let is_small = body.size_hint().lower() <= BYTES_MAX as u64;
    if !is_small || !is_text(parts) {
        return Looked::Streamed(Bytes::new(), body);
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => return Looked::Broken,
        }
        if read.len() > BYTES_MAX {
            return Looked::Streamed(read.freeze(), body);
        }
    }
    let whole = read.freeze();
    let code = code_in(&whole);
    Looked::Whole(whole, code)
}

/// Whether an answer is JSON or text that can be read as it is.
pub fn is_text(parts: &Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_plain = parts.headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    is_plain
        && content_type.is_some_and(|content_type| {
            let content_type = content_type.to_ascii_lowercase();
            content_type.contains("json") || content_type.starts_with("text/")
        })
}

fn code_in(bytes: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct WithCode {
        errcode: i64,
    }
    serde_json::from_slice::<WithCode>(bytes).ok().map(|with| with.errcode)
}

/// The bytes with each `from` made a `to`; none if there is no `from`.
pub fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Bytes> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    if rest.len() == bytes.len() {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out.into())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(part) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_json_alone() {
        assert_eq!(code_in(br#"{"errcode":40001,"errmsg":"x"}"#), Some(40001));
        assert_eq!(code_in(b" {\"errcode\" : 0}\n"), Some(0));
        for text in ["", "[]", "errcode 40001", r#"{"errcode":"40001"}"#, r#"{"a":{"errcode":40001}}"#] {
            assert_eq!(code_in(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn each_token_in_an_answer_is_replaced() {
        assert_eq!(replaced(b"a TOK b TOK", b"TOK", b"mine").unwrap(), "a mine b mine");
        assert_eq!(replaced(b"a b", b"TOK", b"mine"), None);
        assert_eq!(replaced(b"a b", b"", b"mine"), None);
    }
}
