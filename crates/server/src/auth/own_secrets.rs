//! Secrets that msgcube's callers send and WeChat does not know. They are found in any text by their hashes, in a
//! time that does not depend on their number.

use std::{collections::BTreeMap, hash::BuildHasher as _};

use hashbrown::HashMap;
use sha2::{Digest as _, Sha256};
use system::secret::Secret;

/// Shorter secrets are found only as whole values: inside a longer text they may occur by chance.
pub const INSIDE_BYTES_MIN: usize = 16;

type SecretHash = [u8; 32];

/// All such secrets.
#[derive(Debug, Default)]
pub struct OwnSecrets {
    /// How many accounts or platforms have the secret, by its hash.
    holders: HashMap<SecretHash, usize, foldhash::fast::RandomState>,
    /// How many secrets there are of each length, by the hash of their first bytes.
    beginnings: HashMap<u64, BTreeMap<usize, usize>, foldhash::fast::RandomState>,
    beginning: foldhash::fast::RandomState,
}

impl OwnSecrets {
    /// Adds a secret. The same one may be added several times.
    pub fn add(&mut self, secret: &Secret) {
        let text = secret.reveal().as_bytes();
        *self.holders.entry(hash(text)).or_default() += 1;
        if let Some(beginning) = self.beginning_of(text) {
            *self.beginnings.entry(beginning).or_default().entry(text.len()).or_default() += 1;
        }
    }

    /// Removes a secret that was added.
    pub fn remove(&mut self, secret: &Secret) {
        let text = secret.reveal().as_bytes();
        let hash = hash(text);
        match self.holders.get_mut(&hash) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.holders.remove(&hash)),
        }
        let Some(beginning) = self.beginning_of(text) else { return };
        let Some(lengths) = self.beginnings.get_mut(&beginning) else { return };
        match lengths.get_mut(&text.len()) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(lengths.remove(&text.len())),
        }
        if lengths.is_empty() {
            self.beginnings.remove(&beginning);
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Whether a text is one of the secrets.
    pub fn has(&self, text: &[u8]) -> bool {
        !self.is_empty() && self.holders.contains_key(&hash(text))
    }

    /// Whether a secret of at least [`INSIDE_BYTES_MIN`] bytes occurs in a text.
    pub fn occur_in(&self, text: &[u8]) -> bool {
        if self.beginnings.is_empty() {
            return false;
        }
        text.windows(INSIDE_BYTES_MIN).enumerate().any(|(at, window)| {
            let lengths = self.beginnings.get(&self.beginning.hash_one(window));
            let mut whole = lengths.into_iter().flat_map(|lengths| lengths.keys());
            whole.any(|length| text.get(at..at + length).is_some_and(|found| self.has(found)))
        })
    }

    fn beginning_of(&self, text: &[u8]) -> Option<u64> {
        text.get(..INSIDE_BYTES_MIN).map(|first| self.beginning.hash_one(first))
    }
}

fn hash(text: &[u8]) -> SecretHash {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_while_somebody_holds_it() {
        let mut secrets = OwnSecrets::default();
        let texts: Vec<String> = (0..200).map(|number| format!("a-beginning-of-all-{number:03}")).collect();
        for text in texts.iter().chain([&texts[7], &"short".to_owned()]) {
            secrets.add(&Secret::new(text));
        }
        for text in &texts {
            assert!(
                secrets.has(text.as_bytes()) && secrets.occur_in(format!("xx{text}yy").as_bytes()),
                "{text}"
            );
            assert!(!secrets.occur_in(&text.as_bytes()[1..]) && !secrets.occur_in(&text.as_bytes()[..21]));
        }
        assert!(
            secrets.has(b"short") && !secrets.occur_in(b"short"),
            "too short to be looked for inside texts"
        );
        assert!(!secrets.has(b"") && !secrets.occur_in(b""));
        secrets.remove(&Secret::new(&texts[7]));
        assert!(secrets.has(texts[7].as_bytes()), "another holds it still");
        for text in texts.iter().chain([&"short".to_owned()]) {
            secrets.remove(&Secret::new(text));
            assert!(!secrets.has(text.as_bytes()) && !secrets.occur_in(text.as_bytes()));
        }
        assert!(secrets.is_empty() && secrets.beginnings.is_empty());
    }
}
