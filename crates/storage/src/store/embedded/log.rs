//! The log. All accounts share it, because syncs are slow. It consists of segment files with frames, which have a
//! length, a checksum and a number. A frame is durable as a whole or not at all.
//!
//! After a failed write or sync the end of the file is unknown, so it is never written again. The next frame goes into
//! a new segment. Its header says how many bytes of the former segment are valid.

pub mod examine;
mod segment;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use system::files;

use super::{
    disk::{Disk, LogFile},
    frame,
};
use crate::store::StoreError;
pub use segment::{HEADER_BYTES, Header, number_of, paths, read_header};
use segment::{read_segment, segments, settle};

/// The end of the log, where frames are appended.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// None after a fault, until a new segment is created.
    segment: Option<Box<dyn LogFile>>,
    next_frame: u64,
    newest: Newest,
    /// Shared, so that readers do not wait for the disk.
    unsaved_bytes: Arc<AtomicU64>,
}

/// The newest segment.
#[derive(Clone, Copy, Debug)]
struct Newest {
    header: Header,
    /// Bytes known to be durable.
    valid_bytes: u64,
}

/// Path of the segment that starts with this frame.
pub fn path_of(folder: &Path, first_frame: u64) -> PathBuf {
    folder.join(format!("{first_frame:020}.log"))
}

/// Creates a segment without frames, durably, in place of one with the same name. A kill leaves the old file or the
/// new one. If there was none, it may leave none. A log without its segment counts as lost.
fn make_segment(folder: &Path, disk: &dyn Disk, header: Header) -> io::Result<Box<dyn LogFile>> {
    let path = path_of(folder, header.first_frame);
    let new = path.with_extension("new");
    files::remove(&new)?;
    let mut segment = disk.create(&new)?;
    segment.append(&header.encode())?;
    segment.sync()?;
    disk.replace(&new, &path)?;
    Ok(segment)
}

impl Log {
    /// Creates the log of a new folder, before any other file.
    pub fn begin(folder: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        let file_error = |source| StoreError::File { path: folder.to_owned(), source };
        files::create_folder(folder).map_err(file_error)?;
        let header = Header { first_frame: 0, previous_valid_bytes: 0 };
        make_segment(folder, disk, header).map(drop).map_err(file_error)
    }

    /// True if the folder contains a file that is named like a segment.
    pub fn is_begun(folder: &Path) -> Result<bool, StoreError> {
        Ok(folder.exists() && !paths(folder)?.is_empty())
    }

