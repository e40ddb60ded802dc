//! The queue on disk: a B-tree file (redb), with the entries of each target in order. One thread writes: all
//! waiting changes become durable with one sync.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use system::{disposable_db, sync::lock};
use tokio::sync::oneshot;

const COPIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("copies");
const CACHE_BYTES: usize = 4 << 20;
/// Limits of bytes that wait for one target, and for all targets together.
const TARGET_BYTES_MAX: u64 = 64 << 20;
const BYTES_MAX: u64 = 1 << 30;
/// Limit of changes in one transaction.
const BATCH_MAX: usize = 1024;

/// Identifies a target.
pub type TargetId = [u8; 16];
/// Target (16 bytes), then the number of the entry (big-endian).
pub type EntryKey = [u8; 24];

/// Whether an entry was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendResult {
    Stored,
    Full,
}

/// The open file.
#[derive(Debug)]
pub struct Queue {
    database: std::sync::Arc<Database>,
    changes: Mutex<mpsc::Sender<QueueChange>>,
    waiting: Mutex<BTreeMap<TargetId, WaitingBytes>>,
    next: AtomicU64,
    /// After a disk error the file must be opened again.
    is_broken: std::sync::Arc<AtomicBool>,
}

/// Bytes that wait for one target.
#[derive(Clone, Copy, Debug, Default)]
struct WaitingBytes {
    /// Includes entries that are not durable yet.
    bytes: u64,
    durable: u64,
}

/// The first (0) or last (255) key of a target.
fn edge(target: &TargetId, filled_with: u8) -> EntryKey {
    let mut key = [filled_with; 24];
    key[..16].copy_from_slice(target);
    key
}

/// Key and sealed bytes of an entry.
pub type EntryRow = (EntryKey, Vec<u8>);

#[derive(Debug)]
enum QueueChange {
    Add(Vec<EntryRow>, oneshot::Sender<Result<(), String>>),
    Remove(Vec<EntryKey>, oneshot::Sender<Result<(), String>>),
}

impl Queue {
    /// Opens the file, or creates it. A damaged file is set aside.
    pub fn open(path: &Path) -> Result<Queue, String> {
        let database = disposable_db::open_or_recreate(path, CACHE_BYTES)?;
        let (waiting, last) = read_totals(&database).map_err(|error| error.to_string())?;
        let database = std::sync::Arc::new(database);
        let is_broken = std::sync::Arc::new(AtomicBool::new(false));
        let (changes, received) = mpsc::channel();
        std::thread::spawn({
            let (database, is_broken) = (database.clone(), is_broken.clone());
            move || write(&database, &received, &is_broken)
        });
        let (changes, waiting) = (Mutex::new(changes), Mutex::new(waiting));
        Ok(Queue { database, changes, waiting, next: AtomicU64::new(last + 1), is_broken })
    }

    /// True after a disk error.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// Bytes that wait for all targets.
    pub fn bytes(&self) -> u64 {
        lock(&self.waiting).values().map(|waiting| waiting.bytes).sum()
    }

    /// Stores a sealed entry durably for each target that has room.
    pub async fn append(&self, targets: &[TargetId], sealed: &[u8]) -> Result<Vec<AppendResult>, String> {
        let bytes = sealed.len() as u64;
        let results: Vec<AppendResult> = targets.iter().map(|target| self.reserve(*target, bytes)).collect();
        let stored_targets = || {
            targets
                .iter()
                .zip(&results)
                .filter(|(_, result)| **result == AppendResult::Stored)
                .map(|(target, _)| target)
        };
        let rows: Vec<EntryRow> =
            stored_targets().map(|target| (self.next_key(target), sealed.to_vec())).collect();
        if rows.is_empty() {
            return Ok(results);
        }
        let (sender, receiver) = oneshot::channel();
        let done = self.change(QueueChange::Add(rows, sender), receiver).await;
        for target in stored_targets() {
            match &done {
                Ok(()) => lock(&self.waiting).entry(*target).or_default().durable += bytes,
                Err(_) => self.release(target, bytes, 0),
            }
        }
        done.map(|()| results)
    }

    fn next_key(&self, target: &TargetId) -> EntryKey {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut key = EntryKey::default();
        key[..16].copy_from_slice(target);
        key[16..].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// The oldest entries of a target after `after`, still sealed.
    pub fn oldest(
        &self,
        target: &TargetId,
        after: Option<EntryKey>,
        limit: usize,
    ) -> Result<Vec<EntryRow>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(COPIES)?;
        let first = after.unwrap_or_else(|| edge(target, 0));
        let last = edge(target, u8::MAX);
        let rows = table.range(first.as_slice()..=last.as_slice())?;
        let rows = rows.map(|row| {
            let (key, value) = row?;
            let mut copy = EntryKey::default();
            copy.copy_from_slice(key.value());
            Ok((copy, value.value().to_vec()))
        });
        rows.filter(|row| row.as_ref().map_or(true, |(key, _)| after != Some(*key))).take(limit).collect()
    }

    /// How many entries wait for a target.
    pub fn number(&self, target: &TargetId) -> Result<usize, redb::Error> {
        let transaction = self.database.begin_read()?;
        let (first, last) = (edge(target, 0), edge(target, u8::MAX));
        Ok(transaction.open_table(COPIES)?.range(first.as_slice()..=last.as_slice())?.count())
    }

    /// Removes entries.
    pub async fn remove(&self, entries: Vec<(EntryKey, u64)>) -> Result<(), String> {
        let (sender, receiver) = oneshot::channel();
        let keys = entries.iter().map(|(key, _)| *key).collect();
        self.change(QueueChange::Remove(keys, sender), receiver).await?;
        for (key, bytes) in entries {
            let mut target = TargetId::default();
            target.copy_from_slice(&key[..16]);
            self.release(&target, bytes, bytes);
        }
        Ok(())
    }

