//! Gaps in the covered time, and their reasons.

use std::collections::BTreeMap;

use crate::{
    Damaged,
    varint::{self, Reader},
};

/// Limit of refusal reasons that are shown.
const REFUSED_SHOWN_MAX: usize = 3;

/// Why messages of a stretch are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The gap is older than stored reasons, or there were too many gaps to store them.
    Unknown,
    /// Authentic callbacks were refused: their number by refusal reason. Other callbacks of the same time were
    /// accepted.
    Refused(BTreeMap<Box<str>, u64>),
    /// Callbacks were closed without an answer, because too many were waiting or there were too many accounts.
    TooMany,
    /// No connection could be accepted.
    NoConnectionTaken,
    /// Commits failed.
    NotDurable,
    /// Messages were not received: the program was stopped, killed or suspended, or the account was not served.
    NotRunning,
}

impl Reason {
    /// A number of refused callbacks for one reason. 0 if they are counted in another stretch.
    pub fn refused(why: &str, count: u64) -> Reason {
        Reason::Refused(BTreeMap::from([(why.into(), count)]))
    }

    /// The name in the statistics API.
    pub fn name(&self) -> &'static str {
        match self {
            Reason::Unknown => "unknown",
            Reason::Refused(_) => "refused",
            Reason::TooMany => "too_many",
            Reason::NoConnectionTaken => "no_connection_taken",
            Reason::NotDurable => "not_durable",
            Reason::NotRunning => "not_running",
        }
    }

    /// The name, and for refused callbacks at most three reasons with their numbers: `refused (malformed: 2)`.
    pub fn text(&self) -> String {
        let Reason::Refused(counts) = self else { return self.name().to_owned() };
        let shown: Vec<String> =
            counts.iter().take(REFUSED_SHOWN_MAX).map(|(why, count)| format!("{why}: {count}")).collect();
        let more = if counts.len() > REFUSED_SHOWN_MAX { ", …" } else { "" };
        format!("refused ({}{more})", shown.join(", "))
    }

    /// If two reasons apply at the same time, the one with the higher rank is reported. The ranks are stored.
    fn rank(&self) -> u8 {
        match self {
            Reason::Unknown => 0,
            Reason::Refused(_) => 1,
            Reason::TooMany => 2,
            Reason::NoConnectionTaken => 3,
            Reason::NotDurable => 4,
            Reason::NotRunning => 5,
        }
    }

    /// Adds the counts of another reason of the same rank.
    pub fn merge(&mut self, other: &Reason) {
        if let (Reason::Refused(counts), Reason::Refused(others)) = (self, other) {
            others.iter().for_each(|(why, count)| *counts.entry(why.clone()).or_default() += count);
        }
    }

    /// True if two touching stretches with these reasons are joined.
    pub fn is_like(&self, other: &Reason) -> bool {
        self.rank() == other.rank()
    }

    /// Appends the reason.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.rank());
        if let Reason::Refused(counts) = self {
            varint::put(out, counts.len() as u64);
            for (why, count) in counts {
                varint::put_bytes(out, why.as_bytes());
                varint::put(out, *count);
            }
        }
    }

    /// Reads what [`Reason::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Reason, Damaged> {
        Ok(match reader.byte()? {
            0 => Reason::Unknown,
            1 => {
                let count: u32 = reader.number_as()?;
                let counts = (0..count).map(|_| Ok((reader.text()?.into(), reader.number()?)));
                Reason::Refused(counts.collect::<Result<_, Damaged>>()?)
            }
            2 => Reason::TooMany,
            3 => Reason::NoConnectionTaken,
            4 => Reason::NotDurable,
            5 => Reason::NotRunning,
            _ => return Err(Damaged("a reason of a gap that is not known")),
        })
    }
}

/// A stretch `[from_s, to_s)` that is not covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Unix seconds.
    pub from_s: i64,
    /// Unix seconds.
    pub to_s: i64,
    /// Why it is not covered.
    pub reason: Reason,
}

