//! B-tree files (redb) beside the store, for what may be lost: one that makes no sense is put aside, and a new one made.

use std::path::Path;

use redb::{Database, DatabaseError, StorageError};

/// Opens the file, or makes it.
pub fn open_or_renew(path: &Path, cache_bytes: usize) -> Result<Database, String> {
    let open = || Database::builder().set_cache_size(cache_bytes).create(path);
    // redb panics when its own pages make no sense.
    let why = match std::panic::catch_unwind(open) {
        Ok(Ok(database)) => return Ok(database),
        Ok(Err(error)) if !is_damage(&error) => return Err(error.to_string()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "its pages make no sense".to_owned(),
    };
    let aside = path.with_extension("damaged");
    tracing::error!(path = %path.display(), why, aside = %aside.display(), "the file is damaged and put aside");
    std::fs::rename(path, aside).map_err(|error| error.to_string())?;
    open().map_err(|error| error.to_string())
}

/// Not, for example, a full disk, or a file that is still open.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => error.kind() == std::io::ErrorKind::InvalidData,
        DatabaseError::Storage(StorageError::Corrupted(_))
        | DatabaseError::RepairAborted
        | DatabaseError::UpgradeRequired(_) => true,
        _ => false,
    }
}
