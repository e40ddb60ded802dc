//! The users of one account: openid to a dense number, in order of arrival. The one place where openids stand.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::{Damaged, marks::table_bytes, varint, varint::Reader};

/// How many users one stored page holds.
pub const USERS_A_PAGE: u32 = 4096;

/// Openids and their numbers.
#[derive(Debug, Default)]
pub struct Users {
    text: Vec<u8>,
    /// Where each openid ends in `text`.
    ends: Vec<u32>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Users {
    /// How many there are.
    pub fn len(&self) -> u32 {
        // `add` stops before the number would not fit.
        self.ends.len() as u32
    }

    /// The number of an openid, if it has one.
    pub fn find(&self, openid: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(openid.as_bytes());
        self.numbers.find(hash, |number| self.openid(*number) == openid.as_bytes()).copied()
    }

    /// Gives an openid that has none the next number. None: 4 GiB of openids are held, the limit of an account.
    pub fn add(&mut self, openid: &str) -> Option<u32> {
        let number = self.len();
        let end = u32::try_from(self.text.len() + openid.len()).ok()?;
        self.text.extend_from_slice(openid.as_bytes());
        self.ends.push(end);
        let hash = self.hasher.hash_one(openid.as_bytes());
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.numbers.insert_unique(hash, number, |other| hasher.hash_one(openid_at(text, ends, *other)));
        Some(number)
    }

    /// Takes back the newest number, which is the one given.
    pub fn remove_last(&mut self, last: u32) {
        assert!(self.len() == last + 1, "a user taken back in another order than added");
        let hash = self.hasher.hash_one(self.openid(last));
        match self.numbers.find_entry(hash, |number| *number == last) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("every user is in the index"),
        }
        self.ends.pop();
        self.text.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    fn openid(&self, number: u32) -> &[u8] {
        openid_at(&self.text, &self.ends, number)
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4 + table_bytes(&self.numbers)
    }

    /// One page of openids, up to but not including the user `until`.
    pub fn encode_page(&self, page: u32, until: u32) -> Vec<u8> {
        let numbers = page * USERS_A_PAGE..until.min((page + 1) * USERS_A_PAGE);
        let mut out = Vec::with_capacity(numbers.len() * 30);
        numbers.for_each(|number| varint::put_bytes(&mut out, self.openid(number)));
        out
    }

    /// Adds the users of the next page.
    pub fn decode_page(&mut self, page: &[u8]) -> Result<(), Damaged> {
        if !self.len().is_multiple_of(USERS_A_PAGE) {
            return Err(Damaged("users behind a page that is not full"));
        }
        let mut reader = Reader::new(page);
        while !reader.is_empty() {
            let openid = reader.text()?;
            if self.find(openid).is_some() {
                return Err(Damaged("a user twice"));
            }
            self.add(openid).ok_or(Damaged("more than 4 GiB of openids"))?;
        }
        Ok(())
    }
}

fn openid_at<'a>(text: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let at = number as usize;
    let start = at.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &text[start..ends[at] as usize]
}