    /// Reads the frames from number `from` on, hands each to `visit`, and prepares for appending.
    pub fn open(
        folder: &Path,
        disk: Arc<dyn Disk>,
        from: u64,
        mut visit: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<Log, StoreError> {
        let file_error = |source| StoreError::File { path: folder.to_owned(), source };
        files::create_folder(folder).map_err(file_error)?;
        // Pages are only saved after a segment with this number was created, and a new folder starts with one.
        if paths(folder)?.iter().filter_map(|path| number_of(path)).all(|number| number < from) {
            return Err(StoreError::LogMissing { path: path_of(folder, from), folder: folder.to_owned() });
        }
        // A kill may have left these files.
        files::remove_with_extension(folder, "new").map_err(file_error)?;
        let segments = segments(folder)?;
        let mut next_frame = from;
        let mut unsaved_bytes = 0;
        let mut newest =
            Newest { header: Header { first_frame: from, previous_valid_bytes: 0 }, valid_bytes: 0 };
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1);
            let read = read_segment(segment, next, &mut next_frame, &mut visit)?;
            if next.is_none() {
                settle(segment, &read, disk.as_ref())?;
            }
            newest = Newest { header: segment.header, valid_bytes: read.valid_bytes };
            unsaved_bytes += read.valid_bytes;
        }
        Ok(Log {
            folder: folder.to_owned(),
            disk,
            segment: None,
            next_frame,
            newest,
            unsaved_bytes: Arc::new(unsaved_bytes.into()),
        })
    }

    /// A placeholder for the log while it is replayed. Nothing is appended to it.
    pub fn unopened(folder: &Path, options: &super::Options) -> Log {
        let newest = Newest { header: Header { first_frame: 0, previous_valid_bytes: 0 }, valid_bytes: 0 };
        let disk = options.disk.clone();
        Log {
            folder: folder.to_owned(),
            disk,
            segment: None,
            next_frame: 0,
            newest,
            unsaved_bytes: Arc::default(),
        }
    }

    /// Makes one frame durable. After an error the frame is not acknowledged, but it may still be found after a
    /// restart.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > frame::PAYLOAD_BYTES_MAX {
            return Err(io::Error::other("the batch is larger than a frame may be, 256 MiB"));
        }
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.new_segment()?,
        };
        // The segment was taken out of `self`, so an error abandons it.
        segment.append(&frame::encode(self.next_frame, payload))?;
        segment.sync()?;
        let written = (frame::HEADER_BYTES + payload.len()) as u64;
        self.newest.valid_bytes += written;
        self.unsaved_bytes.fetch_add(written, Ordering::Relaxed);
        self.next_frame += 1;
        self.segment = Some(segment);
        Ok(())
    }

    /// Starts a new segment, so that the segments before it can be removed once their content is saved. Returns the
    /// number of the new segment's first frame.
    pub fn rotate(&mut self) -> io::Result<u64> {
        if self.newest.header.first_frame < self.next_frame || self.segment.is_none() {
            self.segment = None;
            self.segment = Some(self.new_segment()?);
        }
        Ok(self.next_frame)
    }

    fn new_segment(&mut self) -> io::Result<Box<dyn LogFile>> {
        let header =
            Header { first_frame: self.next_frame, previous_valid_bytes: self.previous_valid_bytes() };
        // A segment with this name contains no acknowledged frame. It is left over from a failed start or write.
        let segment = make_segment(&self.folder, self.disk.as_ref(), header)?;
        self.newest = Newest { header, valid_bytes: HEADER_BYTES as u64 };
        Ok(segment)
    }

    /// Valid bytes of the segment before the one that starts with the next frame.
    fn previous_valid_bytes(&self) -> u64 {
        let Newest { header, valid_bytes } = self.newest;
        if header.first_frame == self.next_frame { header.previous_valid_bytes } else { valid_bytes }
    }

    /// Removes the segments that only contain frames below `first`.
    pub fn remove_before(folder: &Path, first: u64) -> Result<(), StoreError> {
        // Only names are used. Frames are appended at the same time, maybe to a segment that has no header yet.
        for path in paths(folder)?.into_iter().filter(|path| number_of(path).is_some_and(|n| n < first)) {
            files::remove(&path).map_err(|source| StoreError::File { path, source })?;
        }
        Ok(())
    }

    /// The number of the newest segment and how many of its bytes are durable.
    pub fn durable_end(&self) -> (u64, u64) {
        (self.newest.header.first_frame, self.newest.valid_bytes)
    }

    /// True if no frame was ever written.
    pub fn is_blank(&self) -> bool {
        self.next_frame == 0
    }

    /// Subtracts bytes of the log that are now in the pages.
    pub fn saved(&mut self, bytes: u64) {
        self.unsaved_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that a restart would read.
    pub fn bytes(&self) -> u64 {
        self.unsaved_bytes.load(Ordering::Relaxed)
    }

    /// The same number as a shared counter, to be read without the lock.
    pub fn bytes_to_watch(&self) -> Arc<AtomicU64> {
        self.unsaved_bytes.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn removing_what_was_saved_leaves_a_segment_that_is_just_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = |number: u64| folder.path().join(format!("{number:020}.log"));
        for number in [0, 3, 5] {
            fs::write(path(number), b"").unwrap();
        }
        Log::remove_before(folder.path(), 5).unwrap();
        assert!(!path(0).exists() && !path(3).exists());
        assert!(path(5).exists(), "the writer has made it and goes on to fill it");
    }
}
