//! Request ids (rid) as in WeChat's errors: three groups of eight hexadecimal digits. The first group is the time in Unix
//! seconds. The rest is a keyed hash of a counter: it cannot be guessed and does not repeat after a restart.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

/// A request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rid([u8; 12]);

/// Generates request ids. Each generator has a random hash key.
#[derive(Debug, Default)]
pub struct RidGenerator {
    count: AtomicU64,
    hash: RandomState,
}

impl RidGenerator {
    /// A new request id for an answer at `now_s`, in Unix seconds.
    pub fn next(&self, now_s: i64) -> Rid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&now_s.to_be_bytes()[4..]);
        bytes[4..].copy_from_slice(&self.hash.hash_one(count).to_be_bytes());
        Rid(bytes)
    }
}

impl Rid {
    /// When the request was answered, in Unix seconds.
    pub fn at_s(self) -> i64 {
        let [a, b, c, d, ..] = self.0;
        i64::from(u32::from_be_bytes([a, b, c, d]))
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, bytes) in self.0.chunks(4).enumerate() {
            f.write_str(if group == 0 { "" } else { "-" })?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// The text does not have the form of a request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RidFormatError;

impl FromStr for Rid {
    type Err = RidFormatError;

    fn from_str(text: &str) -> Result<Rid, RidFormatError> {
        let is_hex = |group: &str| {
            group.len() == 8 && group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let mut rid = Rid([0; 12]);
        let mut groups = text.split('-');
        for bytes in rid.0.chunks_mut(4) {
            let group = groups.next().filter(|group| is_hex(group)).ok_or(RidFormatError)?;
            bytes.copy_from_slice(&u32::from_str_radix(group, 16).map_err(|_| RidFormatError)?.to_be_bytes());
        }
        if groups.next().is_none() { Ok(rid) } else { Err(RidFormatError) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_rid_is_parsed_as_it_is_written_and_other_forms_are_refused() {
        let rid = RidGenerator::default().next(0x6172_5984);
        assert_eq!(rid.to_string().parse(), Ok(rid));
        assert_eq!((rid.at_s(), rid.to_string().len()), (0x6172_5984, 26));
        assert_eq!(
            "61725984-6126f6f9-040f19c4".parse::<Rid>().unwrap().to_string(),
            "61725984-6126f6f9-040f19c4"
        );
        for text in [
            "",
            "61725984-6126f6f9",
            "61725984-6126f6f9-040f19c4-",
            "61725984-6126f6f9-040f19c4-040f19c4",
            "6172598-46126f6f9-040f19c4",
            "61725984-6126F6F9-040f19c4",
            "+1725984-6126f6f9-040f19c4",
            " 61725984-6126f6f9-040f19c4",
            "61725984-6126f6f9-040f19cé",
        ] {
            assert_eq!(text.parse::<Rid>(), Err(RidFormatError), "{text}");
        }
    }

    #[test]
    fn rids_do_not_repeat_even_in_another_process_in_the_same_second() {
        let processes = [RidGenerator::default(), RidGenerator::default(), RidGenerator::default()];
        let rids = processes.iter().flat_map(|rids| (0..1000).map(|_| rids.next(1_000_000)));
        assert_eq!(rids.collect::<HashSet<_>>().len(), 3000);
    }
}
