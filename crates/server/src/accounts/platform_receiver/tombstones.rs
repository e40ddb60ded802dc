//! Accounts that an operator removes. They are removed in the order of the queue, as all decisions about accounts
//! are. The time of each removal is stored, so that an older event does not bring the account back.

use std::sync::Arc;

use storage::{
    decision::{Decided, Decision},
    store::{Change, Outcome, Store},
};
use system::sync::lock;

use super::{
    DurableFuture, Received,
    authorization_state::{Status, fact_key, pair_of},
    platforms::{PlatformAccount, ReceivedPlatform, ReceivedPlatforms, Tombstone},
};
use crate::accounts::registry::{AccountError, ServedAccount};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "received_removed/";
/// Limit of stored removals of each platform. The oldest make room.
const TOMBSTONES_MAX: usize = 100_000;

/// What memory held of an account and one platform. Restored if the removal does not become durable.
#[derive(Debug)]
struct Forgotten {
    component: String,
    member: PlatformAccount,
    former: Option<Tombstone>,
}

/// A removal that is in the queue.
struct EnqueuedRemoval {
    forgotten: Vec<Forgotten>,
    /// The account's messages were accepted before.
    was_taken: bool,
    done: DurableFuture<Vec<Outcome>>,
}

fn tombstone_key(component: &str, appid: &str) -> String {
    format!("{FACT_PREFIX}{component} {appid}")
}

impl Received {
    /// Removes an account, durably together with `changes`. Refused while it is authorised: its messages keep
    /// coming, and would bring it back. If several processes share the store, the caller changes its own maps before
    /// it drops what is returned.
    pub async fn remove(
        &self,
        decision: Decision,
        account: &Arc<ServedAccount>,
        now_s: i64,
        mut changes: Vec<Change>,
    ) -> Result<Option<Decided>, AccountError> {
        let appid = &account.config.appid;
        if self.store.is_shared() {
            Received::add_removal(&lock(&self.platforms), appid, now_s, &mut changes)?;
            let served = [(account.number, false)];
            let decided = decision.commit_serving(&self.ingest, &served, changes.clone()).await?;
            self.apply_changes(&changes);
            return Ok(Some(decided));
        }
        let EnqueuedRemoval { forgotten, was_taken, done } = self.enqueue_removal(account, now_s, changes)?;
        let done = done.await;
        let mut platforms = lock(&self.platforms);
        match done {
            Ok(_) => {
                for Forgotten { component, .. } in &forgotten {
                    let platform = platforms.0.get_mut(component);
                    let tombstone = platform.and_then(|platform| platform.tombstones.get_mut(appid));
                    tombstone.into_iter().for_each(|tombstone| tombstone.is_durable = true);
                }
                Ok(None)
            }
            Err(error) => {
                forgotten.into_iter().for_each(|forgotten| platforms.restore(appid, forgotten));
                self.accounts.put(account.clone());
                let is_taken = was_taken || platforms.is_active(appid);
                self.ingest.set_served(account.number, is_taken);
                Err(error.into())
            }
        }
    }

    fn enqueue_removal(
        &self,
        account: &ServedAccount,
        now_s: i64,
        mut changes: Vec<Change>,
    ) -> Result<EnqueuedRemoval, AccountError> {
        let appid = &account.config.appid;
        let mut platforms = lock(&self.platforms);
        Received::add_removal(&platforms, appid, now_s, &mut changes)?;
        let was_taken = account.keys.is_some() || platforms.is_active(appid);
        let done = self.ingest.enqueue_serving(account.number, false, changes);
        let done = done.inspect_err(|_| self.ingest.set_served(account.number, was_taken))?;
        // From here on no message of it is accepted, and no earlier decision brings it back.
        self.accounts.remove(appid);
        let forgotten = platforms.0.iter_mut().filter_map(|(component, platform)| {
            platform.forget(appid, now_s).map(|(member, former)| Forgotten {
                component: component.clone(),
                member,
                former,
            })
        });
        Ok(EnqueuedRemoval { forgotten: forgotten.collect(), was_taken, done: Box::pin(done) })
    }

    /// Adds the changes that remove an account from its platforms.
    fn add_removal(
        platforms: &ReceivedPlatforms,
        appid: &str,
        now_s: i64,
        changes: &mut Vec<Change>,
    ) -> Result<(), AccountError> {
        let mut accounts = platforms.0.values().filter_map(|platform| platform.accounts.get(appid));
        if accounts.any(|member| member.state.status == Status::Authorized) {
            return Err(AccountError::Authorized(appid.to_owned()));
        }
        for (component, platform) in &platforms.0 {
            changes.extend(platform.tombstone_facts(component, appid, now_s));
        }
        Ok(())
    }
}

