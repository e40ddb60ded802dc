//! Hashes of WeChat's own tokens of third-party platforms and their accounts, collected from answers that pass
//! through. They tell who a caller with such a token is; its token is passed on unchanged.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};

const FACT_PREFIX: &str = "remembered/";
/// Limit of tokens, two for each of 100,000 accounts. A further one removes the one that expires first.
const TOKENS_MAX: usize = 200_000;
/// Longest life of a WeChat token in seconds. A former token may live five minutes after the next is issued.
const LIFE_S_MAX: i64 = 7200 + 300;
/// Limit of expired tokens removed with each new one.
const REMOVED_TOGETHER: usize = 64;

type UpstreamTokenHash = [u8; 32];

/// The owner of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOwner {
    /// The platform's appid.
    pub component: String,
    /// The account that the platform acts for. None: the token is the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct IndexedToken {
    #[serde(flatten)]
    owner: TokenOwner,
    expires_s: i64,
}

/// All such tokens.
#[derive(Debug, Default)]
pub struct UpstreamTokenIndex(RwLock<TokensByHash>);

#[derive(Debug, Default)]
struct TokensByHash {
    by_hash: HashMap<UpstreamTokenHash, IndexedToken, foldhash::fast::RandomState>,
    by_end: BTreeSet<(i64, UpstreamTokenHash)>,
}

impl UpstreamTokenIndex {
    /// Reads the stored hashes.
    pub fn load(store: &Store) -> UpstreamTokenIndex {
        let mut known = TokensByHash::default();
        for (fact, value) in store.facts(FACT_PREFIX) {
            let hash = fact.strip_prefix(FACT_PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            let hash = hash.and_then(|bytes| UpstreamTokenHash::try_from(bytes).ok());
            if let (Some(hash), Ok(entry)) = (hash, serde_json::from_slice(&value)) {
                known.put(hash, entry);
            }
        }
        UpstreamTokenIndex(RwLock::new(known))
    }

    /// The owner of a token. None if it is unknown or expired.
    pub fn owner_of(&self, token: &str, now_s: i64) -> Option<TokenOwner> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // A token with more time left than possible was stored before the clock was set back.
        let is_good = |entry: &&IndexedToken| (1..=LIFE_S_MAX).contains(&(entry.expires_s - now_s));
        known.by_hash.get(&hash(token)).filter(is_good).map(|entry| entry.owner.clone())
    }

    /// Adds a token, in memory at once. The future waits for the disk.
    pub fn remember(
        &self,
        token: &str,
        owner: TokenOwner,
        expires_in_s: i64,
        now_s: i64,
        ingest: &Ingest,
    ) -> impl Future<Output = Result<(), NotDurable>> + use<> {
        let entry = IndexedToken { owner, expires_s: now_s + expires_in_s.clamp(1, LIFE_S_MAX) };
        let hash = hash(token);
        let mut changes = vec![Change::fact(fact_key(&hash), &entry)];
        {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.put(hash, entry);
            let gone = known.make_room(now_s);
            changes.extend(gone.map(|hash| Change::Fact { key: fact_key(&hash), value: None }));
        }
        let waiting = ingest.submit_all(changes);
        async { waiting?.await.map(drop) }
    }
}

impl TokensByHash {
    fn put(&mut self, hash: UpstreamTokenHash, entry: IndexedToken) {
        self.by_end.insert((entry.expires_s, hash));
        if let Some(former) = self.by_hash.insert(hash, entry) {
            let is_same = self.by_hash.get(&hash).is_some_and(|entry| entry.expires_s == former.expires_s);
            if !is_same {
                self.by_end.remove(&(former.expires_s, hash));
            }
        }
    }

    /// Removes some expired tokens, and as many as needed to stay within the limit.
    fn make_room(&mut self, now_s: i64) -> impl Iterator<Item = UpstreamTokenHash> + use<> {
        let over = self.by_hash.len().saturating_sub(TOKENS_MAX);
        let ended = self.by_end.iter().take_while(|(expires_s, _)| *expires_s <= now_s);
        let count = over.max(ended.take(REMOVED_TOGETHER).count());
        let gone: Vec<UpstreamTokenHash> =
            (0..count).filter_map(|_| self.by_end.pop_first()).map(|(_, hash)| hash).collect();
        gone.iter().for_each(|hash| drop(self.by_hash.remove(hash)));
        gone.into_iter()
    }
}

fn fact_key(hash: &UpstreamTokenHash) -> String {
    format!("{FACT_PREFIX}{}", URL_SAFE_NO_PAD.encode(hash))
}

/// A token is random, so its hash cannot be reversed by guessing.
fn hash(token: &str) -> UpstreamTokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(expires_s: i64) -> IndexedToken {
        IndexedToken { owner: TokenOwner { component: "wxc".to_owned(), account: None }, expires_s }
    }

    #[test]
    fn those_that_end_first_make_room() {
        let mut known = TokensByHash::default();
        for number in 0..=TOKENS_MAX {
            let expires_s = 1_000_000 - i64::try_from(number).unwrap();
            known.put(hash(&number.to_string()), entry(expires_s));
        }
        let gone: Vec<UpstreamTokenHash> = known.make_room(0).collect();
        assert_eq!(gone, [hash(&TOKENS_MAX.to_string())]);
        assert_eq!((known.by_hash.len(), known.by_end.len()), (TOKENS_MAX, TOKENS_MAX));
        known.put(hash("0"), entry(1_000_000));
        known.put(hash("0"), entry(2_000_000));
        assert_eq!(known.by_end.len(), TOKENS_MAX, "the same token anew");
        assert_eq!(known.make_room(1_000_000).count(), REMOVED_TOGETHER);
    }
}
