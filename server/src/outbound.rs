//! Calls to other servers: the bot behind a callback address, WeChat, a token server. Only to addresses that an operator
//! chose; no redirect is followed, and no proxy is taken from the environment.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, Response, Uri, uri::Scheme},
};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::crypto::ring::default_provider;

/// Kept open between calls for this long: below the 60 s or more after which front ends close, so that few calls meet a
/// connection that is just ending.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Idle connections kept for each address.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// What stands for an account in the address of a platform that is passed on to. Source: WeChat's own for platforms.
const APPID: &str = "$APPID$";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a connection buffers in each direction.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Where another server is. Shown without path and query, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    authority: axum::http::uri::Authority,
    /// Without a slash at its end.
    path: String,
    query: Option<String>,
}

impl Address {
    /// Reads an address, or says what is wrong with it.
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
    pub fn parse_base(text: &str) -> Result<Address, String> {
        let address = Address::parse(text)?;
        if address.query.is_some() {
            return Err("must end before ?".to_owned());
        }
        let path = address.path.trim_end_matches('/').to_owned();
        Ok(Address { path, ..address })
    }

    /// This address, with another query behind its own.
    pub fn with_query(&self, query: Option<&str>) -> Result<Uri, axum::http::Error> {
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
    pub fn below(&self, path_and_query: &str) -> Result<Uri, axum::http::Error> {
        self.uri(&format!("{}{path_and_query}", self.path))
    }

    fn uri(&self, path_and_query: &str) -> Result<Uri, axum::http::Error> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build()
    }

    /// True if a server on this socket is what the address names, as far as that shows.
    pub fn leads_to(&self, socket: SocketAddr) -> bool {
        let host = self.authority.host().trim_matches(['[', ']']);
        let is_here = match host.parse::<IpAddr>() {
            Ok(ip) => ip == socket.ip() || (ip.is_loopback() && socket.ip().is_unspecified()),
            Err(_) => host == "localhost" && (socket.ip().is_loopback() || socket.ip().is_unspecified()),
        };
        let usual_port = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        is_here && self.authority.port_u16().unwrap_or(usual_port) == socket.port()
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

/// Why a call failed, in words: the errors of the layers below say more than the topmost.
pub fn cause(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// An HTTP/1.1 client with kept connections.
#[derive(Clone, Debug)]
pub struct Outbound(Client<HttpsConnector<HttpConnector>, Body>);

impl Outbound {
    /// A client that gives up connecting after this time. Certificates are checked against the system's authorities
    /// (or those in `SSL_CERT_FILE`), and where it has none against Mozilla's.
    pub fn new(connect_time_max: Duration) -> Outbound {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect_time_max));
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(default_provider());
        let builder = match builder {
            Ok(builder) => Ok(builder),
            Err(error) => {
                tracing::info!(%error, "the system has no certificate authorities; Mozilla's are used");
                HttpsConnectorBuilder::new().with_provider_and_webpki_roots(default_provider())
            }
        };
        let https = match builder {
            Ok(builder) => builder.https_or_http().enable_http1().wrap_connector(http),
            Err(error) => unreachable!("the provider speaks TLS 1.2 and 1.3: {error}"),
        };
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new());
        client.pool_idle_timeout(IDLE_MAX).pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        // Answers and queries pass as they are.
        client.http1_max_buf_size(BUFFER_BYTES_MAX);
        client.set_host(true).http1_title_case_headers(false).retry_canceled_requests(true);
        Outbound(client.build(https))
    }

    /// Sends a request; the answer's body is still to come.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        self.0.request(request).await
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
}
