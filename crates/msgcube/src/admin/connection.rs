//! One request to the own interface of a server.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Incoming;
use i18n::Lang;
use msgcube_client::{
    Secret,
    http::{Address, HttpClient, HttpError, Limits, Trust},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::ReadConfig;

const LIMITS: Limits = Limits { time: Duration::from_secs(30), bytes: 256 << 20 };
/// Of an error that a server says.
const ERROR_BYTES_MAX: usize = 64 << 10;
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const CONFIG: &str = "msgcube.toml";

/// Which server, and the key to it.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// The server's configuration: its address and admin key are used
    #[arg(long, global = true, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Where msgcube listens, such as http://127.0.0.1:8060, if not where the configuration says
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// A key with the scope admin. Shows up in `ps`: prefer MSGCUBE_ADMIN_KEY or --admin-key-file
    #[arg(long, global = true, env = "MSGCUBE_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    pub admin_key: Option<Secret>,
    /// File with that key
    #[arg(long, global = true, value_name = "FILE")]
    pub admin_key_file: Option<PathBuf>,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What a configuration says about the server.
#[derive(Debug)]
pub struct ConfiguredServer {
    /// Where it listens.
    pub base: String,
    /// Its admin key.
    pub admin_key: Option<Secret>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The configuration; the text is its own.
    #[error("{0}")]
    Config(String),
    /// No key.
    #[error("no admin key: set admin_key in the configuration, MSGCUBE_ADMIN_KEY, or --admin-key-file")]
    NoKey,
    /// The running server does not know the key.
    #[error(
        "the server refuses the admin key (HTTP status 401); if admin_key itself changed in the file, reload by a signal (systemctl reload msgcube, or kill -HUP), or give the former key with --admin-key-file"
    )]
    FormerKey,
    /// Nobody answers where the file says now.
    #[error(
        "no answer from {base}: {why}; is the server running? If its address changed in the file, name the one in use with --server, or reload by a signal (systemctl reload msgcube, or kill -HUP)"
    )]
    Moved { base: String, why: String },
    /// Not an address.
    #[error("--server: {0}")]
    Server(String),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// Nobody answers.
    #[error(
        "no answer from {base}: {why}; is the server running? Start it with `msgcube serve`, or name it with --server"
    )]
    Lost { base: String, why: String },
    /// Its certificate is not for this address, or of an authority that is not trusted here.
    #[error(
        "{base}: {why}; name the server as its certificate does, --server https://YOUR_HOST, or set admin_listen to a loopback address"
    )]
    Certificate { base: String, why: String },
    /// The server refuses.
    #[error("{text} (HTTP status {status})")]
    Refused { status: u16, text: String },
    /// Probably a mistake, and nobody said that it is none.
    #[error(
        "{0}: WeChat's appids are wx and 16 hexadecimal digits, such as wx0123456789abcdef; nothing was added. If it is meant so, add --yes"
    )]
    UnusualAppid(String),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No random bytes.
    #[error("{0}")]
    Random(#[from] system::random::RandomError),
    /// Standard output is closed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl AdminError {
    /// The error in a language. What the server says comes in English.
    pub fn in_lang(&self, lang: Lang) -> String {
        if lang == Lang::En {
            return self.to_string();
        }
        match self {
            AdminError::NoKey => {
                "没有管理密钥：请在配置中设置 admin_key，或用 MSGCUBE_ADMIN_KEY、--admin-key-file".to_owned()
            }
            AdminError::FormerKey => "服务拒绝了管理密钥（HTTP 状态 401）；如果改的正是 admin_key，请用信号重新加载（systemctl reload msgcube 或 kill -HUP），或用 --admin-key-file 给出旧密钥".to_owned(),
            AdminError::Moved { base, why } => {
                let why = i18n::translated(lang, why);
                format!("{base} 没有响应：{why}；服务在运行吗？如果文件中的监听地址改了，请用 --server 指定正在使用的地址，或用信号重新加载（systemctl reload msgcube 或 kill -HUP）")
            }
            AdminError::Lost { base, why } => {
                let why = i18n::translated(lang, why);
                format!(
                    "{base} 没有响应：{why}；服务在运行吗？用 `msgcube serve` 启动，或用 --server 指定地址"
                )
            }
            AdminError::Certificate { base, why } => format!(
                "{base}：{why}；请用证书中的域名：--server https://你的域名，或把 admin_listen 设为本机地址"
            ),
            AdminError::UnusualAppid(appid) => format!(
                "{appid}：微信的 appid 是 wx 加 16 位十六进制数，如 wx0123456789abcdef；未添加。确实如此请加 --yes"
            ),
            AdminError::Refused { status, text } => {
                format!("服务拒绝：{}（HTTP 状态 {status}）", i18n::translated(lang, text))
            }
            other => other.to_string(),
        }
    }
}

/// In place of what the server says.
pub const NO_MSGCUBE: &str = "what answers there is no msgcube";

