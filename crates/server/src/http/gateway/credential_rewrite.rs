//! Rewrites answers that repeat WeChat's credentials: the real token, or a secret that replaced ours. The caller sees its
//! own credentials in their place.

use axum::{
    body::Body,
    http::{HeaderValue, header, response::Parts},
};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use msgcube_client::http::UNRESERVED;
use percent_encoding::utf8_percent_encode;
use system::secret::Secret;

use super::{answer_inspection::replace_all, token_rewriting_body};

/// WeChat's credentials in all spellings, each with the caller's.
#[derive(Debug, Default)]
pub struct CredentialRewrite(Vec<(Secret, Secret)>);

impl CredentialRewrite {
    /// Adds a credential in all spellings that an answer may use.
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
        // The longest first, because a shorter one may be a part of it.
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        self.0.extend(spellings.into_iter().map(|spelling| (Secret::new(spelling), Secret::new(own))));
    }

    /// Whether there is nothing to rewrite.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rewrites the head of an answer, for example the target of a redirect.
    pub fn rewrite_head(&self, parts: &mut Parts) {
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

    /// Rewrites a whole body.
    pub fn rewrite_bytes(&self, parts: &mut Parts, bytes: Bytes) -> Bytes {
        match self.in_bytes(&bytes) {
            Some(replaced) => {
                parts.headers.remove(header::CONTENT_LENGTH);
                replaced
            }
            None => bytes,
        }
    }

    /// Rewrites a body while it streams.
    pub fn rewrite_stream(&self, parts: &mut Parts, body: Body) -> Body {
        if !self.is_empty() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        self.0
            .iter()
            .fold(body, |body, (real, own)| token_rewriting_body::body(body, real.clone(), own.clone()))
    }

    fn in_bytes(&self, bytes: &[u8]) -> Option<Bytes> {
        self.0.iter().fold(None, |found: Option<Bytes>, (real, own)| {
            let so_far = found.as_deref().unwrap_or(bytes);
            replace_all(so_far, real.reveal().as_bytes(), own.reveal().as_bytes()).or(found)
        })
    }
}

/// The same percent-encoding with lower-case digits.
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
    fn a_credential_is_found_in_each_spelling_and_other_text_is_unchanged() {
        let mut rewrite = CredentialRewrite::default();
        rewrite.add(&Secret::new("R/e+AL"), "mine");
        rewrite.add(&Secret::new("secret"), "own");
        let (mut parts, ()) = http::Response::new(()).into_parts();
        let text = "R/e+AL R%2Fe%2BAL R%2fe%2bAL R\\/e+AL secret r/e+al";
        let shown = rewrite.rewrite_bytes(&mut parts, Bytes::from(text));
        assert_eq!(shown, "mine mine mine mine own r/e+al");
        assert_eq!(rewrite.rewrite_bytes(&mut parts, Bytes::from("nothing")), "nothing");
        parts.headers.insert("location", "/x?secret".parse().unwrap());
        rewrite.rewrite_head(&mut parts);
        assert_eq!(parts.headers["location"], "/x?own");
    }
}
