//! Changes that are not messages, with the accounts they are about. The accounts are already looked up, so logging and
//! applying such a change cannot fail.

use std::{collections::HashSet, sync::Arc};

use counting::{Coverage, Reason};
use system::sync::lock;

use super::{Cell, Embedded, record::Record};

/// A change of coverage or facts. See [`crate::store::Change`].
pub enum StateChange {
    Lose { cell: Arc<Cell>, from_s: i64, to_s: i64, reason: Reason },
    Claim { cell: Arc<Cell>, from_s: i64, to_s: i64 },
    Serve { at_s: i64, cells: Vec<Arc<Cell>>, reason: Reason },
    Resume { end_s: i64, at_s: i64, cells: Vec<Arc<Cell>>, is_bridged: bool },
    Begin { cell: Arc<Cell>, at_s: i64 },
    Cease { cell: Arc<Cell> },
    Mark { at_s: i64 },
    Fact { key: String, value: Option<Vec<u8>> },
}

impl StateChange {
    /// The record of this change in the log.
    pub fn record(&self) -> Record<'_> {
        match self {
            StateChange::Lose { cell, from_s, to_s, reason } => {
                Record::Lose { account: cell.number, from_s: *from_s, to_s: *to_s, reason: reason.clone() }
            }
            StateChange::Claim { cell, from_s, to_s } => {
                Record::Claim { account: cell.number, from_s: *from_s, to_s: *to_s }
            }
            StateChange::Serve { at_s, cells, reason } => {
                Record::Serve { at_s: *at_s, accounts: numbers(cells), reason: reason.clone() }
            }
            StateChange::Resume { end_s, at_s, cells, is_bridged } => Record::Resume {
                end_s: *end_s,
                at_s: *at_s,
                accounts: numbers(cells),
                is_bridged: *is_bridged,
            },
            StateChange::Begin { cell, at_s } => Record::Begin { account: cell.number, at_s: *at_s },
            StateChange::Cease { cell } => Record::Cease { account: cell.number },
            StateChange::Mark { at_s } => Record::Mark { at_s: *at_s },
            StateChange::Fact { key, value } => Record::Fact { key, value: value.as_deref() },
        }
    }
}

impl Embedded {
    /// Applies a change that is durable.
    pub(super) fn apply_state_change(&self, state_change: StateChange) {
        let coverage = |cell: &Arc<Cell>, change: &dyn Fn(&mut Coverage)| change(&mut lock(&cell.coverage));
        match state_change {
            StateChange::Lose { cell, from_s, to_s, reason } => {
                coverage(&cell, &|coverage| coverage.lose(from_s, to_s, &reason));
            }
            StateChange::Claim { cell, from_s, to_s } => {
                coverage(&cell, &|coverage| coverage.claim(from_s, to_s));
            }
            StateChange::Serve { at_s, cells, reason } => {
                self.serve(at_s, &cells, |coverage| coverage.serve(at_s, &reason));
            }
            StateChange::Resume { end_s, at_s, cells, is_bridged } => {
                let bridged = is_bridged.then_some((end_s, at_s));
                self.serve(at_s, &cells, |coverage| coverage.resume(end_s, at_s, bridged));
            }
            StateChange::Begin { cell, at_s } => {
                coverage(&cell, &|coverage| coverage.serve(at_s, &Reason::NotRunning));
            }
            StateChange::Cease { cell } => coverage(&cell, &Coverage::stop),
            StateChange::Mark { at_s } => {
                for cell in &self.read_accounts().by_number {
                    coverage(cell, &|coverage| coverage.mark(at_s));
                }
            }
            StateChange::Fact { key, value } => lock(&self.facts).set_fact(key, value),
        }
    }

    /// Calls `serve` for these accounts and ends serving of all others.
    fn serve(&self, at_s: i64, served: &[Arc<Cell>], serve: impl Fn(&mut Coverage)) {
        let served: HashSet<u32> = served.iter().map(|cell| cell.number).collect();
        for cell in &self.read_accounts().by_number {
            let mut coverage = lock(&cell.coverage);
            if served.contains(&cell.number) {
                serve(&mut coverage);
            } else {
                coverage.stop();
                coverage.cut(at_s);
            }
        }
    }
}

fn numbers(cells: &[Arc<Cell>]) -> Vec<u32> {
    cells.iter().map(|cell| cell.number).collect()
}
