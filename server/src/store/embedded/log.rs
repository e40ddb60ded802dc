//! The log: one for all accounts, since syncs are the scarce thing. Frames with length, checksum and number in
//! segment files; a frame is durable as a whole or not at all.
//!
//! After a failed write or sync nothing is known of a file's end, so it is never written again: the next frame goes
//! into a new segment, whose header says how far the former one is valid.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    disk::{self, Disk, LogFile},
    frame,
};
use crate::store::StoreError;

const MAGIC: &[u8; 8] = b"mcubelog";
/// 2: records that begin or end the serving of one account.
const FORMAT: u32 = 2;
const HEADER_BYTES: usize = 32;

/// The end of the log, where frames are appended.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// None after a fault, until a new segment could be made.
    segment: Option<Box<dyn LogFile>>,
    next_frame: u64,
    newest: Newest,
    /// Shared, so that looking at it waits for no disk.
    unsaved_bytes: Arc<AtomicU64>,
}

/// The newest segment.
#[derive(Clone, Copy, Debug)]
struct Newest {
    header: Header,
    /// Bytes known to be durable.
    valid_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    first_frame: u64,
    /// How much of the segment before this one counts.
    previous_valid_bytes: u64,
}

impl Log {
    /// Reads the frames from number `from` on, hands each to `visit`, and prepares for appending.
    pub fn open(
        folder: &Path,
        disk: Arc<dyn Disk>,
        from: u64,
        mut visit: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<Log, StoreError> {
        let file_error = |source| StoreError::File { path: folder.to_owned(), source };
        disk::create_folder(folder).map_err(file_error)?;
        let segments = segments(folder)?;
        let mut next_frame = from;
        let mut unsaved_bytes = 0;
        let mut newest =
            Newest { header: Header { first_frame: from, previous_valid_bytes: 0 }, valid_bytes: 0 };
        for (at, segment) in segments.iter().enumerate() {
            let limit = segments.get(at + 1).map(|next| next.header.previous_valid_bytes);
            let read = read_segment(segment, limit, &mut next_frame, &mut visit)?;
            if limit.is_none() {
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

    /// Stands in for the log while it is being replayed.
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

    /// Makes one frame durable. After an error the frame is not acknowledged, though it may turn out to be there.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > frame::PAYLOAD_BYTES_MAX {
            return Err(io::Error::other("the batch is larger than a frame may be, 256 MiB"));
        }
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.new_segment()?,
        };
        // While the outcome is unknown the segment is not kept, so an error abandons it.
        segment.append(&frame::encode(self.next_frame, payload))?;
        segment.sync()?;
        let written = (frame::HEADER_BYTES + payload.len()) as u64;
        self.newest.valid_bytes += written;
        self.unsaved_bytes.fetch_add(written, Ordering::Relaxed);
        self.next_frame += 1;
        self.segment = Some(segment);
        Ok(())
    }

    /// Starts a new segment, so that all before it can be removed once its content is saved elsewhere. Returns the
    /// number of the first frame after the cut.
    pub fn rotate(&mut self) -> io::Result<u64> {
        if self.newest.header.first_frame < self.next_frame || self.segment.is_none() {
            self.segment = None;
            self.segment = Some(self.new_segment()?);
        }
        Ok(self.next_frame)
    }

    fn new_segment(&mut self) -> io::Result<Box<dyn LogFile>> {
        let path = self.folder.join(format!("{:020}.log", self.next_frame));
        let header =
            Header { first_frame: self.next_frame, previous_valid_bytes: self.previous_valid_bytes() };
        // A segment of this name holds no acknowledged frame: it is the remains of a failed start or a failed write.
        disk::remove(&path)?;
        let made = self.disk.create(&path).and_then(|mut segment| {
            segment.append(&header.encode())?;
            segment.sync()?;
            Ok(segment)
        });
        match &made {
            Ok(_) => self.newest = Newest { header, valid_bytes: HEADER_BYTES as u64 },
            Err(_) => drop(disk::remove(&path)),
        }
        made
    }

    /// What counts of the segment before the one that starts at the next frame.
    fn previous_valid_bytes(&self) -> u64 {
        let Newest { header, valid_bytes } = self.newest;
        if header.first_frame == self.next_frame { header.previous_valid_bytes } else { valid_bytes }
    }

    /// Removes the segments whose frames all have smaller numbers than `first`.
    pub fn remove_before(folder: &Path, first: u64) -> Result<(), StoreError> {
        // By name alone: frames are being appended meanwhile, perhaps to a segment without its header yet.
        for path in paths(folder)?.into_iter().filter(|path| number_of(path).is_some_and(|n| n < first)) {
            disk::remove(&path).map_err(|source| StoreError::File { path, source })?;
        }
        Ok(())
    }

    /// Notes that so many bytes of the log are in the pages.
    pub fn saved(&mut self, bytes: u64) {
        self.unsaved_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that a restart would read.
    pub fn bytes(&self) -> u64 {
        self.unsaved_bytes.load(Ordering::Relaxed)
    }

    /// The same number, to be looked at later.
    pub fn bytes_to_watch(&self) -> Arc<AtomicU64> {
        self.unsaved_bytes.clone()
    }
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    header: Header,
}

/// The files of the folder that are named as segments, in order.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let file_error = |source| StoreError::File { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(file_error)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    Ok(paths)
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The segments in order. A last one whose header never became durable holds nothing and is removed.
fn segments(folder: &Path) -> Result<Vec<Segment>, StoreError> {
    let paths = paths(folder)?;
    let last = paths.len().saturating_sub(1);
    let mut segments = Vec::with_capacity(paths.len());
    for (at, path) in paths.into_iter().enumerate() {
        match read_header(&path)? {
            Some(header) => segments.push(Segment { path, header }),
            None if at == last && is_at_most_a_header(&path) => drop(disk::remove(&path)),
            None => return Err(StoreError::Damaged { path, what: "its header is damaged".to_owned() }),
        }
    }
    Ok(segments)
}

fn is_at_most_a_header(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() <= HEADER_BYTES as u64)
}

fn read_header(path: &Path) -> Result<Option<Header>, StoreError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut bytes));
    read.map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    match Header::decode(&bytes) {
        Some((format, _)) if format > FORMAT => {
            Err(StoreError::NewerFormat { path: path.to_owned(), found: format, known: FORMAT })
        }
        Some((_, header)) => Ok(Some(header)),
        None => Ok(None),
    }
}

