//! A backup folder that receives a new backup. Until the manifest is replaced, it holds the former backup, unchanged.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use system::files;

use super::{BackupError, Manifest, PartId, manifest, stream::Piece};
use crate::store::disk::Disk;

/// The folder of the parts, inside the backup folder.
const PARTS: &str = "parts";
const LOCK: &str = "lock";
/// The extension of a file that is being written.
const UNFINISHED: &str = "new";

/// The result of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// The moment whose state it holds, in Unix seconds.
    pub at_s: i64,
    /// Number of its parts.
    pub parts: u64,
    /// Bytes of all its parts.
    pub bytes: u64,
    /// Number of parts that were not there before.
    pub new_parts: u64,
    /// Bytes of the new parts.
    pub new_bytes: u64,
}

/// A backup folder that receives a backup. If the backup is not finished, what was written is removed again.
#[derive(Debug)]
pub struct BackupFolder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    former: Option<Manifest>,
    /// Undamaged parts that were in the folder before, with their size in bytes.
    known: HashMap<PartId, u64>,
    /// Parts that were written for this backup, with their size in bytes.
    new: HashMap<PartId, u64>,
    _lock: File,
}

/// The path of a part's file.
pub fn part_path(folder: &Path, id: PartId) -> PathBuf {
    folder.join(PARTS).join(id.to_string())
}

/// Locks a backup folder for this process.
pub fn lock_folder(folder: &Path) -> Result<File, BackupError> {
    let path = folder.join(LOCK);
    let opened = File::options().create(true).append(true).open(&path);
    // A backup on a read-only disk can still be read. Then the folder itself is locked if it has no lock file.
    let opened = opened.or_else(|error| File::open(&path).or_else(|_| File::open(folder)).map_err(|_| error));
    let file = opened.map_err(BackupError::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::FolderInUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(BackupError::File { path, source }),
    }
}

impl BackupFolder {
    /// Opens a folder, or creates it. Reads each part in it, so that damaged ones are sent again and replaced.
    /// `progress` gets the number of bytes read so far.
    pub fn open(
        path: &Path,
        disk: Arc<dyn Disk>,
        progress: &dyn Fn(u64),
    ) -> Result<BackupFolder, BackupError> {
        let file_error = BackupError::file(path);
        if !path.exists() {
            files::create_folder(path).map_err(&file_error)?;
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(&file_error)? {
            let name = entry.file_name();
            if !["lock", "parts", "manifest", "manifest.new"].iter().any(|known| name == *known) {
                return Err(BackupError::NotABackup { path: path.to_owned() });
            }
        }
        let lock = lock_folder(path)?;
        let former = Manifest::read(path)?;
        let parts = path.join(PARTS);
        files::create_folder(&parts).map_err(BackupError::file(&parts))?;
        files::remove_with_extension(&parts, UNFINISHED).map_err(BackupError::file(&parts))?;
        let known = whole_parts(&parts, progress)?;
        Ok(BackupFolder { path: path.to_owned(), disk, former, known, new: HashMap::new(), _lock: lock })
    }

    /// Parts that need not be sent.
    pub fn known(&self) -> impl Iterator<Item = PartId> {
        self.known.keys().copied()
    }

    /// Stores a piece. Returns a summary after the last one, when the backup is finished.
    pub fn take(&mut self, piece: Piece) -> Result<Option<BackupSummary>, BackupError> {
        match piece {
            Piece::Start(start) => match &self.former {
                Some(former) if former.identity != start.identity => {
                    Err(BackupError::OtherData { path: self.path.clone() })
                }
                _ => Ok(None),
            },
            Piece::Part(bytes) => self.put_part(&bytes).map(|()| None),
            Piece::Known(id, _) if !self.known.contains_key(&id) => {
                Err(BackupError::Stream("a part is missing"))
            }
            Piece::Known(..) => Ok(None),
            Piece::Failed(why) => Err(BackupError::Server(why)),
            Piece::Manifest(bytes) => self.finish(&bytes).map(Some),
        }
    }

    fn put_part(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let id = PartId::of(bytes);
        if !self.known.contains_key(&id) && !self.new.contains_key(&id) {
            let path = part_path(&self.path, id);
            self.replace(&path, bytes)?;
            self.new.insert(id, bytes.len() as u64);
        }
        Ok(())
    }

    /// Writes a file durably and replaces the former one atomically.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
        let new = path.with_extension(UNFINISHED);
        let written = (|| {
            files::remove(&new)?;
            let mut file = self.disk.create(&new)?;
            file.append(bytes)?;
            file.sync()?;
            self.disk.replace(&new, path)
        })();
        written.map_err(|source| {
            // The disk may be full, and a partial file only takes space.
            let _ = files::remove(&new);
            BackupError::File { path: path.to_owned(), source }
        })
    }

    fn finish(&mut self, bytes: &[u8]) -> Result<BackupSummary, BackupError> {
        let path = self.path.join(manifest::NAME);
        let manifest = Manifest::decode(bytes, &path).map_err(|error| match error {
            BackupError::Damaged { .. } => BackupError::Stream("the manifest is damaged"),
            error => error,
        })?;
        let parts = manifest.parts();
        let is_here = |(id, bytes): (&PartId, &u64)| self.known.get(id).or(self.new.get(id)) == Some(bytes);
        if !parts.iter().all(is_here) {
            return Err(BackupError::Stream("a part is missing"));
        }
        self.replace(&path, bytes)?;
        let summary = BackupSummary {
            at_s: manifest.at_s,
            parts: parts.len() as u64,
            bytes: parts.values().sum(),
            new_parts: self.new.len() as u64,
            new_bytes: self.new.values().sum(),
        };
        self.new.clear();
        // The backup is finished. If a part that is no longer needed cannot be removed, the next backup removes it.
        if let Ok(entries) = fs::read_dir(self.path.join(PARTS)) {
            for entry in entries.filter_map(Result::ok) {
                let id = entry.file_name().to_str().and_then(PartId::parse);
                if !id.is_some_and(|id| parts.contains_key(&id)) {
                    let _ = files::remove(&entry.path());
                }
            }
        }
        Ok(summary)
    }
}

impl Drop for BackupFolder {
    fn drop(&mut self) {
        if self.new.is_empty() {
            return;
        }
        // The manifest is read again: if only the sync of the folder failed, it is already the new one. If it cannot be
        // read, nothing is removed.
        let Ok(manifest) = Manifest::read(&self.path) else { return };
        // The former manifest may list a new part, too: one that replaced a damaged file.
        let listed = manifest.map(|manifest| manifest.parts()).unwrap_or_default();
        for id in self.new.keys().filter(|id| !listed.contains_key(id)) {
            let _ = files::remove(&part_path(&self.path, *id));
        }
    }
}

fn whole_parts(parts: &Path, progress: &dyn Fn(u64)) -> Result<HashMap<PartId, u64>, BackupError> {
    let file_error = BackupError::file(parts);
    let mut whole = HashMap::new();
    let mut bytes_read = 0;
    for entry in fs::read_dir(parts).map_err(&file_error)? {
        let path = entry.map_err(&file_error)?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()).and_then(PartId::parse) else {
            continue;
        };
        let bytes = fs::read(&path).map_err(BackupError::file(&path))?;
        bytes_read += bytes.len() as u64;
        progress(bytes_read);
        if PartId::of(&bytes) == id {
            whole.insert(id, bytes.len() as u64);
        }
    }
    Ok(whole)
}
