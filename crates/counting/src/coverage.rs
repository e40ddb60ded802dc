//! For which time the figures are asserted to be complete. Only covered time is stored, so that a kill or a full
//! disk needs no write to become a gap. Why a gap is there stands beside it.

use crate::{
    Damaged,
    gap::{Gap, Reason, Reasons},
    varint::{self, Reader},
};

/// More gaps than this and the shortest covered stretches between them are given up.
pub const GAPS_MAX: usize = 10_000;

const YEAR_S: i64 = 366 * 86_400;

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
    /// Up to when it was served and marked, while it is not served.
    stands_since: Option<i64>,
    /// It is not served for a fault or a restart, so the service may be resumed.
    is_interrupted: bool,
    /// Short planned stops: covered, and proven only as far as WeChat repeats what was not answered. Sorted, apart.
    bridged: Vec<(i64, i64)>,
    /// Why time is not covered.
    reasons: Reasons,
}

/// Covered time as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageReport {
    /// When figures begin.
    pub since: Option<i64>,
    /// What is missing between then and now.
    pub gaps: Vec<Gap>,
    /// Short planned stops that are no gaps.
    pub bridged: Vec<(i64, i64)>,
}

impl Coverage {
    /// Messages are being taken from now on; what came before and was not marked is a gap, for this reason.
    pub fn serve(&mut self, at_s: i64, reason: &Reason) {
        let last = self.covered.partition_point(|stretch| stretch.1 <= at_s).checked_sub(1);
        let covered_to = last.map(|at| self.covered[at].1);
        let known_to = self.running_since.or(self.stands_since).or(covered_to).or(self.first_served);
        if let Some(from_s) = known_to.filter(|from_s| *reason != Reason::Unknown && *from_s < at_s) {
            self.explain(from_s, at_s, reason);
        }
        self.cut(at_s);
        (self.stands_since, self.is_interrupted) = (None, false);
        self.running_since = Some(at_s);
        self.first_served.get_or_insert(at_s);
    }

    /// Messages are being taken again after a planned stop in which none was lost. It ended its service at `end_s`, all
    /// marked; whoever was not served until then begins anew at `at_s`. A stop that is bridged is listed as such.
    pub fn resume(&mut self, end_s: i64, at_s: i64, bridged: Option<(i64, i64)>) {
        self.interrupt();
        // An account that was added at the end begins with the second after it.
        let Some(since_s) = self.stands_since.filter(|since_s| self.is_interrupted && *since_s >= end_s)
        else {
            return self.serve(at_s, &Reason::NotRunning);
        };
        self.cut(at_s.max(since_s));
        (self.stands_since, self.is_interrupted) = (None, false);
        self.running_since = Some(since_s);
        if let Some((from_s, to_s)) = bridged.filter(|(from_s, to_s)| from_s < to_s) {
            join(&mut self.bridged, from_s, to_s);
            self.limit();
        }
    }

    /// Messages are not being taken any more, or not known to be.
    pub fn interrupt(&mut self) {
        if let Some(since_s) = self.running_since.take() {
            (self.stands_since, self.is_interrupted) = (Some(since_s), true);
        }
    }

    /// The account is not served any more.
    pub fn stop(&mut self) {
        self.stands_since = self.running_since.take().or(self.stands_since);
        self.is_interrupted = false;
    }

    /// Takes back what lies after this moment: a clock that ran ahead asserted it. A moment long before the account was
    /// first served is a clock that lost its time, as machines without a battery do; it takes nothing back.
    pub fn cut(&mut self, at_s: i64) {
        if self.first_served.is_some_and(|first_s| at_s < first_s.saturating_sub(YEAR_S)) {
            return;
        }
        for list in [&mut self.covered, &mut self.lost, &mut self.bridged] {
            list.retain_mut(|stretch| {
                stretch.1 = stretch.1.min(at_s);
                stretch.0 < stretch.1
            });
        }
        self.reasons.forget(at_s, i64::MAX);
        self.first_served = self.first_served.map(|first_s| first_s.min(at_s));
    }

    /// Asserts that everything up to now was taken.
    pub fn mark(&mut self, at_s: i64) {
        if let Some(since) = self.running_since
            && at_s > since
        {
            self.cover(since, at_s);
            self.running_since = Some(at_s);
            for (from_s, to_s) in std::mem::take(&mut self.lost) {
                self.uncover(from_s, to_s);
            }
        }
    }

