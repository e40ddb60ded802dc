//! What of a call is kept: its query and body without secrets, cut to a length. Pure.

use std::borrow::Cow;

use serde_json::Value;

/// Bytes of a URL or a body that are kept.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// A longer body is not read as JSON.
const JSON_BYTES_MAX: usize = 64 << 10;
const HIDDEN: &str = "***";
/// In lower case; a name that holds one of them is one of a secret.
const SECRETS: [&str; 7] =
    ["token", "secret", "ticket", "auth_code", "authorization_code", "signature", "aes_key"];
/// Names that are secrets as a whole, in lower case.
const SECRETS_WHOLE: [&str; 3] = ["code", "key", "authorization"];

/// Path and query, the values of secrets hidden; the rest byte for byte.
pub fn url(path: &str, query: Option<&str>) -> String {
    let pairs = query.map(|query| query.split('&').map(pair).collect::<Vec<_>>().join("&"));
    cut(pairs.map_or_else(|| path.to_owned(), |pairs| format!("{path}?{pairs}")))
}

fn pair(pair: &str) -> Cow<'_, str> {
    let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
        return Cow::Borrowed(pair);
    };
    if value.is_empty() || !(is_secret(&name) || holds_secret(&value)) {
        return Cow::Borrowed(pair);
    }
    Cow::Owned(format!("{}={HIDDEN}", pair.split('=').next().unwrap_or_default()))
}

/// A request's body. JSON loses the values of secrets, at whatever depth; any other text is left out if it speaks of one.
pub fn request_body(body: &[u8]) -> String {
    let json = (body.len() <= JSON_BYTES_MAX).then(|| serde_json::from_slice::<Value>(body).ok()).flatten();
    if let Some(mut value) = json {
        hide(&mut value);
        return cut(value.to_string());
    }
    let text = String::from_utf8_lossy(body);
    if holds_secret(&text) { left_out(body.len()) } else { cut(text.into_owned()) }
}

/// An answer's body: WeChat's texts speak of secrets and hold none.
pub fn response_body(body: &[u8]) -> String {
    cut(String::from_utf8_lossy(body).into_owned())
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                if is_secret(name) { *value = HIDDEN.into() } else { hide(value) }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        // Such as JSON within JSON.
        Value::String(text) if holds_secret(text) => *value = HIDDEN.into(),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS_WHOLE.contains(&name.as_str()) || SECRETS.iter().any(|secret| name.contains(secret))
}

fn holds_secret(text: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy().to_ascii_lowercase();
    SECRETS.iter().any(|secret| decoded.contains(secret))
}

fn left_out(bytes: usize) -> String {
    format!("(left out: {bytes} bytes that may hold a secret)")
}

/// Cuts between characters, and says so.
fn cut(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}… (cut, {} bytes in all)", &text[..end], text.len())
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
            assert_eq!(url("/a", query), expected);
        }
    }

    #[test]
    fn json_loses_its_secrets_at_any_depth() {
        let body = r#"{"begin_date":"2014-12-07","n":[{"appsecret":"s","ok":1}],"component_verify_ticket":{"x":"s"},
            "s\u0065cret":"s","authorizer_refresh_token":"s","text":"{\"secret\":\"s\"}","authorization_code":"s"}"#;
        let kept = request_body(body.as_bytes());
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
    fn what_is_no_json_is_kept_unless_it_speaks_of_a_secret() {
        assert_eq!(request_body(b"begin_date=2014-12-07&end_date=x"), "begin_date=2014-12-07&end_date=x");
        assert_eq!(request_body(b"\xff{"), "\u{fffd}{");
        assert_eq!(request_body(b""), "");
        for body in ["appid=wx1&secret=abc", "{\"access_token\":\"abc\",", "a=s%65cret%3Dabc"] {
            let kept = request_body(body.as_bytes());
            assert!(kept.starts_with("(left out") && !kept.contains("abc"), "{kept}");
        }
        let long = format!("{{\"secret\":\"abc\",\"x\":\"{}\"}}", "x".repeat(JSON_BYTES_MAX));
        assert!(request_body(long.as_bytes()).starts_with("(left out"));
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_say_so() {
        let kept = request_body("微".repeat(5000).as_bytes());
        assert!(
            kept.len() < TEXT_BYTES_MAX + 64 && kept.ends_with("微… (cut, 15000 bytes in all)"),
            "{kept}"
        );
        assert_eq!(response_body(br#"{"errcode":41001,"errmsg":"access_token missing"}"#).len(), 49);
    }
}
