//! Hashes of WeChat's own tokens of third-party platforms and their accounts, collected from answers that pass
//! through. They tell who a caller with such a token is; its token is passed on unchanged.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "remembered/";
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IndexedToken {
    #[serde(flatten)]
    owner: TokenOwner,
    expires_s: i64,
}

/// All such tokens. The map in memory is a cache of the stored facts.
#[derive(Debug)]
pub struct UpstreamTokenIndex {
    store: Arc<Store>,
    known: RwLock<TokensByHash>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct TokensByHash {
    by_hash: HashMap<UpstreamTokenHash, IndexedToken, foldhash::fast::RandomState>,
    by_end: BTreeSet<(i64, UpstreamTokenHash)>,
}

impl UpstreamTokenIndex {
    /// Reads the stored hashes.
    pub fn load(store: &Arc<Store>) -> UpstreamTokenIndex {
        let index = UpstreamTokenIndex { store: store.clone(), known: RwLock::default() };
        store.facts(FACT_PREFIX).iter().for_each(|(key, value)| index.apply_fact(key, Some(value)));
        index
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        let hash = key.strip_prefix(FACT_PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let Some(hash) = hash.and_then(|bytes| UpstreamTokenHash::try_from(bytes).ok()) else { return };
        let entry = value.and_then(|value| serde_json::from_slice::<IndexedToken>(value).ok());
        let mut known = self.write();
        match entry {
            Some(entry) => known.put(hash, entry),
            None => known.remove(&hash),
        }
    }

    /// The owner of a token. None if it is unknown or expired.
    pub fn owner_of(&self, token: &str, now_s: i64) -> Option<TokenOwner> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // A token with more time left than possible was stored before the clock was set back.
        let left_s = 1..=LIFE_S_MAX + self.store.clocks_apart_s_max();
        let is_good = |entry: &&IndexedToken| left_s.contains(&(entry.expires_s - now_s));
        known.by_hash.get(&hash(token)).filter(is_good).map(|entry| entry.owner.clone())
    }

    /// Adds a token, in memory at once: nothing is decided by it. The future makes it durable.
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
            let mut known = self.write();
            known.put(hash, entry);
            let gone = known.make_room(now_s);
            changes.extend(gone.map(|hash| Change::Fact { key: fact_key(&hash), value: None }));
        }
        let (store, ingest) = (self.store.clone(), ingest.clone());
        async move { store.decide().await?.commit(&ingest, changes).await.map(drop) }
    }

    fn write(&self) -> RwLockWriteGuard<'_, TokensByHash> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
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

    fn remove(&mut self, hash: &UpstreamTokenHash) {
        if let Some(former) = self.by_hash.remove(hash) {
            self.by_end.remove(&(former.expires_s, *hash));
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
    use proptest::prelude::*;

    use super::{
        super::tests::{fact_changes, in_three_ways},
        *,
    };

    proptest! {
        #[test]
        fn tokens_do_not_depend_on_how_their_facts_were_learned(
            changes in fact_changes(
                (0..4).map(|number| fact_key(&hash(&number.to_string()))).collect(),
                |_, number| serde_json::to_vec(&entry(i64::from(number))).unwrap(),
            ),
            at in 0_usize..40,
        ) {
            let ways = in_three_ways(&changes, at, UpstreamTokenIndex::load, UpstreamTokenIndex::apply_fact);
            let [fed, loaded, resumed] = ways.map(|index| index.known.into_inner().unwrap());
            prop_assert_eq!(fed.by_end.len(), fed.by_hash.len());
            prop_assert_eq!(&fed, &loaded);
            prop_assert_eq!(&resumed, &loaded);
        }
    }

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
