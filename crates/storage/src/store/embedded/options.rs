//! What bounds the embedded store.

use std::sync::Arc;

use counting::Account;

use super::disk::{Disk, RealDisk};

/// Limits of memory and disk.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory in bytes for users and pages, and for the copies that a save and a merge make of them.
    pub memory_bytes: usize,
    /// Limit in bytes for the log that a restart replays. Above it, pages are saved.
    pub log_bytes: u64,
    /// A part of a month with fewer messages is united for each query.
    pub ends_messages: u64,
    /// Creates the log files. Tests replace it to inject faults.
    pub disk: Arc<dyn Disk>,
}

/// Memory for one user in the list of recent users, in bytes.
const RECENT_USER_BYTES: usize = 45;

impl Options {
    /// Limit in bytes for users and pages in memory. Above it, pages are evicted. The last quarter of the memory is for
    /// encoded pages of a save, for users that are being merged, and for what the allocator cannot return.
    pub(super) fn figures_bytes(&self) -> usize {
        self.memory_bytes - self.memory_bytes / 4
    }

    /// An account with nothing in memory. Users that are read from disk may take half of the memory.
    pub(super) fn figures(&self) -> Account {
        Account::within(self.memory_bytes / 2)
    }

    /// Limit of recent users for one account: an eighth of the memory. Above it, they are merged into sorted pages.
    pub(super) fn recent_users(&self) -> u32 {
        u32::try_from(self.memory_bytes / 8 / RECENT_USER_BYTES).unwrap_or(u32::MAX)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memory_bytes: 512 << 20,
            log_bytes: 64 << 20,
            ends_messages: 500_000,
            disk: Arc::new(RealDisk),
        }
    }
}
