//! One request to the admin API of a server.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{Method, Request, StatusCode, header, request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::body::Incoming;
use i18n::{Lang, Text, text};
use msgcube_client::{
    ExposeSecret as _, SecretString,
    http::{Address, HttpClient, HttpError, Limits, Trust, UNRESERVED},
};
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::ServerConfigReader;
use crate::server_args::{SecretFileError, ServerAddressArgs, ServerArgs};

const LIMITS: Limits = Limits { time: Duration::from_secs(30), bytes: 256 << 20 };
/// Limit of the body of an error answer.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Address and admin key as a configuration file has them.
#[derive(Debug)]
pub struct ConfiguredServer {
    /// Base URL where it listens.
    pub base: String,
    /// Its admin key, if one is set.
    pub admin_key: Option<SecretString>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The configuration cannot be used; the text says why.
    #[error("{0}")]
    Config(String),
    /// No key was found.
    #[error("no key: set admin_key in the configuration, MSGCUBE_ADMIN_KEY, or --key-file")]
    NoKey,
    /// The running server does not know the key.
    #[error(
        "the server refuses the admin key (HTTP status 401); if admin_key itself changed in the file, reload by a signal (systemctl reload msgcube, or kill -HUP), or give the former key with --key-file"
    )]
    FormerKey,
    /// No answer at the address that the file has now.
    #[error(
        "no answer from {base}: {why}; is the server running? If its address changed in the file, name the one in use with --server, or reload by a signal (systemctl reload msgcube, or kill -HUP)"
    )]
    Moved { base: String, why: String },
    /// `--server` is not a base URL.
    #[error("--server: {0}")]
    Server(String),
    /// The file with the key cannot be read.
    #[error(transparent)]
    KeyFile(#[from] SecretFileError),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// No answer from the server.
    #[error(
        "no answer from {base}: {why}; is the server running? Start it with `msgcube serve`, or name it with --server"
    )]
    Lost { base: String, why: String },
    /// The certificate is for another name, or its authority is not trusted here.
    #[error(
        "{base}: {why}; name the server as its certificate does, --server https://YOUR_HOST, or set admin_listen to a loopback address"
    )]
    Certificate { base: String, why: String },
    /// The server answered with an error status.
    #[error("{text} (HTTP status {status})")]
    Refused { status: u16, text: String },
    /// The appid is probably a mistake, and the user did not confirm it.
    #[error(
        "{0}: WeChat's appids are wx and 16 hexadecimal digits, such as wx0123456789abcdef; nothing was added. If the appid is right, add --yes"
    )]
    UnusualAppid(String),
    /// An argument cannot be parsed.
    #[error("{0}")]
    Usage(String),
    /// The system gives no random bytes.
    #[error("{0}")]
    Random(#[from] system::random::RandomError),
    /// Writing to standard output failed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl AdminError {
    /// The error in a language. The server's own text is translated as far as it is known.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            AdminError::Refused { status, text } => {
                text!("{text} (HTTP status {status})", text = Text::from_english(text), status).in_lang(lang)
            }
            other => i18n::translated(lang, &other.to_string()),
        }
    }
}

/// Used where the answer is not one of msgcube's.
pub const NO_MSGCUBE: &str = "the server there is not msgcube";

/// An HTTP client for a msgcube server. If the configuration leads to a loopback address, the certificate is not checked:
/// it names the public host, and nothing leaves this machine.
pub fn client_of_server(
    base: &Address,
    is_configured: bool,
    connect_time_max: Option<Duration>,
) -> HttpClient {
    let stays_here = is_configured && base.ip().is_some_and(|ip| ip.is_loopback());
    let trust = if stays_here { Trust::ThisMachine } else { Trust::Authorities };
    HttpClient::to(base, trust, connect_time_max)
}

/// A server with a key for it.
#[derive(Debug)]
pub struct AdminConnection {
    http: HttpClient,
    base: Address,
    key: SecretString,
}

