//! Access tokens: given out, superseded, checked. A token is made from the data key and a random number, and only the
//! number is stored, so what stands on disk is worth nothing without the key.

mod grants;

use std::{
    hash::BuildHasher as _,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use datacube::ErrorCode;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use system::{clock::Clock, data_key::DataKey};

use grants::{Grant, Grants, Hash};

/// How long a token lives. Source: WeChat's page on access_token.
pub const LIFE_S: i64 = 7200;
/// How long a superseded token of `/cgi-bin/token` lives on. Source: the same page.
const OVERLAP_S: i64 = 300;
/// With less than this left, `stable_token` gives a new one. Source: WeChat's page on stable_token.
const RENEW_S: i64 = 300;
/// How long an expired token is known as expired. Source: the contract.
const REMEMBER_S: i64 = 24 * 3600;
/// What facts of this sort begin with.
pub const FACT_PREFIX: &str = "token/";
/// What a token begins with.
const PREFIX: &str = "mc_";
/// Its length: the prefix, and 32 bytes in base64.
const TOKEN_BYTES: usize = PREFIX.len() + 43;

/// Which endpoint a token comes from. They know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `/cgi-bin/token`
    Token,
    /// `/cgi-bin/stable_token`
    Stable,
    /// `api_component_token`: a third-party platform's own.
    #[serde(rename = "component")]
    Platform,
    /// `api_query_auth` and `api_authorizer_token`: an account's, in the hands of a platform.
    Authorizer,
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The account; with `Endpoint::Platform` the platform.
    pub appid: String,
    /// Where it comes from.
    pub endpoint: Endpoint,
    /// The platform that acts for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
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
    grants: RwLock<Grants>,
    issuing: Issuing,
}

/// Requests for tokens of one holder come one at a time, since each reads what the one before wrote. Other holders' go
/// on meanwhile, so that nobody who asks in a loop makes them wait for the disk; a revocation waits for all.
#[derive(Debug)]
struct Issuing {
    any: tokio::sync::RwLock<()>,
    of_holder: [tokio::sync::Mutex<()>; SHARDS],
    shard: foldhash::fast::RandomState,
}

/// Holders that share a place wait for one another. As many as a byte counts.
const SHARDS: usize = 256;

/// While it lives, nobody else issues for the holder.
type Turn<'a> = (tokio::sync::RwLockReadGuard<'a, ()>, tokio::sync::MutexGuard<'a, ()>);

impl Issuing {
    fn new() -> Issuing {
        let of_holder = std::array::from_fn(|_| tokio::sync::Mutex::new(()));
        Issuing {
            any: tokio::sync::RwLock::default(),
            of_holder,
            shard: foldhash::fast::RandomState::default(),
        }
    }

    async fn turn(&self, holder: &Holder) -> Turn<'_> {
        let any = self.any.read().await;
        (any, self.place(holder).lock().await)
    }

    fn place(&self, holder: &Holder) -> &tokio::sync::Mutex<()> {
        let [place, ..] = self.shard.hash_one(holder).to_ne_bytes();
        &self.of_holder[usize::from(place)]
    }
}

/// Tokens that are about to end.
#[derive(Debug)]
pub struct Revocation<'a> {
    tokens: &'a Tokens,
    grants: Vec<Grant>,
    _issuing: tokio::sync::RwLockWriteGuard<'a, ()>,
}

impl Revocation<'_> {
    /// What makes it durable.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.grants.iter().map(Grant::no_fact)
    }

    /// Once it is durable.
    pub fn complete(self) {
        self.grants.iter().for_each(|grant| self.tokens.forget(grant));
    }
}

impl Tokens {
    /// Reads what was given out before.
    pub fn load(key: DataKey, store: &Store) -> Tokens {
        let tokens = Tokens { key, grants: RwLock::default(), issuing: Issuing::new() };
        for (_, value) in store.facts(FACT_PREFIX) {
            if let Ok(grant) = serde_json::from_slice::<Grant>(&value) {
                tokens.remember(grant);
            }
        }
        tokens
    }

    /// Whom a token stands for, if it is good: `look` sees it.
    pub fn with<T>(&self, token: &str, look: impl FnOnce(&Holder) -> T, now_s: i64) -> Result<T, ErrorCode> {
        let grants = self.read();
        let grant = grants.get(&hash(token)).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
        match now_s {
            _ if now_s < grant.valid_until_s => Ok(look(&grant.holder)),
            _ if now_s >= grant.gone_s() => Err(ErrorCode::INVALID_CREDENTIAL),
            _ => Err(ErrorCode::ACCESS_TOKEN_EXPIRED),
        }
    }

    /// Whether a token that is known here, good or expired, stands anywhere in a text.
    pub fn stand_in(&self, text: &[u8]) -> bool {
        let is_written = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_like = |window: &&[u8]| window.starts_with(PREFIX.as_bytes()) && window.iter().all(is_written);
        let mut alike = text.windows(TOKEN_BYTES).filter(is_like).peekable();
        alike.peek().is_some() && {
            let grants = self.read();
            alike.any(|window| grants.get(&Sha256::digest(window).into()).is_some())
        }
    }

