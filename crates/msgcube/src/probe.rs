//! One connection and one request on it, step by step, so that it shows which step fails and how long each takes.

pub mod exchange;
pub mod remarks;

use std::{fmt, io, sync::Arc, time::Duration};

use axum::http::{
    Request, Uri, header,
    uri::{PathAndQuery, Scheme},
};
use msgcube_client::http::{CertificateCheck, Trust, authorities};
use rustls::{
    ClientConfig,
    client::VerifierBuilderError,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName},
};
use system::clock::Stopwatch;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use self::exchange::NoAnswer;

/// Name, connection and keys, each.
const STEP_TIME_MAX: Duration = Duration::from_secs(5);
/// WeChat waits 5 s for an answer; a little more shows that a server is late rather than gone.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
const AGENT: &str = concat!("msgcube-doctor/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// The name leads nowhere.
    Name(String),
    /// Nobody listens there.
    Refused,
    /// Not connected for another reason, time among them.
    Unconnected(String),
    /// It speaks no TLS, or none that is known here.
    Tls(String),
    /// Its certificate is not trusted.
    Untrusted(rustls::Error),
    /// Connected, and no answer.
    Silent(NoAnswer),
}

/// A byte stream, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub struct Line {
    pub stream: Box<dyn Stream>,
    /// Until it was there, keys included.
    pub took: Duration,
    /// What TLS showed; none: not encrypted.
    pub shown: Option<Shown>,
}

/// A server's certificate, and what the authorities say to it.
pub struct Shown {
    pub certificate: Option<CertificateDer<'static>>,
    pub verdict: Result<(), rustls::Error>,
}

/// An answer, and how long it took.
#[derive(Debug)]
pub struct Answer {
    pub said: exchange::Answer,
    /// From the start of connecting until connected.
    pub connect_took: Duration,
    /// From the request to the end of the answer.
    pub took: Duration,
}

/// Makes connections.
#[derive(Debug)]
pub struct Lines {
    check: Result<CertificateCheck, VerifierBuilderError>,
}

impl Lines {
    /// Trusts the authorities that every client here trusts, and these.
    pub fn also_trusting(more: impl IntoIterator<Item = CertificateDer<'static>>) -> Lines {
        let mut roots = authorities();
        roots.add_parsable_certificates(more);
        Lines { check: CertificateCheck::new(roots) }
    }

    /// Connects. A certificate that is not trusted is only noted.
    pub async fn connect(&self, uri: &Uri) -> Result<Line, Fault> {
        let stopwatch = Stopwatch::start();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let tcp = tcp(host, port).await?;
        if !is_https {
            return Ok(Line { stream: Box::new(tcp), took: stopwatch.elapsed(), shown: None });
        }
        let (stream, shown) = self.encrypt(host, tcp).await?;
        Ok(Line { stream, took: stopwatch.elapsed(), shown: Some(shown) })
    }

    async fn encrypt(&self, host: &str, tcp: TcpStream) -> Result<(Box<dyn Stream>, Shown), Fault> {
        let tls = |error: &dyn fmt::Display| Fault::Tls(error.to_string());
        let check = Arc::new(self.check.as_ref().map_err(|error| tls(error))?.anew());
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| tls(&error))?;
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(check.clone()).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|error| tls(&error))?;
        let agreed = timeout(STEP_TIME_MAX, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
        let stream = agreed.map_err(|_| tls(&"no keys agreed within 5 s"))?.map_err(|error| tls(&error))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|certificate| certificate.clone().into_owned());
        Ok((Box::new(stream), Shown { certificate, verdict: check.verdict() }))
    }

    /// Sends one request and reads its answer. No redirect is followed, no proxy is used.
    pub async fn send(&self, trust: Trust, request: Request<String>) -> Result<Answer, Fault> {
        let line = self.connect(request.uri()).await?;
        match line.shown.map(|shown| shown.verdict) {
            Some(Err(error)) if trust == Trust::Authorities => return Err(Fault::Untrusted(error)),
            _ => {}
        }
        let stopwatch = Stopwatch::start();
        let outcomes = exchange::exchange(line.stream, [bytes(&request)], ANSWER_TIME_MAX).await;
        let outcome = outcomes.into_iter().next().unwrap_or(Err(NoAnswer::Closed));
        let said = outcome.map_err(Fault::Silent)?;
        Ok(Answer { said, connect_took: line.took, took: stopwatch.elapsed() })
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, Fault> {
    let looked_up = timeout(STEP_TIME_MAX, tokio::net::lookup_host((host, port))).await;
    let addresses =
        looked_up.map_err(|_| Fault::Name("no answer of the name server within 5 s".to_owned()))?;
    let addresses: Vec<_> = addresses.map_err(|error| Fault::Name(lookup_error(&error)))?.collect();
    match timeout(STEP_TIME_MAX, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(stream)) => {
            // Without it a small request might wait; nothing is lost if it fails.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Fault::Refused),
        Ok(Err(error)) => Err(Fault::Unconnected(error.to_string())),
        Err(_) => Err(Fault::Unconnected("no connection within 5 s".to_owned())),
    }
}

/// What the system says, without what every such error begins with.
fn lookup_error(error: &io::Error) -> String {
    let text = error.to_string();
    text.trim_start_matches("failed to lookup address information: ").to_owned()
}

/// As it goes over the wire: with the path alone, and the host as a header.
fn bytes(request: &Request<String>) -> Vec<u8> {
    let (uri, body) = (request.uri(), request.body());
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let host = uri.authority().map_or("", |host| host.as_str());
    let head = format!("{} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {AGENT}\r\n", request.method());
    let mut bytes = head.into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("{}: {}\r\n", header::CONTENT_LENGTH, body.len()).as_bytes());
    }
    [&bytes, b"\r\n".as_slice(), body.as_bytes()].concat()
}
