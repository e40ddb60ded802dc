//! Creates a data folder from a backup. It is built beside its place under another name, and renamed at the end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use system::files;

use super::{
    BackupError, Manifest, PartId,
    folder::{lock_folder, part_path},
    manifest,
    manifest::Part,
    rows,
};
use crate::store::{PagesRestore, disk::Disk};

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreSummary {
    /// The moment whose state it holds, in Unix seconds.
    pub at_s: i64,
    /// Bytes of the parts that were read.
    pub bytes: u64,
}

/// Restores the backup in `folder` to `data_dir`, which must not exist or be empty. `progress` gets bytes done and all
/// bytes.
pub fn restore(
    folder: &Path,
    data_dir: &Path,
    disk: &Arc<dyn Disk>,
    progress: &dyn Fn(u64, u64),
) -> Result<RestoreSummary, BackupError> {
    let unfinished_backup = || BackupError::Unfinished { path: folder.to_owned() };
    if !folder.join(manifest::NAME).exists() {
        return Err(unfinished_backup());
    }
    let _lock = lock_folder(folder)?;
    let manifest = Manifest::read(folder)?.ok_or_else(unfinished_backup)?;
    check_empty(data_dir)?;
    let unfinished = unfinished_name(data_dir);
    // A killed restore may have left it. If it is locked, that restore is still running.
    let _left_over = if unfinished.exists() { Some(lock_folder(&unfinished)?) } else { None };
    remove_folder(&unfinished)?;
    let restore = Restore { folder, manifest: &manifest, disk: disk.as_ref(), progress };
    let done = restore.build(&unfinished).and_then(|bytes| {
        // This also replaces an empty folder.
        disk.replace(&unfinished, data_dir).map_err(BackupError::file(data_dir))?;
        Ok(RestoreSummary { at_s: manifest.at_s, bytes })
    });
    if done.is_err() {
        let _ = remove_folder(&unfinished);
    }
    done
}

fn check_empty(data_dir: &Path) -> Result<(), BackupError> {
    match fs::read_dir(data_dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::NotEmpty { path: data_dir.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BackupError::File { path: data_dir.to_owned(), source }),
    }
}

/// The path of the unfinished folder. It is beside the data folder, so both are on the same disk.
fn unfinished_name(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(".restore-unfinished");
    data_dir.with_file_name(name)
}

fn remove_folder(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

struct Restore<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    disk: &'a dyn Disk,
    progress: &'a dyn Fn(u64, u64),
}

impl Restore<'_> {
    /// Returns the bytes that were read.
    fn build(&self, new: &Path) -> Result<u64, BackupError> {
        let (log, pages) = (new.join("log"), new.join("pages.redb"));
        fs::create_dir(new).map_err(BackupError::file(new))?;
        let _lock = lock_folder(new)?;
        fs::create_dir(&log).map_err(BackupError::file(&log))?;
        let lists = self.manifest.log.iter().map(|file| &file.parts);
        let lists = lists.chain(self.manifest.tables.iter().map(|table| &table.parts));
        let all = lists.flatten().map(|part| part.bytes).sum();
        let mut done = 0;
        let mut read = |part: &Part| {
            let bytes = read_part(self.folder, part)?;
            done += part.bytes;
            (self.progress)(done, all);
            Ok::<_, BackupError>(bytes)
        };
        for segment in &self.manifest.log {
            let path = log.join(&segment.name);
            let mut file = self.disk.create(&path).map_err(BackupError::file(&path))?;
            for part in &segment.parts {
                file.append(&read(part)?).map_err(BackupError::file(&path))?;
            }
            file.sync().map_err(BackupError::file(&path))?;
        }
        let mut restored = PagesRestore::create(&pages)?;
        for table in &self.manifest.tables {
            restored.add(&table.table, Vec::new())?;
            for part in &table.parts {
                let rows = rows::decode(&read(part)?);
                let damaged = |_| BackupError::Damaged { path: part_path(self.folder, part.sha256) };
                restored.add(&table.table, rows.map_err(damaged)?)?;
            }
        }
        restored.write()?;
        drop(restored);
        for name in [&log.join("any"), &pages] {
            files::sync_folder_of(name).map_err(BackupError::file(new))?;
        }
        Ok(done)
    }
}

/// Reads a part and checks its SHA-256.
fn read_part(folder: &Path, part: &Part) -> Result<Vec<u8>, BackupError> {
    let path = part_path(folder, part.sha256);
    let bytes = fs::read(&path).map_err(BackupError::file(&path))?;
    if PartId::of(&bytes) == part.sha256 { Ok(bytes) } else { Err(BackupError::Damaged { path }) }
}
