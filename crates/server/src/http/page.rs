//! HTML pages with one layout and strict security headers: no foreign script or style, and no frame on other sites.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use i18n::Lang;
use sha2::{Digest as _, Sha256};

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("page.css");

/// The content of a page.
#[derive(Clone, Debug)]
pub struct Page {
    /// 200 unless the page shows an error.
    pub status: StatusCode,
    /// The language of title and body.
    pub lang: Lang,
    /// Plain text.
    pub title: String,
    /// HTML. Text from outside must be escaped, see [`escape`].
    pub body: String,
    /// JavaScript of this program, allowed by its hash.
    pub script: Option<&'static str>,
}

impl Page {
    /// The page as a response.
    pub fn response(self) -> Response<Body> {
        self.render().map(Body::from)
    }

    /// The page as a response of shared bytes, for a cache.
    pub fn render(self) -> Response<Bytes> {
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

/// The Content-Security-Policy of a page. It has no `form-action`: with it, browsers do not follow redirects after a
/// form.
fn policy(script: Option<&str>) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let script = script.map_or("'none'".to_owned(), hash);
    format!(
        "default-src 'none'; style-src {}; script-src {script}; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE)
    )
}

/// Escapes text for HTML, including attributes in double or single quotes.
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

/// The language of a page: `lang=zh` or `lang=en` in the query, otherwise the browser's first one.
pub fn lang_of(query: &str, headers: &HeaderMap) -> Lang {
    let in_query = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang");
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let first = in_query.as_ref().map(|(_, value)| &**value).or(accepted).unwrap_or_default();
    if first.trim_start().to_ascii_lowercase().starts_with("zh") { Lang::Zh } else { Lang::En }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped() {
        let hostile = "<script>alert('1')</script>\"&";
        assert_eq!(escape(hostile), "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;");
    }

    #[test]
    fn the_query_has_priority_over_the_browser() {
        let mut headers = HeaderMap::new();
        assert_eq!(lang_of("", &headers), Lang::En);
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("zh-CN,zh;q=0.9,en;q=0.8"));
        assert_eq!(lang_of("", &headers), Lang::Zh);
        assert_eq!(lang_of("a=1&lang=en", &headers), Lang::En);
    }
}
