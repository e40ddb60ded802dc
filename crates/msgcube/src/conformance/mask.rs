//! Hides secrets and tokens in answers. For a shared record also the caller's address and the figures are hidden. What
//! the cases check stays the same: types, forms, lengths, order.

use std::net::IpAddr;

use datacube::ERROR_CODES;
use msgcube_client::ExposeSecret as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Number, Value};

use super::template::{Escaping, is_token};
use crate::{
    probe::exchange::{ExchangeResult, RawAnswer},
    query::Credentials,
};

/// The replacements for appid and secret in requests and answers.
pub const APPID: &str = "APPID";
pub const SECRET: &str = "SECRET";
/// The replacement for tokens begins so; a number follows, and padding to the length of the token.
const TOKEN: &str = "TOKEN-";
const FILLING: char = 'x';

/// Fields with numbers that are not figures of the account.
const PLAIN_NUMBERS: [&str; 6] =
    ["errcode", "expires_in", "ref_hour", "msg_type", "count_interval", "user_source"];
/// Shorter values occur everywhere and are not hidden.
const HIDDEN_BYTES_MIN: usize = 4;
/// Characters that are kept of a body that is not JSON.
const FOREIGN_CHARACTERS_MAX: usize = 500;
/// Addresses for documentation. Source: RFC 5737, RFC 3849.
const SOME_IPV4: &str = "203.0.113.1";
const SOME_IPV6: &str = "2001:db8::1";

/// Hides the credentials and all tokens that it has seen.
#[derive(Clone, Debug)]
pub struct Mask {
    hidden: Vec<(String, String)>,
    tokens: usize,
}

/// Whether a header of an answer is recorded: only those that cases check or that describe the body.
pub fn is_recorded(name: &str) -> bool {
    matches!(name, "content-type" | "content-encoding" | "transfer-encoding" | "connection")
        || name.starts_with("access-control-")
}

impl Mask {
    pub fn new(credentials: &Credentials) -> Mask {
        let mut mask = Mask { hidden: Vec::new(), tokens: 0 };
        match credentials {
            Credentials::Account { appid, secret } => {
                mask.hide(appid, APPID);
                mask.hide(secret.expose_secret(), SECRET);
            }
            Credentials::Token(token) => drop(mask.token(token.expose_secret())),
        }
        mask
    }

    /// The replacement for a token. The same token always gets the same replacement.
    pub fn token(&mut self, token: &str) -> String {
        if let Some((_, shown)) = self.hidden.iter().find(|(hidden, _)| hidden == token) {
            return shown.clone();
        }
        self.tokens += 1;
        let mut letters = format!("{TOKEN}{}-", self.tokens).into_bytes();
        letters.resize(token.len(), FILLING as u8);
        // Characters that a token must not have stay: a case may complain about them.
        let one = |(letter, shown): (char, u8)| match letter {
            letter if is_token(letter.encode_utf8(&mut [0; 4])) => char::from(shown),
            letter => letter,
        };
        let shown: String = token.chars().zip(letters).map(one).collect();
        self.hide(token, &shown);
        shown
    }

    fn hide(&mut self, value: &str, shown: &str) {
        let is_a_word = ERROR_CODES.iter().any(|code| code.text.contains(value))
            || PLAIN_NUMBERS.iter().chain(&["access_token", "errmsg"]).any(|name| name.contains(value));
        if value.len() < HIDDEN_BYTES_MIN || is_a_word {
            return;
        }
        // A server may repeat what it was sent: raw, percent-encoded, in JSON, or in JSON inside a JSON text.
        let in_target = Escaping::Target.write(value);
        let in_url = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let in_json = Escaping::Json.write(value);
        let in_text_of_json = Escaping::Json.write(&in_json);
        for form in [value.to_owned(), in_target, in_url, in_json, in_text_of_json] {
            if !self.hidden.iter().any(|(known, _)| *known == form) {
                self.hidden.push((form, shown.to_owned()));
            }
        }
        // Longest first: a value may be part of another.
        self.hidden.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    }

