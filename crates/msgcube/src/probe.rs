//! One connection with one request, step by step: shows which step fails and how long each takes.

pub mod error_text;
pub mod exchange;

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

/// Limit of each step: name lookup, connection, TLS handshake.
const STEP_TIME_MAX: Duration = Duration::from_secs(5);
/// WeChat waits 5 s for an answer. One second more tells a late server from a dead one.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
const AGENT: &str = concat!("msgcube-doctor/", env!("CARGO_PKG_VERSION"));

/// Why a request got no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// The name cannot be resolved.
    Name(String),
    /// The connection was refused.
    Refused,
    /// No connection for another reason, such as a timeout.
    Unconnected(String),
    /// The TLS handshake failed.
    Tls(String),
    /// The certificate is not trusted.
    Untrusted(rustls::Error),
    /// Connected, but no answer came.
    Silent(NoAnswer),
}

/// A byte stream, encrypted or not.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

/// An open connection.
pub struct ProbeConnection {
    pub stream: Box<dyn ByteStream>,
    /// Time to connect, with the TLS handshake.
    pub took: Duration,
    /// The server's certificate. None: not encrypted.
    pub presented: Option<PresentedCertificate>,
}

/// A server's certificate, and whether it is trusted.
pub struct PresentedCertificate {
    pub certificate: Option<CertificateDer<'static>>,
    pub verdict: Result<(), rustls::Error>,
}

/// An answer with the times it took.
#[derive(Debug)]
pub struct TimedAnswer {
    pub answer: exchange::RawAnswer,
    /// Time to connect, with the TLS handshake.
    pub connect_took: Duration,
    /// Time from the request to the end of the answer.
    pub took: Duration,
}

/// Opens connections and checks certificates.
#[derive(Debug)]
pub struct Prober {
    check: Result<CertificateCheck, VerifierBuilderError>,
}

impl Prober {
    /// Trusts the usual authorities and these.
    pub fn also_trusting(more: impl IntoIterator<Item = CertificateDer<'static>>) -> Prober {
        let mut roots = authorities();
        roots.add_parsable_certificates(more);
        Prober { check: CertificateCheck::new(roots) }
    }

    /// Connects. A certificate that is not trusted is recorded, not refused.
    pub async fn connect(&self, uri: &Uri) -> Result<ProbeConnection, ProbeError> {
        let stopwatch = Stopwatch::start();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let tcp = tcp(host, port).await?;
        if !is_https {
            return Ok(ProbeConnection { stream: Box::new(tcp), took: stopwatch.elapsed(), presented: None });
        }
        let (stream, presented) = self.encrypt(host, tcp).await?;
        Ok(ProbeConnection { stream, took: stopwatch.elapsed(), presented: Some(presented) })
    }

    async fn encrypt(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<(Box<dyn ByteStream>, PresentedCertificate), ProbeError> {
        let tls = |error: &dyn fmt::Display| ProbeError::Tls(error.to_string());
        let check = Arc::new(self.check.as_ref().map_err(|error| tls(error))?.for_another_connection());
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| tls(&error))?;
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(check.clone()).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|error| tls(&error))?;
        let agreed = timeout(STEP_TIME_MAX, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
        let stream = agreed.map_err(|_| tls(&"no TLS handshake within 5 s"))?.map_err(|error| tls(&error))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|certificate| certificate.clone().into_owned());
        Ok((Box::new(stream), PresentedCertificate { certificate, verdict: check.verdict() }))
    }

    /// Sends one request and reads its answer. Follows no redirect and uses no proxy.
    pub async fn send(&self, trust: Trust, request: Request<String>) -> Result<TimedAnswer, ProbeError> {
        let connection = self.connect(request.uri()).await?;
        match connection.presented.map(|presented| presented.verdict) {
            Some(Err(error)) if trust == Trust::Authorities => return Err(ProbeError::Untrusted(error)),
            _ => {}
        }
        let stopwatch = Stopwatch::start();
        let results = exchange::exchange(connection.stream, [request_bytes(&request)], ANSWER_TIME_MAX).await;
        let result = results.into_iter().next().unwrap_or(Err(NoAnswer::Closed));
        let answer = result.map_err(ProbeError::Silent)?;
        Ok(TimedAnswer { answer, connect_took: connection.took, took: stopwatch.elapsed() })
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, ProbeError> {
    let looked_up = timeout(STEP_TIME_MAX, tokio::net::lookup_host((host, port))).await;
    let addresses =
        looked_up.map_err(|_| ProbeError::Name("no answer from the name server within 5 s".to_owned()))?;
    let addresses: Vec<_> = addresses.map_err(|error| ProbeError::Name(lookup_error(&error)))?.collect();
    match timeout(STEP_TIME_MAX, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(stream)) => {
            // Without this a small request may be delayed. A failure does no harm.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(ProbeError::Refused),
        Ok(Err(error)) => Err(ProbeError::Unconnected(error.to_string())),
        Err(_) => Err(ProbeError::Unconnected("no connection within 5 s".to_owned())),
    }
}

/// The system's error without the prefix that all lookup errors share.
fn lookup_error(error: &io::Error) -> String {
    let text = error.to_string();
    text.trim_start_matches("failed to lookup address information: ").to_owned()
}

/// The bytes of a request. The first line has only the path; the host is a header.
fn request_bytes(request: &Request<String>) -> Vec<u8> {
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
