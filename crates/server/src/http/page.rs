//! Pages that people read: one frame and one look. No script and no style but our own, and no other site may frame them.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use i18n::Lang;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

/// What a page shows.
#[derive(Clone, Debug)]
pub struct Page {
    /// 200 unless something is wrong.
    pub status: StatusCode,
    /// Its language.
    pub lang: Lang,
    /// Plain text.
    pub title: String,
    /// HTML, with everything from outside escaped.
    pub body: String,
    /// JavaScript of our own.
    pub script: Option<&'static str>,
}

impl Page {
    /// The page as an answer.
    pub fn response(self) -> Response<Body> {
        self.drawn().map(Body::from)
    }

    /// The same with its bytes, which several answers may share.
    pub fn drawn(self) -> Response<Bytes> {
        let lang = self.lang.pick("en", "zh-CN");
        let (title, body) = (escape(&self.title), &self.body);
        let script = self.script.map(|script| format!("<script>{script}</script>")).unwrap_or_default();
        let html = format!(
            "<!doctype html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\"><title>{title}</title><style>{STYLE}</style></head>\n<body><main>{body}</main>{script}</body></html>\n"
        );
        let mut response = Response::new(Bytes::from(html));
        *response.status_mut() = self.status;
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, policy(self.script)),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin".to_owned()),
        ];
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What a browser may do with a page. Forms are not limited: browsers would follow no redirect out of them.
fn policy(script: Option<&str>) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let script = script.map_or("'none'".to_owned(), hash);
    format!(
        "default-src 'none'; style-src {}; script-src {script}; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE)
    )
}

/// Text as it may stand in HTML, also in an attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The language asked for: `lang=zh` or `lang=en` in the query, otherwise the first one the browser names.
pub fn lang_of(query: &str, headers: &HeaderMap) -> Lang {
    let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang");
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let first = asked.as_ref().map(|(_, value)| &**value).or(accepted).unwrap_or_default();
    if first.trim_start().to_ascii_lowercase().starts_with("zh") { Lang::Zh } else { Lang::En }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_stays_text() {
        let hostile = "<script>alert('1')</script>\"&";
        assert_eq!(escape(hostile), "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;");
    }

    #[test]
    fn the_query_decides_before_the_browser() {
        let mut headers = HeaderMap::new();
        assert_eq!(lang_of("", &headers), Lang::En);
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("zh-CN,zh;q=0.9,en;q=0.8"));
        assert_eq!(lang_of("", &headers), Lang::Zh);
        assert_eq!(lang_of("a=1&lang=en", &headers), Lang::En);
    }
}
