//! Event names, facts and unsaved quarantined messages. All of them are small and kept in memory.

use std::collections::BTreeMap;

use counting::{
    Damaged, UNNAMED,
    varint::{self, Reader},
};
use sha2::{Digest as _, Sha256};

use crate::store::QuarantinedMessage;

/// Everything that a store keeps beside the figures.
#[derive(Debug, Default)]
pub struct Facts {
    pub event_names: EventNames,
    by_key: BTreeMap<String, Vec<u8>>,
    /// Quarantined messages that are only in the log yet, by key.
    pub quarantined: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Names of events and their numbers, in the order of their first use.
#[derive(Debug, Default)]
pub struct EventNames {
    list: Vec<Box<str>>,
    numbers: BTreeMap<Box<str>, u16>,
}

impl EventNames {
    /// The number of a name, and whether it is new. When all numbers are taken, new names share [`UNNAMED`].
    pub fn number_of(&mut self, name: &str) -> (u16, bool) {
        if let Some(number) = self.numbers.get(name) {
            return (*number, false);
        }
        match u16::try_from(self.list.len()) {
            Ok(number) if number < UNNAMED => {
                self.add(number, name);
                (number, true)
            }
            _ => (UNNAMED, false),
        }
    }

    fn add(&mut self, number: u16, name: &str) {
        self.numbers.insert(name.into(), number);
        self.list.push(name.into());
    }

    /// Replays a new name. Replaying it twice changes nothing.
    pub fn replay(&mut self, number: u16, name: &str) -> Result<(), Damaged> {
        if usize::from(number) == self.list.len() {
            self.add(number, name);
        }
        if self.numbers.get(name) == Some(&number) {
            Ok(())
        } else {
            Err(Damaged("an event's name that does not follow"))
        }
    }

    /// Removes the newest name, whose frame did not become durable.
    pub fn remove_last(&mut self) {
        let Some(name) = self.list.pop() else { unreachable!("only a name that was added is taken back") };
        self.numbers.remove(&name);
    }

    /// Converts counts by number into counts by name.
    pub fn of_events(&self, events: &[(u16, u64)]) -> Result<BTreeMap<String, u64>, Damaged> {
        let name = |number: u16| match self.list.get(usize::from(number)) {
            Some(name) => Ok(&**name),
            None if number == UNNAMED => Ok("(other)"),
            None => Err(Damaged("an event whose name is not known")),
        };
        events.iter().map(|(number, count)| Ok((name(*number)?.to_owned(), *count))).collect()
    }

    /// All names.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.list.iter().for_each(|name| varint::put_bytes(&mut out, name.as_bytes()));
        out
    }

    /// Reads what [`EventNames::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<EventNames, Damaged> {
        let mut names = EventNames::default();
        let mut reader = Reader::new(bytes);
        for number in 0.. {
            if reader.is_empty() {
                break;
            }
            if number == UNNAMED {
                return Err(Damaged("more names of events than there are numbers"));
            }
            names.add(number, reader.text()?);
        }
        Ok(names)
    }
}

impl Facts {
    /// Sets or removes a fact.
    pub fn set_fact(&mut self, key: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.by_key.insert(key, value)),
            None => drop(self.by_key.remove(&key)),
        }
    }

    /// The facts whose key starts with `prefix`.
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let from = self.by_key.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// All facts.
    pub fn encode_facts(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.by_key {
            varint::put_bytes(&mut out, key.as_bytes());
            varint::put_bytes(&mut out, value);
        }
        out
    }

    /// Reads what [`Facts::encode_facts`] wrote.
    pub fn decode_facts(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let key = reader.text()?.to_owned();
            let value = reader.bytes()?.to_vec();
            self.by_key.insert(key, value);
        }
        Ok(())
    }
}

/// Key of a quarantined message. It sorts by account and time. Repeats have the same key.
pub fn quarantine_key(account: u32, message: &QuarantinedMessage) -> Vec<u8> {
    let identity = (&message.user, message.msg_id, &message.event, &message.event_digest);
    let digest = Sha256::digest(format!("{identity:?}"));
    let mut key = account.to_be_bytes().to_vec();
    key.extend_from_slice(&(message.create_time.cast_unsigned() ^ 1 << 63).to_be_bytes());
    key.extend_from_slice(&digest[..16]);
    key
}