    /// Asserts a stretch, whoever knows it.
    pub fn claim(&mut self, from_s: i64, to_s: i64) {
        if from_s >= to_s {
            return;
        }
        self.cover(from_s, to_s);
        // What was lost and is not marked yet stays a gap.
        let lost = self.lost.iter();
        let known = lost.fold(vec![(from_s, to_s)], |known, (from, to)| without(&known, *from, *to));
        known.into_iter().for_each(|(from, to)| self.reasons.forget(from, to));
        self.bridged = without(&self.bridged, from_s, to_s);
    }

    fn cover(&mut self, from_s: i64, to_s: i64) {
        join(&mut self.covered, from_s, to_s);
        self.limit();
    }

    /// Takes a stretch back: something of it was lost. What of it lies ahead is not covered later, either.
    pub fn lose(&mut self, from_s: i64, to_s: i64, reason: &Reason) {
        if from_s >= to_s {
            return;
        }
        self.uncover(from_s, to_s);
        self.explain(from_s, to_s, reason);
    }

    fn explain(&mut self, from_s: i64, to_s: i64, reason: &Reason) {
        self.reasons.add(from_s, to_s, reason);
        self.reasons.limit(GAPS_MAX);
    }

    fn uncover(&mut self, from_s: i64, to_s: i64) {
        self.covered = without(&self.covered, from_s, to_s);
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
            let given_up = shortest.map(|at| self.covered.remove(at));
            given_up.into_iter().for_each(|(from_s, to_s)| self.reasons.extend(from_s, to_s));
        }
        // The oldest two become one: rather too much is shown as bridged than too little.
        while self.bridged.len() > GAPS_MAX {
            let first = self.bridged.remove(0);
            self.bridged[0].0 = first.0;
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

    /// True once the account was served, or time was claimed for it.
    pub fn has_begun(&self) -> bool {
        self.first_served.is_some() || !self.covered.is_empty()
    }

    /// From when on messages were taken or time was claimed.
    pub fn since(&self) -> Option<i64> {
        let first = self.covered.first().map(|stretch| stretch.0);
        first.into_iter().chain(self.first_served).min()
    }

    /// The reasons for which the stretch is not covered, each once.
    pub fn why(&self, from_s: i64, to_s: i64, now_s: i64) -> Vec<Reason> {
        let to_s = to_s.min(now_s);
        let mut reasons: Vec<Reason> = Vec::new();
        let mut add = |reason: &Reason| match reasons.iter_mut().find(|known| known.is_like(reason)) {
            Some(known) => known.merge(reason),
            None => reasons.push(reason.clone()),
        };
        self.reasons.within(from_s, to_s).iter().for_each(|gap| add(&gap.reason));
        if self.running_since.is_none() && self.covered.last().is_none_or(|stretch| stretch.1 < to_s) {
            add(&self.reason_of_standstill());
        }
        if reasons.is_empty() {
            let is_before = self.first_served.is_some_and(|first_s| from_s < first_s);
            reasons.push(if is_before { Reason::NotRunning } else { Reason::Unknown });
        }
        reasons.sort_unstable_by_key(Reason::name);
        reasons
    }

    /// Why nothing is being covered at the moment.
    fn reason_of_standstill(&self) -> Reason {
        if self.is_interrupted { Reason::NotDurable } else { Reason::NotRunning }
    }

    /// How many stops that were bridged lie in the stretch.
    pub fn bridged_within(&self, from_s: i64, to_s: i64) -> usize {
        let is_covered = |from: i64, to: i64| {
            self.running_since.is_some_and(|since| since < to)
                || !both(&[(from, to)], &self.covered).is_empty()
        };
        let is_within = |(from, to): &&(i64, i64)| *from < to_s && from_s < *to && is_covered(*from, *to);
        self.bridged.iter().filter(is_within).count()
    }

    /// When figures begin, the gaps between then and now with their reasons, and what was bridged.
    pub fn report(&self, now_s: i64) -> CoverageReport {
        let covered = self.until(now_s);
        let since = covered.first().map(|stretch| stretch.0).into_iter().chain(self.first_served).min();
        let Some(since) = since else { return CoverageReport::default() };
        let ends = std::iter::once(since).chain(covered.iter().map(|stretch| stretch.1));
        // A service that begins with the next second leaves the rest of this one open.
        let running = self.running_since.map_or(now_s, |running| running.max(now_s));
        let starts = covered.iter().map(|stretch| stretch.0).chain([running]);
        let mut reasons = self.reasons.clone();
        if self.running_since.is_none() {
            let stands_since = self.stands_since.or(covered.last().map(|stretch| stretch.1)).unwrap_or(since);
            reasons.add(stands_since, now_s, &self.reason_of_standstill());
        }
        // Before the account was served at all, there are only claims, and what was lost of them.
        let mut before = Vec::new();
        reasons.explain(since, self.first_served.unwrap_or(since), &mut before);
        let unknown = before.iter().filter(|gap| gap.reason == Reason::Unknown);
        unknown.for_each(|gap| reasons.add(gap.from_s, gap.to_s, &Reason::NotRunning));
        let mut gaps = Vec::new();
        let pieces = ends.zip(starts).filter(|(from_s, to_s)| from_s < to_s);
        pieces.for_each(|(from_s, to_s)| reasons.explain(from_s, to_s, &mut gaps));
        CoverageReport { since: Some(since), gaps, bridged: both(&self.bridged, &covered) }
    }

    /// Appends the coverage.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_stretches(out, &self.covered);
        put_stretches(out, &self.lost);
        for moment in [self.running_since, self.first_served, self.stands_since] {
            varint::put(out, u64::from(moment.is_some()));
            out.extend_from_slice(&moment.unwrap_or(0).to_le_bytes());
        }
        out.push(u8::from(self.is_interrupted));
        put_stretches(out, &self.bridged);
        self.reasons.encode(out);
    }

