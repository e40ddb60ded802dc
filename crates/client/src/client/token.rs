//! The access token: one for all callers, fetched once for all who wait, renewed when a server refuses it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};

use super::{
    ClientError, Secret, answer,
    transport::{Reply, Transport},
};

const CALL: &str = "stable_token";
/// A token is asked for anew this long before its end. Below the 300 s in which stable_token starts to hand out
/// the next one (source: its page), or it would give the same token again and again.
const MARGIN: Duration = Duration::from_secs(120);
/// A second forced refresh within 30 s changes nothing, and only 20 a day are allowed (source: its page).
const FORCE_EVERY: Duration = Duration::from_secs(30);

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum TokenSource {
    /// `stable_token` with these.
    Account { appid: String, secret: Secret },
    /// The caller's, never renewed.
    Fixed(Secret),
}

/// Keeps the token.
#[derive(Debug)]
pub(super) struct TokenKeeper {
    source: TokenSource,
    /// Finished fetches, good or bad. Read before waiting for `state`, to learn whether one finished meanwhile.
    fetches: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    failure: Option<ClientError>,
    forced_at: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    token: Secret,
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

    /// The kept token, or a new one if there is none or it is about to end.
    pub async fn token(&self, transport: &Transport) -> Result<Secret, ClientError> {
        self.other_than(None, transport).await
    }

    /// A token to repeat a refused request with; none if there can be no other.
    pub async fn after_refusal(
        &self,
        refused: &Secret,
        transport: &Transport,
    ) -> Result<Option<Secret>, ClientError> {
        match &self.source {
            TokenSource::Fixed(_) => Ok(None),
            TokenSource::Account { .. } => self.other_than(Some(refused), transport).await.map(Some),
        }
    }

    /// Callers queue at `state`: the first fetches, the others find its token, or share its failure.
    async fn other_than(
        &self,
        refused: Option<&Secret>,
        transport: &Transport,
    ) -> Result<Secret, ClientError> {
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

impl State {
    fn usable(&self, refused: Option<&Secret>) -> Option<Secret> {
        let kept = self.kept.as_ref()?;
        let usable = Instant::now() < kept.good_until && refused != Some(&kept.token);
        usable.then(|| kept.token.clone())
    }

    async fn fetch(
        &mut self,
        refused: Option<&Secret>,
        appid: &str,
        secret: &Secret,
        transport: &Transport,
    ) -> Result<Secret, ClientError> {
        self.kept = None;
        let mut kept = ask(appid, secret, false, transport).await?;
        let force_allowed = self.forced_at.is_none_or(|at| at.elapsed() >= FORCE_EVERY);
        if refused == Some(&kept.token) && force_allowed {
            self.forced_at = Some(Instant::now());
            kept = ask(appid, secret, true, transport).await?;
        }
        let token = kept.token.clone();
        self.kept = Some(kept);
        Ok(token)
    }
}

async fn ask(appid: &str, secret: &Secret, force: bool, transport: &Transport) -> Result<Kept, ClientError> {
    let request = TokenRequest {
        grant_type: "client_credential",
        appid,
        secret: secret.expose(),
        force_refresh: force,
    };
    let body = serde_json::to_string(&request).map_err(|error| ClientError::Setting(error.to_string()))?;
    let asked_at = Instant::now();
    let url = transport.url("/cgi-bin/stable_token", None)?;
    let read = |reply: Reply| answer::token(CALL, &reply.body, reply.hint.as_ref());
    let answer = transport.post(CALL, url, body, read).await?;
    Ok(Kept { token: answer.token, good_until: asked_at + kept_for(answer.expires_in_s) })
}

/// A short-lived token is used for half its life at least. A day bounds what a server may claim.
fn kept_for(expires_in_s: u64) -> Duration {
    let life = Duration::from_secs(expires_in_s.min(86_400));
    life.saturating_sub(MARGIN.min(life / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_given_up_shortly_before_its_end() {
        let cases = [(7200, 7080), (300, 180), (100, 50), (0, 0), (u64::MAX, 86_280)];
        for (expires_in_s, kept_s) in cases {
            assert_eq!(kept_for(expires_in_s), Duration::from_secs(kept_s));
        }
    }
}
