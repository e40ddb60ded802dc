//! The typed client: from dates to rows. Keeps one token for all callers and splits long ranges; what a
//! server answers is never guessed at.

mod answer;
mod error;
mod secret;
mod token;
mod transport;

use std::{sync::Arc, time::Duration};

use serde::Serialize;

pub use self::{
    answer::Answer,
    error::{ClientError, Hint, Refusal},
    secret::Secret,
};
use self::{
    token::{TokenKeeper, TokenSource},
    transport::Transport,
};
use crate::{Day, Interface, RangeError, Row, windows};

/// WeChat's own base URL.
pub const WECHAT_BASE: &str = "https://api.weixin.qq.com";

/// A client of the seven interfaces, at WeChat or at any server that answers them. Cheap to clone; all clones
/// share the token and the connections.
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

/// One finished window of a longer range.
#[derive(Debug)]
pub struct Window<'a> {
    /// First day asked for.
    pub begin: Day,
    /// Last day asked for.
    pub end: Day,
    /// How many windows are finished, this one included.
    pub done: usize,
    /// How many windows the range has.
    pub total: usize,
    /// What was answered.
    pub answer: &'a Answer,
}

#[derive(Serialize)]
struct DatesRequest {
    begin_date: Day,
    end_date: Day,
}

impl Client {
    /// A client for an account, which gets its tokens from `stable_token` of the same base URL.
    pub fn builder(appid: impl Into<String>, secret: impl Into<Secret>) -> ClientBuilder {
        ClientBuilder::new(TokenSource::Account { appid: appid.into(), secret: secret.into() })
    }

    /// A client with a token that the caller has. It is never renewed: when it ends, calls fail with 42001.
    pub fn with_token(token: impl Into<Secret>) -> ClientBuilder {
        ClientBuilder::new(TokenSource::Fixed(token.into()))
    }

    /// The rows of all periods named by a day from `begin` to `end`, both included. Ranges of any length: as many
    /// calls as needed are made, one after the other. A range without a Monday (week) or a 1st (month) has no rows.
    ///
    /// # Errors
    /// The first call that fails ends it. `end` before `begin` is [`ClientError::Range`].
    pub async fn rows(&self, interface: &Interface, begin: Day, end: Day) -> Result<Vec<Row>, ClientError> {
        self.rows_with_progress(interface, begin, end, |_| ()).await
    }

    /// The same as [`Client::rows`], telling `progress` about each finished call and its answer.
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

    /// One call with exactly these dates, whether the interface takes them or not.
    ///
    /// # Errors
    /// A token that is refused (40001, 40014, 42001) is replaced and the call made once more; -1 is tried three
    /// times in all. Everything else, and the second refusal, is the caller's.
    pub async fn window(&self, interface: &Interface, begin: Day, end: Day) -> Result<Answer, ClientError> {
        let Inner { transport, token } = &*self.0;
        let carried = token.token(transport).await?;
        match self.call(interface, begin, end, &carried).await {
            Err(error) if error.is_about_the_token() => match token.after_refusal(&carried, transport).await?
            {
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
        token: &Secret,
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

/// Settings of a [`Client`].
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

    /// Where the interfaces are; [`WECHAT_BASE`] if not set. May have a path, which is put before theirs.
    #[must_use]
    pub fn base(mut self, url: impl Into<String>) -> Self {
        self.base = url.into();
        self
    }

    /// Longest time for connecting; 10 s if not set.
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Longest time for one request with its answer; 30 s if not set.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Pause after a first -1 "system error", four times as long after the second; 0.5 s if not set.
    #[must_use]
    pub fn retry_delay(mut self, time: Duration) -> Self {
        self.retry_delay = time;
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Setting`] if the base is no http or https URL or TLS cannot be set up.
    pub fn build(self) -> Result<Client, ClientError> {
        let transport = Transport::new(&self.base, self.connect_timeout, self.timeout, self.retry_delay)?;
        Ok(Client(Arc::new(Inner { transport, token: TokenKeeper::new(self.source) })))
    }
}
