//! Saving pages, so that the log before them can go, and letting go of clean pages, so that memory stays bounded.
//!
//! Messages go on being taken meanwhile: each account is saved as it is at its turn, and replaying a frame whose
//! messages are in the pages already changes nothing.

use std::sync::{Arc, atomic::Ordering};

use counting::{MergeStep, Snapshot, varint};

use super::{
    Cell, Embedded,
    log::Log,
    pages::{Save, page_key, users_key},
    recover::{
        META_ACCOUNTS, META_EVENT_NAMES, META_FACTS, META_FIRST_FRAME, META_FORMAT, META_VERSION,
        format_value, version_value,
    },
};
use crate::store::StoreError;
use system::sync::lock;

/// With less log than this, memory is not worth a save.
const LOG_BYTES_WORTH_SAVING: u64 = 256 << 10;
/// So many bytes of pages in memory may have changed for each byte of log, where pages are saved early.
const CHANGED_BYTES_MAX: u64 = 8;
/// Each time half of an account's clean pages goes.
const EVICTION_ROUNDS: usize = 6;

impl Embedded {
    /// See [`crate::store::Store::maintain`].
    pub fn maintain(&self, now: bool) -> Result<(), StoreError> {
        let log_bytes = self.log_bytes.load(Ordering::Relaxed);
        let memory_bytes = self.memory_bytes();
        self.memory_bytes.store(memory_bytes as u64, Ordering::Relaxed);
        let too_much_memory = memory_bytes > self.options.memory_bytes;
        let worth_it = too_much_memory && log_bytes > LOG_BYTES_WORTH_SAVING;
        if (now && log_bytes > 0)
            || log_bytes > self.options.log_bytes
            || worth_it
            || self.is_cheap(log_bytes)
        {
            self.save()?;
            self.merge_users()?;
        }
        if too_much_memory {
            self.evict();
        }
        Ok(())
    }

    /// True if there is an eighth of the log that may be, and saving writes little for it. Messages of many days, as a bulk
    /// upload of a year may bring them, wait for more of them: each save writes all of these days.
    fn is_cheap(&self, log_bytes: u64) -> bool {
        log_bytes > self.options.log_bytes / 8 && {
            let cells = self.read_accounts().by_number.clone();
            let changed: usize = cells.iter().map(|cell| lock(&cell.figures).changed_bytes()).sum();
            changed as u64 <= log_bytes * CHANGED_BYTES_MAX
        }
    }

    fn save(&self) -> Result<(), StoreError> {
        let _one_at_a_time = lock(&self.saving);
        let (first_frame, log_bytes, mut save) = self.cut()?;
        let mut snapshots: Vec<(Arc<Cell>, Snapshot)> = Vec::new();
        let cells = self.read_accounts().by_number.clone();
        for cell in cells {
            let mut figures = lock(&cell.figures);
            if figures.has_changed() {
                let mut snapshot = figures.snapshot();
                drop(figures);
                let pages = std::mem::take(&mut snapshot.pages).into_iter();
                save.pages.extend(pages.map(|(key, value)| (page_key(cell.number, key), value)));
                snapshots.push((cell, snapshot));
            }
        }
        self.pages.save(&save)?;
        snapshots.iter().for_each(|(cell, snapshot)| lock(&cell.figures).saved(snapshot));
        let mut small = lock(&self.small);
        save.asides.iter().for_each(|(key, _)| drop(small.asides.remove(key)));
        drop(small);
        lock(&self.log).saved(log_bytes);
        Log::remove_before(&self.log_folder, first_frame)
    }

    /// Sorts users that came last into pages where they are many, so that most users need no memory.
    fn merge_users(&self) -> Result<(), StoreError> {
        let _one_at_a_time = lock(&self.saving);
        let cells = self.read_accounts().by_number.clone();
        for cell in cells {
            let merge = lock(&cell.figures).merge(self.options.recent_users());
            if let Some(mut merge) = merge {
                let cold = self.pages.of_account(cell.number);
                while let Some(step) = merge.step(&cold).map_err(|error| self.pages.cold(error))? {
                    self.pages.save(&save_of(cell.number, step))?;
                }
                lock(&cell.figures).merged(&merge);
            }
        }
        Ok(())
    }

    /// Cuts the log, and takes all small things as they are at the cut.
    fn cut(&self) -> Result<(u64, u64, Save), StoreError> {
        let mut log = lock(&self.log);
        let log_bytes = log.bytes();
        let file_error = |source| StoreError::File { path: self.log_folder.clone(), source };
        let first_frame = log.rotate().map_err(file_error)?;
        let small = lock(&self.small);
        let mut number = Vec::new();
        varint::put(&mut number, first_frame);
        let meta = vec![
            (META_FORMAT, format_value()),
            (META_VERSION, version_value()),
            (META_FIRST_FRAME, number),
            (META_ACCOUNTS, self.encode_accounts()),
            (META_EVENT_NAMES, small.names.encode()),
            (META_FACTS, small.encode_facts()),
        ];
        let asides = small.asides.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok((first_frame, log_bytes, Save { asides, meta, ..Save::default() }))
    }

    /// Users and pages in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.read_accounts().by_number.iter().map(|cell| lock(&cell.figures).bytes()).sum()
    }

    fn evict(&self) {
        for _ in 0..EVICTION_ROUNDS {
            for cell in &self.read_accounts().by_number {
                let mut figures = lock(&cell.figures);
                figures.evict();
                if figures.is_idle() {
                    *figures = self.options.figures();
                }
            }
            if self.memory_bytes() <= self.options.memory_bytes {
                break;
            }
        }
    }
}

fn save_of(account: u32, step: MergeStep) -> Save {
    let removed_users = step.removed.iter().map(|first| users_key(account, first));
    let users = step.sorted.into_iter().map(|(first, page)| (users_key(account, &first), page));
    let pages = step.pages.into_iter().map(|(key, page)| (page_key(account, key), page));
    let removed = step.removed_pages.into_iter().map(|key| page_key(account, key));
    Save {
        pages: pages.collect(),
        removed: removed.collect(),
        removed_users: removed_users.collect(),
        users: users.collect(),
        ..Save::default()
    }
}
