//! Decompresses an answer that came compressed although msgcube did not ask for it, so that its text can be searched.

use std::{
    io::{self, Write},
    mem,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, HeaderName, header, response::Parts},
};
use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use hyper::body::{Frame, SizeHint};

use super::super::poll_body::{self, PolledFrame, poll_frame_of};

/// Compressed bytes per step. They can expand a thousandfold.
const PIECE_BYTES: usize = 1 << 10;

/// The compression of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coding {
    Plain,
    Gzip,
    Deflate,
    /// A compression that is not supported, or several.
    Other(String),
}

/// The coding of an answer. It may be named in two headers, one of which `head::strip` removes, so call this first.
pub fn coding(headers: &HeaderMap) -> Coding {
    let named = |name: &HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(",").to_ascii_lowercase()
    };
    let all = [named(&header::CONTENT_ENCODING), named(&header::TRANSFER_ENCODING)].join(",");
    let codings = all.split(',').map(str::trim);
    let codings: Vec<&str> =
        codings.filter(|coding| !matches!(*coding, "" | "identity" | "chunked")).collect();
    match codings[..] {
        [] => Coding::Plain,
        ["gzip" | "x-gzip"] => Coding::Gzip,
        ["deflate"] => Coding::Deflate,
        _ => Coding::Other(codings.join(", ")),
    }
}

/// The decompressed body. None if the coding is not supported.
pub fn body(coding: &Coding, parts: &mut Parts, body: Body) -> Option<Body> {
    let decoder: Option<Box<dyn Decoder>> = match coding {
        _ if body.is_end_stream() => return Some(body),
        Coding::Plain => return Some(body),
        Coding::Gzip => Some(Box::new(MultiGzDecoder::new(Vec::new()))),
        Coding::Deflate => None,
        Coding::Other(_) => return None,
    };
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut decompressed = Decompressed { body, decoder, compressed: Bytes::new(), is_over: false };
    Some(poll_body::body(&SizeHint::default(), move |context, _| decompressed.next(context)))
}

trait Decoder: Write + Send {
    fn end(&mut self) -> io::Result<()>;
    fn take_output(&mut self) -> Vec<u8>;
}

macro_rules! decoder {
    ($name:ty) => {
        impl Decoder for $name {
            fn end(&mut self) -> io::Result<()> {
                self.try_finish()
            }

            fn take_output(&mut self) -> Vec<u8> {
                mem::take(self.get_mut())
            }
        }
    };
}

decoder!(MultiGzDecoder<Vec<u8>>);
decoder!(ZlibDecoder<Vec<u8>>);
decoder!(DeflateDecoder<Vec<u8>>);

struct Decompressed {
    body: Body,
    /// None until the first byte shows which kind of deflate it is.
    decoder: Option<Box<dyn Decoder>>,
    compressed: Bytes,
    is_over: bool,
}

impl Decompressed {
    /// Decompresses the next piece, or finishes at the end.
    fn decompress(&mut self) -> io::Result<Vec<u8>> {
        let piece = self.compressed.split_to(PIECE_BYTES.min(self.compressed.len()));
        let decoder = self.decoder.get_or_insert_with(|| deflate(piece.first().copied()));
        if piece.is_empty() {
            decoder.end()?;
        } else {
            decoder.write_all(&piece)?;
        }
        Ok(decoder.take_output())
    }

    fn next(&mut self, context: &mut Context<'_>) -> PolledFrame {
        while !self.is_over {
            if self.compressed.is_empty() {
                match ready!(poll_frame_of(&mut self.body, context, &mut false)) {
                    Some(Ok(frame)) => {
                        self.compressed = frame.into_data().unwrap_or_default();
                        if self.compressed.is_empty() {
                            continue;
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => self.is_over = true,
                }
            }
            match self.decompress() {
                Ok(plain) if plain.is_empty() => {}
                Ok(plain) => return Poll::Ready(Some(Ok(Frame::data(plain.into())))),
                Err(error) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(axum::Error::new(error))));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// Deflate means zlib, but some servers send it without the zlib header. Source: RFC 9110, section 8.4.1.2; RFC 1950.
fn deflate(first: Option<u8>) -> Box<dyn Decoder> {
    match first {
        Some(byte) if byte & 0x8f == 8 => Box::new(ZlibDecoder::new(Vec::new())),
        _ => Box::new(DeflateDecoder::new(Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use http_body_util::BodyExt as _;

    use super::*;

    async fn decompressed(name: &str, compressed: Vec<u8>) -> Option<Vec<u8>> {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.headers.insert(header::CONTENT_ENCODING, name.parse().unwrap());
        parts.headers.insert(header::CONTENT_LENGTH, compressed.len().into());
        let body = body(&coding(&parts.headers), &mut parts, Body::from(compressed))?;
        assert!(parts.headers.is_empty());
        body.collect().await.ok().map(|collected| collected.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn compressed_bodies_come_out_whole_or_as_an_error() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let level = Compression::fast();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        gzip.write_all(&text).unwrap();
        zlib.write_all(&text).unwrap();
        raw.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let compressed =
            [("gzip", gzip.clone()), ("X-GZIP, identity", gzip.clone()), ("gzip", gzip.repeat(2))];
        let deflated = [("deflate", zlib.finish().unwrap()), ("deflate", raw.finish().unwrap())];
        for (name, compressed) in compressed.into_iter().chain(deflated) {
            let length = compressed.len();
            let times = if length == 2 * gzip.len() { 2 } else { 1 };
            assert_eq!(decompressed(name, compressed).await, Some(text.repeat(times)), "{name} {length}");
        }
        for (name, compressed) in [
            ("gzip", gzip[..gzip.len() / 2].to_vec()),
            ("gzip", b"no gzip".to_vec()),
            ("br", gzip.clone()),
            ("gzip, gzip", gzip),
        ] {
            assert_eq!(decompressed(name, compressed).await, None, "{name}");
        }
    }

    #[test]
    fn a_coding_is_known_by_all_headers_that_name_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(coding(&headers), Coding::Plain);
        headers.append(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
        assert_eq!(coding(&headers), Coding::Plain);
        headers.append(header::TRANSFER_ENCODING, "gzip".parse().unwrap());
        assert_eq!(coding(&headers), Coding::Gzip);
        headers.append(header::CONTENT_ENCODING, "BR".parse().unwrap());
        assert_eq!(coding(&headers), Coding::Other("br, gzip".to_owned()));
    }
}
