//! Database files (redb) whose loss harms no figure. A damaged file is moved aside and replaced by an empty one.

use std::path::Path;

use redb::{Database, DatabaseError, StorageError};

/// Opens the database file, or creates it. A damaged file is renamed to `*.damaged`.
///
/// # Errors
/// The file cannot be opened for another reason than damage, or cannot be renamed.
pub fn open_or_recreate(path: &Path, cache_bytes: usize) -> Result<Database, String> {
    let open = || Database::builder().set_cache_size(cache_bytes).create(path);
    // redb panics when its pages are damaged.
    let why = match std::panic::catch_unwind(open) {
        Ok(Ok(database)) => return Ok(database),
        Ok(Err(error)) if !is_damage(&error) => return Err(error.to_string()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "its pages are damaged".to_owned(),
    };
    let aside = path.with_extension("damaged");
    tracing::error!(path = %path.display(), why, aside = %aside.display(), "the file is damaged; it was renamed and an empty one takes its place");
    std::fs::rename(path, aside).map_err(|error| error.to_string())?;
    open().map_err(|error| error.to_string())
}

/// False for causes that pass, such as a full disk or a file that is still open.
fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => error.kind() == std::io::ErrorKind::InvalidData,
        DatabaseError::Storage(StorageError::Corrupted(_))
        | DatabaseError::RepairAborted
        | DatabaseError::UpgradeRequired(_) => true,
        _ => false,
    }
}
