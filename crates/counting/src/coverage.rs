//! The time for which the figures are complete. Only covered time is stored, so a kill or a full disk needs no write
//! to become a gap. Reasons of gaps are stored in addition.

use crate::{
    Damaged,
    gap::{Gap, Reason, Reasons},
    varint::{self, Reader},
};

/// Limit of gaps. Above it, the shortest covered stretches between gaps are dropped.
pub const GAPS_MAX: usize = 10_000;

const YEAR_S: i64 = 366 * 86_400;

/// Covered time of one account, in Unix seconds. Each stretch is `[from, to)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Sorted. Stretches do not touch.
    covered: Vec<(i64, i64)>,
    /// Start of the time that the next mark covers. None while the account is not served.
    running_since: Option<i64>,
    /// When the account was first served. Later time that is not covered is a gap.
    first_served: Option<i64>,
    /// Lost stretches that the next mark must not cover.
    lost: Vec<(i64, i64)>,
    /// While the account is not served: until when it was served and marked.
    marked_until: Option<i64>,
    /// The account is not served because of a fault or a restart, so serving can be resumed.
    is_interrupted: bool,
    /// Short planned stops. They count as covered, because WeChat retries unanswered callbacks. Sorted; they do not
    /// touch.
    bridged: Vec<(i64, i64)>,
    /// Reasons of gaps, by time.
    reasons: Reasons,
}

/// Coverage as it is reported to users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageReport {
    /// Start of the figures, Unix seconds. None if the account was never served.
    pub since: Option<i64>,
    /// The gaps since then.
    pub gaps: Vec<Gap>,
    /// Short planned stops that are no gaps, `[from, to)` in Unix seconds.
    pub bridged: Vec<(i64, i64)>,
}

impl Coverage {
    /// Messages are received from `at_s` on. Earlier time that was not marked is a gap with this reason.
    pub fn serve(&mut self, at_s: i64, reason: &Reason) {
        let last = self.covered.partition_point(|stretch| stretch.1 <= at_s).checked_sub(1);
        let covered_to = last.map(|at| self.covered[at].1);
        let known_to = self.running_since.or(self.marked_until).or(covered_to).or(self.first_served);
        if let Some(from_s) = known_to.filter(|from_s| *reason != Reason::Unknown && *from_s < at_s) {
            self.explain(from_s, at_s, reason);
        }
        self.cut(at_s);
        (self.marked_until, self.is_interrupted) = (None, false);
        self.running_since = Some(at_s);
        self.first_served.get_or_insert(at_s);
    }

    /// Messages are received again after a planned stop that lost none. The former service ended at `end_s` and was
    /// marked until then. If the account was not served until then, serving starts at `at_s`. A `bridged` stop is
    /// listed.
    pub fn resume(&mut self, end_s: i64, at_s: i64, bridged: Option<(i64, i64)>) {
        self.interrupt();
        // An account that was added at the end starts with the second after it.
        let Some(since_s) = self.marked_until.filter(|since_s| self.is_interrupted && *since_s >= end_s)
        else {
            return self.serve(at_s, &Reason::NotRunning);
        };
        self.cut(at_s.max(since_s));
        (self.marked_until, self.is_interrupted) = (None, false);
        self.running_since = Some(since_s);
        if let Some((from_s, to_s)) = bridged.filter(|(from_s, to_s)| from_s < to_s) {
            join(&mut self.bridged, from_s, to_s);
            self.limit();
        }
    }

    /// Messages are not received any more, or it is unknown whether they are.
    pub fn interrupt(&mut self) {
        if let Some(since_s) = self.running_since.take() {
            (self.marked_until, self.is_interrupted) = (Some(since_s), true);
        }
    }

    /// Serving of the account ends.
    pub fn stop(&mut self) {
        self.marked_until = self.running_since.take().or(self.marked_until);
        self.is_interrupted = false;
    }

    /// Removes coverage after this time. It was set by a clock that was ahead. If the time is long before the account
    /// was first served, the clock itself lost its time, as in machines without a battery. Then nothing is removed.
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

