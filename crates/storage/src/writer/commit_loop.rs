//! The writer's loop: take all waiting jobs, commit them, notify the waiters.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use counting::{Gap, Reason};
use system::{clock::Stopwatch, sync::lock};

use super::{
    Job, Losses, WriteQueue, WriterShared,
    fault::COMMIT_TIME_MAX,
    inserts,
    waiter::{MANY_WAITERS, Waiter, notify_waiters},
};
use crate::{
    planned_stop::EndMark,
    store::{Change, NotDurable, Outcome},
};

/// Interval of the mark in seconds. With the lag, the mark is at most 9 s old while commits succeed.
const MARK_EVERY_S: i64 = 3;
/// Lag of the mark behind the current time, in seconds. A callback is answered or given up within 4.9 s, so each loss
/// before the mark is already recorded.
const MARK_LAG_S: i64 = 6;
/// Pause to gather more jobs, if the last batch had many waiters. A sync for a hundred jobs costs the same as for ten.
const GATHERING: Duration = Duration::from_micros(200);
/// A mark stays so many seconds before the first message that is not stored yet. The message may have waited before it
/// joined the queue.
const MARK_BEFORE_WAITING_S: i64 = 3;
/// If more seconds lie between two marks, the program did not run all the time: it was suspended, a commit hung, or
/// the clock was set. That time is not covered.
const MARK_HOLE_S_MAX: i64 = 10;
/// Longest sleep of the writer. Marks and faults need attention without messages, too.
const TICK: Duration = Duration::from_secs(1);
/// Pause after a failed save.
const PAUSE_AFTER_FAILED_SAVE: Duration = Duration::from_secs(10);

struct JobBatch {
    jobs: Vec<Job>,
    /// When the first of the jobs came, in Unix seconds.
    oldest_s: Option<i64>,
    losses: Losses,
    serve: Option<Reason>,
    stopping: bool,
}

/// Runs until the queue is stopped and empty.
pub fn write(shared: &Arc<WriterShared>) {
    let mut marked_s = shared.clock.now_s();
    let mut crowded = false;
    let mut took = Duration::ZERO;
    loop {
        if crowded {
            std::thread::sleep(GATHERING);
        }
        let mut batch = next_batch(shared);
        crowded = batch.jobs.len() >= MANY_WAITERS;
        let now_s = shared.clock.now_s();
        let since_mark_s = now_s.saturating_sub(marked_s);
        if !(-1..=MARK_HOLE_S_MAX).contains(&since_mark_s) {
            if lock(&shared.queue).has_begun {
                let reason = if took > COMMIT_TIME_MAX { Reason::NotDurable } else { Reason::NotRunning };
                let (name, text) =
                    (reason.name(), "the program was suspended or the clock was set; that time is a gap");
                tracing::warn!(seconds = since_mark_s, reason = name, "{text}");
                batch.serve.get_or_insert(reason);
            }
            marked_s = now_s;
        }
        let stopwatch = Stopwatch::start();
        if batch.serve.is_some() || batch.stopping {
            inserts::wait_for_all(shared);
            // More of them may have failed.
            let failed = lock(&shared.queue).serve.take();
            batch.serve = batch.serve.or(failed);
        } else if shared.store.inserts_max() > 0 {
            inserts::start(shared, &mut batch.jobs, batch.oldest_s);
        }
        let mark_due = since_mark_s >= MARK_EVERY_S || batch.stopping;
        let nothing_to_do =
            batch.jobs.is_empty() && batch.serve.is_none() && batch.losses.is_empty() && !mark_due;
        let stopping = batch.stopping;
        if !nothing_to_do && commit(shared, batch, now_s, mark_due) {
            marked_s = if mark_due { now_s } else { marked_s };
        }
        took = stopwatch.elapsed();
        if stopping && lock(&shared.queue).jobs.is_empty() {
            return;
        }
    }
}

/// The current second has partly passed, so covering starts with the next one.
fn serve_change(shared: &WriterShared, queue: &WriteQueue, reason: Reason) -> Change {
    Change::Serve { at_s: shared.clock.now_s() + 1, accounts: queue.served.clone(), reason }
}

/// Waits until there are jobs and they may be taken, at most a tick.
fn next_batch(shared: &WriterShared) -> JobBatch {
    let waited = Stopwatch::start();
    let mut queue = lock(&shared.queue);
    let mut pause = pause_before(shared, &queue);
    while !pause.is_zero() && waited.elapsed() < TICK {
        let pause_now = pause.min(TICK.saturating_sub(waited.elapsed()));
        let woken = shared.wake.wait_timeout(queue, pause_now);
        queue = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        pause = pause_before(shared, &queue);
    }
    let (jobs, oldest_s) = if pause.is_zero() {
        (std::mem::take(&mut queue.jobs), queue.oldest_s.take())
    } else {
        (Vec::new(), None)
    };
    JobBatch {
        jobs,
        oldest_s,
        losses: std::mem::take(&mut queue.losses),
        serve: queue.serve.take(),
        stopping: queue.stopping,
    }
}

