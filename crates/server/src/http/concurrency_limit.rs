//! Places for calls on their way to WeChat: nobody's calls keep all others out.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use system::sync::lock;

/// CallOwner a call is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallOwner {
    /// The account's, or the platform's, that its token names.
    Known(String),
    /// A user's, owner token only WeChat knows.
    User,
    /// A platform's that shows no token known here.
    Unknown,
}

/// How many calls there may be at the same time.
#[derive(Clone, Copy, Debug)]
struct Maximums {
    all_known: usize,
    of_each_known: usize,
    /// Of users, and of unknown platforms: no token of ours is needed for either, so of these an address has at maximums as many
    /// limit as are free for all others.
    others: usize,
}

/// All of them.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    maximums: Maximums,
    running: Mutex<RunningCalls>,
}

#[derive(Debug, Default)]
struct RunningCalls {
    all_known: usize,
    of: HashMap<CallOwner, usize>,
    /// Those of users and of unknown platforms, by owner they are and where they come from.
    from: HashMap<(CallOwner, IpAddr), usize>,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub struct CallPermit {
    limit: Arc<ConcurrencyLimit>,
    owner: CallOwner,
    from: Option<IpAddr>,
}

impl ConcurrencyLimit {
    /// As many as the connections of callers leave open files for.
    pub fn beside(connections: usize) -> Arc<ConcurrencyLimit> {
        let part = |divisor: usize| (connections / divisor).max(1);
        let maximums = Maximums { all_known: part(2), of_each_known: part(8), others: part(16) };
        Arc::new(ConcurrencyLimit { maximums, running: Mutex::default() })
    }

    /// A place, if there is one, for a call from there; from nowhere if addresses do not count.
    pub fn take(self: &Arc<ConcurrencyLimit>, owner: CallOwner, from: Option<IpAddr>) -> Option<CallPermit> {
        let mut running = lock(&self.running);
        let of_these = running.of.get(&owner).copied().unwrap_or_default();
        let is_known = matches!(owner, CallOwner::Known(_));
        let from = from.filter(|_| !is_known);
        let of_address = from.and_then(|from| running.from.get(&(owner.clone(), from)).copied());
        let is_free = if is_known {
            of_these < self.maximums.of_each_known && running.all_known < self.maximums.all_known
        } else {
            of_these < self.maximums.others
                && of_address.unwrap_or_default() < self.maximums.others - of_these
        };
        if !is_free {
            return None;
        }
        running.of.insert(owner.clone(), of_these + 1);
        running.all_known += usize::from(is_known);
        if let Some(from) = from {
            *running.from.entry((owner.clone(), from)).or_default() += 1;
        }
        drop(running);
        Some(CallPermit { limit: self.clone(), owner, from })
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let mut running = lock(&self.limit.running);
        running.all_known -= usize::from(matches!(self.owner, CallOwner::Known(_)));
        give_back(&mut running.of, &self.owner);
        if let Some(from) = self.from {
            give_back(&mut running.from, &(self.owner.clone(), from));
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
    fn nobody_takes_the_places_of_others_and_all_are_given_back() {
        let limit = ConcurrencyLimit::beside(64);
        let known = |appid: &str| CallOwner::Known(appid.to_owned());
        for _ in 0..2 {
            let take = |owner: &CallOwner| {
                std::iter::from_fn(|| limit.take(owner.clone(), None)).collect::<Vec<CallPermit>>()
            };
            let one = take(&known("wx1"));
            let users = take(&CallOwner::User);
            assert_eq!((one.len(), users.len(), take(&CallOwner::Unknown).len()), (8, 4, 4));
            let more: Vec<_> = (2..9).flat_map(|number| take(&known(&format!("wx{number}")))).collect();
            assert_eq!((more.len(), take(&known("wx2")).len()), (24, 0), "all that are known together");
        }
        assert!(lock(&limit.running).of.is_empty() && lock(&limit.running).all_known == 0);
    }

    #[test]
    fn no_addresses_together_take_all_places_of_users() {
        let limit = ConcurrencyLimit::beside(1024);
        let take = |owner: CallOwner, from: [u8; 4]| {
            let from = Some(IpAddr::from(from));
            std::iter::from_fn(|| limit.take(owner.clone(), from)).collect::<Vec<CallPermit>>()
        };
        let one = take(CallOwner::User, [192, 0, 2, 1]);
        let two = take(CallOwner::User, [192, 0, 2, 2]);
        let three = take(CallOwner::User, [192, 0, 2, 3]);
        assert_eq!((one.len(), two.len(), three.len()), (32, 16, 8));
        assert_eq!(take(CallOwner::Unknown, [192, 0, 2, 1]).len(), 32, "users' limit are their own");
        let known = take(CallOwner::Known("wx1".to_owned()), [192, 0, 2, 1]);
        assert_eq!(known.len(), 128, "owner token is right is not counted by address");
        drop((one, two, three, known));
        let proxy: Vec<_> = std::iter::from_fn(|| limit.take(CallOwner::User, None)).collect();
        assert!(proxy.len() == 64 && lock(&limit.running).from.is_empty());
    }
}
