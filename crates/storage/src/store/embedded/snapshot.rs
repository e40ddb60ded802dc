//! A snapshot of the store for a backup: the pages as they are now, and the log that continues them. Messages are
//! received at the same time.

use std::{fs::File, os::unix::fs::FileExt as _, path::PathBuf};

use system::sync::lock;

use super::{
    Embedded,
    log::{HEADER_BYTES, Header, examine, number_of, paths},
    pages::raw::PagesSnapshot,
    recover::first_frame,
};
use crate::store::StoreError;

/// A state of the store that does not change.
pub struct StoreSnapshot<'a> {
    /// The pages.
    pub pages: PagesSnapshot<'a>,
    /// The segments of the log, in order.
    pub segments: Vec<SegmentSnapshot>,
    /// About how many bytes it has in total.
    pub bytes: u64,
}

/// A segment of the log. Its file is open, so it can still be read after it was removed.
#[derive(Debug)]
pub struct SegmentSnapshot {
    /// The name of its file.
    pub name: String,
    path: PathBuf,
    file: File,
    first_frame: u64,
    /// Number of durable bytes. Bytes after them do not count.
    bytes: u64,
}

impl Embedded {
    /// Takes a snapshot. Waits for a running save. The writer only waits while the files are opened.
    pub fn snapshot(&self) -> Result<StoreSnapshot<'_>, StoreError> {
        // A save changes the pages and removes the start of the log. The snapshot must not be taken in between.
        let _no_save = lock(&self.saving);
        let first_frame = first_frame(&self.pages)?;
        let pages = self.pages.snapshot()?;
        let segments = self.segments(first_frame)?;
        let log_bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        Ok(StoreSnapshot { pages, segments, bytes: self.pages.bytes() + log_bytes })
    }

    fn segments(&self, first_frame: u64) -> Result<Vec<SegmentSnapshot>, StoreError> {
        let log = lock(&self.log);
        let (newest, valid_bytes) = log.durable_end();
        let mut segments = Vec::new();
        for path in paths(&self.log_folder)? {
            // A newer file is left over from a failed start or write.
            let Some(number) = number_of(&path).filter(|number| (first_frame..=newest).contains(number))
            else {
                continue;
            };
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) = opened.map_err(|source| StoreError::File { path: path.clone(), source })?;
            let bytes = if number == newest { valid_bytes.min(length) } else { length };
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            segments.push(SegmentSnapshot { name, path, file, first_frame: number, bytes });
        }
        Ok(segments)
    }
}

impl StoreSnapshot<'_> {
    /// The bytes of a segment. Fails if a frame of them is damaged.
    pub fn read_segment(&self, at: usize) -> Result<Vec<u8>, StoreError> {
        let segment = &self.segments[at];
        let mut bytes = segment.read(segment.bytes)?;
        let next = match self.segments.get(at + 1) {
            Some(next) => {
                Header::decode(&next.read(next.bytes.min(HEADER_BYTES as u64))?).map(|(_, header)| header)
            }
            None => None,
        };
        if let Err(flaw) = examine::examine(&bytes, segment.first_frame, next) {
            return Err(StoreError::Damaged { path: segment.path.clone(), what: flaw.what });
        }
        if let Some(next) = next {
            // Frames after this were never acknowledged.
            let limit = usize::try_from(next.previous_valid_bytes).unwrap_or(usize::MAX);
            bytes.truncate(limit.max(HEADER_BYTES));
        }
        Ok(bytes)
    }
}

impl SegmentSnapshot {
    fn read(&self, length: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|source| StoreError::File { path: self.path.clone(), source })?;
        Ok(bytes)
    }
}