    /// All messages until `at_s` were received. Covers the time since the last mark.
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

    /// Covers a stretch on the word of the caller, for example after an import.
    pub fn claim(&mut self, from_s: i64, to_s: i64) {
        if from_s >= to_s {
            return;
        }
        self.cover(from_s, to_s);
        // Losses that are not marked yet stay gaps.
        let lost = self.lost.iter();
        let known = lost.fold(vec![(from_s, to_s)], |known, (from, to)| without(&known, *from, *to));
        known.into_iter().for_each(|(from, to)| self.reasons.forget(from, to));
        self.bridged = without(&self.bridged, from_s, to_s);
    }

    fn cover(&mut self, from_s: i64, to_s: i64) {
        join(&mut self.covered, from_s, to_s);
        self.limit();
    }

    /// Removes a stretch, because a message in it was lost. If a part of it is in the future, that part will not be
    /// covered later, either.
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
            // There are too many losses, so the last one is extended. That makes gaps too long rather than too short.
            Some(last) if full => *last = (last.0.min(since), last.1.max(to_s)),
            _ => self.lost.push((since, to_s)),
        }
    }

    /// Drops the shortest of the older covered stretches. The newest ones still grow.
    fn limit(&mut self) {
        while self.covered.len() > GAPS_MAX {
            let older = self.covered.iter().take(GAPS_MAX / 2).enumerate();
            let shortest = older.min_by_key(|(_, (from, to))| to - from).map(|(at, _)| at);
            let given_up = shortest.map(|at| self.covered.remove(at));
            given_up.into_iter().for_each(|(from_s, to_s)| self.reasons.extend(from_s, to_s));
        }
        // The two oldest are joined. That reports too much time as bridged rather than too little.
        while self.bridged.len() > GAPS_MAX {
            let first = self.bridged.remove(0);
            self.bridged[0].0 = first.0;
        }
    }

    /// Covered stretches until `now_s`.
    fn until(&self, now_s: i64) -> Vec<(i64, i64)> {
        let mut all = self.clone();
        all.mark(now_s);
        all.covered
    }

    /// True if the whole stretch, as far as it is before `now_s`, is covered.
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

    /// True if any part of the stretch, as far as it is before `now_s`, is covered.
    pub fn touches(&self, from_s: i64, to_s: i64, now_s: i64) -> bool {
        from_s < to_s && self.until(now_s).iter().any(|(from, to)| *from < to_s && from_s < *to)
    }

    /// True if messages are received, or were received until a fault or a restart.
    pub fn is_served(&self) -> bool {
        self.running_since.is_some() || self.is_interrupted
    }

    /// True if the account was ever served or time was claimed for it.
    pub fn has_begun(&self) -> bool {
        self.first_served.is_some() || !self.covered.is_empty()
    }

    /// Start of coverage or of service, whichever is earlier. Unix seconds.
    pub fn since(&self) -> Option<i64> {
        let first = self.covered.first().map(|stretch| stretch.0);
        first.into_iter().chain(self.first_served).min()
    }

    /// Start of the first covered stretch, Unix seconds. None if nothing before `now_s` is covered.
    pub fn first_covered(&self, now_s: i64) -> Option<i64> {
        match self.covered.first() {
            Some(first) => Some(first.0),
            None => self.until(now_s).first().map(|first| first.0),
        }
    }

    /// The reasons of the gaps in the stretch, each once.
    pub fn why(&self, from_s: i64, to_s: i64, now_s: i64) -> Vec<Reason> {
        let to_s = to_s.min(now_s);
        let mut reasons: Vec<Reason> = Vec::new();
        let mut add = |reason: &Reason| match reasons.iter_mut().find(|known| known.is_like(reason)) {
            Some(known) => known.merge(reason),
            None => reasons.push(reason.clone()),
        };
        self.reasons.within(from_s, to_s).iter().for_each(|gap| add(&gap.reason));
        if self.running_since.is_none() && self.covered.last().is_none_or(|stretch| stretch.1 < to_s) {
            add(&self.current_reason());
        }
        if reasons.is_empty() {
            let is_before = self.first_served.is_some_and(|first_s| from_s < first_s);
            reasons.push(if is_before { Reason::NotRunning } else { Reason::Unknown });
        }
        reasons.sort_unstable_by_key(Reason::name);
        reasons
    }

    /// The reason of the current gap.
    fn current_reason(&self) -> Reason {
        if self.is_interrupted { Reason::NotDurable } else { Reason::NotRunning }
    }

    /// Number of bridged stops in the stretch.
    pub fn bridged_within(&self, from_s: i64, to_s: i64) -> usize {
        let is_covered = |from: i64, to: i64| {
            self.running_since.is_some_and(|since| since < to)
                || !both(&[(from, to)], &self.covered).is_empty()
        };
        let is_within = |(from, to): &&(i64, i64)| *from < to_s && from_s < *to && is_covered(*from, *to);
        self.bridged.iter().filter(is_within).count()
    }

    /// The start of the figures, the gaps since then with their reasons, and the bridged stops.
    pub fn report(&self, now_s: i64) -> CoverageReport {
        let covered = self.until(now_s);
        let since = covered.first().map(|stretch| stretch.0).into_iter().chain(self.first_served).min();
        let Some(since) = since else { return CoverageReport::default() };
        let ends = std::iter::once(since).chain(covered.iter().map(|stretch| stretch.1));
        // If serving starts with the next second, the rest of this second is not covered.
        let running = self.running_since.map_or(now_s, |running| running.max(now_s));
        let starts = covered.iter().map(|stretch| stretch.0).chain([running]);
        let mut reasons = self.reasons.clone();
        if self.running_since.is_none() {
            let marked_until = self.marked_until.or(covered.last().map(|stretch| stretch.1)).unwrap_or(since);
            reasons.add(marked_until, now_s, &self.current_reason());
        }
        // Before the account was first served there are only claims, and losses in them.
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
        for moment in [self.running_since, self.first_served, self.marked_until] {
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
        coverage.marked_until = moment(reader)?;
        coverage.is_interrupted = reader.byte()? == 1;
        coverage.bridged = stretches(reader)?;
        coverage.reasons = Reasons::decode(reader)?;
        Ok(coverage)
    }

    /// Reads the format of versions that stored no reasons.
    pub fn decode_without_reasons(reader: &mut Reader<'_>) -> Result<Coverage, Damaged> {
        let (covered, lost) = (stretches(reader)?, stretches(reader)?);
        let (running_since, first_served) = (moment(reader)?, moment(reader)?);
        Ok(Coverage { covered, running_since, first_served, lost, ..Coverage::default() })
    }
}

