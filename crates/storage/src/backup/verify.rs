//! Reads all of a data folder or of a backup, and says what is damaged.

use std::{fs, path::Path};

use serde::Serialize;

use super::{
    BackupError, Manifest, PartId,
    folder::{lock_folder, part_path},
    manifest,
};
use crate::store::{Cost, Damage, Examined, examine};

/// The file that a process with a shared store has in its data folder.
const PROCESS_FILE: &str = "process";

/// The kind of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderKind {
    /// The data folder of a server.
    DataDir,
    /// A backup folder.
    Backup,
}

/// The result of verifying a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The kind of folder.
    pub folder: FolderKind,
    /// Number of files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged, in English.
    pub damages: Vec<Damage>,
}

/// Verifies a folder and changes nothing in it. `progress` gets the number of bytes read so far, and about how many
/// there are.
pub fn verify(folder: &Path, progress: &dyn Fn(u64, u64)) -> Result<Verified, BackupError> {
    let is_backup = [manifest::NAME, "parts"].iter().any(|name| folder.join(name).exists());
    let is_data = ["log", "pages.redb"].iter().any(|name| folder.join(name).exists());
    let (folder, examined) = match (is_backup, is_data) {
        (true, _) => (FolderKind::Backup, verify_backup(folder, progress)?),
        (false, true) => {
            let all = examine::bytes_of(folder);
            let examined = examine::examine_folder(folder, &|done| progress(done, all))?;
            (FolderKind::DataDir, examined)
        }
        (false, false) if folder.join(PROCESS_FILE).exists() => {
            return Err(BackupError::OfSharedStore { path: folder.to_owned() });
        }
        (false, false) => return Err(BackupError::Unknown { path: folder.to_owned() }),
    };
    let Examined { files, bytes, damages } = examined;
    Ok(Verified { folder, files, bytes, damages })
}

fn verify_backup(folder: &Path, progress: &dyn Fn(u64, u64)) -> Result<Examined, BackupError> {
    let _lock = lock_folder(folder)?;
    let mut examined = Examined::default();
    let manifest_path = folder.join(manifest::NAME);
    let manifest = match Manifest::read(folder) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Err(BackupError::Unfinished { path: folder.to_owned() }),
        Err(BackupError::Damaged { .. }) => {
            examined.count(&manifest_path);
            examined.damages.push(Damage::new(&manifest_path, "its checksum is wrong", &Cost::Manifest));
            return Ok(examined);
        }
        Err(error) => return Err(error),
    };
    examined.count(&manifest_path);
    let parts = manifest.parts();
    let all = parts.values().sum();
    for id in parts.into_keys() {
        let path = part_path(folder, id);
        match fs::read(&path) {
            Ok(bytes) => {
                examined.files += 1;
                examined.bytes += bytes.len() as u64;
                if PartId::of(&bytes) != id {
                    examined.damages.push(Damage::new(&path, "its checksum is wrong", &Cost::Part));
                }
            }
            Err(error) => examined.damages.push(Damage::new(&path, &error.to_string(), &Cost::Part)),
        }
        progress(examined.bytes, all);
    }
    Ok(examined)
}
