//! The typed client: dates in, rows out. It shares one token among all callers and splits long ranges. It returns what
//! the server answered and fills in nothing.

mod answer;
mod error;
mod token;
mod transport;

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use serde::Serialize;

pub use self::{
    answer::Answer,
    error::{ClientError, Hint, WechatError},
};
use self::{
    token::{TokenKeeper, TokenSource},
    transport::Transport,
};
use crate::{Day, Interface, RangeError, Row, windows};

/// WeChat's own base URL.
pub const WECHAT_BASE: &str = "https://api.weixin.qq.com";

/// A client of the seven interfaces, for WeChat or any server that has them. Cheap to clone: all clones share the token
/// and the connections.
///
/// ```
/// # use axum::{Router, routing::post};
/// # use serde_json::json;
/// use msgcube_client::{Client, Interface};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let row = json!({"list": [{"ref_date": "2026-10-01", "msg_type": 1, "msg_user": 7989, "msg_count": 42206}]}).to_string();
/// # let token = json!({"access_token": "T", "expires_in": 7200}).to_string();
/// # let app = Router::new()
/// #     .route("/cgi-bin/stable_token", post(|| async { token }))
/// #     .route("/datacube/getupstreammsgmonth", post(|| async { row }));
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let base = format!("http://{}", listener.local_addr()?);
/// # tokio::spawn(async move { axum::serve(listener, app).await });
/// let client = Client::builder("wx0123456789abcdef", "the appsecret").base(&base).build()?;
/// let month = Interface::by_short_name("month").ok_or("no such interface")?;
/// for row in client.rows(month, "2026-10-01".parse()?, "2026-10-31".parse()?).await? {
///     println!("{}: {} users, type {:?}", row.ref_date, row.msg_user, row.msg_type);
/// #   assert_eq!((row.msg_user, row.msg_count), (7989, Some(42206)));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    token: TokenKeeper,
}

/// The answer to one window of a longer range.
#[derive(Debug)]
pub struct Window<'a> {
    /// First day of the window.
    pub begin: Day,
    /// Last day of the window.
    pub end: Day,
    /// Number of finished windows, including this one.
    pub done: usize,
    /// Number of windows in the whole range.
    pub total: usize,
    /// The server's answer.
    pub answer: &'a Answer,
}

#[derive(Serialize)]
struct DatesRequest {
    begin_date: Day,
    end_date: Day,
}

impl Client {
    /// A client for an account. It fetches its tokens from `stable_token` below the same base URL.
    pub fn builder(appid: impl Into<String>, secret: impl Into<SecretString>) -> ClientBuilder {
        ClientBuilder::new(TokenSource::Account { appid: appid.into(), secret: secret.into() })
    }

    /// A client with a fixed token. The token is never renewed: once it expires, calls fail with 42001.
    pub fn with_token(token: impl Into<SecretString>) -> ClientBuilder {
        ClientBuilder::new(TokenSource::Fixed(token.into()))
    }

    /// The rows of all periods whose first day is from `begin` to `end`, both included. The range may have any length: the
    /// client makes as many calls as needed, one after the other. A range without a Monday (weeks) or a 1st (months) has
    /// no rows.
    ///
    /// # Errors
    /// The error of the first call that fails. [`ClientError::Range`] if `end` is before `begin`.
    pub async fn rows(&self, interface: &Interface, begin: Day, end: Day) -> Result<Vec<Row>, ClientError> {
        self.rows_with_progress(interface, begin, end, |_| ()).await
    }

    /// Like [`Client::rows`], and calls `progress` after each call.
    ///
    /// # Errors
    /// As [`Client::rows`].
    pub async fn rows_with_progress(
        &self,
        interface: &Interface,
        begin: Day,
        end: Day,
        mut progress: impl FnMut(Window<'_>),
    ) -> Result<Vec<Row>, ClientError> {
        if end < begin {
            return Err(RangeError::Backwards.into());
        }
        let windows = windows(interface, begin, end);
        let total = windows.len();
        let mut rows = Vec::new();
        for (index, (begin, end)) in windows.into_iter().enumerate() {
            let answer = self.window(interface, begin, end).await?;
            progress(Window { begin, end, done: index + 1, total, answer: &answer });
            rows.extend(answer.rows);
        }
        Ok(rows)
    }

    /// One call with exactly these dates. They are not checked first. If the token is refused (40001, 40014, 42001), the
    /// call is made once more with a new one. A call that is answered with -1 is sent up to three times.
    ///
    /// # Errors
    /// Any [`ClientError`] that remains after that.
    pub async fn window(&self, interface: &Interface, begin: Day, end: Day) -> Result<Answer, ClientError> {
        let Inner { transport, token: keeper } = &*self.0;
        let token = keeper.token(transport).await?;
        match self.call(interface, begin, end, &token).await {
            Err(error) if error.is_token_error() => match keeper.after_refusal(&token, transport).await? {
                Some(renewed) => self.call(interface, begin, end, &renewed).await,
                None => Err(error),
            },
            outcome => outcome,
        }
    }

    async fn call(
        &self,
        interface: &Interface,
        begin_date: Day,
        end_date: Day,
        token: &SecretString,
    ) -> Result<Answer, ClientError> {
        let transport = &self.0.transport;
        let url = transport.url(&interface.path(), Some(token))?;
        let body = serde_json::to_string(&DatesRequest { begin_date, end_date })
            .map_err(|error| ClientError::Setting(error.to_string()))?;
        transport
            .post(interface.name, url, body, |reply| answer::rows(interface.name, &reply.body, reply.hint))
            .await
    }
}

/// The settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    source: TokenSource,
    base: String,
    connect_timeout: Duration,
    timeout: Duration,
    retry_delay: Duration,
}

impl ClientBuilder {
    fn new(source: TokenSource) -> Self {
        Self {
            source,
            base: WECHAT_BASE.to_owned(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            retry_delay: Duration::from_millis(500),
        }
    }

    /// The server's base URL; [`WECHAT_BASE`] if not set. Its path is put before the paths of the interfaces.
    #[must_use]
    pub fn base(mut self, url: impl Into<String>) -> Self {
        self.base = url.into();
        self
    }

    /// Time limit for connecting; 10 s if not set.
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Time limit for one request with its answer; 30 s if not set.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Pause after the first -1 "system error"; four times as long after the second. 0.5 s if not set.
    #[must_use]
    pub fn retry_delay(mut self, time: Duration) -> Self {
        self.retry_delay = time;
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ClientError::Setting`] if the base is not an http or https URL.
    pub fn build(self) -> Result<Client, ClientError> {
        let transport = Transport::new(&self.base, self.connect_timeout, self.timeout, self.retry_delay)?;
        Ok(Client(Arc::new(Inner { transport, token: TokenKeeper::new(self.source) })))
    }
}
