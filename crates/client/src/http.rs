//! The HTTP/1.1 client that the typed client and msgcube itself use. It streams bodies and reuses connections. It follows
//! no redirects.

mod address;
mod connector;
mod tls;

use std::{error::Error, fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

use self::connector::Connector;
pub use self::{
    address::{Address, UNRESERVED},
    tls::{CertificateCheck, Trust, authorities, tls_config},
};

/// Idle connections are closed after this time. Servers usually close them after 60 s or more, so a call rarely uses a
/// connection that the server is closing.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Most idle connections for each address.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// Buffer of a connection, in bytes for each direction.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Why a request has no answer. No text contains the URL, which may contain a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Connecting failed, or the connection was lost before the answer's headers.
    #[error(transparent)]
    Send(#[from] legacy::Error),
    /// The connection was lost within the answer's body.
    #[error(transparent)]
    Body(#[from] hyper::Error),
    /// The time limit passed.
    #[error("operation timed out")]
    Late,
    /// The answer's body exceeds the limit, in bytes.
    #[error("over {0} bytes")]
    TooLarge(usize),
}

impl HttpError {
    /// Whether connecting failed. If so, the server has not seen the request.
    pub fn is_connect(&self) -> bool {
        matches!(self, HttpError::Send(error) if error.is_connect())
    }

    /// The error and all its causes in one line, outermost first. The inner causes say more than the outermost.
    pub fn causes(&self) -> String {
        let texts: Vec<String> = chain(self).map(ToString::to_string).collect();
        texts.join(": ")
    }

    /// The innermost cause alone: the text of the system or of the TLS library.
    pub fn root(&self) -> String {
        chain(self).last().map(ToString::to_string).unwrap_or_default()
    }
}

fn chain(error: &HttpError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| (*error).source())
}

/// Limits of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time from connecting to the last byte of the answer.
    pub time: Duration,
    /// Size of the answer's body, in bytes.
    pub bytes: usize,
}

/// A request's body of any type. One type for all of them, so that the machinery below is compiled once.
type AnyBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// An HTTP/1.1 client with kept connections. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct HttpClient(legacy::Client<HttpsConnector<Connector>, AnyBody>);

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// A client for any server. It gives up connecting after `connect_time_max`, checks certificates against
    /// [`authorities`] and uses no proxy.
    pub fn new(connect_time_max: Duration) -> Self {
        Self::over(Connector::new(Some(connect_time_max)), Trust::Authorities)
    }

    /// A client for one server. If the server is on another machine, it uses the proxy in `HTTPS_PROXY`, unless
    /// `NO_PROXY` excludes the server.
    pub fn to(address: &Address, trust: Trust, connect_time_max: Option<Duration>) -> Self {
        let connector = Connector::new(connect_time_max);
        let is_near = address.is_this_machine();
        Self::over(if is_near { connector } else { connector.with_proxy_of_environment() }, trust)
    }

    fn over(connector: Connector, trust: Trust) -> Self {
        let https = HttpsConnectorBuilder::new().with_tls_config(tls_config(trust));
        let https = https.https_or_http().enable_http1().wrap_connector(connector);
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new());
        client.pool_idle_timeout(IDLE_MAX).pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        // The client must not change queries or answers.
        client.http1_max_buf_size(BUFFER_BYTES_MAX);
        client.set_host(true).http1_title_case_headers(false).retry_canceled_requests(true);
        Self(client.build(https))
    }

    /// Sends a request and waits for the answer's headers. The caller reads the body.
    ///
    /// # Errors
    /// [`HttpError::Send`]
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, HttpError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.send_any(request.map(|body| body.map_err(Into::into).boxed_unsync())).await
    }

    async fn send_any(&self, request: Request<AnyBody>) -> Result<Response<Incoming>, HttpError> {
        Ok(self.0.request(request).await?)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn exchange<B>(&self, request: Request<B>, limits: Limits) -> Result<Response<Bytes>, HttpError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.exchange_any(request.map(|body| body.map_err(Into::into).boxed_unsync()), limits).await
    }

    async fn exchange_any(
        &self,
        request: Request<AnyBody>,
        limits: Limits,
    ) -> Result<Response<Bytes>, HttpError> {
        with_timeout(limits.time, async {
            let (parts, body) = self.send_any(request).await?.into_parts();
            Ok(Response::from_parts(parts, read(body, limits.bytes).await?))
        })
        .await
    }
}

/// The result of `work`, or [`HttpError::Late`] if it takes longer than `time`.
pub(crate) async fn with_timeout<T>(
    time: Duration,
    work: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(HttpError::Late))
}

/// Reads a whole body of at most `bytes_max` bytes.
pub(crate) async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, HttpError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > bytes_max - bytes.len() {
            return Err(HttpError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::Pin, task};

    use http_body_util::Full;
    use hyper::body::Frame;
    use tokio::{
        io::{AsyncBufReadExt as _, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// Accepts one connection, reads the lines up to the blank one, and closes it.
    pub(super) async fn request_head(listener: TcpListener) -> Vec<String> {
        let (stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut head = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap().filter(|line| !line.is_empty()) {
            head.push(line);
        }
        head
    }

    /// A body that does not say how long it is.
    struct UnknownLength(Option<Bytes>);

    impl Body for UnknownLength {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut task::Context<'_>,
        ) -> task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            task::Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    async fn sent_head<B>(body: B) -> Vec<String>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let head = tokio::spawn(request_head(listener));
        let request = Request::post(uri).body(body).unwrap();
        assert!(HttpClient::new(Duration::from_secs(60)).send(request).await.is_err(), "the server closes");
        head.await.unwrap()
    }

    #[tokio::test]
    async fn a_body_of_known_length_is_sent_with_content_length_and_another_in_chunks() {
        let known = sent_head(Full::from("abc")).await;
        assert!(known.iter().any(|line| line == "content-length: 3"), "{known:?}");
        let unknown = sent_head(UnknownLength(Some(Bytes::from_static(b"abc")))).await;
        assert!(unknown.iter().any(|line| line == "transfer-encoding: chunked"), "{unknown:?}");
    }
}
