//! Access tokens: issued, superseded, checked. A token is made from the data key and a random number. Only the
//! number is stored, so the store is useless to a thief without the key.

mod grants;

use std::{
    hash::BuildHasher as _,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use datacube::ErrorCode;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    decision::{Decided, Decision},
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use system::{clock::Clock, data_key::DataKey};

use grants::{Grant, Grants, TokenHash};

/// Life of a token in seconds. Source: WeChat's page on access_token.
pub const LIFE_S: i64 = 7200;
/// Seconds for which a superseded token of `/cgi-bin/token` stays valid. Source: WeChat's page on access_token.
const OVERLAP_S: i64 = 300;
/// With fewer seconds left, `stable_token` issues a new one. Source: WeChat's page on stable_token.
const RENEW_S: i64 = 300;
/// Seconds for which an expired token is reported as expired; later it is unknown. Source: the contract.
const REMEMBER_S: i64 = 24 * 3600;
/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "token/";
/// Prefix of a token.
const PREFIX: &str = "mc_";
/// Bytes of a token: the prefix, and 32 bytes in base64.
const TOKEN_BYTES: usize = PREFIX.len() + 43;

/// The endpoint that issues a token. Tokens of different endpoints do not affect each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `/cgi-bin/token`
    Token,
    /// `/cgi-bin/stable_token`
    Stable,
    /// `api_component_token`: the token of a third-party platform itself.
    #[serde(rename = "component")]
    Platform,
    /// `api_query_auth` and `api_authorizer_token`: an account's token for use by a platform.
    Authorizer,
}

/// Whom a token was issued to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The account's appid. With `Endpoint::Platform`, the platform's.
    pub appid: String,
    /// The endpoint that issued it.
    pub endpoint: Endpoint,
    /// The platform that acts for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// A token as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The token's text.
    pub access_token: String,
    /// Seconds left.
    pub expires_in: i64,
}

/// All tokens. The map in memory is a cache of the stored facts.
#[derive(Debug)]
pub struct Tokens {
    key: DataKey,
    store: Arc<Store>,
    /// By the hash of the token, so that the time of a lookup tells nothing about other tokens.
    grants: RwLock<Grants>,
    issuing: Issuing,
}

/// Requests for tokens of one holder run one at a time, since each reads what the one before wrote. Other holders'
/// requests run at the same time, so that a client that asks in a loop does not delay them. A revocation waits for
/// all requests. A shared store gives one turn to all of them: take it before these locks.
#[derive(Debug)]
struct Issuing {
    any: tokio::sync::RwLock<()>,
    of_holder: [tokio::sync::Mutex<()>; SHARDS],
    shard: foldhash::fast::RandomState,
}

/// Holders in the same shard wait for each other. One shard for each value of a byte.
const SHARDS: usize = 256;

/// While it lives, no other request issues for the holder.
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

/// Tokens that are about to be revoked.
#[derive(Debug)]
pub struct Revocation<'a> {
    tokens: &'a Tokens,
    grants: Vec<Grant>,
    _issuing: tokio::sync::RwLockWriteGuard<'a, ()>,
}

impl Revocation<'_> {
    /// The changes that make it durable.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.grants.iter().map(Grant::deletion)
    }

    /// Applies it once it is durable.
    pub fn complete(self) {
        self.grants.iter().for_each(|grant| self.tokens.forget(grant));
    }
}

impl Tokens {
    /// Reads the stored tokens.
    pub fn load(key: DataKey, store: &Arc<Store>) -> Tokens {
        let (store, facts) = (store.clone(), store.facts(FACT_PREFIX));
        let tokens = Tokens { key, store, grants: RwLock::default(), issuing: Issuing::new() };
        facts.iter().for_each(|(key, value)| tokens.apply_fact(key, Some(value)));
        tokens
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        let names = key.strip_prefix(FACT_PREFIX).and_then(|names| names.rsplit_once('/'));
        let Some((appid, nonce)) = names else { return };
        let hash = hash(&self.token(appid, nonce));
        let grant = value.and_then(|value| serde_json::from_slice::<Grant>(value).ok());
        match grant.filter(|grant| grant.fact_key() == key) {
            Some(grant) => self.write().put(hash, grant),
            None => self.write().remove(&hash),
        }
    }

