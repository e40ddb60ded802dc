//! The files of the log behind a rim, so that tests can let writes and syncs fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    path::Path,
};

use system::files;

/// A file that is only appended to.
pub trait LogFile: Send + std::fmt::Debug {
    /// Writes behind what was written before.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all that was written survives a power loss. After an error nothing is known of it.
    fn sync(&mut self) -> io::Result<()>;
}

/// Makes log files.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// A new, empty file. Its name is not durable yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file another name, durably and in place of the file that has it. At no moment does none have it.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Writes the end of a file once more, as it was read, and makes it durable. A kill or a failed sync can leave
    /// bytes that can be read and are on no disk; a sync alone might not write those.
    fn settle(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
}

/// The machine's disk.
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
