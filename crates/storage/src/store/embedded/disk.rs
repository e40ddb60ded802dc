//! File access of the log, as a trait, so that tests can make writes and syncs fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    path::Path,
};

use system::files;

/// A file that is only appended to.
pub trait LogFile: Send + std::fmt::Debug {
    /// Writes at the end of the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all written bytes survive a power loss. After an error the state of the file is unknown.
    fn sync(&mut self) -> io::Result<()>;
}

/// Creates and replaces log files.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Creates an empty file. Its name is not durable yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Renames a file durably. It replaces the file `to` atomically.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Writes the bytes at `at` again, as they were read, and syncs them. After a kill or a failed sync, bytes may be
    /// readable but not on disk. A sync alone might not write them.
    fn settle(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        files::sync_folder_of(to)
    }

    fn settle(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(io::SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

impl LogFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
