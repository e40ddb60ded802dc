//! One segment file of the log: its header, and reading its valid part.

use std::{
    fs,
    path::{Path, PathBuf},
};

use system::files;

use super::super::{disk::Disk, frame};
use crate::store::StoreError;

const MAGIC: &[u8; 8] = b"mcubelog";
/// Format 2 added records that begin or end serving of one account. Format 3 added reasons of gaps and planned stops.
const FORMAT: u32 = 3;
pub const HEADER_BYTES: usize = 32;

#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub first_frame: u64,
    /// Valid bytes of the segment before this one.
    pub previous_valid_bytes: u64,
}

impl Header {
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.first_frame.to_le_bytes());
        bytes.extend_from_slice(&self.previous_valid_bytes.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<(u32, Header)> {
        let (body, sum) = bytes.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 4);
        let whole = u32::from_le_bytes(sum.try_into().ok()?) == crc32fast::hash(body);
        let number = |at: usize| Some(u64::from_le_bytes(body[at..at + 8].try_into().ok()?));
        let format = u32::from_le_bytes(body[8..12].try_into().ok()?);
        let header = Header { first_frame: number(12)?, previous_valid_bytes: number(20)? };
        (whole && body.starts_with(MAGIC)).then_some((format, header))
    }
}

#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    pub header: Header,
}

impl Segment {
    fn follows_a_gap(&self, from: u64) -> StoreError {
        let what =
            format!("the frames from {from} to {} are missing before this file", self.header.first_frame);
        StoreError::Damaged { path: self.path.clone(), what }
    }
}

/// Paths of the segment files in the folder, in order.
pub fn paths(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let file_error = |source| StoreError::File { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(file_error)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    Ok(paths)
}

pub fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The segments in order. If the last one has no durable header, it contains nothing. Then it is removed, or left to
/// be replaced if it is the only one.
pub fn segments(folder: &Path) -> Result<Vec<Segment>, StoreError> {
    let paths = paths(folder)?;
    let last = paths.len().saturating_sub(1);
    let mut segments = Vec::with_capacity(paths.len());
    for (at, path) in paths.into_iter().enumerate() {
        match read_header(&path)? {
            Some(header) => segments.push(Segment { path, header }),
            None if at == last && is_at_most_a_header(&path) => {
                if !segments.is_empty() {
                    files::remove(&path).map_err(|source| StoreError::File { path, source })?;
                }
            }
            None => return Err(StoreError::Damaged { path, what: "its header is damaged".to_owned() }),
        }
    }
    Ok(segments)
}

fn is_at_most_a_header(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() <= HEADER_BYTES as u64)
}

pub fn read_header(path: &Path) -> Result<Option<Header>, StoreError> {
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

/// The result of reading a segment.
#[derive(Debug)]
pub struct SegmentContent {
    pub valid_bytes: u64,
    /// Offset and bytes of the last frame.
    last_frame: Option<(u64, Vec<u8>)>,
}

/// Writes the last frame of the newest segment again. All other frames were followed by a frame, so they were
/// acknowledged and are durable. The last one may only be in the page cache after a kill or a failed sync.
pub fn settle(segment: &Segment, content: &SegmentContent, disk: &dyn Disk) -> Result<(), StoreError> {
    let Some((at, frame)) = &content.last_frame else { return Ok(()) };
    let settled = disk.settle(&segment.path, *at, frame);
    settled.map_err(|source| StoreError::File { path: segment.path.clone(), source })
}

/// Reads a segment and passes each new frame to `visit`. `next`: the following segment, which says how many bytes of
/// this one are valid.
pub fn read_segment(
    segment: &Segment,
    next: Option<&Segment>,
    next_frame: &mut u64,
    visit: &mut impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<SegmentContent, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: segment.path.clone(), what };
    let file_error = |source| StoreError::File { path: segment.path.clone(), source };
    let whole = fs::read(&segment.path).map_err(file_error)?;
    let mut bytes = whole.as_slice();
    if let Some(next) = next {
        // A limit below the header means that the former segment was already removed when `next` was created.
        let limit = usize::try_from(next.header.previous_valid_bytes).unwrap_or(usize::MAX);
        bytes = &whole[..limit.max(HEADER_BYTES).min(whole.len())];
    }
    let mut expected = segment.header.first_frame;
    if expected > *next_frame {
        return Err(segment.follows_a_gap(*next_frame));
    }
    let mut at = HEADER_BYTES;
    let mut last = None;
    while at < bytes.len() {
        let Some((number, payload)) = frame::parse(&bytes[at..]) else {
            if let Some(next) = next
                && frame::parse(&whole[at..]).is_some()
            {
                // The limit in `next` belongs to another segment that is missing.
                return Err(next.follows_a_gap(expected));
            }
            if next.is_some()
                || frame::follows(&bytes[at + 1..], expected)
                || !frame::is_torn(bytes, at, expected)
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
    if let Some(next) = next {
        if expected != next.header.first_frame {
            return Err(next.follows_a_gap(expected));
        }
        // Only here is it certain that the limit in `next` belongs to this segment.
        if bytes.len() < whole.len() {
            files::truncate(&segment.path, bytes.len() as u64).map_err(file_error)?;
        }
    }
    let last_frame = last.map(|start| (start as u64, bytes[start..at].to_vec()));
    Ok(SegmentContent { valid_bytes: at as u64, last_frame })
}
