//! Processes that apply the same facts have the same coverage, it covers no second in which nobody served, and it covers
//! each second in which somebody did without trouble near it.

use std::collections::BTreeMap;

use cluster::state::ProcessRow;
use counting::{Coverage, CoverageReport, Reason};
use proptest::prelude::*;

use super::{
    accounts::{Covered, SharedAccounts},
    service_event,
    state_draft::{ServiceState, StateDraft},
};
use crate::store::{AccountNumber, Change};

const PROCESSES: usize = 2;
const ONLY: AccountNumber = AccountNumber(0);
const APPID: &str = "wx1";
const SILENCE_S: i64 = 10;
const SECONDS: i64 = 200;
/// A killed process is noticed after so many seconds at the latest.
const NOTICED_AFTER_S: i64 = 14;
/// Trouble makes gaps of at most this length before and after it.
const NEAR_S: i64 = 20;

/// What happens in one second.
#[derive(Clone, Debug)]
enum Occurrence {
    Start(usize),
    Kill(usize),
    End(usize),
    Lose { by: usize, ago_s: i64 },
    Claim { by: usize, ago_s: i64 },
    Cease(usize),
    Begin(usize),
}

fn any_event() -> impl Strategy<Value = Occurrence> {
    let process = || 0..PROCESSES;
    prop_oneof![
        4 => process().prop_map(Occurrence::Start),
        1 => process().prop_map(Occurrence::Kill),
        1 => process().prop_map(Occurrence::End),
        1 => (process(), 0..30_i64).prop_map(|(by, ago_s)| Occurrence::Lose { by, ago_s }),
        1 => (process(), 0..30_i64).prop_map(|(by, ago_s)| Occurrence::Claim { by, ago_s }),
        1 => process().prop_map(Occurrence::Cease),
        2 => process().prop_map(Occurrence::Begin),
    ]
}

/// What PostgreSQL holds.
#[derive(Default)]
struct Servers {
    seq: u64,
    facts: BTreeMap<String, Vec<u8>>,
    rows: BTreeMap<String, ProcessRow>,
    seen_s: BTreeMap<String, i64>,
}

struct World {
    servers: Servers,
    /// None: it does not run.
    processes: [Option<SharedAccounts>; PROCESSES],
    now_s: i64,
    /// Seconds in which the account was served by a process, and in which there was trouble.
    served: Vec<bool>,
    troubled: Vec<bool>,
    claimed: Vec<bool>,
    is_taken: bool,
}

impl World {
    fn new() -> World {
        let none = || vec![false; SECONDS as usize + 1];
        World {
            servers: Servers::default(),
            processes: [None, None],
            now_s: 0,
            served: none(),
            troubled: none(),
            claimed: none(),
            is_taken: true,
        }
    }

    fn load(&self) -> SharedAccounts {
        let accounts = SharedAccounts::default();
        let facts = &self.servers.facts;
        accounts.number(APPID, || {
            let stored = facts.get(&format!("{}{APPID}", super::accounts::FACT_PREFIX)).cloned();
            let events = facts.iter().filter(|(key, _)| key.starts_with(service_event::FACT_PREFIX));
            let events: Vec<_> = events.map(|(key, value)| (key.clone(), value.clone())).collect();
            Covered::load(stored, &events).unwrap()
        });
        accounts
    }

    fn rows(&self) -> Vec<ProcessRow> {
        let silent_ms = |name: &str| (self.now_s - self.servers.seen_s[name]) * 1000;
        let row = |row: &ProcessRow| ProcessRow { silent_ms: silent_ms(&row.name), ..row.clone() };
        self.servers.rows.values().map(row).collect()
    }

