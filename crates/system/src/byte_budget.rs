//! A limit on memory that many requests share, in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A limit in bytes for all its shares together. Clones share the limit.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Total>);

#[derive(Debug)]
struct Total {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// The bytes that one holder has taken from a budget. Dropping it gives them back.
#[derive(Debug)]
pub struct BudgetShare {
    budget: ByteBudget,
    bytes: usize,
}

impl ByteBudget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> ByteBudget {
        ByteBudget(Arc::new(Total { bytes: AtomicUsize::new(0), bytes_max }))
    }

    /// A share that holds nothing yet.
    pub fn new_share(&self) -> BudgetShare {
        BudgetShare { budget: self.clone(), bytes: 0 }
    }

    /// The bytes that all shares hold together.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl BudgetShare {
    /// Takes `bytes` more. Returns false if all shares together now exceed the limit; the caller must then drop this share.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let total = &self.budget.0;
        self.bytes += bytes;
        total.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= total.bytes_max
    }

    /// The bytes that this share holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.budget.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
