//! Issued tokens in memory: by hash, and sorted by their ends, so that a new token finds the ones it changes
//! without a scan.

use std::{collections::BTreeSet, ops::RangeInclusive};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use storage::store::Change;

use super::{FACT_PREFIX, Holder, REMEMBER_S};

/// The hash of a token.
pub type TokenHash = [u8; 32];

/// Forgotten tokens that are removed with each new one. More than one, so that a backlog shrinks; few, so that no
/// call pays for all of it.
pub const REMOVED_TOGETHER: usize = 64;

/// A token as it is stored: without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    #[serde(flatten)]
    pub holder: Holder,
    pub nonce: String,
    pub expires_s: i64,
    /// Valid until this Unix second: `expires_s`, or earlier once superseded.
    pub valid_until_s: i64,
}

/// All issued tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Grants {
    by_hash: HashMap<TokenHash, Grant, foldhash::fast::RandomState>,
    /// Of each holder, sorted by the end of validity.
    ends: HashMap<Holder, BTreeSet<(i64, TokenHash)>, foldhash::fast::RandomState>,
    /// Sorted by the time from which they count as unknown.
    by_removal: BTreeSet<(i64, TokenHash)>,
}

impl Grants {
    /// Finds a token by its hash.
    pub fn get(&self, hash: &TokenHash) -> Option<&Grant> {
        self.by_hash.get(hash)
    }

    /// All tokens, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Grant> {
        self.by_hash.values()
    }

    /// A holder's tokens whose validity ends within `moments`, sorted by that end.
    pub fn valid_until(
        &self,
        holder: &Holder,
        moments: RangeInclusive<i64>,
    ) -> impl DoubleEndedIterator<Item = &Grant> {
        let moments = (*moments.start(), TokenHash::default())..=(*moments.end(), [u8::MAX; 32]);
        let of_holder = self.ends.get(holder).map(|ends| ends.range(moments));
        of_holder.into_iter().flatten().filter_map(|(_, hash)| self.by_hash.get(hash))
    }

    /// Some of the tokens that count as unknown by now, of any holder.
    pub fn gone(&self, now_s: i64) -> impl Iterator<Item = &Grant> {
        let gone = self.by_removal.iter().take_while(move |(gone_s, _)| *gone_s <= now_s);
        gone.take(REMOVED_TOGETHER).filter_map(|(_, hash)| self.by_hash.get(hash))
    }

    /// Adds a token, or changes its end.
    pub fn put(&mut self, hash: TokenHash, grant: Grant) {
        self.remove(&hash);
        self.by_removal.insert((grant.gone_s(), hash));
        self.ends.entry(grant.holder.clone()).or_default().insert((grant.valid_until_s, hash));
        self.by_hash.insert(hash, grant);
    }

    /// Removes a token.
    pub fn remove(&mut self, hash: &TokenHash) {
        let Some(grant) = self.by_hash.remove(hash) else { return };
        self.by_removal.remove(&(grant.gone_s(), *hash));
        if let Some(ends) = self.ends.get_mut(&grant.holder) {
            ends.remove(&(grant.valid_until_s, *hash));
            if ends.is_empty() {
                self.ends.remove(&grant.holder);
            }
        }
    }
}

impl Grant {
    /// From this Unix second on a check treats it as unknown.
    pub fn gone_s(&self) -> i64 {
        let is_superseded = self.valid_until_s < self.expires_s;
        if is_superseded { self.valid_until_s } else { self.expires_s + REMEMBER_S }
    }

    /// The change that stores it.
    pub fn fact(&self) -> Change {
        Change::fact(self.fact_key(), self)
    }

    /// The change that deletes it.
    pub fn deletion(&self) -> Change {
        Change::Fact { key: self.fact_key(), value: None }
    }

    /// The key of its fact.
    pub fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}/{}", self.holder.appid, self.nonce)
    }
}
