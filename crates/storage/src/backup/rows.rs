//! Rows of a table as the bytes of a part, and where one part ends and the next begins.

use counting::{
    Damaged,
    varint::{self, Reader},
};

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// Parts have about this many bytes.
const PART_BYTES: u64 = 512 << 10;
/// Fewer are not worth a file of their own.
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

/// Whether a part ends behind this row. It depends on the row, so that new rows leave the parts behind them as they are.
pub fn ends_part(part: &[u8], key: &[u8], value: &[u8]) -> bool {
    let dice = u64::from(crc32fast::hash(key));
    let chance = ((value.len() as u64) << 32) / PART_BYTES;
    part.len() >= PART_BYTES_MIN && dice < chance
}