/// Adds a stretch to a sorted list and joins it with those that it touches.
fn join(list: &mut Vec<(i64, i64)>, from_s: i64, to_s: i64) {
    let first = list.partition_point(|stretch| stretch.1 < from_s);
    let last = list.partition_point(|stretch| stretch.0 <= to_s);
    let joined =
        list[first..last].iter().fold((from_s, to_s), |all, one| (all.0.min(one.0), all.1.max(one.1)));
    list.splice(first..last, [joined]);
}

/// Subtracts a stretch from a list.
fn without(list: &[(i64, i64)], from_s: i64, to_s: i64) -> Vec<(i64, i64)> {
    let cut = |(from, to): (i64, i64)| [(from, to.min(from_s)), (from.max(to_s), to)];
    list.iter().flat_map(|stretch| cut(*stretch)).filter(|(from, to)| from < to).collect()
}

/// The intersection of two sorted lists.
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
    let count: u32 = reader.number_as()?;
    (0..count).map(|_| Ok((reader.seconds()?, reader.seconds()?))).collect()
}

fn moment(reader: &mut Reader<'_>) -> Result<Option<i64>, Damaged> {
    let is_there = reader.number()? == 1;
    let moment = reader.seconds()?;
    Ok(is_there.then_some(moment))
}

#[cfg(test)]
mod tests;
