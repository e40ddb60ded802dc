//! Turns changes of a batch into the facts of one transaction: coverage, and small facts.

use std::collections::{BTreeMap, HashSet};

use cluster::state::{FactWrite, ProcessRow};
use counting::{Coverage, Reason};

use super::{
    accounts::{Covered, SharedAccounts},
    service_event::{Happened, ServiceEvent},
};
use crate::store::{AccountNumber, Change, Outcome, UnknownAccount};

/// A process marks the time until 6 s ago, every 3 s, and is dead after 10 s of silence. What it refused in its last
/// seconds is not later than this after its mark.
pub const LOST_AFTER_MARK_S: i64 = 16;

/// What the other processes and this one did so far, as the turn shows it.
#[derive(Clone, Debug)]
pub struct ServiceState {
    /// Another process serves at this moment.
    pub is_other_alive: bool,
    /// The newest mark of all processes, Unix seconds.
    pub marked_s: Option<i64>,
    /// The newest mark of this process since it serves, Unix seconds.
    pub own_marked_s: Option<i64>,
}

impl ServiceState {
    /// From the rows of all processes. `own`: the name of this one.
    pub fn new(processes: &[ProcessRow], own: &str, own_marked_s: Option<i64>) -> ServiceState {
        ServiceState {
            is_other_alive: processes.iter().any(|process| process.name != own && process.is_alive()),
            marked_s: processes.iter().map(|process| process.marked_s).max(),
            // A row without an end is that of a former process of this name, which was killed, or of this one.
            own_marked_s: processes
                .iter()
                .find(|process| process.name == own && process.ended_s.is_none())
                .map(|process| process.marked_s)
                .or(own_marked_s),
        }
    }
}

/// The facts of one transaction, in the making.
#[derive(Debug)]
pub struct StateDraft<'a> {
    accounts: &'a SharedAccounts,
    service: ServiceState,
    seq: u64,
    touched: BTreeMap<AccountNumber, Coverage>,
    events: Vec<ServiceEvent>,
    facts: Vec<FactWrite>,
    /// This process serves from this second on.
    pub serves_from_s: Option<i64>,
}

/// What to apply in memory once the transaction is durable.
#[derive(Debug)]
pub struct Drafted {
    seq: u64,
    touched: Vec<(AccountNumber, Covered)>,
    events: Vec<ServiceEvent>,
}

impl Drafted {
    /// Logs what the start of this process means for the time before it.
    pub fn log(&self) {
        for event in &self.events {
            match &event.what {
                // Nothing was received before the first process.
                Happened::Served { .. } if event.marked_s.is_none() => {}
                Happened::Served { reason, .. } => tracing::info!(
                    reason = reason.name(),
                    "no process served meanwhile: the time since the last mark is a gap"
                ),
                Happened::Resumed { .. } => tracing::info!("a planned stop that lost nothing: no gap"),
                Happened::Lost { from_s, to_s, reason } => tracing::info!(
                    seconds = to_s - from_s,
                    reason = reason.name(),
                    "other processes served, but messages that were sent to this one may be lost: a gap"
                ),
            }
        }
        if self.events.is_empty() {
            tracing::info!("other processes serve: no gap");
        }
    }

    /// Applies it.
    pub fn apply(self, accounts: &SharedAccounts) {
        for (number, covered) in self.touched {
            if let Ok(account) = accounts.get(number) {
                account.replace(covered);
            }
        }
        accounts.all().iter().for_each(|account| account.apply(self.seq, &self.events));
    }
}

