//! The bytes of a part that holds rows of a table, and the choice of the row after which a part ends.

use counting::{
    Damaged,
    varint::{self, Reader},
};

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// About the average size of a part in bytes.
const PART_BYTES: u64 = 512 << 10;
/// Minimum size, except for the last part of a table. Smaller parts are not worth a file of their own.
const PART_BYTES_MIN: usize = 64 << 10;

/// Appends a row.
pub fn put(part: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    varint::put_bytes(part, key);
    varint::put_bytes(part, value);
}

/// The rows of a part.
pub fn decode(part: &[u8]) -> Result<Vec<Row>, Damaged> {
    let mut reader = Reader::new(part);
    let mut rows = Vec::new();
    while !reader.is_empty() {
        rows.push((reader.bytes()?.to_vec(), reader.bytes()?.to_vec()));
    }
    Ok(rows)
}

/// True if a part ends after this row. The key and the length of the value decide, not the number of rows before. So
/// new rows change few parts.
pub fn ends_part(part: &[u8], key: &[u8], value: &[u8]) -> bool {
    let dice = u64::from(crc32fast::hash(key));
    let chance = ((value.len() as u64) << 32) / PART_BYTES;
    part.len() >= PART_BYTES_MIN && dice < chance
}
