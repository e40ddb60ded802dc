//! Accounts that an operator removes: forgotten in the order of the queue, as all that is decided of them. When each was
//! removed is kept, so that what was said of it before does not bring it back.

use std::sync::Arc;

use storage::store::{Change, Outcome, Store};
use system::sync::lock;

use super::{
    Received, Waiting,
    platforms::{PlatformAccount, ReceivedPlatform, ReceivedPlatforms, Removal},
    standing::{Status, fact_key, pair_of},
};
use crate::accounts::registry::{Account, AccountError};

const FACT_PREFIX: &str = "received_removed/";
/// Removals that are remembered of each platform; the oldest make room.
const REMOVALS_MAX: usize = 100_000;

/// What memory knew of an account with one platform, should its removal not become durable.
#[derive(Debug)]
struct Forgotten {
    component: String,
    seat: PlatformAccount,
    former: Option<Removal>,
}

/// A removal in the queue.
struct Enqueued {
    forgotten: Vec<Forgotten>,
    /// Messages of the account were taken before.
    was_taken: bool,
    done: Waiting<Vec<Outcome>>,
}

fn fact_of(component: &str, appid: &str) -> String {
    format!("{FACT_PREFIX}{component} {appid}")
}

impl Received {
    /// Removes an account, durably together with these changes. Refused while it is authorised: its messages go on
    /// coming, and would bring it back.
    pub async fn remove(
        &self,
        account: &Arc<Account>,
        now_s: i64,
        changes: Vec<Change>,
    ) -> Result<(), AccountError> {
        let appid = &account.config.appid;
        let Enqueued { forgotten, was_taken, done } = self.enqueue_removal(account, now_s, changes)?;
        let done = done.await;
        let mut platforms = lock(&self.platforms);
        match done {
            Ok(_) => {
                for Forgotten { component, .. } in &forgotten {
                    let platform = platforms.0.get_mut(component);
                    let removal = platform.and_then(|platform| platform.removals.get_mut(appid));
                    removal.into_iter().for_each(|removal| removal.is_durable = true);
                }
                Ok(())
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
        account: &Account,
        now_s: i64,
        mut changes: Vec<Change>,
    ) -> Result<Enqueued, AccountError> {
        let appid = &account.config.appid;
        let mut platforms = lock(&self.platforms);
        let mut seats = platforms.0.values().filter_map(|platform| platform.seats.get(appid));
        if seats.any(|seat| seat.standing.status == Status::Authorized) {
            return Err(AccountError::Authorized(appid.clone()));
        }
        let was_taken = account.keys.is_some() || platforms.is_active(appid);
        for (component, platform) in &platforms.0 {
            changes.extend(platform.removal_facts(component, appid, now_s));
        }
        let done = self.ingest.enqueue_serving(account.number, false, changes);
        let done = done.inspect_err(|_| self.ingest.set_served(account.number, was_taken))?;
        // Nothing of it is taken any more, nor brought back by what was decided before.
        self.accounts.take_out(appid);
        let forgotten = platforms.0.iter_mut().filter_map(|(component, platform)| {
            platform.forget(appid, now_s).map(|(seat, former)| Forgotten {
                component: component.clone(),
                seat,
                former,
            })
        });
        Ok(Enqueued { forgotten: forgotten.collect(), was_taken, done: Box::pin(done) })
    }
}

impl ReceivedPlatforms {
    /// Reads what was removed before.
    pub fn load_removals(&mut self, store: &Store) {
        for (fact, written) in store.facts(FACT_PREFIX) {
            let Some((component, appid)) = pair_of(FACT_PREFIX, &fact) else { continue };
            let Some(platform) = self.0.get_mut(component) else { continue };
            let at_s = std::str::from_utf8(&written).ok().and_then(|text| text.parse().ok());
            if let Some(at_s) = at_s {
                platform.removals.insert(appid.to_owned(), Removal { at_s, is_durable: true });
            }
        }
    }

    fn restore(&mut self, appid: &str, forgotten: Forgotten) {
        let Some(platform) = self.0.get_mut(&forgotten.component) else { return };
        match forgotten.former {
            Some(former) => drop(platform.removals.insert(appid.to_owned(), former)),
            None => drop(platform.removals.remove(appid)),
        }
        if let Some(seat) = platform.seats.get_mut(appid) {
            // A message brought it back meanwhile. Something of it is on the disk still, and not all of it.
            platform.versions += 1;
            seat.version = platform.versions;
            seat.durable = seat.durable.max(1);
            return;
        }
        let was_durable = forgotten.seat.is_durable();
        let PlatformAccount { account, standing, .. } = forgotten.seat;
        let version = platform.put(appid, &account, standing);
        let durable = if was_durable { version } else { 1 };
        platform.seats.get_mut(appid).into_iter().for_each(|put| put.durable = durable);
    }
}

impl ReceivedPlatform {
    /// When a seat is removed. None if there is none.
    fn removed_s(&self, appid: &str, now_s: i64) -> Option<i64> {
        Some(now_s.max(self.seats.get(appid)?.standing.decided_s))
    }

    fn removal_facts(&self, component: &str, appid: &str, now_s: i64) -> Vec<Change> {
        let Some(at_s) = self.removed_s(appid, now_s) else { return Vec::new() };
        let gone = Change::Fact { key: fact_key(component, appid), value: None };
        let removed =
            Change::Fact { key: fact_of(component, appid), value: Some(at_s.to_string().into_bytes()) };
        let oldest = self
            .oldest_beside(appid)
            .map(|other| Change::Fact { key: fact_of(component, other), value: None });
        [gone, removed].into_iter().chain(oldest).collect()
    }

    /// The removal that makes room for another one.
    fn oldest_beside(&self, appid: &str) -> Option<&str> {
        if self.removals.len() < REMOVALS_MAX || self.removals.contains_key(appid) {
            return None;
        }
        let oldest = self.removals.iter().min_by_key(|(_, removal)| removal.at_s)?;
        Some(oldest.0)
    }

    fn forget(&mut self, appid: &str, now_s: i64) -> Option<(PlatformAccount, Option<Removal>)> {
        let at_s = self.removed_s(appid, now_s)?;
        if let Some(oldest) = self.oldest_beside(appid).map(ToOwned::to_owned) {
            self.removals.remove(&oldest);
        }
        let removal = Removal { at_s, is_durable: false };
        let former = self.removals.insert(appid.to_owned(), removal);
        Some((self.remove(appid)?, former))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{accounts::platform_receiver::standing::Standing, auth::quota::Quotas};
    use storage::store::AccountNumber;

    #[test]
    fn of_too_many_removals_the_oldest_make_room() {
        let account = Arc::new(Account::brought(AccountNumber(0), "wx", &Quotas::default()).unwrap());
        let mut platform = ReceivedPlatform::default();
        for number in 0..REMOVALS_MAX + 2 {
            let appid = number.to_string();
            platform.put(&appid, &account, Standing::pending());
            let now_s = i64::try_from(number).unwrap();
            let facts = platform.removal_facts("wxp", &appid, now_s).len();
            assert_eq!(facts, if number < REMOVALS_MAX { 2 } else { 3 }, "{number}");
            assert!(platform.forget(&appid, now_s).is_some());
        }
        assert_eq!(platform.removals.len(), REMOVALS_MAX);
        assert!(!platform.removals.contains_key("1") && platform.removals.contains_key("2"));
        platform.put("2", &account, Standing::pending());
        assert_eq!(platform.removal_facts("wxp", "2", 7).len(), 2, "it has its place already");
        platform.put("2", &account, Standing { decided_s: 9, ..Standing::pending() });
        platform.forget("2", 7);
        assert_eq!(platform.removals["2"], Removal { at_s: 9, is_durable: false }, "WeChat's clock is ahead");
    }
}