    /// Reads what [`Coverage::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Coverage, Damaged> {
        let mut coverage = Coverage::decode_without_reasons(reader)?;
        coverage.stands_since = moment(reader)?;
        coverage.is_interrupted = reader.byte()? == 1;
        coverage.bridged = stretches(reader)?;
        coverage.reasons = Reasons::decode(reader)?;
        Ok(coverage)
    }

    /// Reads what versions wrote that kept no reasons.
    pub fn decode_without_reasons(reader: &mut Reader<'_>) -> Result<Coverage, Damaged> {
        let (covered, lost) = (stretches(reader)?, stretches(reader)?);
        let (running_since, first_served) = (moment(reader)?, moment(reader)?);
        Ok(Coverage { covered, running_since, first_served, lost, ..Coverage::default() })
    }
}

/// Adds a stretch to a sorted list, joined with those that it touches.
fn join(list: &mut Vec<(i64, i64)>, from_s: i64, to_s: i64) {
    let first = list.partition_point(|stretch| stretch.1 < from_s);
    let last = list.partition_point(|stretch| stretch.0 <= to_s);
    let joined =
        list[first..last].iter().fold((from_s, to_s), |all, one| (all.0.min(one.0), all.1.max(one.1)));
    list.splice(first..last, [joined]);
}

/// The stretches without this one.
fn without(list: &[(i64, i64)], from_s: i64, to_s: i64) -> Vec<(i64, i64)> {
    let cut = |(from, to): (i64, i64)| [(from, to.min(from_s)), (from.max(to_s), to)];
    list.iter().flat_map(|stretch| cut(*stretch)).filter(|(from, to)| from < to).collect()
}

/// What lies in both of two sorted lists.
fn both(one: &[(i64, i64)], other: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    for (from, to) in one {
        let first = other.partition_point(|stretch| stretch.1 <= *from);
        let within = other[first..].iter().take_while(|stretch| stretch.0 < *to);
        found.extend(within.map(|stretch| (stretch.0.max(*from), stretch.1.min(*to))));
    }
    found
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
    (0..count).map(|_| Ok((reader.seconds()?, reader.seconds()?))).collect()
}