/// Reasons by time: sorted, without overlaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasons(Vec<Gap>);

impl Reasons {
    /// Adds a reason. Existing reasons of a higher rank stay.
    pub(crate) fn add(&mut self, from_s: i64, to_s: i64, reason: &Reason) {
        let stands = |gap: &&Gap| gap.reason.rank() > reason.rank();
        let mut free_from_s = from_s;
        let mut free = Vec::new();
        for gap in self.0[self.touching(from_s, to_s)].iter().filter(stands) {
            free.push((free_from_s, gap.from_s));
            free_from_s = free_from_s.max(gap.to_s);
        }
        free.push((free_from_s, to_s));
        let mut reason = reason.clone();
        for (from_s, to_s) in free.into_iter().filter(|(from_s, to_s)| from_s < to_s) {
            self.put(Gap { from_s, to_s, reason: reason.clone() });
            if let Reason::Refused(counts) = &mut reason {
                counts.values_mut().for_each(|count| *count = 0);
            }
        }
    }

    /// Adds a reason where none of a higher rank exists. Joins similar neighbours and cuts lower ones.
    fn put(&mut self, mut new: Gap) {
        let touching = self.touching(new.from_s, new.to_s);
        let mut before = Vec::new();
        let mut after = Vec::new();
        for old in self.0.drain(touching.clone()) {
            if old.reason.is_like(&new.reason) {
                (new.from_s, new.to_s) = (new.from_s.min(old.from_s), new.to_s.max(old.to_s));
                new.reason.merge(&old.reason);
                continue;
            }
            if old.from_s < new.from_s {
                before.push(Gap { to_s: old.to_s.min(new.from_s), ..old.clone() });
            }
            if new.to_s < old.to_s {
                after.push(Gap { from_s: old.from_s.max(new.to_s), ..old });
            }
        }
        before.push(new);
        before.extend(after);
        self.0.splice(touching.start..touching.start, before);
    }

    /// The indexes of reasons that overlap or touch the stretch.
    fn touching(&self, from_s: i64, to_s: i64) -> std::ops::Range<usize> {
        let first = self.0.partition_point(|gap| gap.to_s < from_s);
        first..self.0.partition_point(|gap| gap.from_s <= to_s).max(first)
    }

    /// The reasons that overlap the stretch.
    pub(crate) fn within(&self, from_s: i64, to_s: i64) -> &[Gap] {
        let first = self.0.partition_point(|gap| gap.to_s <= from_s);
        &self.0[first..self.0.partition_point(|gap| gap.from_s < to_s).max(first)]
    }

    /// Removes the reasons of the stretch.
    pub(crate) fn forget(&mut self, from_s: i64, to_s: i64) {
        let first = self.0.partition_point(|gap| gap.to_s <= from_s);
        let last = self.0.partition_point(|gap| gap.from_s < to_s).max(first);
        let cut = self.0[first..last].iter().flat_map(|gap| {
            let left = Gap { to_s: gap.to_s.min(from_s), ..gap.clone() };
            let right = Gap { from_s: gap.from_s.max(to_s), ..gap.clone() };
            [left, right].into_iter().filter(|gap| gap.from_s < gap.to_s)
        });
        let cut: Vec<Gap> = cut.collect();
        self.0.splice(first..last, cut);
    }

    /// Extends the reason that ends at `from_s` until `to_s`.
    pub(crate) fn extend(&mut self, from_s: i64, to_s: i64) {
        let before = self.within(from_s - 1, from_s).first().map(|gap| gap.reason.clone());
        if let Some(mut reason) = before {
            if let Reason::Refused(counts) = &mut reason {
                counts.values_mut().for_each(|count| *count = 0);
            }
            self.add(from_s, to_s, &reason);
        }
    }