    /// Targets that have durable entries.
    pub fn targets(&self) -> Vec<TargetId> {
        let waiting = lock(&self.waiting);
        waiting.iter().filter(|(_, waiting)| waiting.durable > 0).map(|(target, _)| *target).collect()
    }

    async fn change(
        &self,
        change: QueueChange,
        receiver: oneshot::Receiver<Result<(), String>>,
    ) -> Result<(), String> {
        let stopped = || "the thread that writes copies has ended".to_owned();
        lock(&self.changes).send(change).map_err(|_| stopped())?;
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn reserve(&self, target: TargetId, bytes: u64) -> AppendResult {
        let mut waiting = lock(&self.waiting);
        let all: u64 = waiting.values().map(|waiting| waiting.bytes).sum();
        let of_target = waiting.get(&target).map_or(0, |waiting| waiting.bytes);
        if of_target + bytes > TARGET_BYTES_MAX || all + bytes > BYTES_MAX {
            return AppendResult::Full;
        }
        waiting.entry(target).or_default().bytes += bytes;
        AppendResult::Stored
    }

    fn release(&self, target: &TargetId, bytes: u64, durable: u64) {
        let mut waiting = lock(&self.waiting);
        if let Some(left) = waiting.get_mut(target) {
            left.bytes = left.bytes.saturating_sub(bytes);
            left.durable = left.durable.saturating_sub(durable);
            if left.bytes == 0 {
                waiting.remove(target);
            }
        }
    }
}

/// Reads the bytes of each target, and the highest number in use.
fn read_totals(database: &Database) -> Result<(BTreeMap<TargetId, WaitingBytes>, u64), redb::Error> {
    let transaction = database.begin_write()?;
    let (mut waiting, mut last) = (BTreeMap::new(), 0);
    {
        let table = transaction.open_table(COPIES)?;
        for row in table.iter()? {
            let (key, value) = row?;
            let Some((target, number)) = key.value().split_first_chunk::<16>() else { continue };
            let bytes = value.value().len() as u64;
            let of_target: &mut WaitingBytes = waiting.entry(*target).or_default();
            *of_target = WaitingBytes { bytes: of_target.bytes + bytes, durable: of_target.durable + bytes };
            last = last.max(number.try_into().map_or(0, u64::from_be_bytes));
        }
    }
    transaction.commit()?;
    Ok((waiting, last))
}

/// Writes until the queue is dropped.
fn write(database: &Database, changes: &mpsc::Receiver<QueueChange>, is_broken: &AtomicBool) {
    while let Ok(first) = changes.recv() {
        let rest = changes.try_iter().take(BATCH_MAX - 1);
        let batch: Vec<QueueChange> = std::iter::once(first).chain(rest).collect();
        let done = commit(database, &batch).map_err(|error| error.to_string());
        if done.is_err() {
            is_broken.store(true, Ordering::Release);
        }
        for change in batch {
            let (QueueChange::Add(_, sender) | QueueChange::Remove(_, sender)) = change;
            // The caller may have stopped waiting.
            let _ = sender.send(done.clone());
        }
    }
}

fn commit(database: &Database, batch: &[QueueChange]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(COPIES)?;
        for change in batch {
            match change {
                QueueChange::Add(rows, _) => {
                    for (key, value) in rows {
                        table.insert(key.as_slice(), value.as_slice())?;
                    }
                }
                QueueChange::Remove(keys, _) => {
                    for key in keys {
                        table.remove(key.as_slice())?;
                    }
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: TargetId = [7; 16];

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn order_and_bounds_hold_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copies.redb");
        let eighth = vec![1; 8 << 20];
        runtime().block_on(async {
            let queue = Queue::open(&path).unwrap();
            for number in 0..10_u8 {
                let mut sealed = eighth.clone();
                sealed[0] = number;
                let result = queue.append(&[TARGET], &sealed).await.unwrap()[0];
                assert_eq!(
                    result,
                    if number < 8 { AppendResult::Stored } else { AppendResult::Full },
                    "{number}"
                );
            }
            assert_eq!(
                queue.append(&[[8; 16]], &[1]).await.unwrap()[0],
                AppendResult::Stored,
                "another target has room"
            );
        });
        runtime().block_on(async {
            let queue = loop {
                // The thread of the first queue closes the file at some later time.
                match Queue::open(&path) {
                    Ok(queue) => break queue,
                    Err(_) => std::thread::yield_now(),
                }
            };
            assert_eq!(queue.bytes(), (64 << 20) + 1);
            assert_eq!(queue.append(&[TARGET], &eighth).await.unwrap()[0], AppendResult::Full);
            let oldest = queue.oldest(&TARGET, None, 3).unwrap();
            assert_eq!(oldest.iter().map(|(_, value)| value[0]).collect::<Vec<_>>(), [0, 1, 2]);
            let after = queue.oldest(&TARGET, Some(oldest[1].0), 1).unwrap();
            assert_eq!(after[0].1[0], 2);
            let taken = oldest.into_iter().map(|(key, value)| (key, value.len() as u64)).collect();
            queue.remove(taken).await.unwrap();
            assert_eq!(queue.oldest(&TARGET, None, 1).unwrap()[0].1[0], 3);
            assert_eq!(queue.append(&[TARGET], &eighth).await.unwrap()[0], AppendResult::Stored);
        });
    }

    #[test]
    fn a_file_that_makes_no_sense_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copies.redb");
        std::fs::write(&path, "no database".repeat(1000)).unwrap();
        assert_eq!(Queue::open(&path).unwrap().bytes(), 0);
        assert!(path.with_extension("damaged").exists());
    }
}