impl AdminConnection {
    /// Takes address and key from the arguments, and what is missing from the configuration.
    pub fn new(
        args: &ServerArgs,
        read_config: ServerConfigReader<'_>,
    ) -> Result<AdminConnection, AdminError> {
        let given = args.given_key()?;
        let ServerAddressArgs { server, .. } = &args.address;
        if let (Some(server), Some(key)) = (server, &given) {
            return Ok(AdminConnection::at(server.clone(), key.clone(), false));
        }
        let configured = read_config(args.address.config_path()).map_err(AdminError::Config)?;
        let key = given.or(configured.admin_key).ok_or(AdminError::NoKey)?;
        match server {
            Some(server) => Ok(AdminConnection::at(server.clone(), key, false)),
            None => AdminConnection::to(&configured.base, key, true),
        }
    }

    /// A connection to this base URL with this key. `is_configured`: the URL comes from a configuration file.
    pub fn to(base: &str, key: SecretString, is_configured: bool) -> Result<AdminConnection, AdminError> {
        let base = Address::parse_base(base).map_err(AdminError::Server)?;
        Ok(AdminConnection::at(base, key, is_configured))
    }

    fn at(base: Address, key: SecretString, is_configured: bool) -> AdminConnection {
        AdminConnection { http: client_of_server(&base, is_configured, None), base, key }
    }

    /// The base URL.
    pub fn base(&self) -> String {
        self.base.uri_text()
    }

    /// Sends a request and returns the JSON of the answer.
    pub async fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Value, AdminError> {
        self.ask_with(method, path, &[], body).await
    }

    /// Sends a request with query parameters and returns the JSON of the answer.
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
        let request = self.request(method, &path)?;
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Full::from(body.to_string()))
            }
            None => request.body(Full::default()),
        };
        let answer = self.http.exchange(request.map_err(|error| unusable(&error))?, LIMITS).await;
        let answer = answer.map_err(|error| self.lost(&error))?;
        let (status, bytes) = (answer.status(), answer.into_body());
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(answer) if status.is_success() => Ok(answer),
            Ok(answer) => Err(refusal(status, answer["error"].as_str())),
            Err(_) => Err(refusal(status, None)),
        }
    }

    /// Sends bytes by POST and returns the body of the answer as a stream.
    pub async fn post_for_stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: Bytes,
    ) -> Result<Incoming, AdminError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let request = self
            .request(Method::POST, &format!("/v1/{path}?{query}"))?
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(Full::from(body));
        let answer =
            tokio::time::timeout(LIMITS.time, self.http.send(request.map_err(|error| unusable(&error))?))
                .await;
        let answer = answer.unwrap_or(Err(HttpError::Late)).map_err(|error| self.lost(&error))?;
        let (status, body) = (answer.status(), answer.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let said = Limited::new(body, ERROR_BYTES_MAX).collect().await.map(Collected::to_bytes);
        let said: Value = serde_json::from_slice(&said.unwrap_or_default()).unwrap_or_default();
        Err(refusal(status, said["error"].as_str()))
    }

    /// A request with the key.
    fn request(&self, method: Method, path: &str) -> Result<request::Builder, AdminError> {
        let uri = self.base.below(path).map_err(|error| unusable(&error))?;
        let key = format!("Bearer {}", self.key.expose_secret());
        Ok(Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, key))
    }

    fn lost(&self, error: &HttpError) -> AdminError {
        let (base, why) = (self.base(), error.root());
        let is_untrusted = why.contains("certificate");
        if is_untrusted { AdminError::Certificate { base, why } } else { AdminError::Lost { base, why } }
    }
}

fn unusable(error: &http::Error) -> AdminError {
    AdminError::Server(error.to_string())
}

fn refusal(status: StatusCode, said: Option<&str>) -> AdminError {
    let text = said.unwrap_or(NO_MSGCUBE).to_owned();
    AdminError::Refused { status: status.as_u16(), text }
}

/// Reads a file with a secret, without the line break at its end.
pub fn read_file(path: &Path) -> Result<String, AdminError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| AdminError::File { path: path.to_owned(), source })?;
    Ok(text.trim_end().to_owned())
}
