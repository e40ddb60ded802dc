//! One state of the store while messages go on arriving: the pages of now and the log behind them, for a backup.

use std::{fs::File, os::unix::fs::FileExt as _, path::PathBuf};

use counting::varint::Reader;
use system::sync::lock;

use super::{
    Embedded,
    log::{Header, examine, number_of, paths},
    pages::raw::PagesSnapshot,
    recover::META_FIRST_FRAME,
};
use crate::store::StoreError;

/// A state of the store that stays as it is.
pub struct StoreSnapshot<'a> {
    /// The pages.
    pub pages: PagesSnapshot<'a>,
    /// The segments of the log, in order.
    pub segments: Vec<SegmentSnapshot>,
    /// About how many bytes all of it has.
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
    /// Bytes that are durable. Those behind them do not count.
    bytes: u64,
}

impl Embedded {
    /// Takes a snapshot. Waits for a save that is running; the writer waits only while the files are opened.
    pub fn snapshot(&self) -> Result<StoreSnapshot<'_>, StoreError> {
        // A save moves the end of the pages and the start of the log together.
        let _no_save = lock(&self.saving);
        let first_frame = match self.pages.meta(META_FIRST_FRAME)? {
            Some(bytes) => {
                let number = Reader::new(&bytes).number();
                number.map_err(|damage| self.pages.damaged(&damage.to_string()))?
            }
            None => 0,
        };
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
            // What is newer than the newest is the rest of a start or a write that failed.
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
            Some(next) => Header::decode(&next.read(next.bytes.min(64))?).map(|(_, header)| header),
            None => None,
        };
        if let Err(flaw) = examine::examine(&bytes, segment.first_frame, next) {
            return Err(StoreError::Damaged { path: segment.path.clone(), what: flaw.what });
        }
        if let Some(next) = next {
            // What follows was never acknowledged.
            let limit = usize::try_from(next.previous_valid_bytes).unwrap_or(usize::MAX);
            bytes.truncate(limit.max(super::log::HEADER_BYTES));
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
