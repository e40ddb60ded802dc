//! The query string of a callback, decoded once, to bytes: signatures and `echostr` are about bytes, not text.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What the query says. Of a name that appears twice the first one counts. Other names are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// Over token, timestamp and nonce.
    pub signature: Option<Cow<'a, [u8]>>,
    /// Over token, timestamp, nonce and the text of `Encrypt`. Never empty.
    pub msg_signature: Option<Cow<'a, [u8]>>,
    /// Unix seconds, as written.
    pub timestamp: Option<Cow<'a, [u8]>>,
    /// WeChat's random number, as written.
    pub nonce: Option<Cow<'a, [u8]>>,
    /// Of a GET only: what the answer has to be.
    pub echostr: Option<Cow<'a, [u8]>>,
    /// `aes`, or `raw` for plain.
    pub encrypt_type: Option<Cow<'a, [u8]>>,
}

impl<'a> Query<'a> {
    /// Reads what follows the question mark, by the rules of `application/x-www-form-urlencoded`. Values stay bytes:
    /// the usual decoders replace what is not UTF-8, and `echostr` has to come back byte for byte.
    pub fn parse(raw: &'a str) -> Query<'a> {
        let mut query = Query::default();
        for pair in raw.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(slot) = query.slot(&decode(name)) {
                slot.get_or_insert_with(|| decode(value));
            }
        }
        // Empty it signs nothing: as if it were not there.
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

    /// Whether the query alone makes this an encrypted callback.
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
    fn the_first_of_two_values_counts_and_bytes_stay_bytes() {
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
