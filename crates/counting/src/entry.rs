//! Messages and events as a day keeps them, and the index that finds a repeat.

use hashbrown::HashTable;
use sha2::{Digest as _, Sha256};

use crate::{Kind, marks::table_bytes};

/// Seconds of a day.
pub const SECONDS_A_DAY: u32 = 86_400;

/// A message within its day: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageEntry {
    /// Second of the Beijing day, then the kind in the lowest four bits.
    second_and_kind: u32,
    pub user: u32,
    pub msg_id: u64,
}

impl MessageEntry {
    pub fn new(second: u32, user: u32, msg_id: u64, kind: Kind) -> MessageEntry {
        assert!(second < SECONDS_A_DAY, "a second past midnight");
        MessageEntry { second_and_kind: second << 4 | kind.index() as u32, user, msg_id }
    }

    pub fn second(&self) -> u32 {
        self.second_and_kind >> 4
    }

    pub fn kind(&self) -> Kind {
        match Kind::from_index((self.second_and_kind & 15) as usize) {
            Some(kind) => kind,
            None => unreachable!("an entry is only made of a kind"),
        }
    }
}

/// An event within its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventEntry {
    pub second: u32,
    pub user: u32,
    pub digest: EventDigest,
    /// Number of its name; [`UNNAMED`] once there are too many names.
    pub name: u16,
}

/// Stands for Event, EventKey and MsgID: the first 128 bits of their SHA-256, so that keys of any length, which may be
/// personal, need not be kept. Nobody can make two that are equal.
pub type EventDigest = [u8; 16];

/// The number of a name that came when all other numbers were taken.
pub const UNNAMED: u16 = u16::MAX;

/// The digest of an event. Without a MsgID it is that of former versions, which did not read it.
pub fn event_digest(name: &str, key: &str, msg_id: Option<u64>) -> EventDigest {
    /// No name is so long: what begins with it has a MsgID.
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

/// What makes two entries of a day the same message or the same event.
pub trait Identity {
    /// True for repeats.
    fn same(&self, other: &Self) -> bool;
    /// Equal for repeats.
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

/// MsgIds are chosen by WeChat, behind a signature; a multiplication and a fold spread them.
fn mix(value: u64) -> u64 {
    let wide = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (wide as u64) ^ (wide >> 64) as u64
}

/// Entries in order of arrival, each once.
#[derive(Clone, Debug)]
pub struct Entries<T> {
    list: Vec<T>,
    index: HashTable<u32>,
    /// How many of `list` are durable and counted; the rest waits for the disk.
    applied: usize,
}

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries { list: Vec::new(), index: HashTable::new(), applied: 0 }
    }
}

impl<T: Identity + PartialEq> Entries<T> {
    /// Builds the index over entries that are all durable.
    pub fn of_applied(list: Vec<T>) -> Entries<T> {
        let mut index = HashTable::with_capacity(list.len());
        for (at, entry) in list.iter().enumerate() {
            index.insert_unique(entry.hash(), at as u32, |other| list[*other as usize].hash());
        }
        Entries { applied: list.len(), list, index }
    }

    /// True if it would be a repeat.
    pub fn has(&self, entry: &T) -> bool {
        self.index.find(entry.hash(), |at| self.list[*at as usize].same(entry)).is_some()
    }

    /// Adds an entry unless it is a repeat; says whether it was added.
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

    /// Marks the oldest waiting entry, which is the one given, as durable.
    pub fn applied_one(&mut self, entry: &T) {
        assert!(self.list.get(self.applied) == Some(entry), "counted in another order than admitted");
        self.applied += 1;
    }

    /// Takes back the newest entry, which is the one given and not durable.
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

    /// Those that wait for the disk.
    pub fn waiting(&self) -> &[T] {
        &self.list[self.applied..]
    }

    /// True if some entry waits for the disk.
    pub fn is_waiting(&self) -> bool {
        self.applied < self.list.len()
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<T>() + table_bytes(&self.index)
    }
}
