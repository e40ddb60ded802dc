//! What of WeChat's own no caller sees: the real token, and a secret that took the place of ours. Answers that repeat
//! them show the caller's own instead.

use axum::{
    body::Body,
    http::{HeaderValue, header, response::Parts},
};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use percent_encoding::utf8_percent_encode;
use system::secret::Secret;

use super::{answer_in::replaced, head::UNRESERVED, replacing};

/// Texts of WeChat's, each with the caller's.
#[derive(Debug, Default)]
pub struct Hidden(Vec<(Secret, Secret)>);

impl Hidden {
    /// One more, however an answer may write it.
    pub fn add(&mut self, real: &Secret, own: &str) {
        let encoded = utf8_percent_encode(real.reveal(), UNRESERVED).to_string();
        let slashed = real.reveal().replace('/', "\\/");
        let lower = lower_escapes(&encoded);
        let mut spellings = vec![real.reveal().to_owned()];
        for spelling in [encoded, lower, slashed] {
            if !spellings.contains(&spelling) {
                spellings.push(spelling);
            }
        }
        // The longest first: a shorter one may be a part of it.
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        self.0.extend(spellings.into_iter().map(|spelling| (Secret::new(spelling), Secret::new(own))));
    }

    /// Whether any answer may be seen as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The head of an answer, such as where a redirect leads.
    pub fn in_head(&self, parts: &mut Parts) {
        for value in parts.headers.values_mut() {
            if let Some(replaced) = self.in_bytes(value.as_bytes()) {
                *value = HeaderValue::from_bytes(&replaced).unwrap_or(HeaderValue::from_static(""));
            }
        }
        let reason = parts.extensions.get::<ReasonPhrase>();
        if reason.is_some_and(|reason| self.in_bytes(reason.as_bytes()).is_some()) {
            parts.extensions.remove::<ReasonPhrase>();
        }
    }

    /// All of an answer's body.
    pub fn in_whole(&self, parts: &mut Parts, bytes: Bytes) -> Bytes {
        match self.in_bytes(&bytes) {
            Some(replaced) => {
                parts.headers.remove(header::CONTENT_LENGTH);
                replaced
            }
            None => bytes,
        }
    }

    /// A body that is not kept.
    pub fn in_stream(&self, parts: &mut Parts, body: Body) -> Body {
        if !self.is_empty() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        self.0.iter().fold(body, |body, (real, own)| replacing::body(body, real.clone(), own.clone()))
    }

    fn in_bytes(&self, bytes: &[u8]) -> Option<Bytes> {
        self.0.iter().fold(None, |found: Option<Bytes>, (real, own)| {
            let so_far = found.as_deref().unwrap_or(bytes);
            replaced(so_far, real.reveal().as_bytes(), own.reveal().as_bytes()).or(found)
        })
    }
}

/// Percent-encoded with small letters.
fn lower_escapes(encoded: &str) -> String {
    let mut left = 0;
    let lower = encoded.chars().map(|character| {
        left = if character == '%' { 2 } else { i32::max(left - 1, -1) };
        if left >= 0 { character.to_ascii_lowercase() } else { character }
    });
    lower.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_text_is_found_however_it_is_written_and_another_never() {
        let mut hidden = Hidden::default();
        hidden.add(&Secret::new("R/e+AL"), "mine");
        hidden.add(&Secret::new("secret"), "own");
        let (mut parts, ()) = http::Response::new(()).into_parts();
        let text = "R/e+AL R%2Fe%2BAL R%2fe%2bAL R\\/e+AL secret r/e+al";
        let shown = hidden.in_whole(&mut parts, Bytes::from(text));
        assert_eq!(shown, "mine mine mine mine own r/e+al");
        assert_eq!(hidden.in_whole(&mut parts, Bytes::from("nothing")), "nothing");
        parts.headers.insert("location", "/x?secret".parse().unwrap());
        hidden.in_head(&mut parts);
        assert_eq!(parts.headers["location"], "/x?own");
    }
}
