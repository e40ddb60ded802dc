//! What an operator gives out and revokes, such as API keys: one fact each, found by its id. The map in memory is a cache
//! of these facts.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use hashbrown::HashMap;
use serde::{Serialize, de::DeserializeOwned};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use system::random::RandomError;

/// Limit of API keys.
pub const KEYS_MAX: usize = 10_000;
/// Limit of share links.
pub const LINKS_MAX: usize = 10_000;

/// Something that is given out and revoked. It is stored without the text that its holder shows.
pub trait Revocable: Clone + Serialize + DeserializeOwned {
    /// The keys of its facts: this, then the id.
    const FACT_PREFIX: &'static str;
    /// Limit of how many there are.
    const MAX: usize;
    /// The error beyond the limit.
    const TOO_MANY: RevocableError;

    /// The error if none has this id.
    fn unknown(id: &str) -> RevocableError;
    /// Names it. Part of the text that its holder shows.
    fn id(&self) -> &str;
    /// When it was made, in Unix seconds.
    fn created_s(&self) -> i64;
    /// Whether it may make room for a new one.
    fn is_over(&self, now_s: i64) -> bool;
}

/// Why one could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocableError {
    /// The limit of keys is reached.
    #[error("the limit of {KEYS_MAX} keys is reached; remove some")]
    TooManyKeys,
    /// The limit of share links is reached.
    #[error("the limit of {LINKS_MAX} share links is reached; remove some")]
    TooManyLinks,
    /// There is no such key.
    #[error("no key has the id {0}; GET /v1/keys lists them")]
    UnknownKey(String),
    /// There is no such share link.
    #[error("no share link has the id {0}; GET /v1/share-links lists them")]
    UnknownLink(String),
    /// There is no account for it.
    #[error("account: no account has this appid; GET /v1/accounts lists them")]
    NoAccount,
    /// The store failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// The system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
}

/// All of one kind.
#[derive(Debug)]
pub struct Revocables<T> {
    store: Arc<Store>,
    items: RwLock<Items<T>>,
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Items<T> {
    by_id: HashMap<String, T, foldhash::fast::RandomState>,
    /// The ids of those that are being revoked. They stop working first, and work again if that does not become durable.
    leaving: HashSet<String>,
}

impl<T: Revocable> Revocables<T> {
    /// Reads those that are stored.
    pub fn load(store: &Arc<Store>) -> Revocables<T> {
        let items = Items { by_id: HashMap::default(), leaving: HashSet::new() };
        let all = Revocables {
            store: store.clone(),
            items: RwLock::new(items),
            changing: tokio::sync::Mutex::default(),
        };
        store.facts(T::FACT_PREFIX).iter().for_each(|(key, value)| all.apply_fact(key, Some(value)));
        all
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        let Some(id) = key.strip_prefix(T::FACT_PREFIX) else { return };
        let item = value.and_then(|value| serde_json::from_slice::<T>(value).ok());
        let mut items = self.write();
        match item.filter(|item| item.id() == id) {
            Some(item) => drop(items.by_id.insert(id.to_owned(), item)),
            None => drop(items.by_id.remove(id)),
        }
    }

    /// Looks at the one with this id. None if there is none, or if it is being revoked.
    pub fn get<R>(&self, id: &str, look: impl FnOnce(&T) -> R) -> Option<R> {
        let items = self.read();
        items.by_id.get(id).filter(|_| !items.leaving.contains(id)).map(look)
    }

    /// All, oldest first.
    pub fn all(&self) -> Vec<T> {
        let items = self.read();
        let stays = |item: &&T| !items.leaving.contains(item.id());
        let mut all: Vec<T> = items.by_id.values().filter(stays).cloned().collect();
        all.sort_by(|one, other| (one.created_s(), one.id()).cmp(&(other.created_s(), other.id())));
        all
    }

    /// Adds one, durably, and removes those that are over. `check` says whether it may still be added.
    pub async fn add(
        &self,
        item: T,
        check: impl FnOnce() -> Result<(), RevocableError>,
        now_s: i64,
        ingest: &Ingest,
    ) -> Result<(), RevocableError> {
        let decision = self.store.decide().await?;
        let _one_at_a_time = self.changing.lock().await;
        check()?;
        let over = self.ids(|item| item.is_over(now_s));
        if self.read().by_id.len() - over.len() >= T::MAX {
            return Err(T::TOO_MANY);
        }
        let mut changes: Vec<Change> = over.iter().map(|id| deletion::<T>(id)).collect();
        changes.push(Change::fact(fact_key::<T>(item.id()), &item));
        let _decided = decision.commit(ingest, changes).await?;
        let mut items = self.write();
        over.iter().for_each(|id| drop(items.by_id.remove(id)));
        items.by_id.insert(item.id().to_owned(), item);
        Ok(())
    }

    /// Revokes one, durably.
    pub async fn remove(&self, id: &str, ingest: &Ingest) -> Result<(), RevocableError> {
        match self.remove_those(|item| item.id() == id, ingest).await? {
            0 => Err(T::unknown(id)),
            _ => Ok(()),
        }
    }

