//! Stores messages beside other commits, for stores that can. Several batches are stored at the same time, so that a message
//! does not wait for the end of the batch before it.
//!
//! A mark does not pass the messages that wait or are being stored: their callers may be gone, and would record no loss.
//! After an insert failed, nothing is covered until all of them have ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use counting::Reason;
use system::{clock::Stopwatch, sync::lock};

use super::{
    EndOnPanic, Job, WriterShared,
    waiter::{Waiter, notify_waiters},
};
use crate::store::{Change, NotDurable, Outcome};

/// Least time from the start of an insert to the start of the next one. Each makes parts that the servers have to merge:
/// with 30 ms two cores were busy with that, and messages waited longer than with 80 ms.
const EVERY: Duration = Duration::from_millis(80);

/// The inserts that run, and when the last one started.
#[derive(Debug, Default)]
pub struct Inserts {
    /// By number, so in the order of their starts.
    running: BTreeMap<u64, RunningInsert>,
    started: Option<Stopwatch>,
    next: u64,
}

#[derive(Debug)]
struct RunningInsert {
    since: Stopwatch,
    /// When the first of its jobs came, in Unix seconds.
    oldest_s: Option<i64>,
}

impl Inserts {
    /// How long until the next one may start. None: until one ends.
    pub fn pause(&self, max: usize) -> Option<Duration> {
        let since = self.started.map_or(EVERY, |started| started.elapsed());
        (self.running.len() < max).then(|| EVERY.saturating_sub(since))
    }

    /// When the first job of those that run came, in Unix seconds.
    pub fn oldest_s(&self) -> Option<i64> {
        self.running.values().filter_map(|insert| insert.oldest_s).min()
    }

    /// How long the oldest one runs.
    pub fn longest(&self) -> Option<Duration> {
        self.running.values().next().map(|insert| insert.since.elapsed())
    }

    fn begin(&mut self, oldest_s: Option<i64>) -> u64 {
        let (number, since) = (self.next, Stopwatch::start());
        self.next += 1;
        self.started = Some(since);
        self.running.insert(number, RunningInsert { since, oldest_s });
        number
    }

    /// Returns how long it ran.
    fn end(&mut self, number: u64) -> Duration {
        let ended = self.running.remove(&number);
        ended.map_or(Duration::ZERO, |insert| insert.since.elapsed())
    }
}

/// An insert that runs.
struct Insert {
    shared: Arc<WriterShared>,
    number: u64,
    changes: usize,
    /// None after the end.
    waiters: Option<Vec<Waiter>>,
}

/// Takes the jobs that only store messages, and starts to store them. `oldest_s`: when the first of all jobs came, in Unix
/// seconds.
pub fn start(shared: &Arc<WriterShared>, jobs: &mut Vec<Job>, oldest_s: Option<i64>) {
    let messages: Vec<Job> = jobs.extract_if(.., |job| job.is_of_messages()).collect();
    if messages.is_empty() {
        return;
    }
    let mut changes: Vec<Change> = Vec::new();
    let waiters = messages.into_iter().map(|job| Waiter::of(job, &mut changes)).collect();
    let number = lock(&shared.queue).inserts.begin(oldest_s);
    let insert = Insert { shared: shared.clone(), number, changes: changes.len(), waiters: Some(waiters) };
    shared.store.insert(changes, Box::new(move |result| insert.end(result)));
}

/// Waits until no insert runs.
pub fn wait_for_all(shared: &WriterShared) {
    let mut queue = lock(&shared.queue);
    while !queue.inserts.running.is_empty() {
        queue = shared.wake.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}

impl Insert {
    fn end(mut self, result: Result<Vec<Outcome>, NotDurable>) {
        self.finish(result);
    }

    fn finish(&mut self, result: Result<Vec<Outcome>, NotDurable>) {
        // After a panic in the store its batch has failed, and the process goes on.
        let _guard = (!std::thread::panicking()).then_some(EndOnPanic);
        let Some(waiters) = self.waiters.take() else { return };
        if let Ok(outcomes) = &result {
            // A missing outcome would acknowledge messages that are not stored.
            assert_eq!(outcomes.len(), self.changes, "an outcome for each change");
        }
        let mut queue = lock(&self.shared.queue);
        let took = queue.inserts.end(self.number);
        let changed = result.as_ref().err().and_then(|error| {
            queue.serve_anew(Reason::NotDurable);
            self.shared.set_fault(&queue, Some(error))
        });
        drop(queue);
        self.shared.wake.notify_one();
        self.shared.log_fault(changed, result.as_ref().err());
        self.shared.metrics.commit(took, waiters.len(), result.is_ok());
        notify_waiters(&self.shared, waiters, result, 0);
    }
}

impl Drop for Insert {
    fn drop(&mut self) {
        self.finish(Err(NotDurable("the insert was given up".to_owned())));
    }
}
