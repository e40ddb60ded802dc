//! A set of users by number: one bit each while sets are united, and the smaller of two forms as bytes.

use crate::{Damaged, varint, varint::Reader};

/// Nobody.
const EMPTY: u8 = 0;
/// The distance of each user from the one before, less one.
const DISTANCES: u8 = 1;
/// One bit a user.
const BITS: u8 = 2;

const OUT_OF_RANGE: Damaged = Damaged("a user beyond the end of a set");

/// A set of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSet {
    words: Vec<u64>,
}

impl UserSet {
    /// Adds a user.
    pub fn insert(&mut self, user: u32) {
        let at = (user / 64) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (user % 64);
    }

    /// Makes room for users below this number, so that adding them moves nothing.
    pub fn reserve(&mut self, users: u32) {
        let words = users.div_ceil(64) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
    }

    /// Adds the users of another set.
    pub fn add(&mut self, other: &UserSet) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(word, more)| *word |= more);
    }

    /// How many users are in it.
    pub fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many users are in at least one of these sets.
    pub fn len_of_union<'a>(sets: impl Iterator<Item = &'a UserSet>) -> u64 {
        let mut all = UserSet::default();
        sets.for_each(|set| all.add(set));
        all.len()
    }

    /// The users, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let lowest = |rest: &u64| (*rest != 0).then_some(*rest);
            std::iter::successors(lowest(word), move |rest| lowest(&(rest & (rest - 1))))
                .map(move |rest| at as u32 * 64 + rest.trailing_zeros())
        })
    }

    /// Appends the set.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = self.words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        if length == 0 {
            out.push(EMPTY);
            return;
        }
        let start = out.len();
        out.push(DISTANCES);
        varint::put(out, length as u64);
        varint::put(out, self.len());
        let body = out.len();
        let mut next = 0;
        for user in self.iter() {
            varint::put(out, u64::from(user - next));
            next = user.wrapping_add(1);
            if out.len() - body > length * 8 {
                out.truncate(start);
                out.push(BITS);
                varint::put(out, length as u64);
                self.words[..length].iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
                return;
            }
        }
    }

    /// Adds the users of a set that [`UserSet::encode`] wrote.
    pub fn add_encoded(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let form = reader.byte()?;
        if form == EMPTY {
            return Ok(());
        }
        let length = reader.small::<u32>()?;
        let users = length.checked_mul(64).ok_or(OUT_OF_RANGE)?;
        self.reserve(users);
        match form {
            DISTANCES => self.add_distances(reader, users),
            BITS => {
                let bytes = reader.take(length as usize * 8)?;
                for (word, bytes) in self.words.iter_mut().zip(bytes.as_chunks().0) {
                    *word |= u64::from_le_bytes(*bytes);
                }
                Ok(())
            }
            _ => Err(Damaged("a set of a form that this version does not know")),
        }
    }

    fn add_distances(&mut self, reader: &mut Reader<'_>, users: u32) -> Result<(), Damaged> {
        let count = reader.number()?;
        let mut next = 0_u64;
        for _ in 0..count {
            let user = next.checked_add(reader.number()?).filter(|user| *user < u64::from(users));
            let user = user.ok_or(OUT_OF_RANGE)?;
            match self.words.get_mut((user / 64) as usize) {
                Some(word) => *word |= 1 << (user % 64),
                None => return Err(OUT_OF_RANGE),
            }
            next = user + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn of(users: &BTreeSet<u32>) -> UserSet {
        let mut set = UserSet::default();
        users.iter().for_each(|user| set.insert(*user));
        set
    }

    proptest! {
        #[test]
        fn sets_are_read_as_they_were_written_and_united(
            one in prop::collection::btree_set(0..5000_u32, 0..200),
            from in 0..4000_u32,
            length in 0..1000_u32,
        ) {
            let other = (from..from + length).collect::<BTreeSet<u32>>();
            let mut bytes = Vec::new();
            of(&one).encode(&mut bytes);
            of(&other).encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            let mut both = UserSet::default();
            both.add_encoded(&mut reader).unwrap();
            prop_assert_eq!(both.iter().collect::<BTreeSet<u32>>(), one.clone());
            both.add_encoded(&mut reader).unwrap();
            prop_assert!(reader.is_empty());
            let expected: BTreeSet<u32> = one.union(&other).copied().collect();
            prop_assert_eq!(both.len(), expected.len() as u64);
            prop_assert_eq!(UserSet::len_of_union([of(&one), of(&other)].iter()), expected.len() as u64);
            prop_assert_eq!(both.iter().collect::<BTreeSet<u32>>(), expected);
        }

        #[test]
        fn damaged_sets_are_errors_and_not_panics(form in 0..4_u8, bytes: Vec<u8>) {
            let bytes = [&[form, 9][..], &bytes].concat();
            let _ = UserSet::default().add_encoded(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn many_users_take_a_bit_each_and_few_a_byte() {
        let bytes = |users: BTreeSet<u32>| {
            let mut bytes = Vec::new();
            of(&users).encode(&mut bytes);
            bytes.len()
        };
        assert!(bytes((0..80_000).step_by(2).collect()) < 10_010);
        assert!(bytes((0..80_000).step_by(80).collect()) < 1_010);
        assert_eq!(bytes(BTreeSet::new()), 1);
        assert!(bytes([u32::MAX - 64].into()) < 16);
    }
}
