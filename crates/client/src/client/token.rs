//! The access token that all callers share. One request fetches it for all that wait. It is renewed before it expires and
//! when a server refuses it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};

use super::{
    ClientError, answer,
    transport::{Reply, Transport},
};

const CALL_NAME: &str = "stable_token";
/// A token is renewed this long before it expires. Less than 300 s: before that, stable_token returns the same token
/// again. Source: WeChat's page of stable_token.
const MARGIN: Duration = Duration::from_secs(120);
/// Shortest time between two forced refreshes. WeChat ignores a second one within 30 s and allows 20 per day. Source:
/// WeChat's page of stable_token.
const FORCE_EVERY: Duration = Duration::from_secs(30);

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum TokenSource {
    /// `stable_token`, with the account's credentials.
    Account { appid: String, secret: SecretString },
    /// The caller's token, which is never renewed.
    Fixed(SecretString),
}

/// Stores the token and renews it.
#[derive(Debug)]
pub(super) struct TokenKeeper {
    source: TokenSource,
    /// Number of finished fetches, failed ones included. A caller reads it before it waits for `state`, to see whether a
    /// fetch finished meanwhile.
    fetches: AtomicU64,
    state: Mutex<TokenState>,
}

#[derive(Debug, Default)]
struct TokenState {
    cached: Option<CachedToken>,
    failure: Option<ClientError>,
    forced_at: Option<Instant>,
}

#[derive(Debug)]
struct CachedToken {
    token: SecretString,
    good_until: Instant,
}

#[derive(Serialize)]
struct TokenRequest<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

impl TokenKeeper {
    pub fn new(source: TokenSource) -> Self {
        Self { source, fetches: AtomicU64::new(0), state: Mutex::default() }
    }

    /// The cached token, or a new one if there is none or it expires soon.
    pub async fn token(&self, transport: &Transport) -> Result<SecretString, ClientError> {
        self.token_except(None, transport).await
    }

    /// Another token, to repeat a refused request. None if the token is fixed.
    pub async fn after_refusal(
        &self,
        refused: &SecretString,
        transport: &Transport,
    ) -> Result<Option<SecretString>, ClientError> {
        match &self.source {
            TokenSource::Fixed(_) => Ok(None),
            TokenSource::Account { .. } => self.token_except(Some(refused), transport).await.map(Some),
        }
    }

    /// A token other than `refused`. Callers wait for `state` in turn: the first one fetches, the others get its token or
    /// its error.
    async fn token_except(
        &self,
        refused: Option<&SecretString>,
        transport: &Transport,
    ) -> Result<SecretString, ClientError> {
        let (appid, secret) = match &self.source {
            TokenSource::Fixed(token) => return Ok(token.clone()),
            TokenSource::Account { appid, secret } => (appid, secret),
        };
        let fetches_before = self.fetches.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = state.usable(refused) {
            return Ok(token);
        }
        let finished_meanwhile = self.fetches.load(Ordering::Acquire) != fetches_before;
        if let (true, Some(failure)) = (finished_meanwhile, &state.failure) {
            return Err(failure.clone());
        }
        let fetched = state.fetch(refused, appid, secret, transport).await;
        state.failure = fetched.as_ref().err().cloned();
        self.fetches.fetch_add(1, Ordering::Release);
        fetched
    }
}

impl TokenState {
    fn usable(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let cached = self.cached.as_ref()?;
        let usable = Instant::now() < cached.good_until && !is_same(refused, &cached.token);
        usable.then(|| cached.token.clone())
    }

    async fn fetch(
        &mut self,
        refused: Option<&SecretString>,
        appid: &str,
        secret: &SecretString,
        transport: &Transport,
    ) -> Result<SecretString, ClientError> {
        self.cached = None;
        let mut cached = request_token(appid, secret, false, transport).await?;
        let force_allowed = self.forced_at.is_none_or(|at| at.elapsed() >= FORCE_EVERY);
        if is_same(refused, &cached.token) && force_allowed {
            self.forced_at = Some(Instant::now());
            cached = request_token(appid, secret, true, transport).await?;
        }
        let token = cached.token.clone();
        self.cached = Some(cached);
        Ok(token)
    }
}

/// Both tokens came from the server, so the comparison does not need constant time.
fn is_same(refused: Option<&SecretString>, token: &SecretString) -> bool {
    refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret())
}

async fn request_token(
    appid: &str,
    secret: &SecretString,
    force: bool,
    transport: &Transport,
) -> Result<CachedToken, ClientError> {
    let request = TokenRequest {
        grant_type: "client_credential",
        appid,
        secret: secret.expose_secret(),
        force_refresh: force,
    };
    let body = serde_json::to_string(&request).map_err(|error| ClientError::Setting(error.to_string()))?;
    let requested_at = Instant::now();
    let url = transport.url("/cgi-bin/stable_token", None)?;
    let read = |reply: Reply| answer::token(CALL_NAME, &reply.body, reply.hint.as_ref());
    let answer = transport.post(CALL_NAME, url, body, read).await?;
    Ok(CachedToken { token: answer.token, good_until: requested_at + cache_time(answer.expires_in_s) })
}

/// How long a token is used. A short-lived one is used for at least half its lifetime. A lifetime of more than a day is
/// taken as a day.
fn cache_time(expires_in_s: u64) -> Duration {
    let lifetime = Duration::from_secs(expires_in_s.min(86_400));
    lifetime.saturating_sub(MARGIN.min(lifetime / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_shortly_before_it_expires() {
        let cases = [(7200, 7080), (300, 180), (100, 50), (0, 0), (u64::MAX, 86_280)];
        for (expires_in_s, cached_s) in cases {
            assert_eq!(cache_time(expires_in_s), Duration::from_secs(cached_s));
        }
    }
}
