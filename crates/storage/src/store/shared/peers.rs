//! Notices processes that died. What was sent to them in their last seconds may be lost, so that time becomes a gap.

use std::{sync::Mutex, time::Duration};

use cluster::state::ProcessRow;
use counting::{Reason, day_of};
use system::{clock::Stopwatch, sync::lock};

use super::{
    Shared, SharedCore,
    state_draft::{LOST_AFTER_MARK_S, ServiceState, StateDraft},
};
use crate::store::StoreError;

/// Interval of the look at the other processes.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Interval of pruning in PostgreSQL.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Quotas of older days are deleted.
const DAYS_OF_QUOTAS: i32 = 40;
/// It is noticed so many seconds after its last sign.
const LOST_AFTER_SIGN_S: i64 = 10;
/// The mark of a process is not older than this at its last sign. One whose clock is wrong has an older mark: it moves none.
const MARK_BEFORE_SIGN_S_MAX: i64 = 20;

/// When the other processes were looked at last.
#[derive(Debug, Default)]
pub struct Peers {
    looked: Mutex<Option<Stopwatch>>,
    tidied: Mutex<Option<Stopwatch>>,
}

impl Shared {
    /// See [`crate::store::Store::maintain`].
    pub fn maintain(&self) -> Result<(), StoreError> {
        let core = self.core.clone();
        self.runtime.wait(async move {
            // Also a process that decides nothing has to know soon what the others decide.
            core.state.fresh().await?;
            core.look_at_peers().await
        })?
    }
}

impl SharedCore {
    async fn look_at_peers(&self) -> Result<(), StoreError> {
        if is_due(&self.peers.tidied, TIDY_EVERY) {
            let today = day_of(self.clock.now_s());
            let oldest = today.plus_days(-DAYS_OF_QUOTAS).days_since_1970();
            self.state.tidy(oldest).await?;
        }
        // A process that does not serve may be cut off itself.
        if lock(&self.own_marked_s).is_none() || !is_due(&self.peers.looked, LOOK_EVERY) {
            return Ok(());
        }
        let is_dead = |process: &ProcessRow| process.ended_s.is_none() && !process.is_alive();
        if !self.state.others().await?.iter().any(is_dead) {
            return Ok(());
        }
        let mut turn = self.state.turn().await?;
        let processes = turn.processes().await?;
        let service = ServiceState::new(&processes, &self.folder.name, None);
        let mut draft = StateDraft::new(&self.accounts, service, turn.seq());
        for process in processes.iter().filter(|process| process.name != self.folder.name && is_dead(process))
        {
            tracing::warn!(
                name = process.name,
                "another process ended without a word; its last seconds are a gap"
            );
            let now_s = (!self.clock.is_chosen()).then(|| turn.now_s());
            let (from_s, to_s) = lost(process, now_s);
            draft.lose_all(from_s, to_s, Reason::NotRunning);
            turn.remove_process(&process.name).await?;
        }
        let (writes, drafted) = draft.finish();
        let committed = turn.commit(writes).await?;
        drafted.apply(&self.accounts);
        drop(committed);
        Ok(())
    }
}

/// The stretch in which messages were sent to a process that died. `now_s`: the database's clock, if the processes follow
/// it.
fn lost(dead: &ProcessRow, now_s: Option<i64>) -> (i64, i64) {
    let Some(now_s) = now_s else { return (dead.marked_s, dead.marked_s + LOST_AFTER_MARK_S) };
    let sign_s = now_s - dead.silent_ms / 1000;
    let from_s = dead.marked_s.max(sign_s - MARK_BEFORE_SIGN_S_MAX);
    (from_s, (from_s + LOST_AFTER_MARK_S).max(sign_s + LOST_AFTER_SIGN_S))
}

/// True at the first call and then once in each interval.
pub fn is_due(last: &Mutex<Option<Stopwatch>>, interval: Duration) -> bool {
    let mut last = lock(last);
    let is_due = last.as_ref().is_none_or(|last| last.elapsed() >= interval);
    if is_due {
        *last = Some(Stopwatch::start());
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seconds_of_a_dead_process_are_lost_even_if_it_moved_no_mark() {
        let dead = |marked_s| ProcessRow {
            name: "a".to_owned(),
            started_s: 0,
            marked_s,
            ended_s: None,
            silent_ms: 12_500,
        };
        // It gave its last sign at 988.
        assert_eq!(lost(&dead(982), Some(1000)), (982, 998));
        assert_eq!(lost(&dead(100), Some(1000)), (968, 998), "its clock was wrong for long");
        assert_eq!(lost(&dead(100), None), (100, 116));
    }
}
