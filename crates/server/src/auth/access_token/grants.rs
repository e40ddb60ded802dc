//! Tokens given out, as memory knows them: by their hashes, and in the orders in which they end, so that a new one finds
//! what it changes without a look at the others.

use std::{collections::BTreeSet, ops::RangeInclusive};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use storage::store::Change;

use super::{FACT_PREFIX, Holder, REMEMBER_S};

/// Of a token.
pub type Hash = [u8; 32];

/// Tokens that are as good as unknown, taken out with each new one. More than one, so that what many calls left behind
/// goes; few, so that no call pays for all of them.
pub const GONE_TOGETHER: usize = 64;

/// A token as it is stored: without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    #[serde(flatten)]
    pub holder: Holder,
    pub nonce: String,
    pub expires_s: i64,
    /// Good until then: `expires_s`, or earlier once superseded.
    pub valid_until_s: i64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Grants {
    known: HashMap<Hash, Grant, foldhash::fast::RandomState>,
    /// Of each holder, by the moment until which they are good.
    ends: HashMap<Holder, BTreeSet<(i64, Hash)>, foldhash::fast::RandomState>,
    /// By the moment from which on they are as good as unknown.
    over: BTreeSet<(i64, Hash)>,
}

impl Grants {
    /// By the hash of its token.
    pub fn get(&self, hash: &Hash) -> Option<&Grant> {
        self.known.get(hash)
    }

    /// All, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Grant> {
        self.known.values()
    }

    /// A holder's that are good until one of these moments, in their order.
    pub fn good_until(
        &self,
        holder: &Holder,
        moments: RangeInclusive<i64>,
    ) -> impl DoubleEndedIterator<Item = &Grant> {
        let moments = (*moments.start(), Hash::default())..=(*moments.end(), [u8::MAX; 32]);
        let of_holder = self.ends.get(holder).map(|ends| ends.range(moments));
        of_holder.into_iter().flatten().filter_map(|(_, hash)| self.known.get(hash))
    }

    /// Some of those that are as good as unknown, whoever holds them.
    pub fn gone(&self, now_s: i64) -> impl Iterator<Item = &Grant> {
        let gone = self.over.iter().take_while(move |(gone_s, _)| *gone_s <= now_s);
        gone.take(GONE_TOGETHER).filter_map(|(_, hash)| self.known.get(hash))
    }

    /// Remembers a token, or that it ends at another moment.
    pub fn put(&mut self, hash: Hash, grant: Grant) {
        self.remove(&hash);
        self.over.insert((grant.gone_s(), hash));
        self.ends.entry(grant.holder.clone()).or_default().insert((grant.valid_until_s, hash));
        self.known.insert(hash, grant);
    }

    /// Forgets a token.
    pub fn remove(&mut self, hash: &Hash) {
        let Some(grant) = self.known.remove(hash) else { return };
        self.over.remove(&(grant.gone_s(), *hash));
        if let Some(ends) = self.ends.get_mut(&grant.holder) {
            ends.remove(&(grant.valid_until_s, *hash));
            if ends.is_empty() {
                self.ends.remove(&grant.holder);
            }
        }
    }
}

impl Grant {
    /// From then on checking it gives what an unknown token gives.
    pub fn gone_s(&self) -> i64 {
        let is_superseded = self.valid_until_s < self.expires_s;
        if is_superseded { self.valid_until_s } else { self.expires_s + REMEMBER_S }
    }

    /// What makes it durable.
    pub fn fact(&self) -> Change {
        Change::fact(self.fact_key(), self)
    }

    /// What makes it durable that it is gone.
    pub fn no_fact(&self) -> Change {
        Change::Fact { key: self.fact_key(), value: None }
    }

    fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}/{}", self.holder.appid, self.nonce)
    }
}
