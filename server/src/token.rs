//! Access tokens: given out, superseded, checked. A token is made from the data key and a random number, and only the
//! number is stored, so what stands on disk is worth nothing without the key.

use std::sync::{PoisonError, RwLock};

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

/// Which endpoint a token comes from. They know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `/cgi-bin/token`
    Token,
    /// `/cgi-bin/stable_token`
    Stable,
    /// `api_component_token`: a third-party platform's own.
    Component,
    /// `api_query_auth` and `api_authorizer_token`: an account's, in the hands of a platform.
    Authorizer,
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The account; with `Endpoint::Component` the platform.
    pub appid: String,
    /// Where it comes from.
    pub endpoint: Endpoint,
    /// The platform that acts for the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// A token as it is stored: without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    #[serde(flatten)]
    holder: Holder,
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
    grants: RwLock<Grants>,
    /// One request for tokens at a time: each reads what the one before wrote.
    issuing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Grants {
    by_hash: HashMap<[u8; 32], Grant, foldhash::fast::RandomState>,
    /// The few of each holder.
    by_holder: HashMap<Holder, Vec<[u8; 32]>, foldhash::fast::RandomState>,
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

    /// Whom a token stands for, if it is good: `look` sees it.
    pub fn with<T>(&self, token: &str, look: impl FnOnce(&Holder) -> T, now_s: i64) -> Result<T, ErrorCode> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.by_hash.get(&hash(token)).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
        match now_s {
            _ if now_s < grant.valid_until_s => Ok(look(&grant.holder)),
            _ if grant.is_as_good_as_unknown(now_s) => Err(ErrorCode::INVALID_CREDENTIAL),
            _ => Err(ErrorCode::ACCESS_TOKEN_EXPIRED),
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
        let _one_at_a_time = self.issuing.lock().await;
        let now_s = clock.now_s();
        let end = |grant: &Grant| grant.valid_until_s.min(now_s + OVERLAP_S);
        self.replace(holder, end, along, ingest, now_s).await.map(|grant| self.issued(&grant, clock))
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
        let holder = Holder::account(appid, Endpoint::Stable);
        if force {
            let end = |grant: &Grant| grant.valid_until_s.min(now_s);
            let grant = self.replace(holder, end, Vec::new(), ingest, now_s).await?;
            return Ok(self.issued(&grant, clock));
        }
        // One that seems to live longer than any can was given out before the clock was set back.
        let lives_long_enough = |grant: &Grant| (RENEW_S..=LIFE_S).contains(&(grant.valid_until_s - now_s));
        let newest = self.of(&holder).into_iter().max_by_key(|grant| grant.valid_until_s);
        let grant = match newest.filter(lives_long_enough) {
            Some(grant) => grant,
            None => self.replace(holder, |grant| grant.valid_until_s, Vec::new(), ingest, now_s).await?,
        };
        Ok(self.issued(&grant, clock))
    }

    /// The end of all tokens of some holders: its changes become durable with others, then it is completed. Until it is
    /// dropped no token is given out.
    pub async fn revocation(&self, is_ended: impl Fn(&Holder) -> bool) -> Revocation<'_> {
        let issuing = self.issuing.lock().await;
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let grants = grants.by_hash.values().filter(|grant| is_ended(&grant.holder)).cloned().collect();
        Revocation { tokens: self, grants, _issuing: issuing }
    }

    fn issued(&self, grant: &Grant, clock: &Clock) -> Issued {
        let left_s = grant.valid_until_s - clock.now_s();
        Issued { access_token: self.token(grant), expires_in: left_s.clamp(0, LIFE_S) }
    }

    /// Makes a new token, durably. `end` says how long each former one is still good.
    async fn replace(
        &self,
        holder: Holder,
        end: impl Fn(&Grant) -> i64,
        along: Vec<Change>,
        ingest: &Ingest,
        now_s: i64,
    ) -> Result<Grant, NotDurable> {
        let expires_s = now_s + LIFE_S;
        let nonce = random_nonce().map_err(|error| NotDurable(error.to_string()))?;
        let former = self.of(&holder).into_iter();
        let grant = Grant { holder, nonce, expires_s, valid_until_s: expires_s };
        let (gone, kept): (Vec<Grant>, Vec<Grant>) =
            former.partition(|grant| grant.is_as_good_as_unknown(now_s));
        let ended = kept.into_iter().filter_map(|grant| {
            let valid_until_s = end(&grant);
            (valid_until_s != grant.valid_until_s).then_some(Grant { valid_until_s, ..grant })
        });
        let ended: Vec<Grant> = ended.collect();
        let mut changes = along;
        changes.extend(gone.iter().map(|grant| Change::Fact { key: grant.fact_key(), value: None }));
        changes.extend(ended.iter().chain([&grant]).map(Grant::fact));
        ingest.submit_all(changes)?.await?;
        gone.iter().for_each(|grant| self.forget(grant));
        ended.into_iter().chain([grant.clone()]).for_each(|grant| self.remember(grant));
        Ok(grant)
    }

    fn of(&self, holder: &Holder) -> Vec<Grant> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let hashes = grants.by_holder.get(holder).into_iter().flatten();
        hashes.filter_map(|hash| grants.by_hash.get(hash)).cloned().collect()
    }

    fn remember(&self, grant: Grant) {
        let hash = hash(&self.token(&grant));
        let mut grants = self.grants.write().unwrap_or_else(PoisonError::into_inner);
        let holder = grant.holder.clone();
        if grants.by_hash.insert(hash, grant).is_none() {
            grants.by_holder.entry(holder).or_default().push(hash);
        }
    }

    fn forget(&self, grant: &Grant) {
        let gone = hash(&self.token(grant));
        let mut grants = self.grants.write().unwrap_or_else(PoisonError::into_inner);
        grants.by_hash.remove(&gone);
        if let Some(hashes) = grants.by_holder.get_mut(&grant.holder) {
            hashes.retain(|hash| *hash != gone);
            if hashes.is_empty() {
                grants.by_holder.remove(&grant.holder);
            }
        }
    }

    fn token(&self, grant: &Grant) -> String {
        let mac = self.key.mac(&["access_token", &grant.holder.appid, &grant.nonce]);
        format!("mc_{}", URL_SAFE_NO_PAD.encode(mac))
    }
}

impl Holder {
    /// An account, by one of its own endpoints.
    pub fn account(appid: &str, endpoint: Endpoint) -> Holder {
        Holder { appid: appid.to_owned(), endpoint, component: None }
    }

    /// A third-party platform itself.
    pub fn component(appid: &str) -> Holder {
        Holder { appid: appid.to_owned(), endpoint: Endpoint::Component, component: None }
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

impl Grant {
    /// True if checking it gives what an unknown token gives.
    fn is_as_good_as_unknown(&self, now_s: i64) -> bool {
        let superseded = self.valid_until_s < self.expires_s;
        now_s >= if superseded { self.valid_until_s } else { self.expires_s + REMEMBER_S }
    }

    fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}/{}", self.holder.appid, self.nonce)
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
