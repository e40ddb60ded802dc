//! Messages and events as they are stored in a day, and the index that finds repeats.

use hashbrown::HashTable;
use sha2::{Digest as _, Sha256};

use crate::{Kind, marks::table_bytes};

/// Seconds of a day.
pub const SECONDS_A_DAY: u32 = 86_400;

/// A stored message of a day: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageEntry {
    /// Second of the Beijing day, and the kind in the lowest four bits.
    second_and_kind: u32,
    /// Number of the user within the account.
    pub user: u32,
    /// `MsgId` as WeChat sent it.
    pub msg_id: u64,
}

const _: () = assert!(Kind::ALL.len() <= 16, "the kind has four bits");

impl MessageEntry {
    /// An entry of this second of the Beijing day.
    ///
    /// # Panics
    /// If `second` is not below [`SECONDS_A_DAY`].
    pub fn new(second: u32, user: u32, msg_id: u64, kind: Kind) -> MessageEntry {
        assert!(second < SECONDS_A_DAY, "a second past midnight");
        MessageEntry { second_and_kind: second << 4 | kind.index() as u32, user, msg_id }
    }

    /// Second of the Beijing day, 0 to 86,399.
    pub fn second(&self) -> u32 {
        self.second_and_kind >> 4
    }

    /// The kind from `MsgType`.
    pub fn kind(&self) -> Kind {
        match Kind::from_index((self.second_and_kind & 15) as usize) {
            Some(kind) => kind,
            None => unreachable!("an entry is only made of a kind"),
        }
    }
}

/// A stored event of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventEntry {
    /// Second of the Beijing day, 0 to 86,399.
    pub second: u32,
    /// Number of the user within the account.
    pub user: u32,
    /// Digest of Event, EventKey and MsgID.
    pub digest: EventDigest,
    /// Number of its name. [`UNNAMED`] if all numbers were taken.
    pub name: u16,
}

/// Identifies Event, EventKey and MsgID: the first 128 bits of their SHA-256. So keys, which may be long or personal,
/// are not stored. A collision cannot be constructed in practice.
pub type EventDigest = [u8; 16];

/// The number for all names that came after the other numbers were used up.
pub const UNNAMED: u16 = u16::MAX;

/// The digest of an event. Without a MsgID it equals the digest of former versions, which did not read the MsgID.
pub fn event_digest(name: &str, key: &str, msg_id: Option<u64>) -> EventDigest {
    /// A flag in the length of the name: the event has a MsgID. No name is that long.
    const HAS_MSG_ID: u64 = 1 << 63;
    let mut hash = Sha256::new();
    let length = name.len() as u64;
    match msg_id {
        None => hash.update(length.to_le_bytes()),
        Some(msg_id) => {
            hash.update((length | HAS_MSG_ID).to_le_bytes());
            hash.update(msg_id.to_le_bytes());
        }
    }
    hash.update(name);
    hash.update(key);
    let mut digest = EventDigest::default();
    digest.copy_from_slice(&hash.finalize()[..16]);
    digest
}

/// Identity of an entry within its day. Repeats are the same.
pub trait Identity {
    /// True if `other` is a repeat of this entry.
    fn same(&self, other: &Self) -> bool;
    /// A hash that is equal for repeats.
    fn hash(&self) -> u64;
}

impl Identity for MessageEntry {
    fn same(&self, other: &Self) -> bool {
        (self.second(), self.user, self.msg_id) == (other.second(), other.user, other.msg_id)
    }

    fn hash(&self) -> u64 {
        mix(self.msg_id ^ mix(u64::from(self.second()) << 32 | u64::from(self.user)))
    }
}

impl Identity for EventEntry {
    fn same(&self, other: &Self) -> bool {
        (self.second, self.user, self.digest) == (other.second, other.user, other.digest)
    }

    fn hash(&self) -> u64 {
        let start = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i: usize| self.digest[i]));
        mix(start ^ mix(u64::from(self.second) << 32 | u64::from(self.user)))
    }
}

/// Spreads bits by a multiplication and a fold. That is enough, because MsgIds come from WeChat in signed callbacks.
fn mix(value: u64) -> u64 {
    let wide = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (wide as u64) ^ (wide >> 64) as u64
}

/// Entries in order of arrival, without repeats.
#[derive(Clone, Debug)]
pub struct Entries<T> {
    list: Vec<T>,
    index: HashTable<u32>,
    /// Number of entries in `list` that are durable and counted. The others are not durable yet.
    applied: usize,
}

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries { list: Vec::new(), index: HashTable::new(), applied: 0 }
    }
}

impl<T: Identity + PartialEq> Entries<T> {
    /// Creates the list and its index from entries that are all durable.
    pub fn of_applied(list: Vec<T>) -> Entries<T> {
        let mut index = HashTable::with_capacity(list.len());
        for (at, entry) in list.iter().enumerate() {
            index.insert_unique(entry.hash(), at as u32, |other| list[*other as usize].hash());
        }
        Entries { applied: list.len(), list, index }
    }

    /// True if the entry would be a repeat.
    pub fn has(&self, entry: &T) -> bool {
        self.index.find(entry.hash(), |at| self.list[*at as usize].same(entry)).is_some()
    }

    /// Adds an entry unless it is a repeat. Returns whether it was added.
    pub fn admit(&mut self, entry: T) -> bool {
        if self.has(&entry) {
            return false;
        }
        assert!(self.list.len() < u32::MAX as usize, "a day has as many messages as can be numbered");
        let (list, hash) = (&mut self.list, entry.hash());
        self.index.insert_unique(hash, list.len() as u32, |other| list[*other as usize].hash());
        list.push(entry);
        true
    }

    /// Marks `entry` as durable. It must be the oldest one that is not.
    pub fn applied_one(&mut self, entry: &T) {
        assert!(self.list.get(self.applied) == Some(entry), "counted in another order than admitted");
        self.applied += 1;
    }

    /// Removes `entry`. It must be the newest one and not durable.
    pub fn revert_last(&mut self, entry: &T) {
        let last = self.list.len().wrapping_sub(1);
        assert!(self.is_waiting() && self.list[last] == *entry, "taken back in another order than admitted");
        match self.index.find_entry(entry.hash(), |at| *at as usize == last) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("every entry is in the index"),
        }
        self.list.pop();
    }

    /// The durable entries.
    pub fn applied(&self) -> &[T] {
        &self.list[..self.applied]
    }

    /// The entries that are not durable yet.
    pub fn waiting(&self) -> &[T] {
        &self.list[self.applied..]
    }

    /// True if some entry is not durable yet.
    pub fn is_waiting(&self) -> bool {
        self.applied < self.list.len()
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<T>() + table_bytes(&self.index)
    }
}
