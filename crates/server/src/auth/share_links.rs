//! Share links: whoever has one may read one account on the pages, until the link ends or is revoked. Only their hashes
//! are stored.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use subtle::ConstantTimeEq as _;
use system::{
    random::{self, RandomError},
    secret::Secret,
};
use tokio::sync::Semaphore;

const FACT_PREFIX: &str = "share_link/";
/// What every token of a link begins with. The log of errors hides such texts.
pub const TOKEN_PREFIX: &str = "ms_";
/// Letters and digits of a token after its id: 256 random bits.
const TOKEN_CHARACTERS: usize = 43;
/// Limit of links.
const LINKS_MAX: usize = 10_000;
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
    hash: [u8; 32],
}

impl ShareLink {
    /// Whether the link has ended.
    pub fn is_over(&self, now_s: i64) -> bool {
        now_s >= self.expires_s
    }
}

/// Why a link could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ShareLinkError {
    /// The limit is reached.
    #[error("the limit of {LINKS_MAX} share links is reached; remove some")]
    TooMany,
    /// There is no such link.
    #[error("no share link has the id {0}; GET /v1/share-links lists them")]
    Unknown(String),
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// The system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
}

type LinksById = HashMap<String, ShareLink, foldhash::fast::RandomState>;

/// All links.
#[derive(Debug, Default)]
pub struct ShareLinks {
    links: RwLock<LinksById>,
    changing: tokio::sync::Mutex<()>,
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
    pub fn load(store: &Store) -> ShareLinks {
        let read = |(_, value): (String, Vec<u8>)| serde_json::from_slice::<ShareLink>(&value).ok();
        let links = store.facts(FACT_PREFIX).into_iter().filter_map(read);
        let links = links.map(|link| (link.id.clone(), link)).collect();
        ShareLinks { links: RwLock::new(links), ..ShareLinks::default() }
    }

    /// The link of a token. None if it is unknown, revoked or has ended.
    pub fn of_token(&self, shown: &str, now_s: i64) -> Option<ShareLink> {
        let (id, _) = shown.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        let links = self.read();
        let link = links.get(id)?;
        let is_right: bool = hash(shown).ct_eq(&link.hash).into();
        (is_right && !link.is_over(now_s)).then(|| link.clone())
    }

    /// Whether a link still works.
    pub fn works(&self, id: &str, now_s: i64) -> bool {
        self.read().get(id).is_some_and(|link| !link.is_over(now_s))
    }

    /// All links, oldest first.
    pub fn all(&self) -> Vec<ShareLink> {
        let mut links: Vec<ShareLink> = self.read().values().cloned().collect();
        links.sort_by(|one, other| (one.created_s, &one.id).cmp(&(other.created_s, &other.id)));
        links
    }

    /// Makes a link to an account, durably. This is the only time that its token is shown.
    pub async fn add(
        &self,
        account: String,
        days: u32,
        now_s: i64,
        ingest: &Ingest,
    ) -> Result<(ShareLink, Secret), ShareLinkError> {
        let _one_at_a_time = self.changing.lock().await;
        self.remove_those(|link| link.is_over(now_s), ingest).await?;
        if self.read().len() >= LINKS_MAX {
            return Err(ShareLinkError::TooMany);
        }
        let id = random::hexadecimal(6)?;
        let token = format!("{TOKEN_PREFIX}{id}_{}", random::alphanumeric(TOKEN_CHARACTERS)?);
        let expires_s = now_s + i64::from(days) * DAY_S;
        let link = ShareLink { id, account, created_s: now_s, expires_s, hash: hash(&token) };
        ingest.submit_all(vec![Change::fact(fact_key(&link.id), &link)])?.await?;
        self.write().insert(link.id.clone(), link.clone());
        Ok((link, Secret::new(token)))
    }

    /// Revokes a link, durably.
    pub async fn remove(&self, id: &str, ingest: &Ingest) -> Result<(), ShareLinkError> {
        let _one_at_a_time = self.changing.lock().await;
        if !self.read().contains_key(id) {
            return Err(ShareLinkError::Unknown(id.to_owned()));
        }
        Ok(self.remove_those(|link| link.id == id, ingest).await?)
    }

    /// Revokes all links to an account, durably.
    pub async fn remove_account(&self, appid: &str, ingest: &Ingest) -> Result<(), NotDurable> {
        let _one_at_a_time = self.changing.lock().await;
        self.remove_those(|link| link.account == appid, ingest).await
    }

    /// Removes links. They stop working first, and come back if that does not become durable.
    async fn remove_those(
        &self,
        is_chosen: impl Fn(&ShareLink) -> bool,
        ingest: &Ingest,
    ) -> Result<(), NotDurable> {
        let removed: LinksById = self.write().extract_if(|_, link| is_chosen(link)).collect();
        if removed.is_empty() {
            return Ok(());
        }
        let facts = removed.keys().map(|id| Change::Fact { key: fact_key(id), value: None }).collect();
        let done = async { ingest.submit_all(facts)?.await };
        if let Err(error) = done.await {
            self.write().extend(removed);
            return Err(error);
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, LinksById> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, LinksById> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fact_key(id: &str) -> String {
    format!("{FACT_PREFIX}{id}")
}

/// A token is random, so its hash cannot be reversed by guessing.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
