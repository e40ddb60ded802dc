//! The small things a store keeps beside figures: names of events, facts, messages kept aside and not yet saved.

use std::collections::BTreeMap;

use counting::{
    Damaged, UNNAMED,
    varint::{self, Reader},
};
use sha2::{Digest as _, Sha256};

use crate::store::Aside;

/// All of them.
#[derive(Debug, Default)]
pub struct Small {
    pub names: Names,
    facts: BTreeMap<String, Vec<u8>>,
    /// Not saved yet.
    pub asides: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Names of events and their numbers, in order of arrival.
#[derive(Debug, Default)]
pub struct Names {
    list: Vec<Box<str>>,
    numbers: BTreeMap<Box<str>, u16>,
}

impl Names {
    /// The number of a name, and whether it is new. Once all numbers are taken, new names share one.
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

    /// Takes a name from the log; doing it again changes nothing.
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

    /// Takes back the newest name.
    pub fn remove_last(&mut self) {
        let Some(name) = self.list.pop() else { unreachable!("only a name that was added is taken back") };
        self.numbers.remove(&name);
    }

    /// Counts by name instead of number.
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

    /// Reads what [`Names::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Names, Damaged> {
        let mut names = Names::default();
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

impl Small {
    /// Sets or removes a fact.
    pub fn set_fact(&mut self, key: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.facts.insert(key, value)),
            None => drop(self.facts.remove(&key)),
        }
    }

    /// The facts whose key starts so.
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let from = self.facts.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// All facts.
    pub fn encode_facts(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.facts {
            varint::put_bytes(&mut out, key.as_bytes());
            varint::put_bytes(&mut out, value);
        }
        out
    }

    /// Reads what [`Small::encode_facts`] wrote.
    pub fn decode_facts(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let key = reader.text()?.to_owned();
            let value = reader.bytes()?.to_vec();
            self.facts.insert(key, value);
        }
        Ok(())
    }
}

/// Orders an account's messages aside by time; a repeat has the same key.
pub fn aside_key(account: u32, aside: &Aside) -> Vec<u8> {
    let identity = (&aside.user, aside.msg_id, &aside.event, &aside.event_digest);
    let digest = Sha256::digest(format!("{identity:?}"));
    let mut key = account.to_be_bytes().to_vec();
    key.extend_from_slice(&(aside.create_time.cast_unsigned() ^ 1 << 63).to_be_bytes());
    key.extend_from_slice(&digest[..16]);
    key
}