    /// Hides secrets in a result. Tokens in the answer are hidden from now on, too.
    pub fn outcome(&mut self, outcome: &ExchangeResult) -> ExchangeResult {
        outcome.as_ref().map(|answer| self.answer(answer)).map_err(|why| *why)
    }

    /// Hides secrets in an answer. Tokens in it are hidden from now on, too.
    pub fn answer(&mut self, answer: &RawAnswer) -> RawAnswer {
        let headers = answer.headers.iter().filter(|(name, _)| is_recorded(name));
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if let Some(Value::Object(fields)) = &value {
            let tokens = fields.iter().filter(|(name, _)| name.ends_with("token"));
            tokens.filter_map(|(_, value)| value.as_str()).for_each(|token| drop(self.token(token)));
        }
        let text = self.text(&String::from_utf8_lossy(&answer.body));
        let text = match value {
            Some(_) => text,
            None => text.chars().take(FOREIGN_CHARACTERS_MAX).collect(),
        };
        let headers = headers.map(|(name, value)| (name.clone(), self.text(value))).collect();
        RawAnswer { status: answer.status, headers, body: text.into_bytes() }
    }

    /// Hides secrets in a text.
    pub fn text(&self, text: &str) -> String {
        let hide = |text: String, (value, shown): &(String, String)| text.replace(value, shown);
        self.hidden.iter().fold(text.to_owned(), hide)
    }
}

/// A text without the padding of replaced tokens.
pub fn shortened(text: &str) -> String {
    let mut parts = text.split(TOKEN);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (number, rest) = part.split_once('-').unwrap_or((part, ""));
        format!("{text}{TOKEN}{number}{}", rest.trim_start_matches(FILLING))
    })
}

/// JSON with every figure replaced by 1 of the same type. A 0 stays 0.
pub fn without_figures(text: &str) -> String {
    if serde_json::from_str::<Value>(text).is_err() {
        return text.to_owned();
    }
    let (mut out, mut rest, mut key) = (String::new(), text, String::new());
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_figure = !PLAIN_NUMBERS.contains(&key.as_str());
        let length = if rest.starts_with('"') { string_length(rest) } else { number_length(rest) };
        let (token, after) = rest.split_at(length);
        rest = after;
        let inner = token.trim_matches('"');
        let is_number = serde_json::from_str::<Number>(inner).is_ok()
            || (!inner.is_empty() && inner.bytes().all(|digit| digit.is_ascii_digit()));
        if token.starts_with('"') && after.trim_start().starts_with(':') {
            inner.clone_into(&mut key);
            out.push_str(token);
        } else if is_number && is_figure {
            out.push_str(&token.replace(inner, one_like(inner)));
        } else {
            out.push_str(token);
        }
    }
    out + rest
}

fn one_like(number: &str) -> &'static str {
    match (number.starts_with('-'), number.contains(['.', 'e', 'E'])) {
        (false, false) if number.bytes().all(|digit| digit == b'0') => "0",
        (false, false) => "1",
        (true, false) => "-1",
        (false, true) => "1.0",
        (true, true) => "-1.0",
    }
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn number_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(text.len())
}

/// A text without IP addresses. The texts of 40164 and 61004 hold the caller's address.
pub fn without_addresses(text: &str) -> String {
    let is_of_address = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(is_of_address) {
        let length = rest[at..].find(|c: char| !is_of_address(c)).unwrap_or(rest.len() - at);
        let run = &rest[at..at + length];
        let bare = run.trim_end_matches(['.', ':']);
        let shown = match bare.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => run.replace(bare, SOME_IPV4),
            Ok(IpAddr::V6(_)) => run.replace(bare, SOME_IPV6),
            Err(_) => with_port(bare).map_or(run.to_owned(), |port| run.replace(bare, &port)),
        };
        out.push_str(&rest[..at]);
        out.push_str(&shown);
        rest = &rest[at + length..];
    }
    out + rest
}

