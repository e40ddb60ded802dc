//! Which accounts are served, if that was decided and made durable elsewhere.

use system::{clock::Clock, sync::lock};

use super::Ingest;
use crate::store::{AccountNumber, Change, Store};

impl Ingest {
    /// Notes which accounts are served, because that is durable already. Writes nothing.
    pub fn follow_served(&self, accounts: &[(AccountNumber, bool)]) {
        lock(&self.shared.queue).set_served(accounts);
    }

    /// The accounts that are served now, in no order.
    pub fn served(&self) -> Vec<AccountNumber> {
        lock(&self.shared.queue).served.clone()
    }

    /// The store that the writer writes to.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The writer's clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }
}

/// The changes that start and stop serving accounts. `at_s`: since when, Unix seconds.
pub fn serving_changes(
    served: &[(AccountNumber, bool)],
    at_s: i64,
) -> impl Iterator<Item = Change> + use<'_> {
    served.iter().map(move |&(account, takes_messages)| {
        if takes_messages { Change::Begin { at_s, account } } else { Change::Cease { account } }
    })
}