    /// Revokes all that are chosen, durably. Returns how many that were.
    pub async fn remove_those(
        &self,
        is_chosen: impl Fn(&T) -> bool,
        ingest: &Ingest,
    ) -> Result<usize, NotDurable> {
        let decision = self.store.decide().await?;
        let _one_at_a_time = self.changing.lock().await;
        let chosen = self.ids(is_chosen);
        if chosen.is_empty() {
            return Ok(0);
        }
        self.write().leaving.extend(chosen.iter().cloned());
        let removed = decision.commit(ingest, chosen.iter().map(|id| deletion::<T>(id)).collect()).await;
        let mut items = self.write();
        items.leaving.clear();
        let _decided = removed?;
        chosen.iter().for_each(|id| drop(items.by_id.remove(id)));
        Ok(chosen.len())
    }

    fn ids(&self, is_chosen: impl Fn(&T) -> bool) -> Vec<String> {
        let items = self.read();
        items.by_id.values().filter(|item| is_chosen(item)).map(|item| item.id().to_owned()).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Items<T>> {
        self.items.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Items<T>> {
        self.items.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fact_key<T: Revocable>(id: &str) -> String {
    format!("{}{id}", T::FACT_PREFIX)
}

fn deletion<T: Revocable>(id: &str) -> Change {
    Change::Fact { key: fact_key::<T>(id), value: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use storage::{store::Memory, writer::Writer};
    use system::clock::Clock;

    use super::{
        super::tests::{fact_changes, in_three_ways},
        *,
    };

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Badge {
        id: String,
        expires_s: i64,
    }

    impl Revocable for Badge {
        const FACT_PREFIX: &'static str = "badge/";
        const MAX: usize = 3;
        const TOO_MANY: RevocableError = RevocableError::TooManyKeys;

        fn unknown(id: &str) -> RevocableError {
            RevocableError::UnknownKey(id.to_owned())
        }

        fn id(&self) -> &str {
            &self.id
        }

        fn created_s(&self) -> i64 {
            0
        }

        fn is_over(&self, now_s: i64) -> bool {
            now_s >= self.expires_s
        }
    }

    fn badge(id: &str, expires_s: i64) -> Badge {
        Badge { id: id.to_owned(), expires_s }
    }

    fn start() -> (Revocables<Badge>, Arc<Store>, Ingest, Writer) {
        let store = Arc::new(Store::Memory(Memory::default()));
        let (ingest, writer) =
            Ingest::start(store.clone(), Clock::starting_at(0), Arc::default(), Vec::new());
        (Revocables::load(&store), store, ingest, writer)
    }

    proptest! {
        #[test]
        fn they_do_not_depend_on_how_their_facts_were_learned(
            changes in fact_changes(
                ["a", "b", "c"].map(fact_key::<Badge>).to_vec(),
                |key, number| {
                    // One value names another than its key.
                    let id = if number == 2 { "a" } else { key.strip_prefix(Badge::FACT_PREFIX).unwrap() };
                    serde_json::to_vec(&badge(id, number.into())).unwrap()
                },
            ),
            at in 0_usize..40,
        ) {
            let ways = in_three_ways(&changes, at, Revocables::<Badge>::load, Revocables::apply_fact);
            let [fed, loaded, resumed] = ways.map(|badges| badges.all());
            prop_assert_eq!(&fed, &loaded);
            prop_assert_eq!(&resumed, &loaded);
        }
    }

    #[tokio::test]
    async fn a_new_one_replaces_those_that_are_over_and_never_exceeds_the_limit() {
        let (badges, store, ingest, writer) = start();
        for (id, expires_s) in [("a", 5), ("b", 9), ("c", 9)] {
            badges.add(badge(id, expires_s), || Ok(()), 0, &ingest).await.unwrap();
        }
        let refused = badges.add(badge("d", 9), || Ok(()), 4, &ingest).await.unwrap_err();
        assert!(matches!(refused, RevocableError::TooManyKeys));
        badges.add(badge("d", 9), || Ok(()), 5, &ingest).await.unwrap();
        let ids =
            |badges: &Revocables<Badge>| badges.all().into_iter().map(|badge| badge.id).collect::<Vec<_>>();
        assert_eq!(ids(&badges), ["b", "c", "d"]);
        assert_eq!(ids(&Revocables::load(&store)), ["b", "c", "d"]);
        writer.stop();
    }

    #[tokio::test]
    async fn one_that_cannot_be_revoked_durably_works_again() {
        let (badges, store, ingest, writer) = start();
        badges.add(badge("a", 9), || Ok(()), 0, &ingest).await.unwrap();
        assert!(matches!(badges.remove("b", &ingest).await, Err(RevocableError::UnknownKey(_))));
        writer.stop();
        let failed = badges.remove("a", &ingest).await;
        assert!(matches!(failed, Err(RevocableError::NotDurable(_))), "{failed:?}");
        assert_eq!(badges.get("a", Badge::clone), Some(badge("a", 9)));
        assert_eq!(store.facts(Badge::FACT_PREFIX).len(), 1);
    }

    #[tokio::test]
    async fn one_that_another_process_revoked_is_unknown() {
        let (badges, store, ingest, writer) = start();
        badges.add(badge("a", 9), || Ok(()), 0, &ingest).await.unwrap();
        let other = Revocables::<Badge>::load(&store);
        assert!(other.get("a", |_| ()).is_some());
        badges.remove("a", &ingest).await.unwrap();
        other.apply_fact(&fact_key::<Badge>("a"), None);
        assert!(other.get("a", |_| ()).is_none() && badges.get("a", |_| ()).is_none());
        assert!(matches!(other.remove("a", &ingest).await, Err(RevocableError::UnknownKey(_))));
        writer.stop();
    }
}