    /// Drops the oldest reasons above this number.
    pub(crate) fn limit(&mut self, most: usize) {
        let surplus = self.0.len().saturating_sub(most);
        self.0.drain(..surplus);
    }

    /// Appends the stretch as gaps, each with its reason.
    pub(crate) fn explain(&self, from_s: i64, to_s: i64, gaps: &mut Vec<Gap>) {
        let mut at_s = from_s;
        for known in self.within(from_s, to_s) {
            let (start_s, end_s) = (known.from_s.max(from_s), known.to_s.min(to_s));
            if at_s < start_s {
                gaps.push(Gap { from_s: at_s, to_s: start_s, reason: Reason::Unknown });
            }
            gaps.push(Gap { from_s: start_s, to_s: end_s, reason: known.reason.clone() });
            at_s = end_s;
        }
        if at_s < to_s {
            gaps.push(Gap { from_s: at_s, to_s, reason: Reason::Unknown });
        }
    }

    /// Appends all reasons.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.0.len() as u64);
        for gap in &self.0 {
            out.extend_from_slice(&gap.from_s.to_le_bytes());
            out.extend_from_slice(&gap.to_s.to_le_bytes());
            gap.reason.encode(out);
        }
    }

    /// Reads what [`Reasons::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Reasons, Damaged> {
        let count: u32 = reader.number_as()?;
        let gaps = (0..count).map(|_| {
            let (from_s, to_s) = (reader.seconds()?, reader.seconds()?);
            Ok(Gap { from_s, to_s, reason: Reason::decode(reader)? })
        });
        Ok(Reasons(gaps.collect::<Result<_, Damaged>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_reason() -> impl Strategy<Value = Reason> {
        prop_oneof![
            Just(Reason::refused("malformed", 1)),
            Just(Reason::refused("wrong_to_user", 2)),
            Just(Reason::TooMany),
            Just(Reason::NoConnectionTaken),
            Just(Reason::NotDurable),
            Just(Reason::NotRunning),
        ]
    }

    proptest! {
        #[test]
        fn the_higher_reason_of_each_second_is_given_and_refusals_are_counted_once(
            steps in prop::collection::vec((0..30_i64, 1..6_i64, any_reason()), 1..20),
            forgotten in (0..30_i64, 0..6_i64),
        ) {
            let mut reasons = Reasons::default();
            let mut ranks = [0_u8; 40];
            for (from_s, length, reason) in &steps {
                reasons.add(*from_s, from_s + length, reason);
                for second in *from_s..from_s + length {
                    let rank = &mut ranks[usize::try_from(second).unwrap()];
                    *rank = (*rank).max(reason.rank());
                }
            }
            let only_refused = steps.iter().all(|(_, _, reason)| matches!(reason, Reason::Refused(_)));
            if only_refused {
                let wanted: u64 = steps.iter().map(|(_, _, reason)| counted(reason)).sum();
                prop_assert_eq!(reasons.0.iter().map(|gap| counted(&gap.reason)).sum::<u64>(), wanted);
            }
            let mut bytes = Vec::new();
            reasons.encode(&mut bytes);
            prop_assert_eq!(Reasons::decode(&mut Reader::new(&bytes)), Ok(reasons.clone()));
            let (from_s, to_s) = (forgotten.0, forgotten.0 + forgotten.1);
            reasons.forget(from_s, to_s);
            (from_s..to_s).for_each(|second| ranks[usize::try_from(second).unwrap()] = 0);
            let mut gaps = Vec::new();
            reasons.explain(0, 40, &mut gaps);
            let found: Vec<u8> = gaps
                .iter()
                .flat_map(|gap| std::iter::repeat_n(gap.reason.rank(), usize::try_from(gap.to_s - gap.from_s).unwrap()))
                .collect();
            prop_assert_eq!(found, ranks);
        }
    }

    fn counted(reason: &Reason) -> u64 {
        if let Reason::Refused(counts) = reason { counts.values().sum() } else { 0 }
    }
}
