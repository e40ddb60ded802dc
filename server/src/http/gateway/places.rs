//! Places for calls on their way to WeChat: nobody's calls keep all others out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::store::lock;

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
    /// Of users, and of unknown platforms: no token of ours is needed for either.
    others: usize,
}

/// All of them.
#[derive(Debug)]
pub struct Places {
    most: Most,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all_known: usize,
    of: HashMap<Whose, usize>,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    whose: Whose,
}

impl Places {
    /// As many as the connections of callers leave open files for.
    pub fn beside(connections: usize) -> Arc<Places> {
        let part = |divisor: usize| (connections / divisor).max(1);
        let most = Most { all_known: part(2), of_each_known: part(8), others: part(16) };
        Arc::new(Places { most, taken: Mutex::default() })
    }

    /// A place, if there is one.
    pub fn take(self: &Arc<Places>, whose: Whose) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let of_these = taken.of.get(&whose).copied().unwrap_or_default();
        let is_known = matches!(whose, Whose::Known(_));
        let is_free = if is_known {
            of_these < self.most.of_each_known && taken.all_known < self.most.all_known
        } else {
            of_these < self.most.others
        };
        if !is_free {
            return None;
        }
        taken.of.insert(whose.clone(), of_these + 1);
        taken.all_known += usize::from(is_known);
        drop(taken);
        Some(Place { places: self.clone(), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        taken.all_known -= usize::from(matches!(self.whose, Whose::Known(_)));
        match taken.of.get_mut(&self.whose) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.of.remove(&self.whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_others_and_all_are_given_back() {
        let places = Places::beside(64);
        let known = |appid: &str| Whose::Known(appid.to_owned());
        for _ in 0..2 {
            let take =
                |whose: &Whose| std::iter::from_fn(|| places.take(whose.clone())).collect::<Vec<Place>>();
            let one = take(&known("wx1"));
            let users = take(&Whose::User);
            assert_eq!((one.len(), users.len(), take(&Whose::Unknown).len()), (8, 4, 4));
            let more: Vec<_> = (2..9).flat_map(|number| take(&known(&format!("wx{number}")))).collect();
            assert_eq!((more.len(), take(&known("wx2")).len()), (24, 0), "all that are known together");
        }
        assert!(lock(&places.taken).of.is_empty() && lock(&places.taken).all_known == 0);
    }
}
