//! Removes secrets from the query and body of a logged call, and cuts long texts. Pure.

use std::borrow::Cow;

use serde_json::Value;

/// Bytes kept of a URL or a body.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// A longer body is not parsed as JSON.
const JSON_BYTES_MAX: usize = 64 << 10;
const HIDDEN: &str = "***";
/// A shorter value is hidden only under a secret's name, because other words may contain it by chance.
const VALUE_BYTES_MIN: usize = 8;
/// A name that contains one of these names a secret. Lower case.
const SECRETS: [&str; 7] =
    ["token", "secret", "ticket", "auth_code", "authorization_code", "signature", "aes_key"];
/// A name that equals one of these names a secret. Lower case.
const SECRETS_WHOLE: [&str; 3] = ["code", "key", "authorization"];

/// Values of secrets: those in the call and those of its caller. They are hidden wherever they appear.
#[derive(Default)]
pub struct KnownSecrets(Vec<String>);

impl KnownSecrets {
    /// Collects the values under a secret's name in query and body, and adds `others`.
    pub fn new<'a>(query: Option<&str>, body: &[u8], others: impl Iterator<Item = &'a str>) -> KnownSecrets {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let named = pairs.filter(|(name, _)| is_secret(name)).map(|(_, value)| value.into_owned());
        let mut known = KnownSecrets(named.chain(others.map(ToOwned::to_owned)).collect());
        if let Some(value) = json(body) {
            known.collect(&value, false);
        }
        known.0.retain(|value| value.len() >= VALUE_BYTES_MIN);
        known
    }

    fn collect(&mut self, value: &Value, is_named: bool) {
        match value {
            Value::Object(object) => {
                object.iter().for_each(|(name, value)| self.collect(value, is_named || is_secret(name)));
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect(value, is_named)),
            Value::String(text) if is_named => self.0.push(text.clone()),
            _ => {}
        }
    }

    /// Whether a text contains a known secret, the name of a secret, or something like a token of ours.
    fn found_in(&self, text: &str) -> bool {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        holds_secret(&decoded)
            || [text, &*decoded]
                .iter()
                .any(|text| looks_like_own_token(text) || self.0.iter().any(|value| text.contains(value)))
    }
}

/// Access tokens, API keys, share links, and tickets, codes and refresh tokens of platforms.
fn looks_like_own_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let has_long = |prefix: &str| {
        text.match_indices(prefix)
            .any(|(at, _)| text.as_bytes()[at..].iter().take_while(|byte| is_of_token(**byte)).count() >= 20)
    };
    text.contains("@@@") || ["mc_", "mk_", "ms_"].into_iter().any(has_long)
}

/// Path and query with the values of secrets hidden. The rest stays byte for byte.
pub fn url(path: &str, query: Option<&str>, known: &KnownSecrets) -> String {
    // A part of a path is a secret only by its form: that of a share link is.
    let part = |part: &str| if looks_like_own_token(part) { HIDDEN.to_owned() } else { part.to_owned() };
    let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
    let pairs =
        query.map(|query| query.split('&').map(|text| pair(text, known)).collect::<Vec<_>>().join("&"));
    cut(pairs.map_or_else(|| path.clone(), |pairs| format!("{path}?{pairs}")))
}

fn pair<'a>(pair: &'a str, known: &KnownSecrets) -> Cow<'a, str> {
    let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
        return Cow::Borrowed(pair);
    };
    if value.is_empty() || !(is_secret(&name) || known.found_in(&value)) {
        let is_secret_itself = !is_secret(&name) && known.found_in(&name);
        return if is_secret_itself { Cow::Borrowed(HIDDEN) } else { Cow::Borrowed(pair) };
    }
    Cow::Owned(format!("{}={HIDDEN}", pair.split('=').next().unwrap_or_default()))
}

/// A request's body. In JSON the values of secrets are hidden at any depth. Any other text is left out if it contains or
/// names a secret.
pub fn request_body(body: &[u8], known: &KnownSecrets) -> String {
    if let Some(mut value) = json(body) {
        hide(&mut value, known);
        return cut(value.to_string());
    }
    let text = String::from_utf8_lossy(body);
    if known.found_in(&text) { left_out(body.len()) } else { cut(text.into_owned()) }
}

fn json(body: &[u8]) -> Option<Value> {
    (body.len() <= JSON_BYTES_MAX).then(|| serde_json::from_slice(body).ok()).flatten()
}

/// A response body. Error texts may name secrets but never contain one.
pub fn response_body(body: &[u8]) -> String {
    cut(String::from_utf8_lossy(body).into_owned())
}

