//! Share links: whoever has one may read one account on the pages, until the link ends or is revoked. Only their hashes
//! are stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage::{
    store::{NotDurable, Store},
    writer::Ingest,
};
use system::{random, secret::Secret};
use tokio::sync::Semaphore;

use super::{
    digest::SecretDigest,
    revocable::{LINKS_MAX, Revocable, RevocableError, Revocables},
};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "share_link/";
/// What every token of a link begins with. The log of errors hides such texts.
pub const TOKEN_PREFIX: &str = "ms_";
/// Letters and digits of a token after its id: 256 random bits.
const TOKEN_CHARACTERS: usize = 43;
/// How long a link works if nothing else is asked for, in days.
pub const DAYS_DEFAULT: u32 = 30;
/// A link works for at most so many days.
pub const DAYS_MAX: u32 = 366;

/// Visitors whose figures are read at the same time. Further ones wait.
const VIEWS_MAX: usize = 2;

const DAY_S: i64 = 24 * 3600;

/// A link as it is stored: without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareLink {
    /// Also part of the token.
    pub id: String,
    /// The appid of the account that it shows.
    pub account: String,
    /// Unix seconds.
    pub created_s: i64,
    /// Unix seconds.
    pub expires_s: i64,
    hash: SecretDigest,
}

impl ShareLink {
    /// Whether the link has ended.
    pub fn is_over(&self, now_s: i64) -> bool {
        now_s >= self.expires_s
    }
}

impl Revocable for ShareLink {
    const FACT_PREFIX: &'static str = FACT_PREFIX;
    const MAX: usize = LINKS_MAX;
    const TOO_MANY: RevocableError = RevocableError::TooManyLinks;

    fn unknown(id: &str) -> RevocableError {
        RevocableError::UnknownLink(id.to_owned())
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_over(&self, now_s: i64) -> bool {
        ShareLink::is_over(self, now_s)
    }
}

/// All links.
#[derive(Debug)]
pub struct ShareLinks {
    links: Revocables<ShareLink>,
    /// Visitors of all links whose figures are read at the same time.
    pub views: Views,
}

/// Permits for visitors whose figures are read at the same time: fewer than for those with a key, who must not wait for
/// visitors.
#[derive(Clone, Debug)]
pub struct Views(pub Arc<Semaphore>);

impl Default for Views {
    fn default() -> Views {
        Views(Arc::new(Semaphore::new(VIEWS_MAX)))
    }
}

impl ShareLinks {
    /// Reads the stored links.
    pub fn load(store: &Arc<Store>) -> ShareLinks {
        ShareLinks { links: Revocables::load(store), views: Views::default() }
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        self.links.apply_fact(key, value);
    }

    /// The link of a token. None if it is unknown, revoked or has ended.
    pub fn of_token(&self, shown: &str, now_s: i64) -> Option<ShareLink> {
        let (id, _) = shown.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        let of_token = |link: &ShareLink| {
            let is_right = link.hash.matches(shown);
            (is_right && !link.is_over(now_s)).then(|| link.clone())
        };
        self.links.get(id, of_token).flatten()
    }

    /// Whether a link still works.
    pub fn works(&self, id: &str, now_s: i64) -> bool {
        self.links.get(id, |link| !link.is_over(now_s)).unwrap_or(false)
    }

    /// All links, oldest first.
    pub fn all(&self) -> Vec<ShareLink> {
        self.links.all()
    }

    /// Makes a link to an account, durably. This is the only time that its token is shown. `is_served` says whether there
    /// is such an account.
    pub async fn add(
        &self,
        account: String,
        is_served: impl FnOnce(&str) -> bool,
        days: u32,
        now_s: i64,
        ingest: &Ingest,
    ) -> Result<(ShareLink, Secret), RevocableError> {
        let id = random::hexadecimal(6)?;
        let token = format!("{TOKEN_PREFIX}{id}_{}", random::alphanumeric(TOKEN_CHARACTERS)?);
        let expires_s = now_s + i64::from(days) * DAY_S;
        let link = ShareLink { id, account, created_s: now_s, expires_s, hash: SecretDigest::of(&token) };
        // Asked in the decision: a link that is made while its account is removed would come back with the account.
        let check = || if is_served(&link.account) { Ok(()) } else { Err(RevocableError::NoAccount) };
        self.links.add(link.clone(), check, now_s, ingest).await?;
        Ok((link, Secret::new(token)))
    }

    /// Revokes a link, durably.
    pub async fn remove(&self, id: &str, ingest: &Ingest) -> Result<(), RevocableError> {
        self.links.remove(id, ingest).await
    }

    /// Revokes all links to an account, durably.
    pub async fn remove_account(&self, appid: &str, ingest: &Ingest) -> Result<(), NotDurable> {
        self.links.remove_those(|link| link.account == appid, ingest).await.map(drop)
    }
}
