//! A frame of the log: a header of magic, length, checksum and number, then the payload. Also decides whether the
//! incomplete end of a file is a torn write.

const MAGIC: u32 = 0x4d43_4652;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 20;
/// Limit of the payload. A larger one is refused.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 20;
/// Disks write this many bytes atomically.
const SECTOR_BYTES: usize = 512;

/// True if the end of a file looks like a write that a power loss cut short: bytes or whole sectors are missing. If
/// all bytes are there and wrong, they were damaged later and may have been acknowledged.
pub fn is_torn(bytes: &[u8], at: usize, expected: u64) -> bool {
    let tail = &bytes[at..];
    let Some((header, payload)) = tail.split_at_checked(HEADER_BYTES) else { return true };
    let length = payload.len().to_le_bytes();
    let is_whole = header[4..8] == length[..4] || header[8..12] == checksum(expected, payload).to_le_bytes();
    !is_whole || has_missing_sector(bytes, at)
}

fn has_missing_sector(bytes: &[u8], at: usize) -> bool {
    let first = SECTOR_BYTES - at % SECTOR_BYTES;
    let (start, rest) = bytes[at..].split_at(first.min(bytes.len() - at));
    let parts = std::iter::once(start).chain(rest.chunks(SECTOR_BYTES));
    // Few zeros can be the end of a number, so short parts are ignored.
    parts.filter(|part| part.len() >= HEADER_BYTES).any(|part| part.iter().all(|byte| *byte == 0))
}

/// True if a whole frame follows. After a power loss the last frame may be torn, but a whole frame behind a damaged
/// one means damage.
pub fn follows(bytes: &[u8], expected: u64) -> bool {
    let magic = MAGIC.to_le_bytes();
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == magic);
    starts.map(|(at, _)| &bytes[at..]).filter_map(parse).any(|(number, _)| number > expected)
}

/// A frame with its header.
pub fn encode(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&MAGIC.to_le_bytes());
    let Ok(length) = u32::try_from(payload.len()) else { unreachable!("larger frames are not written") };
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(number, payload).to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The number and the payload of the frame at the start of these bytes, if it is whole.
pub fn parse(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let word = |at: usize| Some(u32::from_le_bytes(header[at..at + 4].try_into().ok()?));
    let number = u64::from_le_bytes(header[12..20].try_into().ok()?);
    let payload = rest.get(..word(4)? as usize)?;
    (word(0)? == MAGIC && word(8)? == checksum(number, payload)).then_some((number, payload))
}

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}