fn hide(value: &mut Value, known: &KnownSecrets) {
    match value {
        Value::Object(object) => {
            for (mut name, mut value) in std::mem::take(object) {
                if is_secret(&name) {
                    value = HIDDEN.into();
                } else {
                    hide(&mut value, known);
                    name = if known.found_in(&name) { HIDDEN.to_owned() } else { name };
                }
                object.insert(name, value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, known)),
        // For example JSON within JSON.
        Value::String(text) if known.found_in(text) => *value = HIDDEN.into(),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS_WHOLE.contains(&name.as_str()) || SECRETS.iter().any(|secret| name.contains(secret))
}

fn holds_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRETS.iter().any(|secret| text.contains(secret))
}

fn left_out(bytes: usize) -> String {
    format!("(left out: {bytes} bytes that may hold a secret)")
}

/// Cuts a long text between characters and notes its full length. Frees unused memory.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text = format!("{}… (cut, {} bytes in all)", &text[..end], text.len());
    }
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_all_but_its_secrets() {
        let cases = [
            (None, "/a"),
            (Some("access_token=mc_x&type=%E4%B8%AD&x"), "/a?access_token=***&type=%E4%B8%AD&x"),
            (Some("access%5Ftoken=mc_x"), "/a?access%5Ftoken=***"),
            (Some("ACCESS_TOKEN=mc_x&b=1"), "/a?ACCESS_TOKEN=***&b=1"),
            (
                Some("appid=wx1&secret=abc&grant_type=client_credential"),
                "/a?appid=wx1&secret=***&grant_type=client_credential",
            ),
            (Some("cloudbase_access_token=x&from_appid=wx1"), "/a?cloudbase_access_token=***&from_appid=wx1"),
            (
                Some("component_access_token=x&auth_code=y&code=z"),
                "/a?component_access_token=***&auth_code=***&code=***",
            ),
            (Some("a=1;access_token=mc_x"), "/a?a=***"),
            (Some("url=http%3A%2F%2Fx%2F%3Faccess_token%3Dmc_x"), "/a?url=***"),
            (Some("access_token="), "/a?access_token="),
        ];
        for (query, expected) in cases {
            assert_eq!(url("/a", query, &KnownSecrets::default()), expected);
        }
    }

    #[test]
    fn json_loses_its_secrets_at_any_depth() {
        let body = r#"{"begin_date":"2014-12-07","n":[{"appsecret":"s","ok":1}],"component_verify_ticket":{"x":"s"},
            "s\u0065cret":"s","authorizer_refresh_token":"s","text":"{\"secret\":\"s\"}","authorization_code":"s"}"#;
        let kept = request_body(body.as_bytes(), &KnownSecrets::default());
        assert_eq!(
            serde_json::from_str::<Value>(&kept).unwrap(),
            serde_json::json!({
                "begin_date": "2014-12-07",
                "n": [{"appsecret": "***", "ok": 1}],
                "component_verify_ticket": "***",
                "secret": "***",
                "authorizer_refresh_token": "***",
                "text": "***",
                "authorization_code": "***",
            })
        );
    }

    #[test]
    fn other_text_than_json_is_kept_unless_it_names_a_secret() {
        assert_eq!(
            request_body(b"begin_date=2014-12-07&end_date=x", &KnownSecrets::default()),
            "begin_date=2014-12-07&end_date=x"
        );
        assert_eq!(request_body(b"\xff{", &KnownSecrets::default()), "\u{fffd}{");
        assert_eq!(request_body(b"", &KnownSecrets::default()), "");
        for body in ["appid=wx1&secret=abc", "{\"access_token\":\"abc\",", "a=s%65cret%3Dabc"] {
            let kept = request_body(body.as_bytes(), &KnownSecrets::default());
            assert!(kept.starts_with("(left out") && !kept.contains("abc"), "{kept}");
        }
        let long = format!("{{\"secret\":\"abc\",\"x\":\"{}\"}}", "x".repeat(JSON_BYTES_MAX));
        assert!(request_body(long.as_bytes(), &KnownSecrets::default()).starts_with("(left out"));
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_say_so() {
        let kept = request_body("微".repeat(5000).as_bytes(), &KnownSecrets::default());
        assert!(
            kept.len() < TEXT_BYTES_MAX + 64 && kept.ends_with("微… (cut, 15000 bytes in all)"),
            "{kept}"
        );
        assert_eq!(response_body(br#"{"errcode":41001,"errmsg":"access_token missing"}"#).len(), 49);
    }

    #[test]
    fn a_secret_is_hidden_wherever_it_appears() {
        let token = "mc_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        let query = "access_token=WECHATS1&x=WECHATS1&debug=my%2Dsecre&y=aWECHATS1b&WECHATS1=1&ok=1";
        let body = r#"{"secret":"ownsecre","note":"ownsecre","WECHATS1":[{"ok":"my-secre"}],"n":["a WECHATS1"],"ok":"x"}"#;
        let known = KnownSecrets::new(Some(query), body.as_bytes(), ["my-secre", "short"].into_iter());
        let shown = url("/a", Some(query), &known);
        assert_eq!(shown, "/a?access_token=***&x=***&debug=***&y=***&***&ok=1");
        let shown: Value = serde_json::from_str(&request_body(body.as_bytes(), &known)).unwrap();
        let expected = serde_json::json!({"secret": "***", "note": "***", "***": [{"ok": "***"}], "n": ["***"], "ok": "x"});
        assert_eq!(shown, expected);
        assert!(request_body(b"a line with my-secre", &known).starts_with("(left out"));
        assert_eq!(request_body(b"a short line", &known), "a short line");
        for ours in [token, "mk_0c164202980f_FAKbKiYwafbgonVDtvaCjhnO7lz5", "preauthcode@@@abc"] {
            let known = KnownSecrets::default();
            assert_eq!(url("/a", Some(&format!("x={ours}")), &known), "/a?x=***");
            assert_eq!(request_body(format!(r#"{{"x":"{ours}"}}"#).as_bytes(), &known), r#"{"x":"***"}"#);
        }
        assert_eq!(url("/a", Some("x=mc_short"), &KnownSecrets::default()), "/a?x=mc_short");
        let link = "/ui/share/ms_0c164202980f_FAKbKiYwafbgonVDtvaCjhnO7lz5qOFqaiYzMJ2PabC";
        assert_eq!(url(link, Some("a=1"), &KnownSecrets::default()), "/ui/share/***?a=1");
    }
}
