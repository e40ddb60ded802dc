//! Sends POST requests, with limits on their number, time and size. Repeats them while the server answers "system error".

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::{ClientError, Hint};
use crate::http::{Address, HttpClient, HttpError, Trust, read, with_timeout};

/// Largest accepted answer in bytes. Answers of the seven interfaces have at most about 100 KB.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most requests at the same time; further callers wait. Each request needs its own connection.
const REQUESTS_MAX: usize = 64;
/// How often a call is sent in all while the answer is -1.
const TRIES_MAX: u32 = 3;
const USER_AGENT: &str = concat!("msgcube-client/", env!("CARGO_PKG_VERSION"));

/// The server that calls go to, and their time limits.
#[derive(Debug)]
pub(super) struct Transport {
    http: HttpClient,
    base: Address,
    time_max: Duration,
    retry_delay: Duration,
    free: Semaphore,
}

/// The body of an answer with status 200, and the hint in its headers.
pub(super) struct Reply {
    pub body: Bytes,
    pub hint: Option<Hint>,
}

impl Transport {
    pub fn new(
        base: &str,
        connect: Duration,
        total: Duration,
        retry_delay: Duration,
    ) -> Result<Self, ClientError> {
        let base = parse_base(base)?;
        let http = HttpClient::to(&base, Trust::Authorities, Some(connect));
        Ok(Self { http, base, time_max: total, retry_delay, free: Semaphore::new(REQUESTS_MAX) })
    }

    /// Sends `body` to `url`, up to three times while `read` finds error code -1.
    pub async fn post<T>(
        &self,
        call: &'static str,
        url: Uri,
        body: String,
        read: impl Fn(Reply) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut delay = self.retry_delay;
        for _ in 1..TRIES_MAX {
            match self.post_once(call, url.clone(), body.clone()).await.and_then(&read) {
                Err(error) if error.is_temporary() => tokio::time::sleep(delay).await,
                outcome => return outcome,
            }
            delay *= 4;
        }
        self.post_once(call, url, body).await.and_then(read)
    }

    /// The URL of a path below the base, with the token in its query if there is one.
    pub fn url(&self, path: &str, token: Option<&SecretString>) -> Result<Uri, ClientError> {
        let url = match token {
            Some(token) => {
                let token = utf8_percent_encode(token.expose_secret(), NON_ALPHANUMERIC);
                self.base.below(&format!("{path}?access_token={token}"))
            }
            None => self.base.below(path),
        };
        url.map_err(|error| base_error(&error))
    }

    async fn post_once(&self, call: &'static str, url: Uri, body: String) -> Result<Reply, ClientError> {
        // The semaphore is never closed, so there always is a permit.
        let _permit = self.free.acquire().await.ok();
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::from(body))
            .map_err(|error| base_error(&error))?;
        let exchange = with_timeout(self.time_max, async {
            let response = self.http.send(request).await?;
            if response.status() != StatusCode::OK {
                return Ok(Err(response.status()));
            }
            let hint = hint(response.headers());
            Ok(Ok(Reply { body: read(response.into_body(), ANSWER_BYTES_MAX).await?, hint }))
        });
        match exchange.await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(status)) => Err(ClientError::Status { call, status: status.as_u16() }),
            Err(error @ HttpError::TooLarge(_)) => {
                Err(ClientError::Malformed { call, problem: error.to_string() })
            }
            Err(error) => Err(ClientError::Transport { call, source: error.into() }),
        }
    }
}

/// The error does not contain the URL, which may contain a password.
fn parse_base(base: &str) -> Result<Address, ClientError> {
    Address::parse_base(base).map_err(|why| base_error(&why))
}

fn base_error(problem: &dyn std::fmt::Display) -> ClientError {
    ClientError::Setting(format!("base URL: {problem}"))
}

fn hint(headers: &HeaderMap) -> Option<Hint> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let decoded = |text: &str| percent_decode(text.as_bytes()).decode_utf8().ok().map(String::from);
    let english = text("x-msgcube-hint")?.to_owned();
    Some(Hint { english, chinese: text("x-msgcube-hint-zh").and_then(decoded) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_http_url_without_query() {
        for good in ["http://127.0.0.1:8060", "https://api.weixin.qq.com/", "http://host/prefix/"] {
            assert!(parse_base(good).is_ok_and(|base| !base.uri_text().ends_with('/')), "{good}");
        }
        for bad in
            ["", "api.weixin.qq.com", "127.0.0.1:8060", "ftp://host", "http://host/?a=1", "http://host#x"]
        {
            assert!(matches!(parse_base(bad), Err(ClientError::Setting(_))), "{bad}");
        }
    }
}
