//! A server under test: one connection for each call, a pause between calls, and a time limit on everything.

use std::{net::IpAddr, path::Path, time::Duration};

use axum::http::{Uri, uri::Authority};
use i18n::format;
use msgcube_client::{ExposeSecret as _, SecretString, http::Address};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use system::clock::Clock;

use super::{case_run::errcode, error::ConformanceError, mask::Mask, request::Request};
use crate::{
    probe::{
        ByteStream, ProbeError, Prober,
        exchange::{ExchangeResult, NoAnswer, RawAnswer, exchange},
    },
    query::Credentials,
};

/// Time limit of one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause between calls to a public server, which has other callers.
const PAUSE: Duration = Duration::from_millis(250);
const CONNECT_TRIES: usize = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A server of the interface.
#[derive(Debug)]
pub struct LiveServer {
    prober: Prober,
    address: Address,
    uri: Uri,
    pause: Duration,
    clock: Clock,
    is_first: bool,
}

impl LiveServer {
    pub fn new(
        address: Address,
        ca: Option<&Path>,
        pause: Option<Duration>,
        clock: Clock,
    ) -> Result<LiveServer, ConformanceError> {
        let uri = address.below("").map_err(|error| ConformanceError::Target(error.to_string()))?;
        let authorities = ca.map(authorities).transpose()?.unwrap_or_default();
        let prober = Prober::also_trusting(authorities);
        let pause = pause.unwrap_or(if is_near(&uri) { Duration::ZERO } else { PAUSE });
        Ok(LiveServer { prober, address, uri, pause, clock, is_first: true })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Sends the request `times` times over one connection. Returns the time of sending in Unix seconds, and the results.
    pub async fn ask(
        &mut self,
        request: &Request,
        times: usize,
    ) -> Result<(i64, Vec<ExchangeResult>), ProbeError> {
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(self.pause).await;
        }
        let stream = self.connect().await?;
        let name = self.uri.authority().map(Authority::as_str).unwrap_or_default();
        let base_path = self.uri.path().trim_end_matches('/');
        let requests = (1..=times).map(|n| request.bytes(name, base_path, n == times));
        let at_s = self.clock.now_s();
        Ok((at_s, exchange(stream, requests, ANSWER_TIME_MAX).await))
    }

    /// Connects. A refused connection is retried, because the server may be restarting.
    async fn connect(&self) -> Result<Box<dyn ByteStream>, ProbeError> {
        let mut tries = 1;
        loop {
            match self.prober.connect(&self.uri).await {
                Ok(connection) => match connection.presented.map(|presented| presented.verdict) {
                    Some(Err(error)) => return Err(ProbeError::Untrusted(error)),
                    _ => return Ok(connection.stream),
                },
                Err(ProbeError::Refused | ProbeError::Unconnected(_)) if tries < CONNECT_TRIES => {
                    tokio::time::sleep(RETRY_AFTER).await;
                    tries += 1;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The token for the calls: from stable_token in normal mode, which invalidates no token, or the given one if it works.
    pub async fn token(
        &mut self,
        credentials: &Credentials,
        mask: &mut Mask,
    ) -> Result<SecretString, ConformanceError> {
        match credentials {
            Credentials::Account { appid, secret } => self.stable_token(appid, secret, mask).await,
            Credentials::Token(token) => self.checked(token, mask).await.map(|()| token.clone()),
        }
    }

    async fn stable_token(
        &mut self,
        appid: &str,
        secret: &SecretString,
        mask: &mut Mask,
    ) -> Result<SecretString, ConformanceError> {
        const CALL: &str = "stable_token";
        let body =
            json!({ "grant_type": "client_credential", "appid": appid, "secret": secret.expose_secret() });
        let mut request = Request::new("POST /cgi-bin/stable_token");
        request.headers.push("Content-Type: application/json".to_owned());
        request.body = Some(body.to_string().into_bytes());
        let answer = self.one(CALL, &request).await?;
        refusal(CALL, &answer, mask)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match body["access_token"].as_str() {
            Some(token) if answer.status == 200 && !token.is_empty() => Ok(token.into()),
            // The answer may repeat what was sent, so it is masked.
            _ => Err(ConformanceError::Foreign {
                call: CALL,
                location: answer.header("location").map(|to| mask.text(to)),
                answer: mask.answer(&answer),
            }),
        }
    }

    /// Checks the given token: with a refused token every case would differ.
    async fn checked(&mut self, token: &SecretString, mask: &mut Mask) -> Result<(), ConformanceError> {
        const CALL: &str = "getupstreammsg";
        let token: String = form_urlencoded::byte_serialize(token.expose_secret().as_bytes()).collect();
        let mut request = Request::new(format!("POST /datacube/getupstreammsg?access_token={token}"));
        let day = counting::day_of(self.clock.now_s()).plus_days(-2);
        request.body = Some(format!(r#"{{"begin_date":"{day}","end_date":"{day}"}}"#).into_bytes());
        let answer = self.one(CALL, &request).await?;
        match errcode(&answer) {
            Some(40001 | 40014 | 42001) => refusal(CALL, &answer, mask),
            _ => Ok(()),
        }
    }

    async fn one(&mut self, call: &'static str, request: &Request) -> Result<RawAnswer, ConformanceError> {
        let asked = self.ask(request, 1).await;
        let (_, results) = asked.map_err(|fault| self.unreached(fault))?;
        let outcome = results.into_iter().next().unwrap_or(Err(NoAnswer::Closed));
        let call = call.to_owned();
        outcome.map_err(|why| ConformanceError::Silent { target: self.address.to_string(), call, why })
    }

    /// The error for too many calls in a row without an answer in time.
    pub fn silent(&self, call: &str) -> ConformanceError {
        let (target, call) = (self.address.to_string(), call.to_owned());
        ConformanceError::Silent { target, call, why: NoAnswer::Late }
    }

    pub fn unreached(&self, fault: ProbeError) -> ConformanceError {
        ConformanceError::Unreached { target: self.address.to_string(), fault }
    }
}

fn refusal(call: &'static str, answer: &RawAnswer, mask: &Mask) -> Result<(), ConformanceError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body["errcode"].as_i64() {
        None | Some(0) => Ok(()),
        Some(code) => {
            // The text of 40164 names the caller's address, which helps the user.
            let text = mask.text(body["errmsg"].as_str().unwrap_or_default());
            let text = format::quote(text.as_bytes());
            Err(ConformanceError::Refused { call, code, text })
        }
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConformanceError> {
    let error = |why: String| ConformanceError::Ca { path: path.to_owned(), why };
    let read = CertificateDer::pem_file_iter(path).map_err(|why| error(why.to_string()))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|why| error(why.to_string()))?;
    if all.is_empty() { Err(error("it has no BEGIN CERTIFICATE".to_owned())) } else { Ok(all) }
}

/// Whether the server is on this machine or in a private network.
fn is_near(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_servers_are_asked_without_a_pause() {
        let near = |text: &str| is_near(&text.parse().unwrap());
        for text in ["http://127.0.0.1:8060", "http://localhost/x", "https://[::1]", "http://192.168.1.2"] {
            assert!(near(text), "{text}");
        }
        for text in ["https://api.weixin.qq.com", "http://8.8.8.8", "http://localhost.example.com"] {
            assert!(!near(text), "{text}");
        }
    }
}
