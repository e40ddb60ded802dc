//! How much was appended to the log since pages are being saved. A bulk upload can be faster than the disk. Then it waits,
//! because whatever comes during a save stays in memory until the next one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of log that came during the running save.
#[derive(Debug, Default)]
pub struct Backlog {
    is_saving: AtomicBool,
    bytes: AtomicU64,
}

impl Backlog {
    /// Pages are saved, users merged and memory freed by this.
    pub fn during<T>(&self, save: impl FnOnce() -> T) -> T {
        self.bytes.store(0, Ordering::Relaxed);
        self.is_saving.store(true, Ordering::Relaxed);
        let done = save();
        self.is_saving.store(false, Ordering::Relaxed);
        done
    }

    /// Bytes were appended to the log.
    pub fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// True if a save runs, and more than this came since it began.
    pub fn exceeds(&self, bytes: usize) -> bool {
        self.is_saving.load(Ordering::Relaxed) && self.bytes.load(Ordering::Relaxed) > bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_during_a_save_counts() {
        let backlog = Backlog::default();
        backlog.add(10);
        assert!(!backlog.exceeds(5));
        let during = backlog.during(|| {
            let before = backlog.exceeds(5);
            backlog.add(6);
            (before, backlog.exceeds(5), backlog.exceeds(6))
        });
        assert_eq!(during, (false, true, false));
        assert!(!backlog.exceeds(5));
    }
}
