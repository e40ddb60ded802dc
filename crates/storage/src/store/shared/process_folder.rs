//! The data folder of a process that shares a store. It holds no messages, but the name of the process, so that a
//! process that starts again is known.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use system::{files, random};

use crate::store::{StoreError, folder_lock::lock_folder};

/// Name of the file.
const NAME_FILE: &str = "process";
/// Characters of a name, half of them random bytes.
const NAME_BYTES: usize = 8;

/// A locked folder.
#[derive(Debug)]
pub struct ProcessFolder {
    /// The name of the process that uses it.
    pub name: String,
    _lock: File,
}

impl ProcessFolder {
    /// Locks a folder. A new one gets a name.
    ///
    /// # Errors
    /// If another process uses the folder, if it cannot be read or written, or if it holds messages of the embedded
    /// store.
    pub fn open(folder: &Path) -> Result<ProcessFolder, StoreError> {
        let lock = lock_folder(folder)?;
        if folder.join("log").exists() {
            return Err(StoreError::HasOwnMessages(folder.to_owned()));
        }
        let path = folder.join(NAME_FILE);
        let file_error = |source| StoreError::File { path: path.clone(), source };
        let name = if path.exists() {
            fs::read_to_string(&path).map_err(file_error)?.trim().to_owned()
        } else {
            let name =
                random::hexadecimal(NAME_BYTES).map_err(|error| StoreError::Servers(error.to_string()))?;
            create(&path, &name).map_err(file_error)?;
            name
        };
        if name.is_empty() {
            return Err(StoreError::Damaged { path, what: "it holds no name".to_owned() });
        }
        Ok(ProcessFolder { name, _lock: lock })
    }
}

/// Written under another name first, so that a kill leaves no half of it.
fn create(path: &PathBuf, name: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    files::sync_folder_of(path)
}
