//! Which part of a range was counted, and why a part was not.

use counting::{CoverageReport, Gap, Reason, start_of_day_s};
use datacube::Day;
use i18n::{Text, text};
use pages::{BeijingTime, Compared, CoverageKind, CoverageSegment, RangeCoverage};

/// Reasons of refused callbacks that are named.
const REFUSED_NAMED_MAX: usize = 3;

/// The counted time of an account.
#[derive(Clone, Debug)]
pub struct CountedTime {
    report: CoverageReport,
    now_s: i64,
}

impl CountedTime {
    /// From what the store reports at this time, in Unix seconds.
    pub fn new(report: CoverageReport, now_s: i64) -> CountedTime {
        CountedTime { report, now_s }
    }

    /// Since when messages are counted.
    pub fn since(&self) -> Option<BeijingTime> {
        self.report.since.map(BeijingTime::from_unix_s)
    }

    /// Gaps that overlap a stretch of Unix seconds.
    fn gaps(&self, from_s: i64, to_s: i64) -> &[Gap] {
        let first = self.report.gaps.partition_point(|gap| gap.to_s <= from_s);
        let last = self.report.gaps.partition_point(|gap| gap.from_s < to_s);
        &self.report.gaps[first..last.max(first)]
    }

    /// Why nothing can be compared with this stretch of Unix seconds. None: all of it was counted.
    pub fn why_not(&self, from_s: i64, to_s: i64) -> Option<Compared> {
        match self.report.since {
            None => Some(Compared::No),
            Some(since_s) if since_s > from_s => {
                Some(Compared::NotCountedBefore(BeijingTime::from_unix_s(since_s).day))
            }
            Some(_) => (!self.gaps(from_s, to_s.min(self.now_s)).is_empty()).then_some(Compared::HasGap),
        }
    }

    /// Whether any second of a stretch was counted.
    pub fn touches(&self, from_s: i64, to_s: i64) -> bool {
        let (from_s, to_s) = (from_s.max(self.report.since.unwrap_or(self.now_s)), to_s.min(self.now_s));
        let lost_s: i64 =
            self.gaps(from_s, to_s).iter().map(|gap| gap.to_s.min(to_s) - gap.from_s.max(from_s)).sum();
        lost_s < to_s - from_s
    }

    /// The parts of a range of days.
    pub fn segments(&self, from: Day, to: Day) -> Vec<CoverageSegment> {
        let (start_s, end_s) = (start_of_day_s(from), start_of_day_s(to.plus_days(1)));
        let now_s = self.now_s.clamp(start_s, end_s);
        let since_s = self.report.since.unwrap_or(now_s).clamp(start_s, now_s);
        let gaps = self.gaps(since_s, now_s).iter();
        let gaps =
            gaps.map(|gap| (gap.from_s, gap.to_s, CoverageKind::CoverageGap { cause: cause(&gap.reason) }));
        let bridged = self.report.bridged.iter().filter(|(from_s, to_s)| *from_s < now_s && since_s < *to_s);
        let bridged = bridged.map(|(from_s, to_s)| (*from_s, *to_s, CoverageKind::Bridged));
        let mut marked: Vec<_> = gaps.chain(bridged).collect();
        marked.sort_by_key(|(from_s, to_s, _)| (*from_s, *to_s));
        let mut parts = vec![(start_s, since_s, CoverageKind::BeforeCounting)];
        let mut at_s = since_s;
        for (from_s, to_s, kind) in marked {
            let (from_s, to_s) = (from_s.max(at_s), to_s.min(now_s));
            parts.push((at_s, from_s, CoverageKind::Covered));
            parts.push((from_s, to_s, kind));
            at_s = to_s.max(from_s);
        }
        parts.push((at_s, now_s, CoverageKind::Covered));
        parts.push((now_s, end_s, CoverageKind::Ahead));
        let parts = parts.into_iter().filter(|(from_s, to_s, _)| from_s < to_s);
        let segment = |(from_s, to_s, kind)| CoverageSegment {
            from: BeijingTime::from_unix_s(from_s),
            to: BeijingTime::from_unix_s(to_s),
            kind,
        };
        parts.map(segment).collect()
    }
}

/// Whether all of these parts were counted. Imported messages may lie in time that nobody claimed to be complete.
pub fn range_coverage(segments: &[CoverageSegment], has_messages: bool) -> RangeCoverage {
    let is_missing =
        |kind: &CoverageKind| matches!(kind, CoverageKind::CoverageGap { .. } | CoverageKind::BeforeCounting);
    let is_early = |kind: &CoverageKind| matches!(kind, CoverageKind::BeforeCounting | CoverageKind::Ahead);
    if !segments.iter().any(|segment| is_missing(&segment.kind)) {
        RangeCoverage::Full
    } else if !has_messages && segments.iter().all(|segment| is_early(&segment.kind)) {
        RangeCoverage::BeforeCounting
    } else {
        RangeCoverage::Part
    }
}

