//! Places for calls on their way to WeChat: nobody's calls keep all others out.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use system::sync::lock;

/// Whose a call is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The account's, or the platform's, that its token names.
    Known(String),
    /// A user's, whose token only WeChat knows.
    User,
    /// A platform's that shows no token known here.
    Unknown,
}

/// How many calls there may be at the same time.
#[derive(Clone, Copy, Debug)]
struct Most {
    all_known: usize,
    of_each_known: usize,
    /// Of users, and of unknown platforms: no token of ours is needed for either, so of these an address has at most as many
    /// places as are free for all others.
    others: usize,
}

/// All of them.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    most: Most,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all_known: usize,
    of: HashMap<Whose, usize>,
    /// Those of users and of unknown platforms, by whose they are and where they come from.
    from: HashMap<(Whose, IpAddr), usize>,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<ConcurrencyLimit>,
    whose: Whose,
    from: Option<IpAddr>,
}

impl ConcurrencyLimit {
    /// As many as the connections of callers leave open files for.
    pub fn beside(connections: usize) -> Arc<ConcurrencyLimit> {
        let part = |divisor: usize| (connections / divisor).max(1);
        let most = Most { all_known: part(2), of_each_known: part(8), others: part(16) };
        Arc::new(ConcurrencyLimit { most, taken: Mutex::default() })
    }

    /// A place, if there is one, for a call from there; from nowhere if addresses do not count.
    pub fn take(self: &Arc<ConcurrencyLimit>, whose: Whose, from: Option<IpAddr>) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let of_these = taken.of.get(&whose).copied().unwrap_or_default();
        let is_known = matches!(whose, Whose::Known(_));
        let from = from.filter(|_| !is_known);
        let of_address = from.and_then(|from| taken.from.get(&(whose.clone(), from)).copied());
        let is_free = if is_known {
            of_these < self.most.of_each_known && taken.all_known < self.most.all_known
        } else {
            of_these < self.most.others && of_address.unwrap_or_default() < self.most.others - of_these
        };
        if !is_free {
            return None;
        }
        taken.of.insert(whose.clone(), of_these + 1);
        taken.all_known += usize::from(is_known);
        if let Some(from) = from {
            *taken.from.entry((whose.clone(), from)).or_default() += 1;
        }
        drop(taken);
        Some(Place { places: self.clone(), whose, from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        taken.all_known -= usize::from(matches!(self.whose, Whose::Known(_)));
        give_back(&mut taken.of, &self.whose);
        if let Some(from) = self.from {
            give_back(&mut taken.from, &(self.whose.clone(), from));
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
        let places = ConcurrencyLimit::beside(64);
        let known = |appid: &str| Whose::Known(appid.to_owned());
        for _ in 0..2 {
            let take = |whose: &Whose| {
                std::iter::from_fn(|| places.take(whose.clone(), None)).collect::<Vec<Place>>()
            };
            let one = take(&known("wx1"));
            let users = take(&Whose::User);
            assert_eq!((one.len(), users.len(), take(&Whose::Unknown).len()), (8, 4, 4));
            let more: Vec<_> = (2..9).flat_map(|number| take(&known(&format!("wx{number}")))).collect();
            assert_eq!((more.len(), take(&known("wx2")).len()), (24, 0), "all that are known together");
        }
        assert!(lock(&places.taken).of.is_empty() && lock(&places.taken).all_known == 0);
    }

    #[test]
    fn no_addresses_together_take_all_places_of_users() {
        let places = ConcurrencyLimit::beside(1024);
        let take = |whose: Whose, from: [u8; 4]| {
            let from = Some(IpAddr::from(from));
            std::iter::from_fn(|| places.take(whose.clone(), from)).collect::<Vec<Place>>()
        };
        let one = take(Whose::User, [192, 0, 2, 1]);
        let two = take(Whose::User, [192, 0, 2, 2]);
        let three = take(Whose::User, [192, 0, 2, 3]);
        assert_eq!((one.len(), two.len(), three.len()), (32, 16, 8));
        assert_eq!(take(Whose::Unknown, [192, 0, 2, 1]).len(), 32, "users' places are their own");
        let known = take(Whose::Known("wx1".to_owned()), [192, 0, 2, 1]);
        assert_eq!(known.len(), 128, "whose token is right is not counted by address");
        drop((one, two, three, known));
        let proxy: Vec<_> = std::iter::from_fn(|| places.take(Whose::User, None)).collect();
        assert!(proxy.len() == 64 && lock(&places.taken).from.is_empty());
    }
}
