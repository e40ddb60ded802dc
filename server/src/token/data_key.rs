//! The file with 32 random bytes that tokens are made from. Never in the data folder, never in a backup of it.

use std::{
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::store::disk;

const BYTES: usize = 32;

/// The key.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; BYTES]>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// The file cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// It is no key.
    #[error(
        "{path} has {found} bytes instead of {BYTES}; restore it from a backup, or remove it: a new one is made, and all tokens end"
    )]
    Length { path: PathBuf, found: usize },
    /// Others can read it.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Open { path: PathBuf, mode: u32 },
}

impl DataKey {
    /// Reads the file; if there is none, makes it, readable for its owner only.
    pub fn load_or_create(path: &Path) -> Result<DataKey, DataKeyError> {
        let file_error = |source| DataKeyError::File { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(bytes) => DataKey::of_file(path, &Zeroizing::new(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DataKey::create(path).map_err(file_error)
            }
            Err(error) => Err(file_error(error)),
        }
    }

    fn of_file(path: &Path, bytes: &[u8]) -> Result<DataKey, DataKeyError> {
        let mode = fs::metadata(path)
            .map_err(|source| DataKeyError::File { path: path.to_owned(), source })?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(DataKeyError::Open { path: path.to_owned(), mode: mode & 0o777 });
        }
        match <[u8; BYTES]>::try_from(bytes) {
            Ok(bytes) => Ok(DataKey(Zeroizing::new(bytes))),
            Err(_) => Err(DataKeyError::Length { path: path.to_owned(), found: bytes.len() }),
        }
    }

    /// Written under another name first, so that a crash leaves a whole key or none.
    fn create(path: &Path) -> io::Result<DataKey> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let new = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        disk::sync_folder_of(path)?;
        Ok(DataKey(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(secret)")
    }
}
