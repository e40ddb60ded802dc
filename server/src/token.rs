//! Access tokens: given out, superseded, checked. A token is made from the data key and a random number, and only the
//! number is stored, so what stands on disk is worth nothing without the key.

use std::sync::RwLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::HashMap;
use msgcube_client::ErrorCode;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    clock::Clock,
    data_key::DataKey,
    ingest::Ingest,
    store::{Change, NotDurable, Store},
};

/// How long a token lives. Source: WeChat's page on access_token.
pub const LIFE_S: i64 = 7200;
/// How long a superseded token of `/cgi-bin/token` lives on. Source: the same page.
const OVERLAP_S: i64 = 300;
/// With less than this left, `stable_token` gives a new one. Source: WeChat's page on stable_token.
const RENEW_S: i64 = 300;
/// How long an expired token is known as expired. Source: the contract.
const REMEMBER_S: i64 = 24 * 3600;
const FACT_PREFIX: &str = "token/";

/// Which endpoint a token comes from. The two know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `/cgi-bin/token`
    Token,
    /// `/cgi-bin/stable_token`
    Stable,
}

/// A token as it is stored: without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    appid: String,
    endpoint: Endpoint,
    nonce: String,
    expires_s: i64,
    /// Good until then: `expires_s`, or earlier once superseded.
    valid_until_s: i64,
}

/// A token given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The token.
    pub access_token: String,
    /// Seconds left.
    pub expires_in: i64,
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens {
    key: DataKey,
    /// By the hash of the token, so that looking one up tells nothing of the others.
    grants: RwLock<HashMap<[u8; 32], Grant, foldhash::fast::RandomState>>,
    /// One request for tokens at a time: each reads what the one before wrote.
    issuing: tokio::sync::Mutex<()>,
}

/// Tokens that are about to end.
#[derive(Debug)]
pub struct Revocation<'a> {
    tokens: &'a Tokens,
    grants: Vec<Grant>,
    _issuing: tokio::sync::MutexGuard<'a, ()>,
}

impl Revocation<'_> {
    /// What makes it durable.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.grants.iter().map(|grant| Change::Fact { key: grant.fact_key(), value: None })
    }

    /// Once it is durable.
    pub fn complete(self) {
        self.grants.iter().for_each(|grant| self.tokens.forget(grant));
    }
}

impl Tokens {
    /// Reads what was given out before.
    pub fn load(key: DataKey, store: &Store) -> Tokens {
        let tokens = Tokens { key, grants: RwLock::default(), issuing: tokio::sync::Mutex::new(()) };
        for (_, value) in store.facts(FACT_PREFIX) {
            if let Ok(grant) = serde_json::from_slice::<Grant>(&value) {
                tokens.remember(grant);
            }
        }
        tokens
    }

    /// The account a token is good for.
    pub fn check(&self, token: &str, now_s: i64) -> Result<String, ErrorCode> {
        self.with(token, ToOwned::to_owned, now_s)
    }

    /// The same without a copy: `look` sees the appid.
    pub fn with<T>(&self, token: &str, look: impl FnOnce(&str) -> T, now_s: i64) -> Result<T, ErrorCode> {
        let grants = self.grants.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let grant = grants.get(&hash(token)).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
        match now_s {
            _ if now_s < grant.valid_until_s => Ok(look(&grant.appid)),
            _ if grant.is_as_good_as_unknown(now_s) => Err(ErrorCode::INVALID_CREDENTIAL),
            _ => Err(ErrorCode::ACCESS_TOKEN_EXPIRED),
        }
    }

    /// `/cgi-bin/token`: a new token; the former ones live five minutes longer at most.
    pub async fn issue(&self, appid: &str, ingest: &Ingest, clock: &Clock) -> Result<Issued, NotDurable> {
        let _one_at_a_time = self.issuing.lock().await;
        let now_s = clock.now_s();
        let end = |grant: &Grant| grant.valid_until_s.min(now_s + OVERLAP_S);
        self.replace(appid, Endpoint::Token, end, ingest, now_s).await.map(|grant| self.issued(&grant, clock))
    }

