//! A data folder belongs to one process.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use system::files;

use super::StoreError;

/// Creates the folder if it does not exist, and locks it until the file is closed.
pub fn lock_folder(folder: &Path) -> Result<File, StoreError> {
    let file_error = |source| StoreError::File { path: folder.to_owned(), source };
    files::create_folder(folder).map_err(file_error)?;
    let file = File::options().create(true).append(true).open(folder.join("lock")).map_err(file_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(file_error(source)),
    }
}
