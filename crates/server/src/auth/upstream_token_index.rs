//! WeChat's own tokens of third-party platforms and their accounts, as they went by in answers: only their hashes, for as
//! long as they live. By them such a caller is known, and its token passes as it is.

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
/// Tokens at the same time, two for each of 100,000 accounts; further ones push out those that end first.
const TOKENS_MAX: usize = 200_000;
/// No token of WeChat's lives longer; a former one five minutes beyond the next.
const LIFE_S_MAX: i64 = 7200 + 300;
/// Tokens that ended, or have to make room, taken out with each that comes.
const ENDED_TOGETHER: usize = 64;

type Hash = [u8; 32];

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whom {
    /// The platform.
    pub component: String,
    /// The account that it acts for; none: it is the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    whom: Whom,
    expires_s: i64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct UpstreamTokenIndex(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    by_hash: HashMap<Hash, Entry, foldhash::fast::RandomState>,
    by_end: BTreeSet<(i64, Hash)>,
}

impl UpstreamTokenIndex {
    /// Reads what was remembered before.
    pub fn load(store: &Store) -> UpstreamTokenIndex {
        let mut known = Known::default();
        for (fact, value) in store.facts(FACT_PREFIX) {
            let hash = fact.strip_prefix(FACT_PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            let hash = hash.and_then(|bytes| Hash::try_from(bytes).ok());
            if let (Some(hash), Ok(entry)) = (hash, serde_json::from_slice(&value)) {
                known.put(hash, entry);
            }
        }
        UpstreamTokenIndex(RwLock::new(known))
    }

    /// Whom a token stands for.
    pub fn whom(&self, token: &str, now_s: i64) -> Option<Whom> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // One that seems to live longer than any can was remembered before the clock was set back.
        let is_good = |entry: &&Entry| (1..=LIFE_S_MAX).contains(&(entry.expires_s - now_s));
        known.by_hash.get(&hash(token)).filter(is_good).map(|entry| entry.whom.clone())
    }

    /// Remembers a token, in memory at once. The future waits for the disk.
    pub fn remember(
        &self,
        token: &str,
        whom: Whom,
        expires_in_s: i64,
        now_s: i64,
        ingest: &Ingest,
    ) -> impl Future<Output = Result<(), NotDurable>> + use<> {
        let entry = Entry { whom, expires_s: now_s + expires_in_s.clamp(1, LIFE_S_MAX) };
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

impl Known {
    fn put(&mut self, hash: Hash, entry: Entry) {
        self.by_end.insert((entry.expires_s, hash));
        if let Some(former) = self.by_hash.insert(hash, entry) {
            let is_same = self.by_hash.get(&hash).is_some_and(|entry| entry.expires_s == former.expires_s);
            if !is_same {
                self.by_end.remove(&(former.expires_s, hash));
            }
        }
    }

    /// Takes out a few that ended, and so many that the rest fits.
    fn make_room(&mut self, now_s: i64) -> impl Iterator<Item = Hash> + use<> {
        let over = self.by_hash.len().saturating_sub(TOKENS_MAX);
        let ended = self.by_end.iter().take_while(|(expires_s, _)| *expires_s <= now_s);
        let count = over.max(ended.take(ENDED_TOGETHER).count());
        let gone: Vec<Hash> =
            (0..count).filter_map(|_| self.by_end.pop_first()).map(|(_, hash)| hash).collect();
        gone.iter().for_each(|hash| drop(self.by_hash.remove(hash)));
        gone.into_iter()
    }
}

fn fact_key(hash: &Hash) -> String {
    format!("{FACT_PREFIX}{}", URL_SAFE_NO_PAD.encode(hash))
}

/// Tokens are random through and through, so a plain hash cannot be guessed back.
fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(expires_s: i64) -> Entry {
        Entry { whom: Whom { component: "wxc".to_owned(), account: None }, expires_s }
    }

    #[test]
    fn those_that_end_first_make_room() {
        let mut known = Known::default();
        for number in 0..=TOKENS_MAX {
            let expires_s = 1_000_000 - i64::try_from(number).unwrap();
            known.put(hash(&number.to_string()), entry(expires_s));
        }
        let gone: Vec<Hash> = known.make_room(0).collect();
        assert_eq!(gone, [hash(&TOKENS_MAX.to_string())]);
        assert_eq!((known.by_hash.len(), known.by_end.len()), (TOKENS_MAX, TOKENS_MAX));
        known.put(hash("0"), entry(1_000_000));
        known.put(hash("0"), entry(2_000_000));
        assert_eq!(known.by_end.len(), TOKENS_MAX, "the same token anew");
        assert_eq!(known.make_room(1_000_000).count(), ENDED_TOGETHER);
    }
}
