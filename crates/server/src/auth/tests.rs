//! Maps that cache facts: what they hold must not depend on how they learned of the facts.

use std::sync::Arc;

use proptest::prelude::*;
use storage::store::{Change, FactChange, Memory, Store};

/// Random changes of facts with these keys: set, changed, removed, and set to what no version can read. The same change
/// may come twice in a row.
pub fn fact_changes(
    keys: Vec<String>,
    value: impl Fn(&str, u8) -> Vec<u8> + 'static,
) -> impl Strategy<Value = Vec<FactChange>> {
    let change =
        (prop::sample::select(keys), 0_u8..6, any::<bool>()).prop_map(move |(key, kind, is_twice)| {
            let value = match kind {
                0 => None,
                1 => Some(b"no version reads this".to_vec()),
                number => Some(value(&key, number)),
            };
            vec![(key, value); if is_twice { 2 } else { 1 }]
        });
    prop::collection::vec(change, 0..40).prop_map(|changes| changes.concat())
}

/// The same map in three ways: fed with each change, loaded after all of them, and loaded after `at` of them, then told of
/// the last few before that once more and of all later ones. The last is how a process starts while others go on.
pub fn in_three_ways<M>(
    changes: &[FactChange],
    at: usize,
    load: impl Fn(&Arc<Store>) -> M,
    apply_fact: impl Fn(&M, &str, Option<&[u8]>),
) -> [M; 3] {
    let at = at.min(changes.len());
    let store = Arc::new(Store::Memory(Memory::default()));
    let fed = load(&store);
    let commit = |changes: &[FactChange]| {
        let change = |(key, value): &FactChange| Change::Fact { key: key.clone(), value: value.clone() };
        store.commit(&changes.iter().map(change).collect::<Vec<_>>()).unwrap();
    };
    commit(&changes[..at]);
    let resumed = load(&store);
    commit(&changes[at..]);
    let apply_all = |map: &M, changes: &[FactChange]| {
        changes.iter().for_each(|(key, value)| apply_fact(map, key, value.as_deref()));
    };
    apply_all(&fed, changes);
    apply_all(&resumed, &changes[at.saturating_sub(5)..]);
    [fed, load(&store), resumed]
}
