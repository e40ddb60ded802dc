//! The address of another server, as an operator configured it, checked once. `Display` leaves out path and query, which
//! may contain a key.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The placeholder for an account's appid in a platform's address. Source: WeChat's console for platforms.
const APPID: &str = "$APPID$";
/// Encodes all characters except the unreserved ones. Source: RFC 3986, section 2.3.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The http or https address of another server. `Display` and `Debug` leave out path and query, which may contain a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    authority: Authority,
    /// For a base address, without a slash at its end.
    path: String,
    query: Option<String>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with the address, as the end of a sentence: "must end before #".
    pub fn parse(text: &str) -> Result<Address, String> {
        let uri: Uri = text.parse().map_err(|error| format!("is no address: {error}"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
            return Err("must begin with http:// or https:// and a host".to_owned());
        };
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or password".to_owned());
        }
        if text.contains('#') {
            return Err("must end before #".to_owned());
        }
        let path = parts.path_and_query.as_ref().map_or("", |path| path.path());
        let query = parts.path_and_query.as_ref().and_then(|path| path.query());
        Ok(Address { scheme, authority, path: path.to_owned(), query: query.map(ToOwned::to_owned) })
    }

    /// Reads a base address, to which paths are appended.
    ///
    /// # Errors
    /// As [`Address::parse`]; also if the address has a query.
    pub fn parse_base(text: &str) -> Result<Address, String> {
        let address = Address::parse(text)?;
        if address.query.is_some() {
            return Err("must end before ?".to_owned());
        }
        let path = address.path.trim_end_matches('/').to_owned();
        Ok(Address { path, ..address })
    }

    /// This address, with `query` appended to its own query.
    ///
    /// # Errors
    /// `query` is not a valid query.
    pub fn with_query(&self, query: Option<&str>) -> Result<Uri, http::Error> {
        let query = match (self.query.as_deref(), query) {
            (Some(own), Some(appended)) => format!("?{own}&{appended}"),
            (None, Some(one)) | (Some(one), None) => format!("?{one}"),
            (None, None) => String::new(),
        };
        self.uri(&format!("{}{query}", self.path))
    }

    /// This address, with the appid in place of `$APPID$` in path and query.
    #[must_use]
    pub fn for_account(&self, appid: &str) -> Address {
        let appid = utf8_percent_encode(appid, UNRESERVED).to_string();
        let fill = |text: &str| text.replace(APPID, &appid);
        Address { path: fill(&self.path), query: self.query.as_deref().map(fill), ..self.clone() }
    }

    /// This address, with a path and query appended to its path.
    ///
    /// # Errors
    /// The result is not a valid path and query.
    pub fn below(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        self.uri(&format!("{}{path_and_query}", self.path))
    }

    fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build()
    }

    /// Whether a server on this socket gets requests to this address. Host names other than `localhost` are not looked up.
    pub fn is_served_by(&self, socket: SocketAddr) -> bool {
        let is_here = match self.ip() {
            Some(ip) => ip == socket.ip() || (ip.is_loopback() && socket.ip().is_unspecified()),
            None => self.host() == "localhost" && (socket.ip().is_loopback() || socket.ip().is_unspecified()),
        };
        is_here && self.port() == socket.port()
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_this_machine(&self) -> bool {
        self.host() == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// The host's IP address. None if the host is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Scheme, host and port in lower case, without the scheme's default port. Equal for all spellings of one server.
    pub fn origin(&self) -> String {
        let host = self.authority.host().to_ascii_lowercase();
        let port = self.port();
        let port = if port == self.default_port() { String::new() } else { format!(":{port}") };
        format!("{}://{host}{port}", self.scheme)
    }

    /// The host: a name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port. Without one in the address, the default of the scheme.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.is_https() { 443 } else { 80 }
    }

    /// The whole address. It must not be shown: path and query may contain a key.
    pub fn uri_text(&self) -> String {
        let query = self.query.as_deref().map_or(String::new(), |query| format!("?{query}"));
        format!("{self}{}{query}", self.path)
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_are_sent_but_not_shown() {
        let address = Address::parse("http://127.0.0.1:9000/bot/KEY?token=KEY").unwrap();
        assert_eq!(format!("{address} {address:?}"), "http://127.0.0.1:9000 Address(http://127.0.0.1:9000)");
        let uri = address.with_query(Some("nonce=%2B&a")).unwrap();
        assert_eq!(uri, "http://127.0.0.1:9000/bot/KEY?token=KEY&nonce=%2B&a");
        assert_eq!(Address::parse("http://h").unwrap().with_query(None).unwrap(), "http://h/");
        let base = Address::parse_base("https://api.weixin.qq.com/").unwrap();
        assert_eq!(
            base.below("/cgi-bin/menu/get?x=1").unwrap(),
            "https://api.weixin.qq.com/cgi-bin/menu/get?x=1"
        );
    }

    #[test]
    fn the_appid_replaces_its_placeholder() {
        let address = Address::parse("http://h/msg/$APPID$/x?of=$APPID$").unwrap();
        let uri = address.for_account("wx/1%").with_query(Some("a=$APPID$")).unwrap();
        assert_eq!(uri, "http://h/msg/wx%2F1%25/x?of=wx%2F1%25&a=$APPID$");
    }

    #[test]
    fn an_invalid_address_says_why() {
        for (text, why) in [
            ("", "is no address"),
            ("/callback", "must begin with"),
            ("127.0.0.1:9000", "must begin with"),
            ("ftp://host/", "must begin with"),
            ("file:///etc/passwd", "is no address"),
            ("http://user:pass@host/", "password"),
            ("http://host/#x", "#"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(Address::parse_base("http://host/?a=1").unwrap_err().contains('?'));
    }

    #[test]
    fn an_address_of_this_server_is_recognised() {
        let everywhere: SocketAddr = "0.0.0.0:8060".parse().unwrap();
        let local: SocketAddr = "127.0.0.1:8060".parse().unwrap();
        let is_served = |text: &str, socket| Address::parse(text).unwrap().is_served_by(socket);
        assert!(is_served("http://127.0.0.1:8060/callback/wx1", local));
        assert!(
            is_served("http://localhost:8060", everywhere) && is_served("http://127.0.0.1:8060", everywhere)
        );
        assert!(!is_served("http://127.0.0.1:8061", local) && !is_served("http://bot:8060", local));
        assert!(is_served("https://localhost/x", "127.0.0.1:443".parse().unwrap()));
    }

    #[test]
    fn two_spellings_of_a_server_have_one_origin() {
        let origin = |text: &str| Address::parse(text).unwrap().origin();
        assert_eq!(origin("HTTPS://Host.example:443/a?b"), "https://host.example");
        assert_eq!(origin("http://[::1]:8060/a"), "http://[::1]:8060");
        assert_ne!(origin("http://host:443"), origin("https://host"));
    }
}
