//! The HTTP/1.1 client of the typed client and of msgcube itself. It streams, keeps connections, and goes only to the
//! address of the request: no redirect is followed.

mod address;
mod connector;
mod tls;

use std::{error::Error, fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

use self::connector::Connector;
pub use self::{
    address::Address,
    tls::{CertificateCheck, Trust, authorities},
};

/// Kept open between calls for this long: below the 60 s or more after which front ends close, so that few calls meet a
/// connection that is just ending.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Idle connections kept for each address.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// What a connection buffers in each direction.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Why a request has no answer. No text holds its URL, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not connected, or the connection was lost before the answer's head.
    #[error(transparent)]
    Send(#[from] legacy::Error),
    /// The answer's body broke off.
    #[error(transparent)]
    Body(#[from] hyper::Error),
    /// Not within the time allowed.
    #[error("operation timed out")]
    Late,
    /// The answer's body has more bytes than this.
    #[error("over {0} bytes")]
    TooLarge(usize),
}

impl HttpError {
    /// True if there was no connection, so the server saw nothing of the request.
    pub fn is_connect(&self) -> bool {
        matches!(self, HttpError::Send(error) if error.is_connect())
    }

    /// All causes, the outermost first: those of the layers below say more than the topmost.
    pub fn causes(&self) -> String {
        let texts: Vec<String> = chain(self).map(ToString::to_string).collect();
        texts.join(": ")
    }

    /// The innermost cause alone, which is what the system or the library of TLS says.
    pub fn root(&self) -> String {
        chain(self).last().map(ToString::to_string).unwrap_or_default()
    }
}

fn chain(error: &HttpError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| (*error).source())
}

/// What an answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From connecting to the last byte of the answer.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

/// An HTTP/1.1 client with kept connections, for requests with bodies of type `B`. Cheap to clone; all clones share the
/// connections.
pub struct HttpClient<B>(legacy::Client<HttpsConnector<Connector>, B>);

impl<B> Clone for HttpClient<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B> fmt::Debug for HttpClient<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl<B> HttpClient<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A client that gives up connecting after this time. Certificates are checked against [`authorities`]; the proxy
    /// that the environment names is not used.
    pub fn new(connect_time_max: Duration) -> Self {
        Self::over(Connector::new(Some(connect_time_max)), Trust::Authorities)
    }

    /// A client for one server. For an address of another machine it uses the proxy in `HTTPS_PROXY`, unless `NO_PROXY`
    /// excludes that.
    pub fn to(address: &Address, trust: Trust, connect_time_max: Option<Duration>) -> Self {
        let connector = Connector::new(connect_time_max);
        let is_near = address.is_this_machine();
        Self::over(if is_near { connector } else { connector.with_proxy_of_environment() }, trust)
    }

    fn over(connector: Connector, trust: Trust) -> Self {
        let https = HttpsConnectorBuilder::new().with_tls_config(tls::config(trust));
        let https = https.https_or_http().enable_http1().wrap_connector(connector);
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new());
        client.pool_idle_timeout(IDLE_MAX).pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        // Answers and queries pass as they are.
        client.http1_max_buf_size(BUFFER_BYTES_MAX);
        client.set_host(true).http1_title_case_headers(false).retry_canceled_requests(true);
        Self(client.build(https))
    }

    /// Sends a request; the answer's body is still to come.
    ///
    /// # Errors
    /// [`HttpError::Send`]
    pub async fn send(&self, request: Request<B>) -> Result<Response<Incoming>, HttpError> {
        Ok(self.0.request(request).await?)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn exchange(&self, request: Request<B>, limits: Limits) -> Result<Response<Bytes>, HttpError> {
        in_time(limits.time, async {
            let (parts, body) = self.send(request).await?.into_parts();
            Ok(Response::from_parts(parts, read(body, limits.bytes).await?))
        })
        .await
    }
}

/// What comes of this within a time, or [`HttpError::Late`].
pub(crate) async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(HttpError::Late))
}

/// A whole body of at most so many bytes.
pub(crate) async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, HttpError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if piece.len() > bytes_max - bytes.len() {
            return Err(HttpError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
