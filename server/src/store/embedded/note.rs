//! Changes beside messages, with the accounts they are about. Whoever has a note has found them, so writing it to the
//! log and applying it cannot fail.

use std::sync::Arc;

use msgcube_cube::Coverage;

use super::{Cell, Embedded, record::Record};
use crate::store::lock;

/// One of them.
pub enum Note {
    Lose { cell: Arc<Cell>, from_s: i64, to_s: i64 },
    Claim { cell: Arc<Cell>, from_s: i64, to_s: i64 },
    Serve { at_s: i64, cells: Vec<Arc<Cell>> },
    Begin { cell: Arc<Cell>, at_s: i64 },
    Cease { cell: Arc<Cell> },
    Mark { at_s: i64 },
    Fact { key: String, value: Option<Vec<u8>> },
}

impl Note {
    /// What the log keeps of it.
    pub fn record(&self) -> Record<'_> {
        match self {
            Note::Lose { cell, from_s, to_s } => {
                Record::Lose { account: cell.number, from_s: *from_s, to_s: *to_s }
            }
            Note::Claim { cell, from_s, to_s } => {
                Record::Claim { account: cell.number, from_s: *from_s, to_s: *to_s }
            }
            Note::Serve { at_s, cells } => {
                Record::Serve { at_s: *at_s, accounts: cells.iter().map(|cell| cell.number).collect() }
            }
            Note::Begin { cell, at_s } => Record::Begin { account: cell.number, at_s: *at_s },
            Note::Cease { cell } => Record::Cease { account: cell.number },
            Note::Mark { at_s } => Record::Mark { at_s: *at_s },
            Note::Fact { key, value } => Record::Fact { key, value: value.as_deref() },
        }
    }
}

impl Embedded {
    /// Applies a note that is durable.
    pub(super) fn note(&self, note: Note) {
        let coverage = |cell: &Arc<Cell>, change: &dyn Fn(&mut Coverage)| change(&mut lock(&cell.coverage));
        match note {
            Note::Lose { cell, from_s, to_s } => coverage(&cell, &|coverage| coverage.lose(from_s, to_s)),
            Note::Claim { cell, from_s, to_s } => coverage(&cell, &|coverage| coverage.claim(from_s, to_s)),
            Note::Serve { at_s, cells } => {
                for cell in &self.read_accounts().by_number {
                    let is_served = cells.iter().any(|served| served.number == cell.number);
                    coverage(cell, &|coverage| {
                        if is_served { coverage.serve(at_s) } else { coverage.stop() }
                    });
                }
            }
            Note::Begin { cell, at_s } => coverage(&cell, &|coverage| coverage.serve(at_s)),
            Note::Cease { cell } => coverage(&cell, &Coverage::stop),
            Note::Mark { at_s } => {
                for cell in &self.read_accounts().by_number {
                    coverage(cell, &|coverage| coverage.mark(at_s));
                }
            }
            Note::Fact { key, value } => lock(&self.small).set_fact(key, value),
        }
    }
}