/// What was read of a segment.
#[derive(Debug)]
struct Read {
    valid_bytes: u64,
    /// The last frame, and where it starts.
    last_frame: Option<(u64, Vec<u8>)>,
}

/// All frames of the newest segment but the last were followed by others, so they were acknowledged and are durable.
/// The last may be what a kill or a failed sync left in the machine's memory; nothing may build on it before it is.
fn settle(segment: &Segment, read: &Read, disk: &dyn Disk) -> Result<(), StoreError> {
    let Some((at, frame)) = &read.last_frame else { return Ok(()) };
    let settled = disk.settle(&segment.path, *at, frame);
    settled.map_err(|source| StoreError::File { path: segment.path.clone(), source })
}

/// Reads a segment. `limit`: how many of its bytes are valid, as its successor says.
fn read_segment(
    segment: &Segment,
    limit: Option<u64>,
    next_frame: &mut u64,
    visit: &mut impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Read, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: segment.path.clone(), what };
    let mut bytes =
        fs::read(&segment.path).map_err(|source| StoreError::File { path: segment.path.clone(), source })?;
    if let Some(limit) = limit {
        // A limit below the header: the segment before was already removed when this one was made.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(HEADER_BYTES);
        if bytes.len() > limit {
            disk::cut(&segment.path, limit as u64)
                .map_err(|source| StoreError::File { path: segment.path.clone(), source })?;
            bytes.truncate(limit);
        }
    }
    let mut expected = segment.header.first_frame;
    if expected > *next_frame {
        return Err(damaged(format!(
            "the frames from {next_frame} to {expected} are missing before this file"
        )));
    }
    let mut at = HEADER_BYTES;
    let mut last = None;
    while at < bytes.len() {
        let Some((number, payload)) = frame::parse(&bytes[at..]) else {
            if limit.is_some()
                || frame::follows(&bytes[at + 1..], expected)
                || !frame::is_torn(&bytes, at, expected)
            {
                return Err(damaged(format!("the frame at byte {at} is damaged")));
            }
            break;
        };
        if number != expected {
            return Err(damaged(format!("frame {expected} is missing at byte {at}")));
        }
        if number == *next_frame {
            visit(payload)?;
            *next_frame += 1;
        }
        expected += 1;
        last = Some(at);
        at += frame::HEADER_BYTES + payload.len();
    }
    let last_frame = last.map(|start| (start as u64, bytes[start..at].to_vec()));
    Ok(Read { valid_bytes: at as u64, last_frame })
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.first_frame.to_le_bytes());
        bytes.extend_from_slice(&self.previous_valid_bytes.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<(u32, Header)> {
        let (body, sum) = bytes.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 4);
        let whole = u32::from_le_bytes(sum.try_into().ok()?) == crc32fast::hash(body);
        let number = |at: usize| Some(u64::from_le_bytes(body[at..at + 8].try_into().ok()?));
        let format = u32::from_le_bytes(body[8..12].try_into().ok()?);
        let header = Header { first_frame: number(12)?, previous_valid_bytes: number(20)? };
        (whole && body.starts_with(MAGIC)).then_some((format, header))
    }
}

#[cfg(test)]
mod tests {
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