fn moment(reader: &mut Reader<'_>) -> Result<Option<i64>, Damaged> {
    let is_there = reader.number()? == 1;
    let moment = reader.seconds()?;
    Ok(is_there.then_some(moment))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    /// The same, a second at a time.
    #[derive(Default)]
    struct Seconds {
        covered: BTreeSet<i64>,
        running_since: Option<i64>,
        stands_since: Option<i64>,
        lost: BTreeSet<i64>,
        bridged: BTreeSet<i64>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Serve,
        Interrupt,
        /// So many seconds after the end, bridged or with the socket kept.
        Resume(i64, bool),
        Stop,
        Mark,
        Claim(i64, i64),
        Lose(i64, i64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let range = || (0..60_i64, 0..8_i64);
        prop_oneof![
            Just(Step::Serve),
            Just(Step::Interrupt),
            (0..5_i64, any::<bool>()).prop_map(|(after_s, is_bridged)| Step::Resume(after_s, is_bridged)),
            Just(Step::Stop),
            Just(Step::Mark),
            range().prop_map(|(from, length)| Step::Claim(from, from + length)),
            range().prop_map(|(from, length)| Step::Lose(from, from + length)),
        ]
    }

    impl Seconds {
        fn step(&mut self, step: &Step, now: i64) {
            match step {
                Step::Serve => self.serve(now),
                Step::Interrupt => self.stands_since = self.running_since.take().or(self.stands_since),
                Step::Resume(after_s, is_bridged) => match self.running_since.take().or(self.stands_since) {
                    Some(since) if since >= now - after_s => {
                        self.cut(now.max(since));
                        (self.running_since, self.stands_since) = (Some(since), None);
                        if *is_bridged {
                            self.bridged.extend(now - after_s..now);
                        }
                    }
                    _ => self.serve(now),
                },
                Step::Stop => (self.running_since, self.stands_since) = (None, None),
                Step::Mark => {
                    if let Some(since) = self.running_since.filter(|since| *since < now) {
                        self.covered.extend(since..now);
                        self.running_since = Some(now);
                        let lost = self.lost.clone();
                        self.covered.retain(|second| !lost.contains(second));
                        self.lost.retain(|second| *second >= now);
                    }
                }
                Step::Claim(from, to) => {
                    self.covered.extend(*from..*to);
                    self.bridged.retain(|second| !(*from..*to).contains(second));
                }
                Step::Lose(from, to) => {
                    let since = self.running_since.unwrap_or(*from).max(*from);
                    self.lost.extend(since..*to);
                    self.covered.retain(|second| !(*from..*to).contains(second));
                }
            }
        }

        fn serve(&mut self, now: i64) {
            self.cut(now);
            (self.running_since, self.stands_since) = (Some(now), None);
        }

        fn cut(&mut self, now: i64) {
            for seconds in [&mut self.covered, &mut self.lost, &mut self.bridged] {
                seconds.retain(|second| *second < now);
            }
        }
    }

    fn take(coverage: &mut Coverage, step: &Step, now: i64) {
        match step {
            Step::Serve => coverage.serve(now, &Reason::NotRunning),
            Step::Interrupt => coverage.interrupt(),
            Step::Resume(after_s, is_bridged) => {
                coverage.resume(now - after_s, now, is_bridged.then_some((now - after_s, now)));
            }
            Step::Stop => coverage.stop(),
            Step::Mark => coverage.mark(now),
            Step::Claim(from, to) => coverage.claim(*from, *to),
            Step::Lose(from, to) => coverage.lose(*from, *to, &Reason::refused("malformed", 1)),
        }
    }

    proptest! {
        #[test]
        fn stretches_equal_single_seconds(steps in prop::collection::vec(any_step(), 1..40), from in 0..60_i64, length in 0..9_i64) {
            let (mut coverage, mut seconds) = (Coverage::default(), Seconds::default());
            for (now, step) in steps.iter().enumerate() {
                let now = i64::try_from(now).unwrap();
                take(&mut coverage, step, now);
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
            let CoverageReport { since, gaps, bridged } = coverage.report(now);
            let serves = |step: &Step| matches!(step, Step::Serve | Step::Resume(..));
            let first_served = steps.iter().position(serves).map(|at| i64::try_from(at).unwrap());
            let first = seconds.covered.first().copied().into_iter().chain(first_served).min();
            prop_assert_eq!(since, first);
            let missing: Vec<i64> = first.into_iter().flat_map(|first| first..now).filter(|s| !seconds.covered.contains(s)).collect();
            prop_assert_eq!(gaps.iter().flat_map(|gap| gap.from_s..gap.to_s).filter(|s| *s < now).collect::<Vec<_>>(), missing);
            let bridged: Vec<i64> = bridged.into_iter().flat_map(|(from, to)| from..to).collect();
            let expected: Vec<i64> = seconds.bridged.intersection(&seconds.covered).copied().collect();
            prop_assert_eq!(bridged, expected);
            if first_served.is_some() {
                prop_assert!(gaps.iter().all(|gap| gap.reason != Reason::Unknown), "{:?}", gaps);
            }
        }
    }

    fn gaps_of(coverage: &Coverage, now_s: i64) -> Vec<(i64, i64, &'static str)> {
        coverage.report(now_s).gaps.iter().map(|gap| (gap.from_s, gap.to_s, gap.reason.name())).collect()
    }

    #[test]
    fn each_gap_says_why() {
        let mut coverage = Coverage::default();
        coverage.serve(10, &Reason::NotRunning);
        coverage.mark(20);
        coverage.interrupt();
        assert_eq!(gaps_of(&coverage, 25), [(20, 25, "not_durable")]);
        coverage.serve(30, &Reason::NotDurable);
        coverage.lose(33, 34, &Reason::refused("malformed", 1));
        coverage.lose(34, 35, &Reason::refused("malformed", 1));
        coverage.lose(33, 34, &Reason::refused("wrong_to_user", 1));
        coverage.lose(37, 38, &Reason::TooMany);
        coverage.mark(40);
        let refused = [("malformed".into(), 2), ("wrong_to_user".into(), 1)];
        assert!(coverage.report(40).gaps.contains(&Gap {
            from_s: 33,
            to_s: 35,
            reason: Reason::Refused(refused.into())
        }));
        let expected = [(20, 30, "not_durable"), (33, 35, "refused"), (37, 38, "too_many")];
        assert_eq!(gaps_of(&coverage, 40), expected);
        let why: Vec<String> = coverage.why(25, 35, 40).iter().map(Reason::text).collect();
        assert_eq!(why.len(), 2, "{why:?}");
        assert!(why[0] == "not_durable" && why[1].starts_with("refused ("), "{why:?}");
        coverage.claim(0, 36);
        assert_eq!(gaps_of(&coverage, 40), [(37, 38, "too_many")]);
        coverage.claim(-9, -5);
        coverage.lose(-8, -7, &Reason::refused("malformed", 0));
        let expected = [(-8, -7, "refused"), (-5, 0, "not_running"), (37, 38, "too_many")];
        assert_eq!(gaps_of(&coverage, 40), expected);
    }

    #[test]
    fn what_a_clock_that_ran_ahead_asserted_is_taken_back() {
        let mut coverage = Coverage::default();
        coverage.serve(100, &Reason::NotRunning);
        coverage.mark(110);
        // A day ahead: a hole, and then covered time that has not come yet.
        coverage.serve(86_510, &Reason::NotRunning);
        coverage.mark(86_520);
        coverage.serve(115, &Reason::NotRunning);
        coverage.mark(120);
        coverage.interrupt();
        coverage.serve(200_000, &Reason::NotRunning);
        assert_eq!(gaps_of(&coverage, 200_000), [(110, 115, "not_running"), (120, 200_000, "not_running")]);
    }

    #[test]
    fn a_clock_that_lost_its_time_takes_no_history_back() {
        let mut coverage = Coverage::default();
        coverage.serve(1_700_000_000, &Reason::NotRunning);
        coverage.mark(1_700_000_100);
        coverage.interrupt();
        coverage.serve(5, &Reason::NotRunning);
        assert!(coverage.holds(1_700_000_000, 1_700_000_100, 1_700_000_100));
    }

    #[test]
    fn a_crash_after_a_bridged_stop_is_a_gap_from_the_end_mark() {
        let mut coverage = Coverage::default();
        coverage.serve(10, &Reason::NotRunning);
        coverage.mark(20);
        coverage.interrupt();
        coverage.resume(20, 23, Some((20, 23)));
        // It is killed before its first mark.
        coverage.interrupt();
        coverage.serve(50, &Reason::NotRunning);
        coverage.mark(60);
        assert_eq!(gaps_of(&coverage, 60), [(20, 50, "not_running")]);
        assert_eq!((coverage.report(60).bridged, coverage.bridged_within(0, 60)), (vec![], 0));
    }

    #[test]
    fn of_very_many_gaps_each_still_has_a_reason_and_their_number_is_bounded() {
        let mut coverage = Coverage::default();
        coverage.serve(0, &Reason::NotRunning);
        let most = i64::try_from(GAPS_MAX).unwrap() + 100;
        coverage.mark(10 * most);
        coverage.covered = (0..most - 110).map(|at| (10 * at, 10 * at + 3 + at % 5)).collect();
        coverage.covered.push((10 * (most - 110), 10 * most));
        (0..most - 110)
            .for_each(|at| coverage.reasons.add(10 * at + 3 + at % 5, 10 * at + 10, &Reason::TooMany));
        (most - 110..most).for_each(|at| coverage.lose(10 * at + 5, 10 * at + 6 + at % 3, &Reason::TooMany));
        let gaps = coverage.report(10 * most).gaps;
        assert!(gaps.len() <= GAPS_MAX + 1, "{}", gaps.len());
        assert!(gaps.iter().filter(|gap| gap.reason != Reason::TooMany).count() <= 1);
    }
}
