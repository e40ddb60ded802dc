//! Parses the query string of a callback, once. Values are bytes, because signatures and `echostr` are bytes and not text.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The parameters of a callback's query. If a name appears twice, the first value is used. Other names are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// The signature over token, timestamp and nonce.
    pub signature: Option<Cow<'a, [u8]>>,
    /// The signature over token, timestamp, nonce and the text of `Encrypt`. Never empty.
    pub msg_signature: Option<Cow<'a, [u8]>>,
    /// Unix seconds, as sent.
    pub timestamp: Option<Cow<'a, [u8]>>,
    /// WeChat's random number, as sent.
    pub nonce: Option<Cow<'a, [u8]>>,
    /// In a GET only: the content that the answer must have.
    pub echostr: Option<Cow<'a, [u8]>>,
    /// `aes` for an encrypted body, `raw` for a plain one.
    pub encrypt_type: Option<Cow<'a, [u8]>>,
}

impl<'a> Query<'a> {
    /// Parses the text after the question mark as `application/x-www-form-urlencoded`. Uses no crate for it: the
    /// usual ones replace bytes that are not UTF-8, and `echostr` must be sent back byte for byte.
    pub fn parse(raw: &'a str) -> Query<'a> {
        let mut query = Query::default();
        for pair in raw.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(slot) = query.slot(&decode(name)) {
                slot.get_or_insert_with(|| decode(value));
            }
        }
        // An empty msg_signature counts as missing.
        query.msg_signature.take_if(|signature| signature.is_empty());
        query
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Cow<'a, [u8]>>> {
        Some(match name {
            b"signature" => &mut self.signature,
            b"msg_signature" => &mut self.msg_signature,
            b"timestamp" => &mut self.timestamp,
            b"nonce" => &mut self.nonce,
            b"echostr" => &mut self.echostr,
            b"encrypt_type" => &mut self.encrypt_type,
            _ => return None,
        })
    }

    /// Whether the query says that the body is encrypted.
    pub fn says_encrypted(&self) -> bool {
        self.msg_signature.is_some() || self.encrypt_type.as_deref() == Some(b"aes")
    }

    /// The timestamp in Unix seconds, if it is a number.
    pub fn timestamp_s(&self) -> Option<i64> {
        std::str::from_utf8(self.timestamp.as_deref()?).ok()?.parse().ok()
    }
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode(spaced.as_bytes()).collect());
    }
    percent_decode(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_values_is_used_and_bytes_are_kept() {
        let query = Query::parse("nonce=1&echostr=%ff%2B+x&nonce=2&echostr=&other=3&signature");
        assert_eq!(query.nonce.as_deref(), Some(b"1".as_slice()));
        assert_eq!(query.echostr.as_deref(), Some(b"\xff+ x".as_slice()));
        assert_eq!(query.signature.as_deref(), Some(b"".as_slice()));
        assert_eq!(query.timestamp, None);
    }

    #[test]
    fn only_aes_or_a_msg_signature_says_encrypted() {
        for (raw, encrypted) in [
            ("encrypt_type=aes", true),
            ("msg_signature=0", true),
            ("msg_signature=", false),
            ("msg_signature", false),
            ("encrypt_type=raw", false),
            ("", false),
        ] {
            assert_eq!(Query::parse(raw).says_encrypted(), encrypted, "{raw}");
        }
    }
}
