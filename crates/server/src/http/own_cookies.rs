//! The cookies of the pages below `/ui`: how they are read and written, and that they reach no other server. With a
//! gateway, WeChat's answers come from the same host as the pages.

use axum::http::{HeaderMap, HeaderValue, header};

/// The cookie with the id of a session.
pub const SESSION: &str = "msgcube_session";
/// The cookie with the code of a language.
pub const LANGUAGE: &str = "msgcube_lang";
/// What the name of each cookie of ours begins with.
const PREFIX: &str = "msgcube_";
/// At most so many cookies of one name are looked at. Other software on the same host can set more of that name.
const VALUES_MAX: usize = 4;

/// The values of a cookie in a request. Usually there is one.
pub fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(found, _)| found.trim() == name).map(|(_, value)| value.trim()).take(VALUES_MAX)
}

/// The header that sets a cookie for the pages, for at most so many seconds. 0 removes it.
pub fn set(name: &str, value: &str, age_s: i64, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/ui; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}");
    HeaderValue::try_from(text).ok()
}

/// Removes our cookies from a request that goes to another server. The others stay as they are.
pub fn remove_from_request(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    if !cookies.iter().any(|cookie| contains_prefix(cookie.as_bytes())) {
        return;
    }
    headers.remove(header::COOKIE);
    for cookie in cookies {
        let others = cookie.as_bytes().split(|byte| *byte == b';').filter(|pair| !is_own(pair));
        let others = others.map(<[u8]>::trim_ascii).collect::<Vec<_>>().join(&b"; "[..]);
        if let Some(others) = HeaderValue::from_bytes(&others).ok().filter(|others| !others.is_empty()) {
            headers.append(header::COOKIE, others);
        }
    }
}

/// Removes our cookies from the answer of another server: it must not sign anyone in or out.
pub fn remove_from_answer(headers: &mut HeaderMap) {
    let set: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    if set.iter().any(|cookie| is_own(cookie.as_bytes())) {
        headers.remove(header::SET_COOKIE);
        for cookie in set.into_iter().filter(|cookie| !is_own(cookie.as_bytes())) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

fn contains_prefix(text: &[u8]) -> bool {
    text.windows(PREFIX.len()).any(|window| window.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Whether a browser sends this pair back under a name of ours. It sends a cookie without a name, `=a=b`, as `a=b`.
fn is_own(pair: &[u8]) -> bool {
    let is_skipped = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
    let start = pair.iter().position(|byte| !is_skipped(byte)).unwrap_or(pair.len());
    pair[start..].get(..PREFIX.len()).is_some_and(|name| name.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(headers: &HeaderMap, name: header::HeaderName) -> Vec<&str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn only_our_cookies_are_kept_from_other_servers() {
        for (sent, passed) in [
            (vec!["a=1; msgcube_session=x; b=2"], vec!["a=1; b=2"]),
            (vec!["msgcube_session=x"], vec![]),
            (vec!["msgcube_lang=zh", "a=1"], vec!["a=1"]),
            (vec!["a=1;  b=msgcube_session=x"], vec!["a=1; b=msgcube_session=x"]),
            (vec!["MSGCUBE_session=x;=msgcube_lang=y; c"], vec!["c"]),
            (vec!["a=1;b=2"], vec!["a=1;b=2"]),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in &sent {
                headers.append(header::COOKIE, HeaderValue::from_static(cookie));
            }
            remove_from_request(&mut headers);
            assert_eq!(all(&headers, header::COOKIE), passed, "{sent:?}");
        }
    }

    #[test]
    fn another_server_cannot_set_our_cookies() {
        let mut headers = HeaderMap::new();
        for cookie in [
            "msgcube_session=x; Path=/ui",
            "a=1; Path=/",
            " msgcube_lang=x",
            "=msgcube_session=x",
            "b=msgcube_session",
        ] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        remove_from_answer(&mut headers);
        assert_eq!(all(&headers, header::SET_COOKIE), ["a=1; Path=/", "b=msgcube_session"]);
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xmsgcube_session=0; msgcube_session=1"));
        headers.append(header::COOKIE, HeaderValue::from_static("msgcube_session = 2 ;msgcube_session"));
        assert_eq!(values(&headers, SESSION).collect::<Vec<_>>(), ["1", "2"]);
    }
}
