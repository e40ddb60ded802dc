//! A disk with faults to order: writes and syncs that fail, with what was written kept or lost, files that cannot be
//! made, and power losses that leave of each file what was synced and anything of the rest.

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

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Operations that still work.
    pub after: usize,
    /// Operations that fail from then on.
    pub times: usize,
    /// Of a write that fails, these bytes arrive.
    pub written: usize,
    /// After a failed sync what was written is gone, else it is there and not durable.
    pub lost: bool,
}

/// What a power loss leaves behind the synced part of a file.
#[derive(Clone, Debug)]
pub enum Tail {
    Nothing,
    /// The first bytes of what was written.
    Cut(usize),
    /// The first bytes, then zeros up to the end.
    Zeros(usize),
    Garbage(Vec<u8>),
}

#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// Syncs wait, and how many do.
    gate: Option<usize>,
    /// How much of each file survives a power loss.
    synced: BTreeMap<PathBuf, Arc<AtomicU64>>,
}

#[derive(Debug)]
struct FaultyFile {
    file: File,
    /// Whatever it is named.
    synced: Arc<AtomicU64>,
    disk: Arc<Shared>,
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on this faulty disk")
}

impl Shared {
    /// Counts an operation; the fault if it fails.
    fn step(&self) -> Option<Fault> {
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

    /// Fails everything until [`FaultyDisk::mend`].
    pub fn break_down(&self) {
        self.plan(Fault { after: 0, times: usize::MAX, written: 7, lost: true });
    }

    pub fn mend(&self) {
        self.0.state.lock().unwrap().fault = None;
    }

    /// Lets syncs wait until [`FaultyDisk::open_gate`].
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

    /// Leaves of each file what was synced, and `tail` of the rest. What is there afterwards is durable.
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
        if self.0.step().is_some() {
            return Err(full());
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let synced = Arc::<AtomicU64>::default();
        self.0.state.lock().unwrap().synced.insert(path.to_owned(), synced.clone());
        Ok(Box::new(FaultyFile { file, synced, disk: self.0.clone() }))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0.step().is_some() {
            return Err(full());
        }
        fs::rename(from, to)?;
        let synced = &mut self.0.state.lock().unwrap().synced;
        let bytes = synced.remove(from).unwrap();
        synced.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn settle(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.0.step().is_some() {
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
        let Some(fault) = self.disk.step() else { return self.file.write_all(bytes) };
        self.file.write_all(&bytes[..fault.written.min(bytes.len())])?;
        Err(full())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.pass_gate();
        let fault = self.disk.step();
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

/// A folder that goes away; in memory where the machine offers that, since its syncs are not what is tried.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
