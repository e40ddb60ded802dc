//! Saves pages, so that the log before them can be removed, and evicts clean pages, so that memory stays bounded.
//!
//! Messages are received at the same time. Accounts are saved one after the other. That is safe, because replaying a
//! message that is already in the pages changes nothing.

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

/// With a log below this size, a save is not worth it to free memory.
const LOG_BYTES_WORTH_SAVING: u64 = 256 << 10;
/// For an early save, limit of changed bytes in memory for each byte of log.
const CHANGED_BYTES_MAX: u64 = 8;
/// Each round evicts half of an account's clean pages.
const EVICTION_ROUNDS: usize = 6;
/// Of the memory, the share for the log that comes during a save. In memory its messages take about five times as much.
const BACKLOG_SHARE: usize = 64;

impl Embedded {
    /// See [`crate::store::Store::maintain`].
    pub fn maintain(&self, now: bool) -> Result<(), StoreError> {
        let log_bytes = self.log_bytes.load(Ordering::Relaxed);
        let memory_bytes = self.memory_bytes();
        self.memory_bytes.store(memory_bytes as u64, Ordering::Relaxed);
        let worth_it = self.has_too_much_memory() && log_bytes > LOG_BYTES_WORTH_SAVING;
        if (now && log_bytes > 0)
            || log_bytes > self.options.log_bytes
            || worth_it
            || self.is_cheap(log_bytes)
        {
            let saved = || self.save().and_then(|()| self.merge_users()).map(|()| self.evict());
            self.backlog.during(saved)?;
        }
        self.evict();
        self.count_ends()
    }

    /// See [`crate::store::Store::is_behind`].
    pub fn is_behind(&self) -> bool {
        self.backlog.exceeds(self.options.memory_bytes / BACKLOG_SHARE)
    }

    fn has_too_much_memory(&self) -> bool {
        self.memory_bytes() > self.options.figures_bytes()
    }

    /// True if the log has reached an eighth of its limit and a save writes few pages for it. Messages of many days,
    /// for example a bulk upload of a year, wait longer: each save writes all of their days.
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
                self.want_ends(cell.number, snapshot.months_from(self.options.ends_messages));
                let pages = std::mem::take(&mut snapshot.pages).into_iter();
                save.pages.extend(pages.map(|(key, value)| (page_key(cell.number, key), value)));
                snapshots.push((cell, snapshot));
            }
        }
        self.pages.save(&save)?;
        snapshots.iter().for_each(|(cell, snapshot)| lock(&cell.figures).saved(snapshot));
        let mut facts = lock(&self.facts);
        save.quarantined.iter().for_each(|(key, _)| drop(facts.quarantined.remove(key)));
        drop(facts);
        lock(&self.log).saved(log_bytes);
        Log::remove_before(&self.log_folder, first_frame)
    }

    /// Merges recent users into sorted pages if there are many, so that most users need no memory.
    fn merge_users(&self) -> Result<(), StoreError> {
        let _one_at_a_time = lock(&self.saving);
        let cells = self.read_accounts().by_number.clone();
        for cell in cells {
            let merge = lock(&cell.figures).merge(self.options.recent_users());
            if let Some(mut merge) = merge {
                let source = self.pages.of_account(cell.number);
                while let Some(step) = merge.step(&source).map_err(|error| self.pages.read_error(error))? {
                    self.pages.save(&save_of(cell.number, step))?;
                }
                lock(&cell.figures).merged(&merge);
            }
        }
        Ok(())
    }

    /// Starts a new segment and copies the facts, event names and quarantined messages at that point. Returns the
    /// first frame of the new segment, the bytes of log before it, and the save.
    fn cut(&self) -> Result<(u64, u64, Save), StoreError> {
        let mut log = lock(&self.log);
        let log_bytes = log.bytes();
        let file_error = |source| StoreError::File { path: self.log_folder.clone(), source };
        let first_frame = log.rotate().map_err(file_error)?;
        let facts = lock(&self.facts);
        let mut number = Vec::new();
        varint::put(&mut number, first_frame);
        let meta = vec![
            (META_FORMAT, format_value()),
            (META_VERSION, version_value()),
            (META_FIRST_FRAME, number),
            (META_ACCOUNTS, self.encode_accounts()),
            (META_EVENT_NAMES, facts.event_names.encode()),
            (META_FACTS, facts.encode_facts()),
        ];
        let quarantined = facts.quarantined.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok((first_frame, log_bytes, Save { quarantined, meta, ..Save::default() }))
    }

    /// Bytes of users and pages in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.read_accounts().by_number.iter().map(|cell| lock(&cell.figures).bytes()).sum()
    }

    /// Evicts pages while there is too much in memory.
    fn evict(&self) {
        for _ in 0..EVICTION_ROUNDS {
            if !self.has_too_much_memory() {
                break;
            }
            for cell in &self.read_accounts().by_number {
                let mut figures = lock(&cell.figures);
                figures.evict();
                if figures.is_idle() {
                    *figures = self.options.figures();
                }
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