/// An HTTP client for a server of ours. Its certificate names its public host: where the configuration leads to this
/// very machine, nothing leaves it, and the name is not compared.
pub fn client_of_server(
    base: &Address,
    is_configured: bool,
    connect_time_max: Option<Duration>,
) -> HttpClient<Full<Bytes>> {
    let stays_here = is_configured && base.ip().is_some_and(|ip| ip.is_loopback());
    let trust = if stays_here { Trust::ThisMachine } else { Trust::Authorities };
    HttpClient::to(base, trust, connect_time_max)
}

/// A server and the key to it.
#[derive(Debug)]
pub struct Connection {
    http: HttpClient<Full<Bytes>>,
    base: Address,
    key: Secret,
}

impl Connection {
    /// Finds address and key.
    pub fn new(args: &ServerArgs, read_config: ReadConfig<'_>) -> Result<Connection, AdminError> {
        let given = given_key(args)?;
        // Who says everything needs no configuration.
        let configured = match (&args.server, &given) {
            (Some(_), Some(_)) => None,
            _ => Some(read_config(&args.config).map_err(AdminError::Config)?),
        };
        let (base, key) = match configured {
            Some(configured) => (Some(configured.base), configured.admin_key),
            None => (None, None),
        };
        let is_configured = args.server.is_none();
        let base = args.server.clone().or(base).unwrap_or_default();
        Connection::to(&base, given.or(key).ok_or(AdminError::NoKey)?, is_configured)
    }

    /// To this address with this key; `is_configured`: as it stands in a configuration.
    pub fn to(base: &str, key: Secret, is_configured: bool) -> Result<Connection, AdminError> {
        let base = Address::parse_base(base).map_err(|why| AdminError::Server(format!("it {why}")))?;
        Ok(Connection { http: client_of_server(&base, is_configured, None), base, key })
    }

    /// Its address.
    pub fn base(&self) -> String {
        self.base.uri_text()
    }

    /// Sends a request; the answer as JSON.
    pub async fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, AdminError> {
        self.ask_with(method, path, &[], body).await
    }

    /// The same with a query.
    pub async fn ask_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Value, AdminError> {
        let mut path: String = path.iter().fold("/v1".to_owned(), |path, segment| {
            format!("{path}/{}", utf8_percent_encode(segment, UNRESERVED))
        });
        if !query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            path = format!("{path}?{query}");
        }
        let unusable = |error: http::Error| AdminError::Server(error.to_string());
        let request = Request::builder().method(method).uri(self.base.below(&path).map_err(unusable)?);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.key.expose()));
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Full::from(body.to_string()))
            }
            None => request.body(Full::default()),
        };
        let answer = self.http.exchange(request.map_err(unusable)?, LIMITS).await;
        let answer = answer.map_err(|error| self.lost(&error))?;
        let (status, bytes) = (answer.status(), answer.into_body());
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(answer) if status.is_success() => Ok(answer),
            Ok(answer) => Err(refused(status, answer["error"].as_str())),
            Err(_) => Err(refused(status, None)),
        }
    }

    /// Posts bytes; the answer's body as it comes.
    pub async fn post_for_stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: Bytes,
    ) -> Result<Incoming, AdminError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let unusable = |error: http::Error| AdminError::Server(error.to_string());
        let uri = self.base.below(&format!("/v1/{path}?{query}")).map_err(unusable)?;
        let request = Request::post(uri)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(Full::from(body));
        let answer = tokio::time::timeout(LIMITS.time, self.http.send(request.map_err(unusable)?)).await;
        let answer = answer.unwrap_or(Err(HttpError::Late)).map_err(|error| self.lost(&error))?;
        let (status, body) = (answer.status(), answer.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let said = Limited::new(body, ERROR_BYTES_MAX).collect().await.map(Collected::to_bytes);
        let said: Value = serde_json::from_slice(&said.unwrap_or_default()).unwrap_or_default();
        Err(refused(status, said["error"].as_str()))
    }

    fn lost(&self, error: &HttpError) -> AdminError {
        let (base, why) = (self.base(), error.root());
        let is_untrusted = why.contains("certificate");
        if is_untrusted { AdminError::Certificate { base, why } } else { AdminError::Lost { base, why } }
    }
}

fn refused(status: StatusCode, said: Option<&str>) -> AdminError {
    let text = said.unwrap_or(NO_MSGCUBE).to_owned();
    AdminError::Refused { status: status.as_u16(), text }
}

fn given_key(args: &ServerArgs) -> Result<Option<Secret>, AdminError> {
    match &args.admin_key_file {
        Some(path) => Ok(Some(read_file(path)?.into())),
        None => Ok(args.admin_key.clone()),
    }
}

/// A file with a secret, without the line break at its end.
pub fn read_file(path: &Path) -> Result<String, AdminError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| AdminError::File { path: path.to_owned(), source })?;
    Ok(text.trim_end().to_owned())
}
