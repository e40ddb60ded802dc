//! All facts in memory, as of one turn. Without I/O.

use std::{collections::BTreeMap, ops::Bound};

/// A fact that was set, or removed if there is no value.
pub type FactWrite = (String, Option<Vec<u8>>);

/// A turn that was committed: its number, and a random id, since two histories can have the same number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnId {
    /// The number.
    pub seq: i64,
    /// The random part.
    pub id: String,
}

/// A fact as it was read: what it is now, and the turn that wrote it.
#[derive(Clone, Debug)]
pub struct FactRow {
    /// What it is now.
    pub write: FactWrite,
    /// Number of the turn.
    pub seq: i64,
}

/// All facts as of a turn.
#[derive(Debug, Default)]
pub struct FactCache {
    facts: BTreeMap<String, Vec<u8>>,
    known: TurnId,
}

impl FactCache {
    /// The last turn whose facts are here.
    pub fn known(&self) -> &TurnId {
        &self.known
    }

    /// The value of a fact.
    pub fn fact(&self, key: &str) -> Option<Vec<u8>> {
        self.facts.get(key).cloned()
    }

    /// All facts whose keys begin like this, sorted.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let from_there = self.facts.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let matching = from_there.take_while(|(key, _)| key.starts_with(prefix));
        matching.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// True if there is no fact.
    pub fn is_blank(&self) -> bool {
        self.facts.is_empty()
    }

    /// Takes over the facts of all turns up to this one. `rows` may begin earlier than what is known. Returns what is
    /// new here.
    pub fn advance(&mut self, rows: Vec<FactRow>, upto: TurnId) -> Vec<FactWrite> {
        let known = self.known.seq;
        if upto.seq <= known {
            return Vec::new();
        }
        let fresh: Vec<FactWrite> =
            rows.into_iter().filter(|row| row.seq > known).map(|row| row.write).collect();
        for write in &fresh {
            self.set(write.clone());
        }
        self.known = upto;
        fresh
    }

    /// Takes over what this process wrote in a turn.
    pub fn wrote(&mut self, writes: Vec<FactWrite>, turn: TurnId) {
        for write in writes {
            self.set(write);
        }
        self.known = turn;
    }

    /// Replaces all facts. Returns what changed.
    pub fn replace(&mut self, all: BTreeMap<String, Vec<u8>>, upto: TurnId) -> Vec<FactWrite> {
        let former = std::mem::replace(&mut self.facts, all);
        self.known = upto;
        let removed = former.keys().filter(|key| !self.facts.contains_key(*key));
        let mut changes: Vec<FactWrite> = removed.map(|key| (key.clone(), None)).collect();
        let changed = self.facts.iter().filter(|(key, value)| former.get(*key) != Some(*value));
        changes.extend(changed.map(|(key, value)| (key.clone(), Some(value.clone()))));
        changes
    }

    fn set(&mut self, (key, value): FactWrite) {
        match value {
            Some(value) => drop(self.facts.insert(key, value)),
            None => drop(self.facts.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(seq: i64) -> TurnId {
        TurnId { seq, id: format!("turn {seq}") }
    }

    fn row(key: &str, value: Option<&str>, seq: i64) -> FactRow {
        FactRow { write: (key.to_owned(), value.map(|value| value.as_bytes().to_vec())), seq }
    }

    #[test]
    fn rows_that_are_known_are_not_told_again() {
        let mut cache = FactCache::default();
        cache.wrote(vec![("a".to_owned(), Some(b"own".to_vec()))], turn(3));
        let told = cache.advance(vec![row("a", Some("old"), 2), row("b", Some("new"), 4)], turn(4));
        assert_eq!(told, [("b".to_owned(), Some(b"new".to_vec()))]);
        assert_eq!(cache.fact("a"), Some(b"own".to_vec()));
        assert_eq!(cache.known(), &turn(4));
        assert!(cache.advance(vec![row("b", None, 4)], turn(4)).is_empty());
        assert!(cache.fact("b").is_some());
    }

    #[test]
    fn a_reload_tells_what_was_removed_and_changed_and_nothing_else() {
        let mut cache = FactCache::default();
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
        };
        cache.replace(of(&[("gone", "1"), ("same", "2"), ("other", "3")]), turn(9));
        let told = cache.replace(of(&[("same", "2"), ("other", "4"), ("new", "5")]), turn(5));
        let set = |key: &str, value: &str| (key.to_owned(), Some(value.as_bytes().to_vec()));
        assert_eq!(told, [("gone".to_owned(), None), set("new", "5"), set("other", "4")]);
        assert_eq!(cache.known(), &turn(5));
    }

    #[test]
    fn facts_are_found_by_the_beginning_of_their_key() {
        let mut cache = FactCache::default();
        let writes = ["a", "a/1", "a/2", "a0", "b"].map(|key| (key.to_owned(), Some(Vec::new())));
        cache.wrote(writes.to_vec(), turn(1));
        let keys = |prefix: &str| -> Vec<String> {
            cache.with_prefix(prefix).into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys("a/"), ["a/1", "a/2"]);
        assert_eq!(keys("").len(), 5);
        assert!(keys("c").is_empty());
    }
}
