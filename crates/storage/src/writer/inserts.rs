//! Stores messages beside other commits, for stores that can. Several batches are stored at the same time, so that a message
//! does not wait for the end of the batch before it.
//!
//! A mark needs none of these inserts: everything before it was answered, or is recorded as lost. But after one failed,
//! nothing is covered until all of them have ended.

use std::{sync::Arc, time::Duration};

use counting::Reason;
use system::{clock::Stopwatch, sync::lock};

use super::{
    EndOnPanic, Job, WriteQueue, WriterShared,
    commit_loop::{Waiter, notify_waiters},
};
use crate::store::{Change, NotDurable, Outcome};

/// Least time from the start of an insert to the start of the next one. Each makes parts that the servers have to merge:
/// with 30 ms two cores were busy with that, and messages waited longer than with 80 ms.
const EVERY: Duration = Duration::from_millis(80);

/// The inserts that run, and when the last one started.
#[derive(Debug, Default)]
pub struct Inserts {
    running: usize,
    started: Option<Stopwatch>,
}

impl Inserts {
    /// How long until the next one may start. None: until one ends.
    pub fn pause(&self, max: usize) -> Option<Duration> {
        let since = self.started.map_or(EVERY, |started| started.elapsed());
        (self.running < max).then(|| EVERY.saturating_sub(since))
    }
}

/// An insert that runs.
struct Insert {
    shared: Arc<WriterShared>,
    changes: usize,
    stopwatch: Stopwatch,
    /// None after the end.
    waiters: Option<Vec<Waiter>>,
}

/// Takes the jobs that only store messages, and starts to store them.
pub fn start(shared: &Arc<WriterShared>, jobs: &mut Vec<Job>) {
    let messages: Vec<Job> = jobs.extract_if(.., |job| job.is_of_messages()).collect();
    if messages.is_empty() {
        return;
    }
    let mut changes: Vec<Change> = Vec::new();
    let waiters = messages.into_iter().map(|job| Waiter::of(job, &mut changes)).collect();
    let stopwatch = Stopwatch::start();
    {
        let inserts = &mut lock(&shared.queue).inserts;
        inserts.running += 1;
        inserts.started = Some(stopwatch);
    }
    let insert = Insert { shared: shared.clone(), changes: changes.len(), stopwatch, waiters: Some(waiters) };
    shared.store.insert(changes, Box::new(move |result| insert.end(result)));
}

/// Waits until no insert runs.
pub fn wait_for_all(shared: &WriterShared) {
    let mut queue = lock(&shared.queue);
    while queue.inserts.running > 0 {
        queue = shared.wake.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}

impl Insert {
    fn end(mut self, result: Result<Vec<Outcome>, NotDurable>) {
        self.finish(result);
    }

    fn finish(&mut self, result: Result<Vec<Outcome>, NotDurable>) {
        let _guard = EndOnPanic;
        let Some(waiters) = self.waiters.take() else { return };
        if let Ok(outcomes) = &result {
            // A missing outcome would acknowledge messages that are not stored.
            assert_eq!(outcomes.len(), self.changes, "an outcome for each change");
        }
        self.shared.metrics.commit(self.stopwatch.elapsed(), waiters.len(), result.is_ok());
        if let Err(error) = &result {
            self.shared.set_fault(Some(error));
        }
        lock(&self.shared.queue).insert_ended(result.is_ok());
        self.shared.wake.notify_one();
        notify_waiters(&self.shared, waiters, result, 0);
    }
}

impl WriteQueue {
    fn insert_ended(&mut self, is_durable: bool) {
        self.inserts.running -= 1;
        if !is_durable {
            self.serve_anew(Reason::NotDurable);
        }
    }
}

impl Drop for Insert {
    fn drop(&mut self) {
        self.finish(Err(NotDurable("the insert was given up".to_owned())));
    }
}
