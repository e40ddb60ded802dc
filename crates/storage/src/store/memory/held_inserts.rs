//! A store in memory whose inserts end when a test says so.

use std::sync::{Arc, Mutex};

use system::sync::lock;

use super::{Change, Memory, NotDurable};
use crate::store::Told;

/// The inserts that have not ended, oldest first.
pub struct HeldInserts {
    pub(super) max: usize,
    held: Mutex<Vec<(Vec<Change>, Told)>>,
}

impl std::fmt::Debug for HeldInserts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldInserts").field("sizes", &self.sizes()).finish_non_exhaustive()
    }
}

impl Memory {
    /// A store that takes so many inserts at the same time, and what holds them.
    pub fn with_held_inserts(max: usize) -> (Memory, Arc<HeldInserts>) {
        let held = Arc::new(HeldInserts { max, held: Mutex::default() });
        (Memory { held: Some(held.clone()), ..Memory::default() }, held)
    }

    /// Ends the insert at this place, if there is one: stores its messages, or fails.
    pub fn end_insert(&self, at: usize, is_stored: bool) {
        let take = |held: &Arc<HeldInserts>| {
            let mut held = lock(&held.held);
            (at < held.len()).then(|| held.remove(at))
        };
        if let Some((changes, told)) = self.held.as_ref().and_then(take) {
            told(if is_stored {
                self.commit(&changes)
            } else {
                Err(NotDurable("as the test says".to_owned()))
            });
        }
    }
}

impl HeldInserts {
    pub(super) fn hold(&self, changes: Vec<Change>, told: Told) {
        lock(&self.held).push((changes, told));
    }

    /// The number of messages of each insert that has not ended.
    pub fn sizes(&self) -> Vec<usize> {
        lock(&self.held).iter().map(|(changes, _)| changes.len()).collect()
    }
}
