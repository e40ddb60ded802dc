//! Where another server is: an address that an operator chose, checked once. It is shown without path and query, which may
//! hold a key.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for an account in the address of a platform that is passed on to. Source: WeChat's own for platforms.
const APPID: &str = "$APPID$";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where another server is. Shown without path and query, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    path: String,
    query: Option<String>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence: "must end before #".
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

    /// Reads the address that paths are put behind.
    ///
    /// # Errors
    /// As [`Address::parse`], and for an address with a query.
    pub fn parse_base(text: &str) -> Result<Address, String> {
        let address = Address::parse(text)?;
        if address.query.is_some() {
            return Err("must end before ?".to_owned());
        }
        let path = address.path.trim_end_matches('/').to_owned();
        Ok(Address { path, ..address })
    }

    /// This address, with another query behind its own.
    ///
    /// # Errors
    /// The query is none.
    pub fn with_query(&self, query: Option<&str>) -> Result<Uri, http::Error> {
        let query = match (self.query.as_deref(), query) {
            (Some(own), Some(other)) => format!("?{own}&{other}"),
            (None, Some(one)) | (Some(one), None) => format!("?{one}"),
            (None, None) => String::new(),
        };
        self.uri(&format!("{}{query}", self.path))
    }

    /// This address with an account in place of `$APPID$`, in its path and its query.
    #[must_use]
    pub fn for_account(&self, appid: &str) -> Address {
        let appid = utf8_percent_encode(appid, UNRESERVED).to_string();
        let put = |text: &str| text.replace(APPID, &appid);
        Address { path: put(&self.path), query: self.query.as_deref().map(put), ..self.clone() }
    }

    /// A path, with its query, behind this address.
    ///
    /// # Errors
    /// The path is none.
    pub fn below(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        self.uri(&format!("{}{path_and_query}", self.path))
    }

    fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build()
    }

    /// True if a server on this socket is what the address names, as far as that shows.
    pub fn leads_to(&self, socket: SocketAddr) -> bool {
        let is_here = match self.ip() {
            Some(ip) => ip == socket.ip() || (ip.is_loopback() && socket.ip().is_unspecified()),
            None => self.host() == "localhost" && (socket.ip().is_loopback() || socket.ip().is_unspecified()),
        };
        is_here && self.port() == socket.port()
    }

    /// True if it names this machine by a loopback address or as `localhost`.
    pub fn is_this_machine(&self) -> bool {
        self.host() == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// The IP address, if the host is one and no name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Scheme, host and port in one spelling: in lower case, and without the port that the scheme implies.
    pub fn origin(&self) -> String {
        let host = self.authority.host().to_ascii_lowercase();
        let port = self.port();
        let port = if port == self.usual_port() { String::new() } else { format!(":{port}") };
        format!("{}://{host}{port}", self.scheme)
    }

    fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(self.usual_port())
    }

    fn usual_port(&self) -> u16 {
        if self.is_https() { 443 } else { 80 }
    }

    /// All of it. Not to be shown: path and query may hold a key.
    pub fn uri_text(&self) -> String {
        let query = self.query.as_deref().map_or(String::new(), |query| format!("?{query}"));
        format!("{self}{}{query}", self.path)
    }

    /// True if what is sent there is encrypted on the way.
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
    fn an_address_keeps_its_path_and_query_to_itself() {
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
    fn an_account_takes_the_place_that_is_kept_for_it() {
        let address = Address::parse("http://h/msg/$APPID$/x?of=$APPID$").unwrap();
        let uri = address.for_account("wx/1%").with_query(Some("a=$APPID$")).unwrap();
        assert_eq!(uri, "http://h/msg/wx%2F1%25/x?of=wx%2F1%25&a=$APPID$");
    }

    #[test]
    fn what_is_no_address_says_why() {
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
        let leads = |text: &str, socket| Address::parse(text).unwrap().leads_to(socket);
        assert!(leads("http://127.0.0.1:8060/callback/wx1", local));
        assert!(leads("http://localhost:8060", everywhere) && leads("http://127.0.0.1:8060", everywhere));
        assert!(!leads("http://127.0.0.1:8061", local) && !leads("http://bot:8060", local));
        assert!(leads("https://localhost/x", "127.0.0.1:443".parse().unwrap()));
    }

    #[test]
    fn two_spellings_of_a_server_have_one_origin() {
        let origin = |text: &str| Address::parse(text).unwrap().origin();
        assert_eq!(origin("HTTPS://Host.example:443/a?b"), "https://host.example");
        assert_eq!(origin("http://[::1]:8060/a"), "http://[::1]:8060");
        assert_ne!(origin("http://host:443"), origin("https://host"));
    }
}
