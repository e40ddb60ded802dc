//! Changes of files and folders that survive a power loss.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// Cuts off the end of a file that does not count, so that it cannot come back when the file that says so is replaced.
pub fn cut(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(bytes)?;
    file.sync_all()
}

/// Makes a folder whose name survives a power loss.
pub fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    sync_folder_of(path)
}

/// Makes a file's name survive a power loss.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Removes the files of a folder whose names end so.
pub fn remove_with_extension(folder: &Path, extension: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file that is not needed any more; one that is gone already is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