    fn decide(&mut self, by: usize, fill: impl FnOnce(&mut StateDraft<'_>, &[ProcessRow])) {
        let rows = self.rows();
        self.servers.seq += 1;
        let Some(accounts) = &self.processes[by] else { return };
        let service = ServiceState::new(&rows, &by.to_string(), None);
        let mut draft = StateDraft::new(accounts, service, self.servers.seq);
        fill(&mut draft, &rows);
        let (writes, drafted) = draft.finish();
        drafted.apply(accounts);
        for (key, value) in writes {
            for other in self.processes.iter().flatten() {
                other.apply_fact(&key, value.as_deref()).unwrap();
            }
            self.servers.facts.insert(key, value.unwrap());
        }
    }

    fn trouble(&mut self, from_s: i64, to_s: i64) {
        for second in from_s.max(0)..to_s.min(SECONDS) {
            self.troubled[second as usize] = true;
        }
    }

    fn start(&mut self, by: usize) {
        if self.processes[by].is_some() {
            return;
        }
        self.processes[by] = Some(self.load());
        let (at_s, name) = (self.now_s, by.to_string());
        // The configuration names the account, so each start takes it.
        self.is_taken = true;
        self.trouble(at_s, at_s + 1);
        let serve = Change::Serve { at_s, accounts: vec![ONLY], reason: Reason::NotRunning };
        self.decide(by, |draft, _| drop(draft.add(&serve)));
        let row =
            ProcessRow { name: name.clone(), started_s: at_s, marked_s: at_s, ended_s: None, silent_ms: 0 };
        self.servers.rows.insert(name.clone(), row);
        self.servers.seen_s.insert(name, at_s);
    }

    fn happen(&mut self, event: &Occurrence) {
        let now_s = self.now_s;
        match event {
            Occurrence::Start(by) => self.start(*by),
            Occurrence::Kill(by) if self.processes[*by].is_some() => {
                self.processes[*by] = None;
                self.trouble(now_s, now_s + 1);
            }
            Occurrence::End(by) if self.processes[*by].is_some() => {
                self.processes[*by] = None;
                self.trouble(now_s, now_s + 1);
                let row = self.servers.rows.get_mut(&by.to_string()).unwrap();
                (row.marked_s, row.ended_s) = (now_s, Some(now_s));
            }
            Occurrence::Lose { by, ago_s } if self.processes[*by].is_some() => {
                let (from_s, to_s, reason) = (now_s - ago_s, now_s - ago_s + 2, Reason::TooMany);
                self.trouble(from_s, to_s);
                (from_s.max(0)..to_s.min(SECONDS)).for_each(|second| self.claimed[second as usize] = false);
                let lose = Change::Lose { account: ONLY, from_s, to_s, reason };
                self.decide(*by, |draft, _| drop(draft.add(&lose)));
            }
            Occurrence::Claim { by, ago_s } if self.processes[*by].is_some() => {
                let (from_s, to_s) = (now_s - ago_s, now_s - ago_s + 2);
                (from_s.max(0)..to_s.min(SECONDS)).for_each(|second| self.claimed[second as usize] = true);
                let claim = Change::Claim { account: ONLY, from_s, to_s };
                self.decide(*by, |draft, _| drop(draft.add(&claim)));
            }
            Occurrence::Cease(by) if self.processes[*by].is_some() => {
                self.is_taken = false;
                self.trouble(now_s, now_s + 1);
                self.decide(*by, |draft, _| drop(draft.add(&Change::Cease { account: ONLY })));
            }
            Occurrence::Begin(by) if self.processes[*by].is_some() && !self.is_taken => {
                self.is_taken = true;
                self.trouble(now_s, now_s + 1);
                self.decide(*by, |draft, _| drop(draft.add(&Change::Begin { at_s: now_s, account: ONLY })));
            }
            _ => {}
        }
    }

    /// One second passes: running processes mark and look at each other.
    fn pass(&mut self) {
        let is_running = self.processes.iter().any(Option::is_some);
        self.served[self.now_s as usize] = is_running && self.is_taken;
        self.now_s += 1;
        let now_s = self.now_s;
        for by in 0..PROCESSES {
            if self.processes[by].is_none() {
                continue;
            }
            let name = by.to_string();
            self.servers.rows.get_mut(&name).unwrap().marked_s = now_s;
            self.servers.seen_s.insert(name.clone(), now_s);
            let is_dead = |row: &ProcessRow| {
                row.name != name && row.ended_s.is_none() && row.silent_ms > SILENCE_S * 1000
            };
            let dead: Vec<ProcessRow> = self.rows().into_iter().filter(is_dead).collect();
            for row in dead {
                self.trouble(row.marked_s, row.marked_s + 16);
                self.decide(by, |draft, _| {
                    draft.lose_all(row.marked_s, row.marked_s + 16, Reason::NotRunning);
                });
                self.servers.rows.remove(&row.name);
            }
        }
    }

    fn report(&self, accounts: &SharedAccounts) -> CoverageReport {
        let marked_s = self.servers.rows.values().map(|row| row.marked_s).max();
        accounts.get(ONLY).unwrap().look(marked_s, |coverage: &mut Coverage| coverage.report(self.now_s))
    }

    fn check(&self) {
        let reports: Vec<CoverageReport> =
            self.processes.iter().flatten().map(|accounts| self.report(accounts)).collect();
        let Some(first) = reports.first() else { return };
        reports.iter().for_each(|report| assert_eq!(report, first));
        let anew = self.load();
        assert_eq!(&self.report(&anew), first, "a process that starts now");
        let is_covered = |second: i64| {
            first.since.is_some_and(|since_s| since_s <= second)
                && first.gaps.iter().all(|gap| !(gap.from_s..gap.to_s).contains(&second))
        };
        for second in 0..self.now_s - 1 {
            let at = second as usize;
            let near = at.saturating_sub(NEAR_S as usize)..(at + NEAR_S as usize).min(self.now_s as usize);
            let is_fine =
                near.clone().all(|near| self.served[near]) && !near.clone().any(|near| self.troubled[near]);
            assert!(is_covered(second) || !is_fine, "{second} is not covered: {first:?}");
            // That a process was killed is noticed a little later.
            let may_be = self.served[at] || self.claimed[at] || second > self.now_s - NOTICED_AFTER_S;
            assert!(!is_covered(second) || may_be, "{second} is covered, and nobody served: {first:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn coverage_is_the_same_everywhere_and_says_what_was_served(
        events in prop::collection::vec(prop::option::weighted(0.15, any_event()), SECONDS as usize),
    ) {
        let mut world = World::new();
        for event in events {
            event.iter().for_each(|event| world.happen(event));
            world.pass();
            world.check();
        }
    }
}
