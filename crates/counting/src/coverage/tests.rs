//! Tests of coverage and its gaps.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

/// The same, a second at a time.
#[derive(Default)]
struct Seconds {
    covered: BTreeSet<i64>,
    running_since: Option<i64>,
    marked_until: Option<i64>,
    lost: BTreeSet<i64>,
    bridged: BTreeSet<i64>,
}

#[derive(Clone, Debug)]
enum Action {
    Serve,
    Interrupt,
    /// So many seconds after the end, bridged or with the socket kept.
    Resume(i64, bool),
    Stop,
    Mark,
    Claim(i64, i64),
    Lose(i64, i64),
}

fn any_action() -> impl Strategy<Value = Action> {
    let range = || (0..60_i64, 0..8_i64);
    prop_oneof![
        Just(Action::Serve),
        Just(Action::Interrupt),
        (0..5_i64, any::<bool>()).prop_map(|(after_s, is_bridged)| Action::Resume(after_s, is_bridged)),
        Just(Action::Stop),
        Just(Action::Mark),
        range().prop_map(|(from, length)| Action::Claim(from, from + length)),
        range().prop_map(|(from, length)| Action::Lose(from, from + length)),
    ]
}

impl Seconds {
    fn step(&mut self, step: &Action, now: i64) {
        match step {
            Action::Serve => self.serve(now),
            Action::Interrupt => self.marked_until = self.running_since.take().or(self.marked_until),
            Action::Resume(after_s, is_bridged) => match self.running_since.take().or(self.marked_until) {
                Some(since) if since >= now - after_s => {
                    self.cut(now.max(since));
                    (self.running_since, self.marked_until) = (Some(since), None);
                    if *is_bridged {
                        self.bridged.extend(now - after_s..now);
                    }
                }
                _ => self.serve(now),
            },
            Action::Stop => (self.running_since, self.marked_until) = (None, None),
            Action::Mark => {
                if let Some(since) = self.running_since.filter(|since| *since < now) {
                    self.covered.extend(since..now);
                    self.running_since = Some(now);
                    let lost = self.lost.clone();
                    self.covered.retain(|second| !lost.contains(second));
                    self.lost.retain(|second| *second >= now);
                }
            }
            Action::Claim(from, to) => {
                self.covered.extend(*from..*to);
                self.bridged.retain(|second| !(*from..*to).contains(second));
            }
            Action::Lose(from, to) => {
                let since = self.running_since.unwrap_or(*from).max(*from);
                self.lost.extend(since..*to);
                self.covered.retain(|second| !(*from..*to).contains(second));
            }
        }
    }

    fn serve(&mut self, now: i64) {
        self.cut(now);
        (self.running_since, self.marked_until) = (Some(now), None);
    }

    fn cut(&mut self, now: i64) {
        for seconds in [&mut self.covered, &mut self.lost, &mut self.bridged] {
            seconds.retain(|second| *second < now);
        }
    }
}

fn take(coverage: &mut Coverage, step: &Action, now: i64) {
    match step {
        Action::Serve => coverage.serve(now, &Reason::NotRunning),
        Action::Interrupt => coverage.interrupt(),
        Action::Resume(after_s, is_bridged) => {
            coverage.resume(now - after_s, now, is_bridged.then_some((now - after_s, now)));
        }
        Action::Stop => coverage.stop(),
        Action::Mark => coverage.mark(now),
        Action::Claim(from, to) => coverage.claim(*from, *to),
        Action::Lose(from, to) => coverage.lose(*from, *to, &Reason::refused("malformed", 1)),
    }
}

proptest! {
    #[test]
    fn stretches_equal_single_seconds(steps in prop::collection::vec(any_action(), 1..40), from in 0..60_i64, length in 0..9_i64) {
        let (mut coverage, mut seconds) = (Coverage::default(), Seconds::default());
        for (now, step) in steps.iter().enumerate() {
            let now = i64::try_from(now).unwrap();
            take(&mut coverage, step, now);
            seconds.step(step, now);
        }
        let now = 60;
        seconds.step(&Action::Mark, now);
        let held = (from..(from + length).min(now)).all(|second| seconds.covered.contains(&second));
        prop_assert_eq!(coverage.holds(from, from + length, now), held);
        let touched = (from..from + length).any(|second| seconds.covered.contains(&second));
        prop_assert_eq!(coverage.touches(from, from + length, now), touched);
        let mut bytes = Vec::new();
        coverage.encode(&mut bytes);
        prop_assert_eq!(Coverage::decode(&mut Reader::new(&bytes)), Ok(coverage.clone()));
        let CoverageReport { since, gaps, bridged } = coverage.report(now);
        let serves = |step: &Action| matches!(step, Action::Serve | Action::Resume(..));
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
    (0..most - 110).for_each(|at| coverage.reasons.add(10 * at + 3 + at % 5, 10 * at + 10, &Reason::TooMany));
    (most - 110..most).for_each(|at| coverage.lose(10 * at + 5, 10 * at + 6 + at % 3, &Reason::TooMany));
    let gaps = coverage.report(10 * most).gaps;
    assert!(gaps.len() <= GAPS_MAX + 1, "{}", gaps.len());
    assert!(gaps.iter().filter(|gap| gap.reason != Reason::TooMany).count() <= 1);
}
