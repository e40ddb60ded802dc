//! The figures of one stretch of time, and their stored form. Pure.

use std::collections::BTreeMap;

use counting::{
    Counters, Damaged,
    varint::{self, Reader},
};

/// The figures of one account in one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeriodCounts {
    /// Messages and users. Its names of events are not used.
    pub counters: Counters,
    /// Number of events by name. Empty if they were not asked for.
    pub events: BTreeMap<String, u64>,
}

/// The first byte of the stored form.
const FORMAT: u8 = 1;

impl PeriodCounts {
    /// Adds the figures of other users.
    pub fn add_other_users(&mut self, other: &PeriodCounts) {
        self.counters.add_other_users(&other.counters);
        for (name, count) in &other.events {
            *self.events.entry(name.clone()).or_default() += count;
        }
    }

    /// The figures as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        self.counters.encode(&mut out);
        varint::put(&mut out, self.events.len() as u64);
        for (name, count) in &self.events {
            varint::put_bytes(&mut out, name.as_bytes());
            varint::put(&mut out, *count);
        }
        out
    }

    /// Reads what [`PeriodCounts::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<PeriodCounts, Damaged> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != FORMAT {
            return Err(Damaged("figures in another format"));
        }
        let counters = Counters::decode(&mut reader)?;
        let mut events = BTreeMap::new();
        for _ in 0..reader.number()? {
            let name = reader.text()?.to_owned();
            events.insert(name, reader.number()?);
        }
        if !reader.is_empty() {
            return Err(Damaged("bytes after the figures"));
        }
        Ok(PeriodCounts { counters, events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts() -> impl Strategy<Value = PeriodCounts> {
        let sums = (any::<[u64; 10]>(), any::<[u64; 10]>(), any::<u64>(), any::<u64>(), any::<[u64; 3]>());
        let events = proptest::collection::btree_map(any::<String>(), any::<u64>(), 0..4);
        (sums, events).prop_map(|((messages, users, videos, counted, classes), events)| PeriodCounts {
            counters: Counters::of_sums(messages, users, videos, counted, classes),
            events,
        })
    }

    proptest! {
        #[test]
        fn figures_are_read_as_they_were_written(counts in counts(), more: u8) {
            let mut bytes = counts.encode();
            prop_assert_eq!(&PeriodCounts::decode(&bytes).unwrap(), &counts);
            prop_assert!(PeriodCounts::decode(&bytes[..bytes.len() - 1]).is_err());
            bytes.push(more);
            prop_assert!(PeriodCounts::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = PeriodCounts::decode(&bytes);
            let _ = PeriodCounts::decode(&[&[FORMAT], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn another_format_is_refused_and_nothing_is_a_few_bytes() {
        assert_eq!(PeriodCounts::default().encode().len(), 4);
        assert!(PeriodCounts::decode(&[2, 0, 0, 0]).is_err());
        assert!(PeriodCounts::decode(&[]).is_err());
    }
}
