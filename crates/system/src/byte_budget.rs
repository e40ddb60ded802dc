//! Bytes in memory that many share: together they stay within a bound, whoever they belong to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// So many bytes at the same time.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Total>);

#[derive(Debug)]
struct Total {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// What one of them holds; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A bound in bytes.
    pub fn new(bytes_max: usize) -> Budget {
        Budget(Arc::new(Total { bytes: AtomicUsize::new(0), bytes_max }))
    }

    /// Of nothing yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// What all hold.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes more. False if all of them now hold more than there may be: what was taken is to be let go.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let total = &self.budget.0;
        self.bytes += bytes;
        total.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= total.bytes_max
    }

    /// What this one holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