    /// `/cgi-bin/stable_token`: the same token while it lives long enough; forced, a new one, and the former ones end.
    pub async fn issue_stable(
        &self,
        appid: &str,
        force: bool,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<Issued, NotDurable> {
        let _one_at_a_time = self.issuing.lock().await;
        let now_s = clock.now_s();
        if force {
            let end = |grant: &Grant| grant.valid_until_s.min(now_s);
            let grant = self.replace(appid, Endpoint::Stable, end, ingest, now_s).await?;
            return Ok(self.issued(&grant, clock));
        }
        // One that seems to live longer than any can was given out before the clock was set back.
        let lives_long_enough = |grant: &Grant| (RENEW_S..=LIFE_S).contains(&(grant.valid_until_s - now_s));
        let newest = self.of(appid, Endpoint::Stable).into_iter().max_by_key(|grant| grant.valid_until_s);
        let grant = match newest.filter(lives_long_enough) {
            Some(grant) => grant,
            None => self.replace(appid, Endpoint::Stable, |grant| grant.valid_until_s, ingest, now_s).await?,
        };
        Ok(self.issued(&grant, clock))
    }

    /// The end of all tokens of an account: its changes become durable with others, then it is completed. Until it is
    /// dropped no token is given out.
    pub async fn revocation(&self, appid: &str) -> Revocation<'_> {
        let issuing = self.issuing.lock().await;
        let endpoints = [Endpoint::Token, Endpoint::Stable].into_iter();
        let grants = endpoints.flat_map(|endpoint| self.of(appid, endpoint)).collect();
        Revocation { tokens: self, grants, _issuing: issuing }
    }

    fn issued(&self, grant: &Grant, clock: &Clock) -> Issued {
        let left_s = grant.valid_until_s - clock.now_s();
        Issued { access_token: self.token(grant), expires_in: left_s.clamp(0, LIFE_S) }
    }

    /// Makes a new token, durably. `end` says how long each former one is still good.
    async fn replace(
        &self,
        appid: &str,
        endpoint: Endpoint,
        end: impl Fn(&Grant) -> i64,
        ingest: &Ingest,
        now_s: i64,
    ) -> Result<Grant, NotDurable> {
        let expires_s = now_s + LIFE_S;
        let nonce = random_nonce().map_err(|error| NotDurable(error.to_string()))?;
        let grant = Grant { appid: appid.to_owned(), endpoint, nonce, expires_s, valid_until_s: expires_s };
        let former = self.of(appid, endpoint).into_iter();
        let (gone, kept): (Vec<Grant>, Vec<Grant>) =
            former.partition(|grant| grant.is_as_good_as_unknown(now_s));
        let ended = kept.into_iter().filter_map(|grant| {
            let valid_until_s = end(&grant);
            (valid_until_s != grant.valid_until_s).then_some(Grant { valid_until_s, ..grant })
        });
        let ended: Vec<Grant> = ended.collect();
        let mut changes: Vec<Change> =
            gone.iter().map(|grant| Change::Fact { key: grant.fact_key(), value: None }).collect();
        changes.extend(ended.iter().chain([&grant]).map(Grant::fact));
        ingest.submit_all(changes)?.await?;
        gone.iter().for_each(|grant| self.forget(grant));
        ended.into_iter().chain([grant.clone()]).for_each(|grant| self.remember(grant));
        Ok(grant)
    }

    fn of(&self, appid: &str, endpoint: Endpoint) -> Vec<Grant> {
        let grants = self.grants.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        grants.values().filter(|grant| grant.appid == appid && grant.endpoint == endpoint).cloned().collect()
    }

    fn remember(&self, grant: Grant) {
        let key = hash(&self.token(&grant));
        self.grants.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key, grant);
    }

    fn forget(&self, grant: &Grant) {
        let key = hash(&self.token(grant));
        self.grants.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&key);
    }

    fn token(&self, grant: &Grant) -> String {
        let mac = self.key.mac(&["access_token", &grant.appid, &grant.nonce]);
        format!("mc_{}", URL_SAFE_NO_PAD.encode(mac))
    }
}

impl Grant {
    /// True if checking it gives what an unknown token gives.
    fn is_as_good_as_unknown(&self, now_s: i64) -> bool {
        let superseded = self.valid_until_s < self.expires_s;
        now_s >= if superseded { self.valid_until_s } else { self.expires_s + REMEMBER_S }
    }

    fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}/{}", self.appid, self.nonce)
    }

    fn fact(&self) -> Change {
        // A grant has nothing that JSON cannot say.
        Change::Fact { key: self.fact_key(), value: serde_json::to_vec(self).ok() }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn random_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