/// How long to wait for more jobs, or until these may be taken.
fn pause_before(shared: &WriterShared, queue: &WriteQueue) -> Duration {
    if queue.stopping || queue.serve.is_some() {
        return Duration::ZERO;
    }
    match (queue.jobs.is_empty(), shared.store.inserts_max()) {
        (true, _) => TICK,
        (false, 0) => Duration::ZERO,
        (false, max) => queue.inserts.pause(max).unwrap_or(TICK),
    }
}

fn loss_changes(losses: &Losses) -> impl Iterator<Item = Change> {
    let of = |account| {
        move |gap: &Gap| Change::Lose {
            account,
            from_s: gap.from_s,
            to_s: gap.to_s,
            reason: gap.reason.clone(),
        }
    };
    losses.iter().flat_map(move |(account, gaps)| gaps.iter().map(of(*account)))
}

/// Commits a batch and notifies its waiters. Returns true if it is durable.
fn commit(shared: &WriterShared, batch: JobBatch, now_s: i64, mark_due: bool) -> bool {
    let serving = batch.serve.clone();
    let mut changes: Vec<Change> = Vec::new();
    changes.extend(batch.serve.map(|reason| serve_change(shared, &lock(&shared.queue), reason)));
    // The losses must come before the mark, which would cover them otherwise.
    changes.extend(loss_changes(&batch.losses));
    let queue = lock(&shared.queue);
    // If an insert has just failed, its messages are not waiting any more. The accounts are served again before the next mark.
    if mark_due && queue.serve.is_none() {
        let lag_s = if batch.stopping { 0 } else { MARK_LAG_S };
        // After the last accepted connection, time is not covered.
        let taken_until_s = queue.last_accept.as_ref().map_or(i64::MAX, |moment| moment.unix_s);
        let waiting_s = queue.oldest_s.into_iter().chain(queue.inserts.oldest_s()).min();
        let waiting_s = waiting_s.map_or(i64::MAX, |oldest_s| oldest_s - MARK_BEFORE_WAITING_S);
        let at_s = (now_s - lag_s).min(taken_until_s).min(waiting_s);
        changes.push(Change::Mark { at_s });
        let last_accept = queue.last_accept.as_ref().filter(|_| batch.stopping);
        changes.extend(last_accept.and_then(|moment| EndMark::new(moment, at_s, queue.socket).to_change()));
    }
    drop(queue);
    let waiters: Vec<Waiter> = batch.jobs.into_iter().map(|job| Waiter::of(job, &mut changes)).collect();
    let first = changes.len() - waiters.iter().map(Waiter::changes).sum::<usize>();
    let stopwatch = Stopwatch::start();
    *lock(&shared.committing) = Some(stopwatch);
    let result = shared.store.commit(&changes);
    *lock(&shared.committing) = None;
    if let Ok(outcomes) = &result {
        // Check before the waiters are notified. A missing outcome would acknowledge messages that are not stored. A
        // rejected change of the writer itself would cover time wrongly.
        assert_eq!(outcomes.len(), changes.len(), "an outcome for each change");
        let own = outcomes.iter().take(first);
        own.for_each(|outcome| assert_eq!(*outcome, Outcome::Noted, "the writer's own changes are taken"));
    }
    shared.metrics.commit(stopwatch.elapsed(), waiters.len(), result.is_ok());
    note_result(shared, serving, batch.losses, result.as_ref().err());
    notify_waiters(shared, waiters, result, first);
    !shared.is_faulty.load(Ordering::Relaxed)
}

/// Notes whether commits work. After a fault, puts the losses back into the queue and serves all accounts again, with a
/// gap since the last mark.
fn note_result(shared: &WriterShared, served: Option<Reason>, losses: Losses, error: Option<&NotDurable>) {
    let mut queue = lock(&shared.queue);
    if error.is_some() {
        // The start itself, or the time after the last mark, is not durable yet.
        queue.serve_anew(served.unwrap_or(Reason::NotDurable));
        for (account, gaps) in losses {
            gaps.into_iter().for_each(|gap| queue.lose(account, gap));
        }
    }
    // After a failed insert, the fault lasts until the accounts are served again.
    let is_over = error.is_none() && queue.serve.is_none();
    let changed = if error.is_some() || is_over { shared.set_fault(&queue, error) } else { None };
    drop(queue);
    shared.log_fault(changed, error);
    if error.is_some() {
        // Wait a little, so that failing commits do not spin. Without jobs the next try comes after a tick.
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Keeps the summaries current, saves pages and frees memory at intervals, until the queue stops.
pub fn maintain(shared: &WriterShared) {
    let mut pause = TICK;
    while !lock(&shared.queue).stopping {
        let queue = lock(&shared.queue);
        if !queue.stopping {
            drop(shared.end.wait_timeout(queue, pause));
        }
        shared.store.refresh_summaries(shared.clock.now_s());
        pause = match shared.store.maintain(false) {
            Ok(()) => TICK,
            Err(error) => {
                if shared.store.is_shared() {
                    tracing::error!(%error, "it cannot be read what the other processes do; trying again");
                } else {
                    tracing::error!(%error, "pages cannot be saved; messages stay in the log until they can");
                }
                PAUSE_AFTER_FAILED_SAVE
            }
        };
    }
}
