//! Whether commits work, and what is said when that changes.

use std::{sync::atomic::Ordering, time::Duration};

use system::sync::lock;

use super::{Ingest, WriteQueue, WriterShared};
use crate::store::NotDurable;

/// A commit that takes longer is reported as a fault.
pub const COMMIT_TIME_MAX: Duration = Duration::from_secs(5);

impl Ingest {
    /// Why commits fail or hang at the moment. None if they work.
    pub fn fault(&self) -> Option<String> {
        let committing = lock(&self.shared.committing).map(|stopwatch| stopwatch.elapsed());
        let running = committing.max(lock(&self.shared.queue).inserts.longest());
        match running.filter(|running| *running > COMMIT_TIME_MAX) {
            Some(running) => {
                let what =
                    if self.shared.store.is_shared() { "ClickHouse or PostgreSQL" } else { "the disk" };
                Some(format!("{what} has not answered for {} s", running.as_secs()))
            }
            None => lock(&self.shared.fault).clone(),
        }
    }
}

impl WriterShared {
    /// Sets or ends the fault. The queue is locked, so that this and what the queue says of it change together. Returns
    /// true if a fault begins, false if it ends, and None if nothing changes.
    pub fn set_fault(&self, _queue: &WriteQueue, fault: Option<&NotDurable>) -> Option<bool> {
        let was_faulty = self.is_faulty.swap(fault.is_some(), Ordering::Relaxed);
        if fault.is_some() || was_faulty {
            *lock(&self.fault) = fault.map(ToString::to_string);
        }
        (was_faulty != fault.is_some()).then_some(fault.is_some())
    }

    /// Logs what `set_fault` returned. Without the lock, since a log may be slow.
    pub fn log_fault(&self, changed: Option<bool>, fault: Option<&NotDurable>) {
        match (changed, fault) {
            (Some(true), Some(error)) if self.store.is_shared() => {
                tracing::error!(%error, "commits fail; callbacks are not acknowledged until ClickHouse and PostgreSQL confirm them");
            }
            (Some(true), Some(error)) => {
                tracing::error!(%error, "commits fail; callbacks are not acknowledged until this is fixed; check disk space and permissions");
            }
            (Some(false), _) => {
                tracing::info!("commits succeed again; the time in between is a gap (not_durable)");
            }
            _ => {}
        }
    }
}
