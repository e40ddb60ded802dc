//! Inspects WeChat's answers: small JSON and text answers for an error code that refuses the token. Decides which answers
//! are media, which are not searched.

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, HeaderValue, header, response::Parts},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde::Deserialize;

/// Answers up to this size are searched for an error code. Source: the contract.
const BYTES_MAX: usize = 64 << 10;

/// An answer after inspection.
pub enum InspectedAnswer {
    /// The answer is too large or of another type: the bytes read so far, and the rest.
    Streamed(Bytes, Body),
    /// The whole answer, and its error code if it has one.
    Whole(Bytes, Option<i64>),
    /// The answer broke off.
    Broken,
}

/// True for the codes with which WeChat refuses a token. Source: the contract.
pub fn refuses_token(code: i64) -> bool {
    matches!(code, 40001 | 40014 | 42001)
}

/// Reads an answer if it may hold an error code, or if it is small and not media. A larger answer stays a stream.
pub async fn inspect(parts: &Parts, mut body: Body) -> InspectedAnswer {
    let (is_text, size) = (is_text(parts), body.size_hint());
    let is_small = size.lower() <= BYTES_MAX as u64;
    let is_read = is_text || (size.exact().is_some() && !is_media(parts));
    if !is_small || !is_read {
        return InspectedAnswer::Streamed(Bytes::new(), body);
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => return InspectedAnswer::Broken,
        }
        if read.len() > BYTES_MAX {
            return InspectedAnswer::Streamed(read.freeze(), body);
        }
    }
    let whole = read.freeze();
    let code = if is_text { code_in(&whole) } else { None };
    InspectedAnswer::Whole(whole, code)
}

/// Whether an answer is uncompressed JSON or text.
fn is_text(parts: &Parts) -> bool {
    let is_plain = parts.headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    is_plain && content_type(parts).is_some_and(|kind| kind.contains("json") || kind.starts_with("text/"))
}

/// Types of downloads that no browser and no SDK reads as text. All other types are searched.
const MEDIA: [&str; 13] = [
    "application/octet-stream",
    "binary/octet-stream",
    "application/pdf",
    "application/zip",
    "application/x-zip-compressed",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
];
/// Types that begin like this are media too.
const MEDIA_BEGINNINGS: [&str; 5] =
    ["image/", "audio/", "video/", "font/", "application/vnd.openxmlformats-officedocument."];

/// Whether an answer is media, which streams unchanged.
pub fn is_media(parts: &Parts) -> bool {
    content_type(parts).is_some_and(|kind| {
        let is_known = MEDIA.contains(&kind.as_str())
            || MEDIA_BEGINNINGS.iter().any(|beginning| kind.starts_with(beginning));
        // XML types such as image/svg+xml are text.
        is_known && !kind.ends_with("xml")
    })
}

/// The content type without parameters, in lower case. None if there is none or more than one.
fn content_type(parts: &Parts) -> Option<String> {
    let mut all = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let only = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
    Some(only.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Sandboxes WeChat's pages. Browsers load them from our address, so their scripts could act as ours.
pub fn sandbox(parts: &mut Parts) {
    if may_be_page(parts) {
        sandbox_always(&mut parts.headers);
    }
}

/// Forbids scripts, forms and our origin to an answer, whatever its type is.
pub fn sandbox_always(headers: &mut HeaderMap) {
    // A second policy can only forbid more than one that is there already.
    headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

/// Whether a browser may show an answer as a page. Only types that are known to be none are excepted: without a type, or
/// with one that it does not know, the browser guesses. Source: the MIME Sniffing Standard of WHATWG.
fn may_be_page(parts: &Parts) -> bool {
    let Some(kind) = content_type(parts) else { return true };
    // In a list of types, browsers take the last one.
    let is_list = kind.contains(',');
    let is_data =
        ["application/json", "application/octet-stream", "text/plain", "text/json"].contains(&kind.as_str());
    let is_media = ["image/", "audio/", "video/"].iter().any(|beginning| kind.starts_with(beginning));
    is_list || kind.contains('*') || kind.ends_with("xml") || !(is_data || is_media)
}

fn code_in(bytes: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct WithCode {
        errcode: i64,
    }
    serde_json::from_slice::<WithCode>(bytes).ok().map(|with| with.errcode)
}

/// The bytes with each `from` replaced by `to`. None if `from` does not occur.
pub fn replace_all(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Bytes> {
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
    fn only_what_is_surely_a_download_counts_as_media() {
        for (kind, expected) in [
            ("image/png", true),
            ("Image/JPEG; x=1", true),
            ("video/mp4", true),
            ("audio/amr", true),
            ("application/octet-stream", true),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", true),
            ("image/svg+xml", false),
            ("text/html", false),
            ("application/xml", false),
            ("application/javascript", false),
            ("application/vnd.openxmlformats-officedocument.x+xml", false),
            ("images/png", false),
            ("multipart/byteranges", false),
            ("", false),
        ] {
            let (mut parts, ()) = http::Response::new(()).into_parts();
            assert!(!is_media(&parts), "without a type");
            parts.headers.append(header::CONTENT_TYPE, kind.parse().unwrap());
            assert_eq!(is_media(&parts), expected, "{kind}");
            parts.headers.append(header::CONTENT_TYPE, "text/html".parse().unwrap());
            assert!(!is_media(&parts), "{kind}, and another");
        }
    }

    #[test]
    fn whatever_a_browser_may_show_as_a_page_is_sandboxed() {
        for (kinds, expected) in [
            (&["text/html"][..], true),
            (&["Text/HTML; charset=utf-8"], true),
            (&["application/xhtml+xml"], true),
            (&["image/svg+xml"], true),
            (&["text/xml"], true),
            (&[], true),
            (&["text/plain", "text/html"], true),
            (&["text/plain, text/html"], true),
            (&["nonsense"], true),
            (&["unknown/unknown"], true),
            (&["*/*"], true),
            (&["multipart/x-mixed-replace"], true),
            (&["text/xsl"], true),
            (&["application/json"], false),
            (&["text/plain; charset=utf-8"], false),
            (&["image/png"], false),
        ] {
            let (mut parts, ()) = http::Response::new(()).into_parts();
            for kind in kinds {
                parts.headers.append(header::CONTENT_TYPE, kind.parse().unwrap());
            }
            parts
                .headers
                .append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox allow-scripts"));
            sandbox(&mut parts);
            let policies: Vec<_> = parts.headers.get_all(header::CONTENT_SECURITY_POLICY).iter().collect();
            assert_eq!(policies.len() == 2 && policies[1] == "sandbox", expected, "{kinds:?}");
        }
    }

    #[test]
    fn each_token_in_an_answer_is_replaced() {
        assert_eq!(replace_all(b"a TOK b TOK", b"TOK", b"mine").unwrap(), "a mine b mine");
        assert_eq!(replace_all(b"a b", b"TOK", b"mine"), None);
        assert_eq!(replace_all(b"a b", b"", b"mine"), None);
    }
}