impl<'a> StateDraft<'a> {
    /// Starts with the state that the turn sees.
    pub fn new(accounts: &'a SharedAccounts, service: ServiceState, seq: u64) -> StateDraft<'a> {
        StateDraft {
            accounts,
            service,
            seq,
            touched: BTreeMap::new(),
            events: Vec::new(),
            facts: Vec::new(),
            serves_from_s: None,
        }
    }

    /// Adds a change. None for messages and marks, which are stored elsewhere.
    pub fn add(&mut self, change: &Change) -> Option<Outcome> {
        let changed = match change {
            Change::Message { .. } | Change::Quarantine { .. } | Change::Mark { .. } => return None,
            Change::Lose { account, from_s, to_s, reason } => {
                self.touch(*account, |coverage| coverage.lose(*from_s, *to_s, reason))
            }
            Change::Claim { account, from_s, to_s } => {
                self.touch(*account, |coverage| coverage.claim(*from_s, *to_s))
            }
            Change::Begin { at_s, account } => {
                self.touch(*account, |coverage| coverage.serve(*at_s, &Reason::NotRunning))
            }
            Change::Cease { account } => self.touch(*account, Coverage::stop),
            Change::Serve { at_s, accounts, reason } => self.serve(*at_s, accounts, reason),
            Change::Resume { end_s, at_s, accounts, is_bridged } => {
                self.resume(*end_s, *at_s, accounts, *is_bridged)
            }
            Change::Fact { key, value } => {
                self.facts.push((key.clone(), value.clone()));
                Ok(())
            }
        };
        Some(changed.map_or_else(Outcome::from, |()| Outcome::Noted))
    }

    /// Messages that were sent to a process that died may be lost.
    pub fn lose_all(&mut self, from_s: i64, to_s: i64, reason: Reason) {
        self.happen(Happened::Lost { from_s, to_s, reason });
    }

    fn touch(
        &mut self,
        number: AccountNumber,
        change: impl FnOnce(&mut Coverage),
    ) -> Result<(), UnknownAccount> {
        let coverage = self.current(number)?;
        change(self.touched.entry(number).or_insert(coverage));
        Ok(())
    }

    /// The coverage as it is after the changes so far.
    fn current(&self, number: AccountNumber) -> Result<Coverage, UnknownAccount> {
        if let Some(touched) = self.touched.get(&number) {
            return Ok(touched.clone());
        }
        let mut coverage = self.accounts.get(number)?.covered().coverage;
        if let Some(marked_s) = self.service.marked_s {
            coverage.mark(marked_s);
        }
        self.events.iter().for_each(|event| event.apply(&mut coverage));
        Ok(coverage)
    }

    /// This process serves these accounts. If another one served meanwhile, only what this one missed is a gap.
    fn serve(
        &mut self,
        at_s: i64,
        accounts: &[AccountNumber],
        reason: &Reason,
    ) -> Result<(), UnknownAccount> {
        accounts.iter().try_for_each(|account| self.accounts.get(*account).map(drop))?;
        if !self.service.is_other_alive {
            // A former process of this name was killed, and another one marked time after that.
            if let Some(from_s) =
                self.service.own_marked_s.filter(|from_s| Some(*from_s) < self.service.marked_s)
            {
                let to_s = at_s.min(from_s + LOST_AFTER_MARK_S);
                self.happen(Happened::Lost { from_s, to_s, reason: Reason::NotRunning });
            }
            self.happen(Happened::Served { at_s, reason: reason.clone() });
        } else if let Some(from_s) = self.service.own_marked_s.filter(|from_s| *from_s < at_s) {
            self.happen(Happened::Lost { from_s, to_s: at_s, reason: reason.clone() });
        }
        self.serve_exactly(at_s, accounts)
    }

    fn resume(
        &mut self,
        end_s: i64,
        at_s: i64,
        accounts: &[AccountNumber],
        is_bridged: bool,
    ) -> Result<(), UnknownAccount> {
        // A later mark comes from a process that stopped after the one that wrote the end.
        if self.service.is_other_alive || self.service.marked_s.is_none_or(|marked_s| marked_s > end_s) {
            return self.serve(at_s, accounts, &Reason::NotRunning);
        }
        accounts.iter().try_for_each(|account| self.accounts.get(*account).map(drop))?;
        self.happen(Happened::Resumed { end_s, at_s, is_bridged });
        self.serve_exactly(at_s, accounts)
    }

    /// Begins to serve the accounts that are not served, and ends the others.
    fn serve_exactly(&mut self, at_s: i64, accounts: &[AccountNumber]) -> Result<(), UnknownAccount> {
        self.serves_from_s = Some(at_s);
        let wanted: HashSet<AccountNumber> = accounts.iter().copied().collect();
        for number in (0..self.accounts.all().len()).map(AccountNumber::at) {
            let is_wanted = wanted.contains(&number);
            if self.current(number)?.is_served() == is_wanted {
                continue;
            }
            self.touch(number, |coverage| {
                if is_wanted {
                    coverage.serve(at_s, &Reason::NotRunning);
                } else {
                    coverage.stop();
                    coverage.cut(at_s);
                }
            })?;
        }
        Ok(())
    }

    fn happen(&mut self, what: Happened) {
        let event = ServiceEvent { marked_s: self.service.marked_s, what };
        self.touched.values_mut().for_each(|coverage| event.apply(coverage));
        self.events.push(event);
    }

    /// The facts to write, and what to apply in memory afterwards.
    pub fn finish(self) -> (Vec<FactWrite>, Drafted) {
        let mut writes = self.facts;
        if !self.events.is_empty() {
            writes.push((ServiceEvent::key(self.seq), Some(ServiceEvent::encode_all(&self.events))));
        }
        let mut touched = Vec::new();
        for (number, coverage) in self.touched {
            let covered = Covered { seq: self.seq, coverage };
            if let Ok(account) = self.accounts.get(number) {
                writes.push((account.fact_key(), Some(covered.encode())));
            }
            touched.push((number, covered));
        }
        (writes, Drafted { seq: self.seq, touched, events: self.events })
    }
}
