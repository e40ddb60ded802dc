//! One connection and one request on it, step by step, so that it shows which step fails and how long each takes.

pub mod remarks;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header, uri::Scheme},
};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{body, clock::Stopwatch};

/// Name, connection and keys, each.
const STEP_TIME_MAX: Duration = Duration::from_secs(5);
/// WeChat waits 5 s for an answer; a little more shows that a server is late rather than gone.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
const ANSWER_BYTES_MAX: usize = 1 << 20;

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
    /// The connection was closed, or what came is no HTTP.
    Silent(String),
    /// Connected, and no answer in time.
    Late,
}

/// Which certificates are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system's authorities vouch for.
    Authorities,
    /// Any: for this very machine, where nobody stands between.
    ThisMachine,
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

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// From the start of connecting until connected.
    pub connect_took: Duration,
    /// From the request to the end of the answer.
    pub took: Duration,
}

/// Makes connections.
#[derive(Debug)]
pub struct Lines {
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Lines {
    /// Trusts the system's authorities (or those in `SSL_CERT_FILE`; where there are none, Mozilla's), and these.
    pub fn also_trusting(authorities: impl IntoIterator<Item = CertificateDer<'static>>) -> Lines {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots.add_parsable_certificates(authorities);
        let provider = Arc::new(default_provider());
        Lines {
            verifier: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok(),
        }
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
        let tls = |error: &dyn std::fmt::Display| Fault::Tls(error.to_string());
        let verifier = self.verifier.clone().ok_or(Fault::Tls("no certificate authorities".to_owned()))?;
        let noting = Arc::new(Noting { verifier, verdict: Mutex::new(Ok(())) });
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| tls(&error))?;
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(noting.clone()).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|error| tls(&error))?;
        let agreed = timeout(STEP_TIME_MAX, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
        let stream = agreed.map_err(|_| tls(&"no keys agreed within 5 s"))?.map_err(|error| tls(&error))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|certificate| certificate.clone().into_owned());
        let verdict = noting.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((Box::new(stream), Shown { certificate, verdict }))
    }

    /// Sends one request and reads its answer. No redirect is followed, no proxy is used.
    pub async fn send(&self, trust: Trust, mut request: Request<Body>) -> Result<Answer, Fault> {
        let line = self.connect(request.uri()).await?;
        match line.shown.map(|shown| shown.verdict) {
            Some(Err(error)) if trust == Trust::Authorities => return Err(Fault::Untrusted(error)),
            _ => {}
        }
        into_origin_form(&mut request);
        let stopwatch = Stopwatch::start();
        let answered = timeout(ANSWER_TIME_MAX, exchange(line.stream, request)).await;
        let (status, headers, body) = answered.unwrap_or(Err(Fault::Late))?;
        Ok(Answer { status, headers, body, connect_took: line.took, took: stopwatch.elapsed() })
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

/// A server wants the path alone, and the host as a header.
fn into_origin_form(request: &mut Request<Body>) {
    if let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let agent = HeaderValue::from_static(concat!("msgcube-doctor/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, agent);
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
}

async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Body>,
) -> Result<(StatusCode, HeaderMap, Bytes), Fault> {
    let silent = |error: hyper::Error| Fault::Silent(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(silent)?;
    // Ends with the sender; what fails shows at the answer.
    let connection = tokio::spawn(connection);
    let (parts, content) = sender.send_request(request).await.map_err(silent)?.into_parts();
    let content = body::read(Body::new(content), ANSWER_BYTES_MAX).await;
    connection.abort();
    let content = content.map_err(|_| Fault::Silent("the answer broke off, or is over 1 MiB".to_owned()))?;
    Ok((parts.status, parts.headers, content))
}

/// Asks the authorities and notes what they say, so that the caller can tell why.
#[derive(Debug)]
struct Noting {
    verifier: Arc<WebPkiServerVerifier>,
    verdict: Mutex<Result<(), rustls::Error>>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict.map(drop);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