fn with_port(text: &str) -> Option<String> {
    let address: std::net::SocketAddr = text.parse().ok()?;
    address.is_ipv4().then(|| format!("{SOME_IPV4}:{}", address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secret: &str) -> Mask {
        Mask::new(&Credentials::Account { appid: "wx00000000000000a1".into(), secret: secret.into() })
    }

    fn shown(mask: &mut Mask, body: &str) -> String {
        let answer = RawAnswer { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
        String::from_utf8(mask.answer(&answer).body).unwrap()
    }

    #[test]
    fn secrets_and_tokens_are_hidden_in_every_form_and_stay_the_same() {
        let mut mask = mask("a\"b/c&d");
        let said = r#"{"access_token":"70_abcdefgh.ijklmnop","expires_in":7200}"#;
        assert_eq!(shown(&mut mask, said), r#"{"access_token":"TOKEN-1-xxx.xxxxxxxx","expires_in":7200}"#);
        let echo = r#"<p>secret=a%22b%2Fc%26d {"s":"a\"b/c&d","t":"{\"u\":\"a\\\"b/c&d\"}"} a"b/c&d wx00000000000000a1 70_abcdefgh.ijklmnop"#;
        let expected =
            r#"<p>secret=SECRET {"s":"SECRET","t":"{\"u\":\"SECRET\"}"} SECRET APPID TOKEN-1-xxx.xxxxxxxx"#;
        assert_eq!(shown(&mut mask, echo), expected);
        assert_eq!(mask.token("other"), "TOKEN");
        assert_eq!(shortened("a=TOKEN-1-xxx.xxx&b=TOKEN-12-xxxx c"), "a=TOKEN-1.xxx&b=TOKEN-12 c");
        assert_eq!(mask.token("70_abcdefgh.ijklmnop"), "TOKEN-1-xxx.xxxxxxxx");
    }

    #[test]
    fn a_secret_that_is_a_word_of_the_interface_spoils_no_answer() {
        let said = r#"{"errcode":40125,"errmsg":"invalid appsecret rid: 1-2-3"}"#;
        for secret in ["secret", "e", "", "access_token"] {
            assert_eq!(shown(&mut mask(secret), said), said);
        }
    }

    #[test]
    fn figures_become_ones_of_their_kind_and_nothing_else_changes() {
        for (said, expected) in [
            (
                r#"{"list":[{"ref_date":"2014-12-07","ref_hour":1300,"user_source":0,"msg_type":6,"msg_user":7989,"msg_count":42206}]}"#,
                r#"{"list":[{"ref_date":"2014-12-07","ref_hour":1300,"user_source":0,"msg_type":6,"msg_user":1,"msg_count":1}]}"#,
            ),
            (
                r#"{ "msg_user" : "312", "a":[12, -3, 4.5e3, 0],"b":true}"#,
                r#"{ "msg_user" : "1", "a":[1, -1, 1.0, 0],"b":true}"#,
            ),
            (
                r#"{"errcode":61501,"errmsg":"date range error rid: 5f283869-46321ea1-07d7260c"}"#,
                r#"{"errcode":61501,"errmsg":"date range error rid: 5f283869-46321ea1-07d7260c"}"#,
            ),
            (r#"{"a\"1":"x\"2","count_interval":3}"#, r#"{"a\"1":"x\"2","count_interval":3}"#),
        ] {
            assert_eq!(without_figures(said), expected);
        }
    }

    #[test]
    fn the_callers_address_is_not_told() {
        let said = r#"{"errcode":40164,"errmsg":"invalid ip 61.183.89.14 ipv6 ::ffff:61.183.89.14, not in whitelist 10.0.0.7:80. 10.1.2.3."}"#;
        let expected = r#"{"errcode":40164,"errmsg":"invalid ip 203.0.113.1 ipv6 2001:db8::1, not in whitelist 203.0.113.1:80. 203.0.113.1."}"#;
        assert_eq!(without_addresses(said), expected);
    }
}
