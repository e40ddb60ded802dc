//! Who waits for a job, and how they are told.

use super::{Job, WriterShared};
use crate::store::{Change, NotDurable, Outcome};

/// From this number of waiters on, notifying them from the runtime is cheaper.
pub const MANY_WAITERS: usize = 8;

/// Who waits for the outcomes of a job.
pub enum Waiter {
    One(tokio::sync::oneshot::Sender<Result<Outcome, NotDurable>>),
    Many(tokio::sync::oneshot::Sender<Result<Vec<Outcome>, NotDurable>>, usize),
}

impl Job {
    /// True if it stores messages and nothing else.
    pub fn is_of_messages(&self) -> bool {
        let is_message =
            |change: &Change| matches!(change, Change::Message { .. } | Change::Quarantine { .. });
        match self {
            Job::One(change, _) => is_message(change),
            Job::Many(changes, _) => changes.iter().all(is_message),
        }
    }
}

impl Waiter {
    /// The waiter of a job, whose changes are added to the others.
    pub fn of(job: Job, changes: &mut Vec<Change>) -> Waiter {
        match job {
            Job::One(change, sender) => {
                changes.push(change);
                Waiter::One(sender)
            }
            Job::Many(many, sender) => {
                let count = many.len();
                changes.extend(many);
                Waiter::Many(sender, count)
            }
        }
    }

    /// How many changes it waits for.
    pub fn changes(&self) -> usize {
        match self {
            Waiter::One(_) => 1,
            Waiter::Many(_, count) => *count,
        }
    }
}

/// Notifies all waiters, from the runtime if they are many.
pub fn notify_waiters(
    shared: &WriterShared,
    waiters: Vec<Waiter>,
    result: Result<Vec<Outcome>, NotDurable>,
    first: usize,
) {
    match &shared.notifier {
        Some(notifier) if waiters.len() >= MANY_WAITERS => {
            if let Err(unsent) = notifier.send(Box::new(move || send_outcomes(waiters, result, first))) {
                unsent.0();
            }
        }
        _ => send_outcomes(waiters, result, first),
    }
}

/// Sends each waiter its outcomes. A waiter that is gone is ignored.
fn send_outcomes(waiters: Vec<Waiter>, result: Result<Vec<Outcome>, NotDurable>, first: usize) {
    let mut outcomes = result.map(|outcomes| outcomes.into_iter().skip(first));
    for waiter in waiters {
        match (waiter, &mut outcomes) {
            (Waiter::One(sender), Ok(outcomes)) => {
                drop(sender.send(outcomes.next().ok_or_else(|| NotDurable("no outcome".to_owned()))));
            }
            (Waiter::Many(sender, count), Ok(outcomes)) => {
                drop(sender.send(Ok(outcomes.take(count).collect())));
            }
            (Waiter::One(sender), Err(error)) => drop(sender.send(Err(error.clone()))),
            (Waiter::Many(sender, _), Err(error)) => drop(sender.send(Err(error.clone()))),
        }
    }
}
