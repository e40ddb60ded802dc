//! One POST: bounded in number, time and size, and repeated while the server says "system error".

use std::time::Duration;

use percent_encoding::percent_decode;
use reqwest::{StatusCode, Url, header::HeaderMap, redirect};
use tokio::sync::Semaphore;

use super::{ClientError, Hint, Secret};

/// Largest answer taken, in bytes. A legal one of the seven has some 100 KB at most.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Requests under way at once; further callers wait. Each needs a connection of its own.
const REQUESTS_MAX: usize = 64;
/// How often a call is sent while the answer is -1.
const TRIES_MAX: u32 = 3;

/// Where calls go, and how long they may take.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: String,
    retry_delay: Duration,
    free: Semaphore,
}

/// The body of an answer with status 200, and the hint in its headers.
pub(super) struct Reply {
    pub body: Vec<u8>,
    pub hint: Option<Hint>,
}

/// An HTTP client for requests that carry secrets to this address: it follows no redirect, which would carry them to
/// another host, and uses no proxy for this machine's own addresses.
pub fn http_client(to: &Url) -> reqwest::ClientBuilder {
    let host = to.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    use_ring();
    let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
    if is_local { builder.no_proxy() } else { builder }
}

/// reqwest takes the process's provider of cryptography. A program that chose one keeps it.
fn use_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if another thread was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

impl Transport {
    pub fn new(
        base: &str,
        connect: Duration,
        total: Duration,
        retry_delay: Duration,
    ) -> Result<Self, ClientError> {
        let base = checked_base(base)?;
        let url: Url = base.parse().map_err(|error| ClientError::Setting(format!("base {base}: {error}")))?;
        let http = http_client(&url)
            .connect_timeout(connect)
            .timeout(total)
            .user_agent(concat!("msgcube-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Setting(format!("HTTP client: {error}")))?;
        Ok(Self { http, base, retry_delay, free: Semaphore::new(REQUESTS_MAX) })
    }

    /// Sends `body` to `url` until `read` gives something else than -1, at most three times.
    pub async fn post<T>(
        &self,
        call: &'static str,
        url: Url,
        body: String,
        read: impl Fn(Reply) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut delay = self.retry_delay;
        for _ in 1..TRIES_MAX {
            match self.post_once(call, url.clone(), body.clone()).await.and_then(&read) {
                Err(error) if error.is_passing() => tokio::time::sleep(delay).await,
                outcome => return outcome,
            }
            delay *= 4;
        }
        self.post_once(call, url, body).await.and_then(read)
    }

    /// The URL of a path below the base, with a token if the call takes one.
    pub fn url(&self, path: &str, token: Option<&Secret>) -> Result<Url, ClientError> {
        let mut url = Url::parse(&format!("{}{path}", self.base)).map_err(|error| base_problem(&error))?;
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("access_token", token.expose());
        }
        Ok(url)
    }

    async fn post_once(&self, call: &'static str, url: Url, body: String) -> Result<Reply, ClientError> {
        // The semaphore is never closed: without a permit the request is merely not counted.
        let _permit = self.free.acquire().await.ok();
        let lost =
            |error: reqwest::Error| ClientError::Transport { call, source: error.without_url().into() };
        let request = self.http.post(url).header("Content-Type", "application/json").body(body);
        let mut response = request.send().await.map_err(lost)?;
        if response.status() != StatusCode::OK {
            return Err(ClientError::Status { call, status: response.status().as_u16() });
        }
        let hint = hint(response.headers());
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::Malformed {
                    call,
                    problem: format!("over {ANSWER_BYTES_MAX} bytes"),
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Reply { body, hint })
    }
}

fn checked_base(base: &str) -> Result<String, ClientError> {
    let url = Url::parse(base).map_err(|error| base_problem(&error))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(base_problem(&"it must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(base_problem(&"it must end before ? and #"));
    }
    Ok(base.trim_end_matches('/').to_owned())
}

/// The URL itself is left out: it may hold a password.
fn base_problem(problem: &dyn std::fmt::Display) -> ClientError {
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
            assert!(checked_base(good).is_ok_and(|base| !base.ends_with('/')), "{good}");
        }
        for bad in
            ["", "api.weixin.qq.com", "127.0.0.1:8060", "ftp://host", "http://host/?a=1", "http://host#x"]
        {
            assert!(matches!(checked_base(bad), Err(ClientError::Setting(_))), "{bad}");
        }
    }
}