/// The reason of a gap in words.
fn cause(reason: &Reason) -> Text {
    match reason {
        Reason::Unknown => text!("the reason is not known"),
        Reason::Refused(counts) => {
            // A refusal that touches two gaps is counted in one of them. The other must not show 0.
            let named = counts
                .iter()
                .take(REFUSED_NAMED_MAX)
                .map(|(why, count)| format!("{why} × {}", (*count).max(1)));
            let mut named: Vec<String> = named.collect();
            if counts.len() > REFUSED_NAMED_MAX {
                named.push("…".to_owned());
            }
            text!("callbacks were refused: {reasons}", reasons = named.join(", "))
        }
        Reason::TooMany => text!("too many callbacks were waiting"),
        Reason::NoConnectionTaken => text!("no connection could be accepted"),
        Reason::NotDurable => text!("messages could not be stored"),
        Reason::NotRunning => text!("msgcube did not run, or did not serve the account"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(days: i64, gaps: &[(i64, i64)], bridged: &[(i64, i64)]) -> CountedTime {
        let start_s = start_of_day_s("2026-11-01".parse().unwrap());
        let gap = |(from_s, to_s): &(i64, i64)| Gap {
            from_s: start_s + from_s,
            to_s: start_s + to_s,
            reason: Reason::TooMany,
        };
        let report = CoverageReport {
            since: Some(start_s),
            gaps: gaps.iter().map(gap).collect(),
            bridged: bridged.iter().map(|(from_s, to_s)| (start_s + from_s, start_s + to_s)).collect(),
        };
        CountedTime::new(report, start_s + days * 86_400)
    }

    fn shown(counted: &CountedTime, from: &str, to: &str) -> Vec<(i64, &'static str)> {
        let segments = counted.segments(from.parse().unwrap(), to.parse().unwrap());
        assert!(segments.windows(2).all(|pair| pair[0].to == pair[1].from), "{segments:?}");
        let name = |kind: &CoverageKind| match kind {
            CoverageKind::Covered => "covered",
            CoverageKind::CoverageGap { .. } => "gap",
            CoverageKind::Bridged => "bridged",
            CoverageKind::BeforeCounting => "before",
            CoverageKind::Ahead => "ahead",
        };
        segments.iter().map(|part| (part.to.unix_s() - part.from.unix_s(), name(&part.kind))).collect()
    }

    #[test]
    fn parts_fill_the_range_without_holes() {
        let counted = time(2, &[(-10, 5), (100, 200), (86_300, 86_500)], &[(300, 310)]);
        let parts = [
            (86_400, "before"),
            (5, "gap"),
            (95, "covered"),
            (100, "gap"),
            (100, "covered"),
            (10, "bridged"),
        ];
        let rest = [(85_990, "covered"), (200, "gap"), (86_300, "covered"), (86_400, "ahead")];
        assert_eq!(shown(&counted, "2026-10-31", "2026-11-03"), [&parts[..], &rest].concat());
        assert_eq!(shown(&counted, "2026-10-01", "2026-10-01"), [(86_400, "before")]);
        let never = CountedTime::new(CoverageReport::default(), counted.now_s);
        assert_eq!(shown(&never, "2026-11-02", "2026-11-03"), [(86_400, "before"), (86_400, "ahead")]);
    }

    #[test]
    fn what_was_not_counted_is_not_compared() {
        let counted = time(9, &[(100, 200)], &[]);
        let start_s = start_of_day_s("2026-11-01".parse().unwrap());
        let why = |from_s, to_s| counted.why_not(start_s + from_s, start_s + to_s);
        assert_eq!(why(0, 100), None);
        assert_eq!(why(0, 101), Some(Compared::HasGap));
        assert_eq!(why(199, 300), Some(Compared::HasGap));
        assert_eq!(why(200, 300), None);
        assert_eq!(why(-1, 50), Some(Compared::NotCountedBefore("2026-11-01".parse().unwrap())));
        let touches = |from_s, to_s| counted.touches(start_s + from_s, start_s + to_s);
        assert!(!touches(-100, 0) && !touches(100, 200) && touches(100, 201) && touches(-5, 1));
        assert!(!touches(9 * 86_400, 10 * 86_400), "ahead");
    }

    #[test]
    fn a_range_before_counting_is_not_called_a_zero() {
        let counted = time(2, &[], &[]);
        let coverage = |from: &str, to: &str, has_messages| {
            range_coverage(&counted.segments(from.parse().unwrap(), to.parse().unwrap()), has_messages)
        };
        assert_eq!(coverage("2026-11-01", "2026-11-03", false), RangeCoverage::Full);
        assert_eq!(coverage("2026-10-01", "2026-10-31", false), RangeCoverage::BeforeCounting);
        assert_eq!(coverage("2026-10-01", "2026-10-31", true), RangeCoverage::Part, "imported");
        assert_eq!(coverage("2026-10-31", "2026-11-01", false), RangeCoverage::Part);
    }
}
