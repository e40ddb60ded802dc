//! Limits the concurrent calls to WeChat, so that the calls of one owner cannot block all others.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use system::sync::lock;

/// The owner that a call is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallOwner {
    /// The account or platform that the token names, by appid.
    Known(String),
    /// A user, whose token only WeChat knows.
    User,
    /// A caller whose token is not known here, such as a platform's.
    Unknown,
}

/// How many calls may run at the same time.
#[derive(Clone, Copy, Debug)]
struct Maximums {
    known_in_all: usize,
    each_known: usize,
    /// For users and for unknown callers each. They need no token of ours, so one address may hold at most as many permits
    /// as are free.
    others: usize,
}

/// Counts the running calls and gives out permits.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    maximums: Maximums,
    running: Mutex<RunningCalls>,
}

#[derive(Debug, Default)]
struct RunningCalls {
    known_in_all: usize,
    by_owner: HashMap<CallOwner, usize>,
    /// Calls of users and of unknown callers, by owner and address.
    by_address: HashMap<(CallOwner, IpAddr), usize>,
}

/// Permits one call until it is dropped.
#[derive(Debug)]
pub struct CallPermit {
    limit: Arc<ConcurrencyLimit>,
    owner: CallOwner,
    from: Option<IpAddr>,
}

impl ConcurrencyLimit {
    /// Limits that leave enough open files for `connections` of callers.
    pub fn for_connections(connections: usize) -> Arc<ConcurrencyLimit> {
        let part = |divisor: usize| (connections / divisor).max(1);
        let maximums = Maximums { known_in_all: part(2), each_known: part(8), others: part(16) };
        Arc::new(ConcurrencyLimit { maximums, running: Mutex::default() })
    }

    /// A permit for a call from this address, if one is free. Without an address, only the owner's limit counts.
    pub fn take(self: &Arc<ConcurrencyLimit>, owner: CallOwner, from: Option<IpAddr>) -> Option<CallPermit> {
        let mut running = lock(&self.running);
        let of_owner = running.by_owner.get(&owner).copied().unwrap_or_default();
        let is_known = matches!(owner, CallOwner::Known(_));
        let from = from.filter(|_| !is_known);
        let of_address = from.and_then(|from| running.by_address.get(&(owner.clone(), from)).copied());
        let is_free = if is_known {
            of_owner < self.maximums.each_known && running.known_in_all < self.maximums.known_in_all
        } else {
            of_owner < self.maximums.others
                && of_address.unwrap_or_default() < self.maximums.others - of_owner
        };
        if !is_free {
            return None;
        }
        running.by_owner.insert(owner.clone(), of_owner + 1);
        running.known_in_all += usize::from(is_known);
        if let Some(from) = from {
            *running.by_address.entry((owner.clone(), from)).or_default() += 1;
        }
        drop(running);
        Some(CallPermit { limit: self.clone(), owner, from })
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let mut running = lock(&self.limit.running);
        running.known_in_all -= usize::from(matches!(self.owner, CallOwner::Known(_)));
        give_back(&mut running.by_owner, &self.owner);
        if let Some(from) = self.from {
            give_back(&mut running.by_address, &(self.owner.clone(), from));
        }
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_owner_takes_the_permits_of_others_and_all_are_given_back() {
        let limit = ConcurrencyLimit::for_connections(64);
        let known = |appid: &str| CallOwner::Known(appid.to_owned());
        for _ in 0..2 {
            let take = |owner: &CallOwner| {
                std::iter::from_fn(|| limit.take(owner.clone(), None)).collect::<Vec<CallPermit>>()
            };
            let one = take(&known("wx1"));
            let users = take(&CallOwner::User);
            assert_eq!((one.len(), users.len(), take(&CallOwner::Unknown).len()), (8, 4, 4));
            let more: Vec<_> = (2..9).flat_map(|number| take(&known(&format!("wx{number}")))).collect();
            assert_eq!((more.len(), take(&known("wx2")).len()), (24, 0), "all known owners share one limit");
        }
        assert!(lock(&limit.running).by_owner.is_empty() && lock(&limit.running).known_in_all == 0);
    }

    #[test]
    fn no_addresses_together_take_all_permits_of_users() {
        let limit = ConcurrencyLimit::for_connections(1024);
        let take = |owner: CallOwner, from: [u8; 4]| {
            let from = Some(IpAddr::from(from));
            std::iter::from_fn(|| limit.take(owner.clone(), from)).collect::<Vec<CallPermit>>()
        };
        let one = take(CallOwner::User, [192, 0, 2, 1]);
        let two = take(CallOwner::User, [192, 0, 2, 2]);
        let three = take(CallOwner::User, [192, 0, 2, 3]);
        assert_eq!((one.len(), two.len(), three.len()), (32, 16, 8));
        assert_eq!(take(CallOwner::Unknown, [192, 0, 2, 1]).len(), 32, "users have a limit of their own");
        let known = take(CallOwner::Known("wx1".to_owned()), [192, 0, 2, 1]);
        assert_eq!(known.len(), 128, "known owners are not counted by address");
        drop((one, two, three, known));
        let proxy: Vec<_> = std::iter::from_fn(|| limit.take(CallOwner::User, None)).collect();
        assert!(proxy.len() == 64 && lock(&limit.running).by_address.is_empty());
    }
}
