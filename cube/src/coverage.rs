//! For which time the figures are asserted to be complete. Only covered time is stored, so that a kill or a full
//! disk needs no write to become a gap.

use crate::{Damaged, varint, varint::Reader};

/// More gaps than this and the shortest covered stretches between them are given up.
pub const GAPS_MAX: usize = 10_000;

/// Covered time of one account, in Unix seconds, each stretch `[from, to)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Sorted, apart from one another.
    covered: Vec<(i64, i64)>,
    /// Since when the account is being served without a fault that is known of.
    running_since: Option<i64>,
    /// When the account was first served; what is not covered since then is a gap.
    first_served: Option<i64>,
    /// What was lost since the service began and must not be covered by the next mark.
    lost: Vec<(i64, i64)>,
}

impl Coverage {
    /// Messages are being taken from now on; what came before and was not marked is a gap.
    pub fn serve(&mut self, at_s: i64) {
        self.running_since = Some(at_s);
        self.first_served.get_or_insert(at_s);
    }

    /// Messages are not being taken any more, or not known to be.
    pub fn stop(&mut self) {
        self.running_since = None;
    }

    /// Asserts that everything up to now was taken.
    pub fn mark(&mut self, at_s: i64) {
        if let Some(since) = self.running_since
            && at_s > since
        {
            self.claim(since, at_s);
            self.running_since = Some(at_s);
            for (from_s, to_s) in std::mem::take(&mut self.lost) {
                self.lose(from_s, to_s);
            }
        }
    }

    /// Asserts a stretch, whoever knows it.
    pub fn claim(&mut self, from_s: i64, to_s: i64) {
        if from_s >= to_s {
            return;
        }
        let first = self.covered.partition_point(|stretch| stretch.1 < from_s);
        let last = self.covered.partition_point(|stretch| stretch.0 <= to_s);
        let joined = self.covered[first..last]
            .iter()
            .fold((from_s, to_s), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        self.covered.splice(first..last, [joined]);
        self.limit();
    }

    /// Takes a stretch back: something of it was lost. What of it lies ahead is not covered later, either.
    pub fn lose(&mut self, from_s: i64, to_s: i64) {
        if from_s >= to_s {
            return;
        }
        let cut = |(from, to): (i64, i64)| [(from, to.min(from_s)), (from.max(to_s), to)];
        self.covered =
            self.covered.iter().flat_map(|stretch| cut(*stretch)).filter(|(from, to)| from < to).collect();
        self.limit();
        let since = self.running_since.unwrap_or(from_s).max(from_s);
        let full = self.lost.len() >= GAPS_MAX;
        match self.lost.last_mut() {
            _ if since >= to_s => {}
            Some(last) if last.0 <= to_s && since <= last.1 => *last = (last.0.min(since), last.1.max(to_s)),
            // Too many to tell apart: rather too much is lost than too little.
            Some(last) if full => *last = (last.0.min(since), last.1.max(to_s)),
            _ => self.lost.push((since, to_s)),
        }
    }

    /// Gives up the shortest of the older stretches; the newest are still growing.
    fn limit(&mut self) {
        while self.covered.len() > GAPS_MAX {
            let older = self.covered.iter().take(GAPS_MAX / 2).enumerate();
            let shortest = older.min_by_key(|(_, (from, to))| to - from).map(|(at, _)| at);
            shortest.map(|at| self.covered.remove(at));
        }
    }

    /// Everything covered up to now.
    fn until(&self, now_s: i64) -> Vec<(i64, i64)> {
        let mut all = self.clone();
        all.mark(now_s);
        all.covered
    }

    /// True if all of the stretch that lies before now is covered.
    pub fn holds(&self, from_s: i64, to_s: i64, now_s: i64) -> bool {
        let to_s = to_s.min(now_s);
        if from_s >= to_s {
            return true;
        }
        if !self.lost.is_empty() {
            return self.until(now_s).iter().any(|(from, to)| *from <= from_s && to_s <= *to);
        }
        let running = self.running_since.unwrap_or(i64::MAX);
        let last = self.covered.partition_point(|stretch| stretch.0 <= from_s);
        let covered_to = last.checked_sub(1).map_or(from_s, |at| self.covered[at].1.max(from_s));
        covered_to >= to_s || (running <= covered_to && running <= to_s)
    }

    /// True if some moment of the stretch that lies before now is covered.
    pub fn touches(&self, from_s: i64, to_s: i64, now_s: i64) -> bool {
        from_s < to_s && self.until(now_s).iter().any(|(from, to)| *from < to_s && from_s < *to)
    }

    /// When figures begin, and the gaps between then and now.
    pub fn report(&self, now_s: i64) -> (Option<i64>, Vec<(i64, i64)>) {
        let covered = self.until(now_s);
        let Some(since) = covered.first().map(|stretch| stretch.0).into_iter().chain(self.first_served).min()
        else {
            return (None, Vec::new());
        };
        let ends = std::iter::once(since).chain(covered.iter().map(|stretch| stretch.1));
        // A service that begins with the next second leaves the rest of this one open.
        let running = self.running_since.map_or(now_s, |running| running.max(now_s));
        let starts = covered.iter().map(|stretch| stretch.0).chain([running]);
        (Some(since), ends.zip(starts).filter(|(from, to)| from < to).collect())
    }

    /// Appends the coverage.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_stretches(out, &self.covered);
        put_stretches(out, &self.lost);
        for moment in [self.running_since, self.first_served] {
            varint::put(out, u64::from(moment.is_some()));
            out.extend_from_slice(&moment.unwrap_or(0).to_le_bytes());
        }
    }