impl ReceivedPlatforms {
    /// Reads the stored removals.
    pub fn load_tombstones(&mut self, store: &Store) {
        for (fact, written) in store.facts(FACT_PREFIX) {
            let Some((component, appid)) = pair_of(FACT_PREFIX, &fact) else { continue };
            let Some(platform) = self.0.get_mut(component) else { continue };
            if let Some(tombstone) = Tombstone::read(&written) {
                platform.tombstones.insert(appid.to_owned(), tombstone);
            }
        }
    }

    fn restore(&mut self, appid: &str, forgotten: Forgotten) {
        let Some(platform) = self.0.get_mut(&forgotten.component) else { return };
        match forgotten.former {
            Some(former) => drop(platform.tombstones.insert(appid.to_owned(), former)),
            None => drop(platform.tombstones.remove(appid)),
        }
        if let Some(member) = platform.accounts.get_mut(appid) {
            // A message brought the account back meanwhile. The disk holds an older version of it, so it
            // is durable but not up to date.
            platform.versions += 1;
            member.version = platform.versions;
            member.durable = member.durable.max(1);
            return;
        }
        let was_durable = forgotten.member.is_durable();
        let PlatformAccount { account, state, .. } = forgotten.member;
        let version = platform.put(appid, &account, state);
        let durable = if was_durable { version } else { 1 };
        platform.accounts.get_mut(appid).into_iter().for_each(|put| put.durable = durable);
    }
}

impl Tombstone {
    /// Reads a stored removal.
    pub fn read(written: &[u8]) -> Option<Tombstone> {
        let at_s = std::str::from_utf8(written).ok()?.parse().ok()?;
        Some(Tombstone { at_s, is_durable: true })
    }
}

impl ReceivedPlatform {
    /// When an account is removed, Unix seconds. None if the platform does not know it.
    fn removed_s(&self, appid: &str, now_s: i64) -> Option<i64> {
        Some(now_s.max(self.accounts.get(appid)?.state.decided_s))
    }

    fn tombstone_facts(&self, component: &str, appid: &str, now_s: i64) -> Vec<Change> {
        let Some(at_s) = self.removed_s(appid, now_s) else { return Vec::new() };
        let gone = Change::Fact { key: fact_key(component, appid), value: None };
        let removed =
            Change::Fact { key: tombstone_key(component, appid), value: Some(at_s.to_string().into_bytes()) };
        let oldest = self
            .oldest_except(appid)
            .map(|other| Change::Fact { key: tombstone_key(component, other), value: None });
        [gone, removed].into_iter().chain(oldest).collect()
    }

    /// The oldest removal, if it must make room for another one.
    fn oldest_except(&self, appid: &str) -> Option<&str> {
        if self.tombstones.len() < TOMBSTONES_MAX || self.tombstones.contains_key(appid) {
            return None;
        }
        let oldest = self.tombstones.iter().min_by_key(|(_, tombstone)| tombstone.at_s)?;
        Some(oldest.0)
    }

    fn forget(&mut self, appid: &str, now_s: i64) -> Option<(PlatformAccount, Option<Tombstone>)> {
        let at_s = self.removed_s(appid, now_s)?;
        if let Some(oldest) = self.oldest_except(appid).map(ToOwned::to_owned) {
            self.tombstones.remove(&oldest);
        }
        let tombstone = Tombstone { at_s, is_durable: false };
        let former = self.tombstones.insert(appid.to_owned(), tombstone);
        Some((self.remove(appid)?, former))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{platform_receiver::authorization_state::AuthorizationState, registry::Accounts};
    use storage::store::AccountNumber;

    #[test]
    fn of_too_many_removals_the_oldest_make_room() {
        let account = Arc::new(ServedAccount::brought(AccountNumber(0), "wx", &Accounts::default()).unwrap());
        let mut platform = ReceivedPlatform::default();
        for number in 0..TOMBSTONES_MAX + 2 {
            let appid = number.to_string();
            platform.put(&appid, &account, AuthorizationState::pending());
            let now_s = i64::try_from(number).unwrap();
            let facts = platform.tombstone_facts("wxp", &appid, now_s).len();
            assert_eq!(facts, if number < TOMBSTONES_MAX { 2 } else { 3 }, "{number}");
            assert!(platform.forget(&appid, now_s).is_some());
        }
        assert_eq!(platform.tombstones.len(), TOMBSTONES_MAX);
        assert!(!platform.tombstones.contains_key("1") && platform.tombstones.contains_key("2"));
        platform.put("2", &account, AuthorizationState::pending());
        assert_eq!(platform.tombstone_facts("wxp", "2", 7).len(), 2, "it has its place already");
        platform.put("2", &account, AuthorizationState { decided_s: 9, ..AuthorizationState::pending() });
        platform.forget("2", 7);
        assert_eq!(
            platform.tombstones["2"],
            Tombstone { at_s: 9, is_durable: false },
            "WeChat's clock is ahead"
        );
    }
}