    /// Checks a token. If it is valid, `look` is called with its holder.
    pub fn look_up<T>(
        &self,
        token: &str,
        look: impl FnOnce(&Holder) -> T,
        now_s: i64,
    ) -> Result<T, ErrorCode> {
        let grants = self.read();
        let grant = grants.get(&hash(token)).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
        match now_s {
            _ if now_s < grant.valid_until_s => Ok(look(&grant.holder)),
            _ if now_s >= grant.gone_s() => Err(ErrorCode::INVALID_CREDENTIAL),
            _ => Err(ErrorCode::ACCESS_TOKEN_EXPIRED),
        }
    }

    /// Whether a known token, valid or expired, occurs anywhere in a text.
    pub fn occur_in(&self, text: &[u8]) -> bool {
        let is_written = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_like = |window: &&[u8]| window.starts_with(PREFIX.as_bytes()) && window.iter().all(is_written);
        let mut alike = text.windows(TOKEN_BYTES).filter(is_like).peekable();
        alike.peek().is_some() && {
            let grants = self.read();
            alike.any(|window| grants.get(&Sha256::digest(window).into()).is_some())
        }
    }

    /// Issues a new token, as `/cgi-bin/token` does. The holder's former tokens stay valid for at most five
    /// minutes. `extra_changes` become durable in the same batch.
    pub async fn issue(
        &self,
        holder: Holder,
        extra_changes: Vec<Change>,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<Issued, NotDurable> {
        let decision = self.store.decide().await?;
        self.issue_in(decision, holder, extra_changes, ingest, clock).await.map(|(issued, _)| issued)
    }

    /// Like `issue`, in a decision of the caller. The caller changes its own maps before it drops the [`Decided`].
    pub async fn issue_in(
        &self,
        decision: Decision,
        holder: Holder,
        extra_changes: Vec<Change>,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<(Issued, Decided), NotDurable> {
        let _turn = self.issuing.turn(&holder).await;
        let now_s = clock.now_s();
        let ended = self.ended(&holder, now_s + OVERLAP_S);
        let (grant, decided) = self.replace(decision, holder, ended, extra_changes, ingest, now_s).await?;
        Ok((self.issued(&grant, now_s), decided))
    }

    /// Issues a token as `/cgi-bin/stable_token` does: the current one while it has enough time left. With
    /// `force`, a new one, and the former ones end at once.
    pub async fn issue_stable(
        &self,
        appid: &str,
        force: bool,
        ingest: &Ingest,
        clock: &Clock,
    ) -> Result<Issued, NotDurable> {
        let holder = Holder::account(appid, Endpoint::Stable);
        let now_s = clock.now_s();
        if !force && let Some(grant) = self.long_lived(&holder, now_s) {
            return Ok(self.issued(&grant, now_s));
        }
        let decision = self.store.decide().await?;
        let _turn = self.issuing.turn(&holder).await;
        let now_s = clock.now_s();
        // So early that a process whose clock is behind refuses them at once, too.
        let end_s = now_s - self.store.clocks_apart_s_max();
        let ended = if force { self.ended(&holder, end_s) } else { Vec::new() };
        let known = if force { None } else { self.long_lived(&holder, now_s) };
        let grant = match known {
            // Issued by the request before.
            Some(grant) => grant,
            None => self.replace(decision, holder, ended, Vec::new(), ingest, now_s).await?.0,
        };
        Ok(self.issued(&grant, now_s))
    }

    /// The holder's newest token, if it has enough time left to be handed out again.
    fn long_lived(&self, holder: &Holder, now_s: i64) -> Option<Grant> {
        // A token with more time left than possible was issued before the clock was set back.
        let long_enough = now_s + RENEW_S..=now_s + LIFE_S + self.store.clocks_apart_s_max();
        self.read().valid_until(holder, long_enough).next_back().cloned()
    }

    /// Prepares to revoke all tokens of some holders. Its changes become durable together with others, in a decision that
    /// the caller has taken before, then `complete` applies it. Until it is dropped no token is issued.
    pub async fn revocation(&self, is_ended: impl Fn(&Holder) -> bool) -> Revocation<'_> {
        let issuing = self.issuing.any.write().await;
        let grants = self.read().all().filter(|grant| is_ended(&grant.holder)).cloned().collect();
        Revocation { tokens: self, grants, _issuing: issuing }
    }

    /// `now_s` is the time of the request, however long the disk took, so that a new token always has its full
    /// life.
    fn issued(&self, grant: &Grant, now_s: i64) -> Issued {
        let left_s = grant.valid_until_s - now_s;
        Issued { access_token: self.token_of(grant), expires_in: left_s.clamp(0, LIFE_S) }
    }

    /// Makes a new token durable, together with the ends of former ones. The map is changed while the [`Decided`] lives.
    async fn replace(
        &self,
        decision: Decision,
        holder: Holder,
        ended: Vec<Grant>,
        extra_changes: Vec<Change>,
        ingest: &Ingest,
        now_s: i64,
    ) -> Result<(Grant, Decided), NotDurable> {
        let expires_s = now_s + LIFE_S;
        let nonce = random_nonce().map_err(|error| NotDurable(error.to_string()))?;
        let grant = Grant { holder, nonce, expires_s, valid_until_s: expires_s };
        let gone: Vec<Grant> = self.read().gone(now_s).cloned().collect();
        let mut changes = extra_changes;
        changes.extend(gone.iter().map(Grant::deletion));
        changes.extend(ended.iter().chain([&grant]).map(Grant::fact));
        let decided = decision.commit(ingest, changes).await?;
        gone.iter().for_each(|grant| self.forget(grant));
        ended.into_iter().chain([grant.clone()]).for_each(|grant| self.remember(grant));
        Ok((grant, decided))
    }

    /// The holder's tokens that would be valid after `end_s`, shortened to end then. After `issue` that is the
    /// newest alone: the others end earlier already.
    fn ended(&self, holder: &Holder, end_s: i64) -> Vec<Grant> {
        let grants = self.read();
        let later = grants.valid_until(holder, end_s + 1..=i64::MAX);
        later.map(|grant| Grant { valid_until_s: end_s, ..grant.clone() }).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Grants> {
        self.grants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Grants> {
        self.grants.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, grant: Grant) {
        let hash = hash(&self.token_of(&grant));
        self.write().put(hash, grant);
    }

    fn forget(&self, grant: &Grant) {
        let hash = hash(&self.token_of(grant));
        self.write().remove(&hash);
    }

    fn token_of(&self, grant: &Grant) -> String {
        self.token(&grant.holder.appid, &grant.nonce)
    }

    fn token(&self, appid: &str, nonce: &str) -> String {
        let mac = self.key.mac(&["access_token", appid, nonce]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(mac))
    }
}

impl Holder {
    /// An account, through one of its own endpoints.
    pub fn account(appid: &str, endpoint: Endpoint) -> Holder {
        Holder { appid: appid.to_owned(), endpoint, component: None }
    }

    /// A third-party platform itself.
    pub fn component(appid: &str) -> Holder {
        Holder { appid: appid.to_owned(), endpoint: Endpoint::Platform, component: None }
    }

    /// An account's token for use by a platform.
    pub fn authorizer(appid: &str, component: &str) -> Holder {
        Holder {
            appid: appid.to_owned(),
            endpoint: Endpoint::Authorizer,
            component: Some(component.to_owned()),
        }
    }
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

fn random_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
