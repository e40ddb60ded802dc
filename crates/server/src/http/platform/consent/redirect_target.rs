//! The address that a browser goes to after the consent page: checked, and encoded so that it fits into a header.

use axum::http::{Uri, uri::Scheme};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Obstacle;

const BYTES_MAX: usize = 2048;
/// Characters that a URL cannot contain. Browsers encode the same ones.
const NO_URL: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'|').add(b'^');

/// An address that a browser may be sent to. It cannot run a script in the page or look like another host.
#[derive(Debug, PartialEq, Eq)]
pub struct RedirectTarget {
    uri: Uri,
    /// The part after `#`.
    fragment: Option<String>,
}

impl RedirectTarget {
    /// Checks an address.
    ///
    /// # Errors
    /// The part of the address that is not allowed.
    pub fn parse(text: &str) -> Result<RedirectTarget, Obstacle> {
        let is_plain = text.len() <= BYTES_MAX && !text.chars().any(|c| c.is_control() || c == '\\');
        let (scheme, rest) = text.split_once("://").ok_or(Obstacle::RedirectUri)?;
        let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if !is_plain || !is_web {
            return Err(Obstacle::RedirectUri);
        }
        // Readers disagree about the host when there is a user name or an encoded character.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Obstacle::RedirectUser);
        }
        let encoded = utf8_percent_encode(text, NO_URL).to_string();
        let (before, fragment) = match encoded.split_once('#') {
            Some((before, fragment)) => (before, Some(fragment.to_owned())),
            None => (encoded.as_str(), None),
        };
        let uri: Uri = before.parse().map_err(|_| Obstacle::RedirectUri)?;
        if !is_host_and_port(&uri) {
            return Err(Obstacle::RedirectUri);
        }
        // The platform must find only the values that msgcube adds.
        let query = uri.query().unwrap_or_default();
        if form_urlencoded::parse(query.as_bytes())
            .any(|(name, _)| matches!(&*name, "auth_code" | "expires_in"))
        {
            return Err(Obstacle::RedirectAnswer);
        }
        Ok(RedirectTarget { uri, fragment })
    }

    /// The whole address.
    pub fn url(&self) -> String {
        self.with_query(self.uri.query().unwrap_or_default())
    }

    /// The whole address with these names and values added to its query.
    pub fn url_with(&self, values: [(&str, &str); 2]) -> String {
        let own = self.uri.query().unwrap_or_default();
        let query = form_urlencoded::Serializer::for_suffix(own.to_owned(), 0).extend_pairs(values).finish();
        self.with_query(&query)
    }

    /// The host, and the port unless it is the scheme's default.
    pub fn host(&self) -> String {
        let default_port = if self.uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let host = self.uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = self.uri.port_u16().filter(|port| *port != default_port);
        port.map_or(host.clone(), |port| format!("{host}:{port}"))
    }

    fn with_query(&self, query: &str) -> String {
        let scheme = self.uri.scheme().map_or("", Scheme::as_str);
        let mut text = format!("{scheme}://{}{}", self.host(), self.uri.path());
        for (sign, part) in
            [('?', Some(query).filter(|query| !query.is_empty())), ('#', self.fragment.as_deref())]
        {
            if let Some(part) = part {
                text.push(sign);
                text.push_str(part);
            }
        }
        text
    }
}

/// Whether an address has a plain host and, if it names a port, a valid one. Parsing a `Uri` does not check the port.
fn is_host_and_port(uri: &Uri) -> bool {
    let Some(host) = uri.host().filter(|host| !host.is_empty() && !host.contains('%')) else { return false };
    let port = uri.authority().and_then(|authority| authority.as_str().strip_prefix(host));
    match port.map(|port| port.strip_prefix(':').unwrap_or(port)) {
        Some("") => true,
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_web_addresses_only() {
        for good in ["http://a.example/back?x=1#y", "https://127.0.0.1:8443/", "HTTPS://A.example/%20"] {
            assert!(RedirectTarget::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "//a.example/",
            "/back",
            "data:text/html,x",
            "https:a.example",
            "http:///a.example",
            "http://",
            "http://?x",
            "https://a.example\\@b.example/",
            "https://a%2eexample/",
            "https://a.example:b/",
            "java\nscript:alert(1)",
            " https://a.example/",
            "ftp://a.example/",
            "ftp://user@a.example/",
        ] {
            assert_eq!(RedirectTarget::parse(bad), Err(Obstacle::RedirectUri), "{bad}");
        }
        for bad in ["https://user@a.example/", "https://u:p@a.example/", "http://:p@a.example/?auth_code=x"] {
            assert_eq!(RedirectTarget::parse(bad), Err(Obstacle::RedirectUser), "{bad}");
        }
        for bad in ["https://a.example/?auth_code=x", "https://a.example/?a=1&expires%5Fin="] {
            assert_eq!(RedirectTarget::parse(bad), Err(Obstacle::RedirectAnswer), "{bad}");
        }
    }

    #[test]
    fn values_are_added_after_the_query_and_before_the_fragment() {
        for (text, host, seen) in [
            ("https://a.example", "a.example", "https://a.example/?auth_code=c%26&expires_in=1"),
            ("HTTPS://A.example:443/b?", "a.example", "https://a.example/b?auth_code=c%26&expires_in=1"),
            (
                "http://[::1]:8060/b?x=%E4%B8%80 二#y",
                "[::1]:8060",
                "http://[::1]:8060/b?x=%E4%B8%80%20%E4%BA%8C&auth_code=c%26&expires_in=1#y",
            ),
        ] {
            let target = RedirectTarget::parse(text).unwrap();
            assert_eq!(target.url_with([("auth_code", "c&"), ("expires_in", "1")]), seen);
            assert_eq!(target.host(), host);
        }
    }
}
