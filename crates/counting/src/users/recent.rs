//! The recent users, in memory: openid to number and back.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::{USERS_A_PAGE, user_list::UserList};
use crate::{Damaged, marks::table_bytes, varint, varint::Reader};

/// First byte of a page that states its first user. Pages of former formats begin with a length, which is not 0.
const WITH_FIRST: u8 = 0;

/// Recent users in order of arrival.
#[derive(Debug, Default)]
pub struct Recent {
    /// Number of the first one.
    first: u32,
    text: Vec<u8>,
    /// The end of each openid in `text`.
    ends: Vec<u32>,
    /// Indexes into `ends`, by hash of the openid.
    places: HashTable<u32>,
    hasher: RandomState,
}

impl Recent {
    /// An empty list. The next number is `first`.
    pub fn after(first: u32) -> Recent {
        Recent { first, ..Recent::default() }
    }

    /// The number of the first one.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The next number to assign.
    pub fn end(&self) -> u32 {
        // `add` stops before this overflows.
        self.first + self.ends.len() as u32
    }

    /// The number of an openid. None if it is not a recent one.
    pub fn find(&self, openid: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(openid);
        self.places.find(hash, |place| self.openid(*place) == openid).map(|place| self.first + place)
    }

    /// Gives a new openid the next number. None if there is no room.
    pub fn add(&mut self, openid: &[u8]) -> Option<u32> {
        let number = self.end();
        number.checked_add(1)?;
        let place = self.ends.len() as u32;
        let end = u32::try_from(self.text.len() + openid.len()).ok()?;
        self.text.extend_from_slice(openid);
        self.ends.push(end);
        let hash = self.hasher.hash_one(openid);
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.places.insert_unique(hash, place, |other| hasher.hash_one(openid_at(text, ends, *other)));
        Some(number)
    }

    /// Removes the user with the newest number, which must be `last`.
    pub fn remove_last(&mut self, last: u32) {
        assert!(self.end() == last + 1, "a user taken back in another order than added");
        let place = last - self.first;
        let hash = self.hasher.hash_one(self.openid(place));
        match self.places.find_entry(hash, |other| *other == place) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("every user is in the index"),
        }
        self.ends.pop();
        self.text.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    fn openid(&self, place: u32) -> &[u8] {
        openid_at(&self.text, &self.ends, place)
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4 + table_bytes(&self.places)
    }

    /// Encodes the users of one page, up to but not including the user `until`.
    pub fn encode_page(&self, page: u32, until: u32) -> Vec<u8> {
        // The last page would end at 2^32. The user number u32::MAX is never assigned.
        let end = (page + 1).saturating_mul(USERS_A_PAGE);
        let numbers = (page * USERS_A_PAGE).max(self.first)..until.min(end);
        let mut out = Vec::with_capacity(numbers.len() * 30);
        out.push(WITH_FIRST);
        varint::put(&mut out, u64::from(numbers.start));
        numbers.for_each(|number| varint::put_bytes(&mut out, self.openid(number - self.first)));
        out
    }

    /// Adds the users of the next page. Users before the first one are skipped.
    pub fn decode_page(&mut self, page: u32, bytes: &[u8]) -> Result<(), Damaged> {
        let mut reader = Reader::new(bytes);
        let mut number = page.checked_mul(USERS_A_PAGE).ok_or(Damaged("a page of users too many"))?;
        if bytes.first() == Some(&WITH_FIRST) {
            reader.byte()?;
            number = reader.number_as()?;
        }
        while !reader.is_empty() {
            let openid = reader.text()?.as_bytes();
            if number >= self.first {
                if number != self.end() {
                    return Err(Damaged("users that do not follow those before"));
                }
                if self.find(openid).is_some() {
                    return Err(Damaged("a user twice"));
                }
                self.add(openid).ok_or(Damaged("more than 4 GiB of openids"))?;
            }
            number += 1;
        }
        Ok(())
    }

    /// A copy of the users below `until`, in order of arrival.
    pub fn below(&self, until: u32) -> UserList {
        let mut users = UserList::default();
        (self.first..until).for_each(|number| users.push((self.openid(number - self.first), number)));
        users
    }

    /// A copy of the users from this number on.
    pub fn starting_at(&self, first: u32) -> Recent {
        let mut rest = Recent::after(first);
        for number in first..self.end() {
            let added = rest.add(self.openid(number - self.first));
            assert!(added == Some(number), "users lost their numbers");
        }
        rest
    }
}

fn openid_at<'a>(text: &'a [u8], ends: &[u32], place: u32) -> &'a [u8] {
    let at = place as usize;
    let start = at.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &text[start..ends[at] as usize]
}
