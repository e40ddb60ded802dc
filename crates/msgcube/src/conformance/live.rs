//! A server that is asked: one connection a call, a pause between, its token, and a time limit on everything.

use std::{net::IpAddr, path::Path, time::Duration};

use axum::http::{Uri, uri::Authority};
use i18n::format;
use msgcube_client::{Secret, http::Address};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use system::clock::Clock;

use super::{error::ConformanceError, mask::Mask, request::Request, walk::errcode};
use crate::{
    probe::{
        Fault, Lines, Stream,
        exchange::{Answer, NoAnswer, Outcome, exchange},
    },
    query::Credentials,
};

/// Of one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// A public server has other callers.
const PAUSE: Duration = Duration::from_millis(250);
const CONNECT_TRIES: usize = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A server of the interface.
#[derive(Debug)]
pub struct Live {
    lines: Lines,
    address: Address,
    uri: Uri,
    pause: Duration,
    clock: Clock,
    is_first: bool,
}

impl Live {
    pub fn new(
        address: Address,
        ca: Option<&Path>,
        pause: Option<Duration>,
        clock: Clock,
    ) -> Result<Live, ConformanceError> {
        let uri = address.below("").map_err(|error| ConformanceError::Target(error.to_string()))?;
        let authorities = ca.map(authorities).transpose()?.unwrap_or_default();
        let lines = Lines::also_trusting(authorities);
        let pause = pause.unwrap_or(if is_near(&uri) { Duration::ZERO } else { PAUSE });
        Ok(Live { lines, address, uri, pause, clock, is_first: true })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Asks so many times over one connection.
    pub async fn ask(&mut self, request: &Request, times: usize) -> Result<(i64, Vec<Outcome>), Fault> {
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

    /// A server that restarts, or has no place for a moment, is tried again.
    async fn connect(&self) -> Result<Box<dyn Stream>, Fault> {
        let mut tries = 1;
        loop {
            match self.lines.connect(&self.uri).await {
                Ok(line) => match line.shown.map(|shown| shown.verdict) {
                    Some(Err(error)) => return Err(Fault::Untrusted(error)),
                    _ => return Ok(line.stream),
                },
                Err(Fault::Refused | Fault::Unconnected(_)) if tries < CONNECT_TRIES => {
                    tokio::time::sleep(RETRY_AFTER).await;
                    tries += 1;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The token to ask with: of the mode that takes it from nobody, or the given one, if it is good.
    pub async fn token(
        &mut self,
        credentials: &Credentials,
        mask: &mut Mask,
    ) -> Result<Secret, ConformanceError> {
        match credentials {
            Credentials::Account { appid, secret } => self.stable_token(appid, secret, mask).await,
            Credentials::Token(token) => self.checked(token, mask).await.map(|()| token.clone()),
        }
    }

    async fn stable_token(
        &mut self,
        appid: &str,
        secret: &Secret,
        mask: &mut Mask,
    ) -> Result<Secret, ConformanceError> {
        const CALL: &str = "stable_token";
        let body = json!({ "grant_type": "client_credential", "appid": appid, "secret": secret.expose() });
        let mut request = Request::new("POST /cgi-bin/stable_token");
        request.headers.push("Content-Type: application/json".to_owned());
        request.body = Some(body.to_string().into_bytes());
        let answer = self.one(CALL, &request).await?;
        refusal(CALL, &answer, mask)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match body["access_token"].as_str() {
            Some(token) if answer.status == 200 && !token.is_empty() => Ok(token.into()),
            // It may repeat what it was sent.
            _ => Err(ConformanceError::Foreign {
                call: CALL,
                location: answer.header("location").map(|to| mask.text(to)),
                answer: mask.answer(&answer),
            }),
        }
    }

    /// A token that is refused would make every case differ.
    async fn checked(&mut self, token: &Secret, mask: &mut Mask) -> Result<(), ConformanceError> {
        const CALL: &str = "getupstreammsg";
        let token: String = form_urlencoded::byte_serialize(token.expose().as_bytes()).collect();
        let mut request = Request::new(format!("POST /datacube/getupstreammsg?access_token={token}"));
        let day = self.clock.today().plus_days(-2);
        request.body = Some(format!(r#"{{"begin_date":"{day}","end_date":"{day}"}}"#).into_bytes());
        let answer = self.one(CALL, &request).await?;
        match errcode(&answer) {
            Some(40001 | 40014 | 42001) => refusal(CALL, &answer, mask),
            _ => Ok(()),
        }
    }

    async fn one(&mut self, call: &'static str, request: &Request) -> Result<Answer, ConformanceError> {
        let asked = self.ask(request, 1).await;
        let (_, outcomes) = asked.map_err(|fault| self.unreached(fault))?;
        let outcome = outcomes.into_iter().next().unwrap_or(Err(NoAnswer::Closed));
        let call = call.to_owned();
        outcome.map_err(|why| ConformanceError::Silent { target: self.address.to_string(), call, why })
    }

    /// Too often in a row no answer in time.
    pub fn silent(&self, call: &str) -> ConformanceError {
        let (target, call) = (self.address.to_string(), call.to_owned());
        ConformanceError::Silent { target, call, why: NoAnswer::Late }
    }

    pub fn unreached(&self, fault: Fault) -> ConformanceError {
        ConformanceError::Unreached { target: self.address.to_string(), fault }
    }
}

fn refusal(call: &'static str, answer: &Answer, mask: &Mask) -> Result<(), ConformanceError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body["errcode"].as_i64() {
        None | Some(0) => Ok(()),
        Some(code) => {
            // With the caller's address, which 40164 is about.
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

/// This machine or a private network.
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