    /// Reads what [`Coverage::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Coverage, Damaged> {
        let (covered, lost) = (stretches(reader)?, stretches(reader)?);
        Ok(Coverage { covered, lost, running_since: moment(reader)?, first_served: moment(reader)? })
    }
}

fn put_stretches(out: &mut Vec<u8>, stretches: &[(i64, i64)]) {
    varint::put(out, stretches.len() as u64);
    for (from, to) in stretches {
        out.extend_from_slice(&from.to_le_bytes());
        out.extend_from_slice(&to.to_le_bytes());
    }
}

fn stretches(reader: &mut Reader<'_>) -> Result<Vec<(i64, i64)>, Damaged> {
    let count: u32 = reader.small()?;
    (0..count).map(|_| Ok((seconds(reader)?, seconds(reader)?))).collect()
}

fn moment(reader: &mut Reader<'_>) -> Result<Option<i64>, Damaged> {
    let is_there = reader.number()? == 1;
    let moment = seconds(reader)?;
    Ok(is_there.then_some(moment))
}

fn seconds(reader: &mut Reader<'_>) -> Result<i64, Damaged> {
    let bytes = reader.take(8)?.try_into().map_err(|_| Damaged("cut short"))?;
    Ok(i64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, a second at a time.
    #[derive(Default)]
    struct Seconds {
        covered: std::collections::BTreeSet<i64>,
        running_since: Option<i64>,
        lost: std::collections::BTreeSet<i64>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Serve,
        Stop,
        Mark,
        Claim(i64, i64),
        Lose(i64, i64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let range = || (0..60_i64, 0..8_i64);
        prop_oneof![
            Just(Step::Serve),
            Just(Step::Stop),
            Just(Step::Mark),
            range().prop_map(|(from, length)| Step::Claim(from, from + length)),
            range().prop_map(|(from, length)| Step::Lose(from, from + length)),
        ]
    }

    impl Seconds {
        fn step(&mut self, step: &Step, now: i64) {
            match step {
                Step::Serve => self.running_since = Some(now),
                Step::Stop => self.running_since = None,
                Step::Mark => {
                    if let Some(since) = self.running_since.filter(|since| *since < now) {
                        self.covered.extend(since..now);
                        self.running_since = Some(now);
                        let lost = self.lost.clone();
                        self.covered.retain(|second| !lost.contains(second));
                        self.lost.retain(|second| *second >= now);
                    }
                }
                Step::Claim(from, to) => self.covered.extend(*from..*to),
                Step::Lose(from, to) => {
                    let since = self.running_since.unwrap_or(*from).max(*from);
                    self.lost.extend(since..*to);
                    self.covered.retain(|second| !(*from..*to).contains(second));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn stretches_equal_single_seconds(steps in prop::collection::vec(any_step(), 1..40), from in 0..60_i64, length in 0..9_i64) {
            let (mut coverage, mut seconds) = (Coverage::default(), Seconds::default());
            for (now, step) in steps.iter().enumerate() {
                let now = i64::try_from(now).unwrap();
                match step {
                    Step::Serve => coverage.serve(now),
                    Step::Stop => coverage.stop(),
                    Step::Mark => coverage.mark(now),
                    Step::Claim(from, to) => coverage.claim(*from, *to),
                    Step::Lose(from, to) => coverage.lose(*from, *to),
                }
                seconds.step(step, now);
            }
            let now = 60;
            seconds.step(&Step::Mark, now);
            let held = (from..(from + length).min(now)).all(|second| seconds.covered.contains(&second));
            prop_assert_eq!(coverage.holds(from, from + length, now), held);
            let touched = (from..from + length).any(|second| seconds.covered.contains(&second));
            prop_assert_eq!(coverage.touches(from, from + length, now), touched);
            let mut bytes = Vec::new();
            coverage.encode(&mut bytes);
            prop_assert_eq!(Coverage::decode(&mut Reader::new(&bytes)), Ok(coverage.clone()));
            let (since, gaps) = coverage.report(now);
            let first_served = steps.iter().position(|step| matches!(step, Step::Serve)).map(|at| i64::try_from(at).unwrap());
            let first = seconds.covered.first().copied().into_iter().chain(first_served).min();
            prop_assert_eq!(since, first);
            let missing: Vec<i64> = first.into_iter().flat_map(|first| first..now).filter(|s| !seconds.covered.contains(s)).collect();
            prop_assert_eq!(gaps.into_iter().flat_map(|(from, to)| from..to).filter(|s| *s < now).collect::<Vec<_>>(), missing);
        }
    }
}
