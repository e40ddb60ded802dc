//! The log: one for all accounts, since syncs are the scarce thing. Frames with length, checksum and number in
//! segment files; a frame is durable as a whole or not at all.
//!
//! After a failed write or sync nothing is known of a file's end, so it is never written again: the next frame goes
//! into a new segment, whose header says how far the former one is valid.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::disk::{self, Disk, LogFile};
use crate::store::StoreError;

const MAGIC: &[u8; 8] = b"mcubelog";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 32;
const FRAME_MAGIC: u32 = 0x4d43_4652;
const FRAME_HEADER_BYTES: usize = 20;
/// A frame larger than this is not written, and not believed when read.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// The end of the log, where frames are appended.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// None after a fault, until a new segment could be made.
    segment: Option<Box<dyn LogFile>>,
    next_frame: u64,
    newest: Newest,
    unsaved_bytes: u64,
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
        fs::create_dir_all(folder).map_err(file_error)?;
        let segments = segments(folder)?;
        let mut next_frame = from;
        let mut unsaved_bytes = 0;
        let mut newest =
            Newest { header: Header { first_frame: from, previous_valid_bytes: 0 }, valid_bytes: 0 };
        for (at, segment) in segments.iter().enumerate() {
            let limit = segments.get(at + 1).map(|next| next.header.previous_valid_bytes);
            let valid_bytes = read_segment(segment, limit, &mut next_frame, &mut visit)?;
            newest = Newest { header: segment.header, valid_bytes };
            unsaved_bytes += valid_bytes;
        }
        Ok(Log { folder: folder.to_owned(), disk, segment: None, next_frame, newest, unsaved_bytes })
    }

    /// Stands in for the log while it is being replayed.
    pub fn unopened(folder: &Path, options: &super::Options) -> Log {
        let newest = Newest { header: Header { first_frame: 0, previous_valid_bytes: 0 }, valid_bytes: 0 };
        let disk = options.disk.clone();
        Log { folder: folder.to_owned(), disk, segment: None, next_frame: 0, newest, unsaved_bytes: 0 }
    }

    /// Makes one frame durable. After an error the frame is not acknowledged, though it may turn out to be there.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() > FRAME_BYTES_MAX {
            return Err(io::Error::other("the batch is larger than a frame may be, 256 MiB"));
        }
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.new_segment()?,
        };
        // While the outcome is unknown the segment is not kept, so an error abandons it.
        segment.append(&frame(self.next_frame, payload))?;
        segment.sync()?;
        let written = (FRAME_HEADER_BYTES + payload.len()) as u64;
        self.newest.valid_bytes += written;
        self.unsaved_bytes += written;
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
        for segment in segments(folder)?.iter().filter(|segment| segment.header.first_frame < first) {
            disk::remove(&segment.path)
                .map_err(|source| StoreError::File { path: segment.path.clone(), source })?;
        }
        Ok(())
    }

    /// Notes that so many bytes of the log are in the pages.
    pub fn saved(&mut self, bytes: u64) {
        self.unsaved_bytes = self.unsaved_bytes.saturating_sub(bytes);
    }

    /// Bytes that a restart would read.
    pub fn bytes(&self) -> u64 {
        self.unsaved_bytes
    }
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    header: Header,
}

/// The segments in order. A last one whose header never became durable holds nothing and is removed.
fn segments(folder: &Path) -> Result<Vec<Segment>, StoreError> {
    let file_error = |source| StoreError::File { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(file_error)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
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

/// Reads a segment and returns how many of its bytes are valid. `limit`: what its successor says about that.
fn read_segment(
    segment: &Segment,
    limit: Option<u64>,
    next_frame: &mut u64,
    visit: &mut impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: segment.path.clone(), what };
    let mut bytes =
        fs::read(&segment.path).map_err(|source| StoreError::File { path: segment.path.clone(), source })?;
    if let Some(limit) = limit {
        // A limit below the header: the segment before was already removed when this one was made.
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX).max(HEADER_BYTES));
    }
    let mut expected = segment.header.first_frame;
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let Some((number, payload)) = parse_frame(&bytes[at..]) else {
            if limit.is_some() || frame_follows(&bytes[at + 1..], expected) {
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
        } else if number > *next_frame {
            return Err(damaged(format!(
                "the frames from {next_frame} to {number} are missing before this file"
            )));
        }
        expected += 1;
        at += FRAME_HEADER_BYTES + payload.len();
    }
    Ok(at as u64)
}

/// A torn last frame is expected after a power loss; a whole frame behind a damaged one is not.
fn frame_follows(bytes: &[u8], expected: u64) -> bool {
    let magic = FRAME_MAGIC.to_le_bytes();
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == magic);
    starts.map(|(at, _)| &bytes[at..]).filter_map(parse_frame).any(|(number, _)| number > expected)
}

fn frame(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
    frame.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(number, payload).to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn parse_frame(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (header, rest) = bytes.split_at_checked(FRAME_HEADER_BYTES)?;
    let word = |at: usize| Some(u32::from_le_bytes(header[at..at + 4].try_into().ok()?));
    let number = u64::from_le_bytes(header[12..20].try_into().ok()?);
    let payload = rest.get(..word(4)? as usize)?;
    (word(0)? == FRAME_MAGIC && word(8)? == checksum(number, payload)).then_some((number, payload))
}

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
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