    /// A new token, as `/cgi-bin/token` gives; the holder's former ones live five minutes longer at most. `along` becomes
    /// durable with it, or neither does.
    pub async fn issue(
        &self,
        holder: Holder,
        along: Vec<Change>,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<Issued, NotDurable> {
        let _turn = self.issuing.turn(&holder).await;
        let now_s = clock.now_s();
        let ended = self.ended(&holder, now_s + OVERLAP_S);
        self.replace(holder, ended, along, ingest, now_s).await.map(|grant| self.issued(&grant, now_s))
    }

    /// `/cgi-bin/stable_token`: the same token while it lives long enough; forced, a new one, and the former ones end.
    pub async fn issue_stable(
        &self,
        appid: &str,
        force: bool,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<Issued, NotDurable> {
        let holder = Holder::account(appid, Endpoint::Stable);
        let _turn = self.issuing.turn(&holder).await;
        let now_s = clock.now_s();
        if force {
            let ended = self.ended(&holder, now_s);
            let grant = self.replace(holder, ended, Vec::new(), ingest, now_s).await?;
            return Ok(self.issued(&grant, now_s));
        }
        // One that seems to live longer than any can was given out before the clock was set back.
        let long_enough = now_s + RENEW_S..=now_s + LIFE_S;
        let newest = self.read().good_until(&holder, long_enough).next_back().cloned();
        let grant = match newest {
            Some(grant) => grant,
            None => self.replace(holder, Vec::new(), Vec::new(), ingest, now_s).await?,
        };
        Ok(self.issued(&grant, now_s))
    }

    /// The end of all tokens of some holders: its changes become durable with others, then it is completed. Until it is
    /// dropped no token is given out.
    pub async fn revocation(&self, is_ended: impl Fn(&Holder) -> bool) -> Revocation<'_> {
        let issuing = self.issuing.any.write().await;
        let grants = self.read().all().filter(|grant| is_ended(&grant.holder)).cloned().collect();
        Revocation { tokens: self, grants, _issuing: issuing }
    }

    /// `now_s`: when it was asked for, however long the disk took, so that a new one always has its whole life.
    fn issued(&self, grant: &Grant, now_s: i64) -> Issued {
        let left_s = grant.valid_until_s - now_s;
        Issued { access_token: self.token(grant), expires_in: left_s.clamp(0, LIFE_S) }
    }

    /// Makes a new token, durably together with the ends of former ones.
    async fn replace(
        &self,
        holder: Holder,
        ended: Vec<Grant>,
        along: Vec<Change>,
        ingest: &Ingest,
        now_s: i64,
    ) -> Result<Grant, NotDurable> {
        let expires_s = now_s + LIFE_S;
        let nonce = random_nonce().map_err(|error| NotDurable(error.to_string()))?;
        let grant = Grant { holder, nonce, expires_s, valid_until_s: expires_s };
        let gone: Vec<Grant> = self.read().gone(now_s).cloned().collect();
        let mut changes = along;
        changes.extend(gone.iter().map(Grant::no_fact));
        changes.extend(ended.iter().chain([&grant]).map(Grant::fact));
        ingest.submit_all(changes)?.await?;
        gone.iter().for_each(|grant| self.forget(grant));
        ended.into_iter().chain([grant.clone()]).for_each(|grant| self.remember(grant));
        Ok(grant)
    }

    /// The holder's tokens that would be good after this moment, as they are if they are not. After `issue` that is the
    /// newest alone: the others' ends lie no further ahead.
    fn ended(&self, holder: &Holder, end_s: i64) -> Vec<Grant> {
        let grants = self.read();
        let later = grants.good_until(holder, end_s + 1..=i64::MAX);
        later.map(|grant| Grant { valid_until_s: end_s, ..grant.clone() }).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Grants> {
        self.grants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, grant: Grant) {
        let hash = hash(&self.token(&grant));
        self.grants.write().unwrap_or_else(PoisonError::into_inner).put(hash, grant);
    }

    fn forget(&self, grant: &Grant) {
        let hash = hash(&self.token(grant));
        self.grants.write().unwrap_or_else(PoisonError::into_inner).remove(&hash);
    }

    fn token(&self, grant: &Grant) -> String {
        let mac = self.key.mac(&["access_token", &grant.holder.appid, &grant.nonce]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(mac))
    }
}

impl Holder {
    /// An account, by one of its own endpoints.
    pub fn account(appid: &str, endpoint: Endpoint) -> Holder {
        Holder { appid: appid.to_owned(), endpoint, component: None }
    }

    /// A third-party platform itself.
    pub fn component(appid: &str) -> Holder {
        Holder { appid: appid.to_owned(), endpoint: Endpoint::Platform, component: None }
    }

    /// An account, in the hands of a platform.
    pub fn authorizer(appid: &str, component: &str) -> Holder {
        Holder {
            appid: appid.to_owned(),
            endpoint: Endpoint::Authorizer,
            component: Some(component.to_owned()),
        }
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

fn random_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
