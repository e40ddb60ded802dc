//! A disk that fails on demand: writes, syncs and new files fail, with or without the loss of unsynced bytes. A power
//! loss keeps the synced part of each file, and any part of the rest.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use storage::store::disk::{Disk, LogFile};

/// A planned failure of the disk.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Operations that still succeed first.
    pub after: usize,
    /// Operations that fail after that.
    pub times: usize,
    /// Bytes of a failed write that still reach the file.
    pub written: usize,
    /// True: a failed sync loses the unsynced bytes. False: they stay in the file but are not durable.
    pub lost: bool,
}

/// What follows the synced part of a file after a power loss.
#[derive(Clone, Debug)]
pub enum Tail {
    Nothing,
    /// So many bytes that were written but not synced.
    Cut(usize),
    /// So many unsynced bytes, then zeros up to the end.
    Zeros(usize),
    Garbage(Vec<u8>),
}

#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<DiskState>);

#[derive(Debug, Default)]
struct DiskState {
    state: Mutex<Plan>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct Plan {
    fault: Option<Fault>,
    /// Number of syncs that wait at the closed gate. `None` while the gate is open.
    gate: Option<usize>,
    /// Bytes of each file that survive a power loss.
    synced: BTreeMap<PathBuf, Arc<AtomicU64>>,
}

#[derive(Debug)]
struct FaultyFile {
    file: File,
    /// Bytes that survive a power loss. Shared with the disk, so that it stays right after a rename.
    synced: Arc<AtomicU64>,
    disk: Arc<DiskState>,
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on this faulty disk")
}

impl DiskState {
    /// Counts one operation. Returns the fault if this operation must fail.
    fn next_operation(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let fault = state.fault.as_mut()?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let now = *fault;
        fault.times -= 1;
        if fault.times == 0 {
            state.fault = None;
        }
        Some(now)
    }

    fn pass_gate(&self) {
        let mut state = self.state.lock().unwrap();
        while let Some(waiting) = &mut state.gate {
            *waiting += 1;
            self.opened.notify_all();
            state = self.opened.wait(state).unwrap();
        }
    }
}

impl FaultyDisk {
    pub fn plan(&self, fault: Fault) {
        self.0.state.lock().unwrap().fault = Some(fault);
    }

    /// Lets every operation fail until [`FaultyDisk::mend`].
    pub fn break_down(&self) {
        self.plan(Fault { after: 0, times: usize::MAX, written: 7, lost: true });
    }

    pub fn mend(&self) {
        self.0.state.lock().unwrap().fault = None;
    }

    /// Makes syncs wait until [`FaultyDisk::open_gate`].
    pub fn close_gate(&self) {
        self.0.state.lock().unwrap().gate = Some(0);
    }

    pub fn open_gate(&self) {
        self.0.state.lock().unwrap().gate = None;
        self.0.opened.notify_all();
    }

    /// Returns once a sync waits at the closed gate.
    pub fn wait_for_a_sync(&self) {
        let state = self.0.state.lock().unwrap();
        drop(self.0.opened.wait_while(state, |state| state.gate == Some(0)).unwrap());
    }

    /// Keeps the synced part of each file, and `tail` of the rest. All that is left counts as synced.
    pub fn lose_power(&self, tail: &Tail) {
        let mut state = self.0.state.lock().unwrap();
        state.fault = None;
        state.synced.retain(|path, _| path.exists());
        for (path, synced) in &mut state.synced {
            let mut bytes = fs::read(path).unwrap();
            let kept = usize::try_from(synced.load(Ordering::Relaxed)).unwrap().min(bytes.len());
            let unsynced = bytes.len() - kept;
            match tail {
                Tail::Nothing => bytes.truncate(kept),
                Tail::Cut(length) => bytes.truncate(kept + length % (unsynced + 1)),
                Tail::Zeros(length) => bytes[kept + length % (unsynced + 1)..].fill(0),
                Tail::Garbage(garbage) => {
                    bytes.truncate(kept);
                    bytes.extend(garbage.iter().take(if unsynced > 0 { garbage.len() } else { 0 }));
                }
            }
            fs::write(path, &bytes).unwrap();
            synced.store(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        if self.0.next_operation().is_some() {
            return Err(full());
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let synced = Arc::<AtomicU64>::default();
        self.0.state.lock().unwrap().synced.insert(path.to_owned(), synced.clone());
        Ok(Box::new(FaultyFile { file, synced, disk: self.0.clone() }))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.next_operation().is_some() {
            return Err(full());
        }
        fs::rename(from, to)?;
        let synced = &mut self.0.state.lock().unwrap().synced;
        let bytes = synced.remove(from).unwrap();
        synced.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn settle(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.0.next_operation().is_some() {
            return Err(full());
        }
        OpenOptions::new().write(true).open(path)?.write_all_at(bytes, at)?;
        let synced = Arc::new(AtomicU64::new(at + bytes.len() as u64));
        self.0.state.lock().unwrap().synced.insert(path.to_owned(), synced);
        Ok(())
    }
}

impl LogFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(fault) = self.disk.next_operation() else { return self.file.write_all(bytes) };
        self.file.write_all(&bytes[..fault.written.min(bytes.len())])?;
        Err(full())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.pass_gate();
        let fault = self.disk.next_operation();
        let length = self.file.metadata()?.len();
        match fault {
            None => {
                self.synced.store(length, Ordering::Relaxed);
                Ok(())
            }
            Some(fault) => {
                if fault.lost {
                    self.file.set_len(self.synced.load(Ordering::Relaxed))?;
                }
                Err(full())
            }
        }
    }
}

/// A temporary folder, in memory where possible: these tests need no real syncs.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
