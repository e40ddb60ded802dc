//! Several stores in memory with the same content, as processes have that share servers. Each knows the facts only up to
//! where it last read them. So what several processes decide can be tested in one process.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use system::sync::lock;
use tokio::sync::OwnedMutexGuard;

use super::{Change, Memory, NotDurable, Outcome};
use crate::store::{FactChange, FactSink};

/// How long a thread sleeps between two tries to take the turn.
const TRY_EVERY: Duration = Duration::from_millis(1);

/// The turn of one store of a group.
#[derive(Debug)]
pub struct MemoryTurn {
    _guard: OwnedMutexGuard<()>,
}

/// What the stores of a group share.
#[derive(Debug, Default)]
struct MemoryGroup {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// All changes of facts, in their order.
    log: Mutex<Vec<FactChange>>,
}

/// What one store of a group knows.
pub struct Member {
    group: Arc<MemoryGroup>,
    known: Mutex<KnownFacts>,
    sink: OnceLock<FactSink>,
    is_cut_off: AtomicBool,
}

#[derive(Debug, Default)]
struct KnownFacts {
    facts: BTreeMap<String, Vec<u8>>,
    /// How many changes of the log it has read.
    read: usize,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("read", &lock(&self.known).read).finish_non_exhaustive()
    }
}

impl Memory {
    /// Makes stores that have the same content.
    pub fn group(count: usize) -> Vec<Memory> {
        let (state, group) = (Arc::default(), Arc::<MemoryGroup>::default());
        let member = || Member {
            group: group.clone(),
            known: Mutex::default(),
            sink: OnceLock::new(),
            is_cut_off: AtomicBool::new(false),
        };
        (0..count).map(|_| Memory { state: Arc::clone(&state), member: Some(member()), held: None }).collect()
    }

    /// Whether this store can reach what it shares with others. While it is cut off, everything that needs it fails.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.member.iter().for_each(|member| member.is_cut_off.store(is_cut_off, Ordering::Release));
    }

    /// See [`crate::store::Store::is_shared`].
    pub fn is_shared(&self) -> bool {
        self.member.is_some()
    }

    /// See [`crate::store::Store::has_other_processes`].
    pub fn has_other_processes(&self) -> bool {
        self.member.as_ref().is_some_and(|member| Arc::strong_count(&member.group) > 1)
    }

    /// See [`crate::store::Store::on_facts`].
    pub fn on_facts(&self, sink: FactSink) {
        if let Some(member) = &self.member {
            drop(member.sink.set(sink));
        }
    }

    /// Waits for the turn, and learns all facts. None if the store is alone.
    pub async fn turn(&self) -> Result<Option<MemoryTurn>, NotDurable> {
        let Some(member) = &self.member else { return Ok(None) };
        member.check()?;
        let turn = MemoryTurn { _guard: member.group.turn.clone().lock_owned().await };
        member.learn();
        Ok(Some(turn))
    }

    /// Like `turn`, and blocks.
    pub fn turn_blocking(&self) -> Result<Option<MemoryTurn>, NotDurable> {
        self.member.as_ref().map(Member::turn_blocking).transpose()
    }

    /// Like `commit`, for the holder of the turn.
    pub fn commit_decided(&self, _turn: &MemoryTurn, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        self.member.iter().try_for_each(Member::check)?;
        Ok(self.commit_in_turn(changes))
    }

    pub(super) fn commit_in_turn(&self, changes: &[Change]) -> Vec<Outcome> {
        for change in changes {
            if let (Change::Fact { key, value }, Some(member)) = (change, &self.member) {
                lock(&member.group.log).push((key.clone(), value.clone()));
                lock(&member.known).apply(key, value.as_deref());
            }
        }
        self.take_all(changes)
    }
}

impl Member {
    fn check(&self) -> Result<(), NotDurable> {
        if self.is_cut_off.load(Ordering::Acquire) {
            return Err(NotDurable("the shared state cannot be reached".to_owned()));
        }
        Ok(())
    }

    pub(super) fn turn_blocking(&self) -> Result<MemoryTurn, NotDurable> {
        self.check()?;
        loop {
            if let Ok(guard) = self.group.turn.clone().try_lock_owned() {
                self.learn();
                return Ok(MemoryTurn { _guard: guard });
            }
            std::thread::sleep(TRY_EVERY);
        }
    }

    pub(super) fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let known = lock(&self.known);
        let all = known.facts.iter().filter(|(key, _)| key.starts_with(prefix));
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Reads what others changed. The caller has the turn.
    fn learn(&self) {
        let news = {
            let mut known = lock(&self.known);
            let news = lock(&self.group.log).get(known.read..).unwrap_or_default().to_vec();
            news.iter().for_each(|(key, value)| known.apply(key, value.as_deref()));
            newest(news)
        };
        if let Some(sink) = self.sink.get().filter(|_| !news.is_empty()) {
            sink(&news);
        }
    }
}

/// Each fact as it is now, in the order of these changes.
fn newest(changes: Vec<FactChange>) -> Vec<FactChange> {
    let mut told = HashSet::new();
    let mut newest: Vec<FactChange> =
        changes.into_iter().rev().filter(|(key, _)| told.insert(key.clone())).collect();
    newest.reverse();
    newest
}

impl KnownFacts {
    fn apply(&mut self, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => drop(self.facts.insert(key.to_owned(), value.to_owned())),
            None => drop(self.facts.remove(key)),
        }
        self.read += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(key: &str, value: Option<&str>) -> Change {
        Change::Fact { key: key.to_owned(), value: value.map(|value| value.as_bytes().to_vec()) }
    }

    #[tokio::test]
    async fn each_store_is_told_once_of_each_fact_that_the_others_changed() {
        let mut stores = Memory::group(2).into_iter();
        let (one, other) = (stores.next().unwrap(), stores.next().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        other.on_facts(Box::new(move |facts| lock(&sink).extend_from_slice(facts)));
        other.commit(&[fact("own", Some("1"))]).unwrap();
        one.commit(&[fact("a", Some("1")), fact("b", Some("2")), fact("a", None)]).unwrap();
        assert_eq!(other.facts(""), [("own".to_owned(), b"1".to_vec())], "it has not read the news");
        assert_eq!(one.facts("").len(), 2);
        for _ in 0..2 {
            drop(other.turn().await.unwrap());
            assert_eq!(other.facts(""), one.facts(""));
            let told: Vec<_> =
                lock(&told).iter().map(|(key, value)| (key.clone(), value.is_some())).collect();
            assert_eq!(told, [("b".to_owned(), true), ("a".to_owned(), false)]);
        }
    }

    #[tokio::test]
    async fn a_turn_excludes_the_others_and_a_store_that_is_cut_off_decides_nothing() {
        let mut stores = Memory::group(2).into_iter();
        let (one, other) = (stores.next().unwrap(), stores.next().unwrap());
        let turn = one.turn().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), other.turn()).await.is_err());
        drop(turn);
        assert!(other.turn().await.unwrap().is_some() && other.has_other_processes());
        other.cut_off(true);
        assert!(other.turn().await.is_err() && other.commit(&[fact("a", None)]).is_err());
        drop(one);
        assert!(!other.has_other_processes());
    }
}
