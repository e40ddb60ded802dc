//! Values cut into pieces that fill the file's blocks. redb gives a value a block of a power of two; one that is a
//! little larger than that would take twice its size.

use redb::{ReadableTable, StorageError, Table, TableDefinition};

/// The number of pieces, and the end of the value: what is left behind the pieces.
pub const VALUES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("values");
/// The pieces, each under the value's key and its number.
pub const PIECES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pieces");

/// redb's smallest block.
const BLOCK_BYTES: usize = 4096;
/// The largest piece has this many blocks.
const BLOCKS_MAX: usize = 1024;
/// What a block holds beside a piece: redb's header of a leaf with one pair, and the key.
const OVERHEAD_BYTES: usize = 40;

/// Puts a value in place of the one that was there.
pub fn put(
    values: &mut Table<'_, &[u8], &[u8]>,
    pieces: &mut Table<'_, &[u8], &[u8]>,
    key: &[u8],
    value: &[u8],
) -> Result<(), StorageError> {
    let mut rest = value;
    let mut count = 0_u8;
    while let Some((piece, behind)) = first_piece(rest).filter(|_| count < u8::MAX) {
        pieces.insert(piece_key(key, count).as_slice(), piece)?;
        count += 1;
        rest = behind;
    }
    let end = [&[count], rest].concat();
    let before = values.insert(key, end.as_slice())?.and_then(|end| end.value().first().copied());
    remove_pieces(pieces, key, count..before.unwrap_or(0))
}

/// Removes a value, if it is there.
pub fn remove(
    values: &mut Table<'_, &[u8], &[u8]>,
    pieces: &mut Table<'_, &[u8], &[u8]>,
    key: &[u8],
) -> Result<(), StorageError> {
    let before = values.remove(key)?.and_then(|end| end.value().first().copied());
    remove_pieces(pieces, key, 0..before.unwrap_or(0))
}

fn remove_pieces(
    pieces: &mut Table<'_, &[u8], &[u8]>,
    key: &[u8],
    mut numbers: std::ops::Range<u8>,
) -> Result<(), StorageError> {
    numbers.try_for_each(|number| pieces.remove(piece_key(key, number).as_slice()).map(drop))
}

/// The value of a key. A piece that is missing is for the caller's checksum to find.
pub fn get(
    values: &impl ReadableTable<&'static [u8], &'static [u8]>,
    pieces: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(end) = values.get(key)? else { return Ok(None) };
    let Some((count, rest)) = end.value().split_first() else { return Ok(Some(Vec::new())) };
    let mut value = Vec::new();
    for number in 0..*count {
        if let Some(piece) = pieces.get(piece_key(key, number).as_slice())? {
            if number == 0 {
                // Each piece is smaller than the one before, but for values of many of the largest.
                value.reserve_exact(2 * piece.value().len() + rest.len());
            }
            value.extend_from_slice(piece.value());
        }
    }
    value.extend_from_slice(rest);
    Ok(Some(value))
}

fn piece_key(key: &[u8], number: u8) -> Vec<u8> {
    [key, &[number]].concat()
}

/// The largest piece that the beginning of a value fills, and what is behind it.
fn first_piece(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let blocks = (value.len() + OVERHEAD_BYTES) / BLOCK_BYTES;
    let blocks = (1 << blocks.checked_ilog2()?).min(BLOCKS_MAX);
    value.split_at_checked(blocks * BLOCK_BYTES - OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _};

    use super::*;

    #[test]
    fn values_of_all_lengths_are_read_as_they_were_written_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("pages.redb")).unwrap();
        let lengths = [0, 1, 4055, 4056, 4057, 8152, 8153, 100_000, 3_000_000, 9_000_000, 70_000, 4096, 3];
        for (number, length) in lengths.into_iter().enumerate() {
            let value: Vec<u8> =
                (0..length).map(|at: usize| ((at * 31 + number) % 256).to_le_bytes()[0]).collect();
            let transaction = database.begin_write().unwrap();
            {
                let mut values = transaction.open_table(VALUES).unwrap();
                let mut pieces = transaction.open_table(PIECES).unwrap();
                put(&mut values, &mut pieces, b"a", &value).unwrap();
                put(&mut values, &mut pieces, b"b", b"short").unwrap();
            }
            transaction.commit().unwrap();
            let read = database.begin_read().unwrap();
            let (values, pieces) = (read.open_table(VALUES).unwrap(), read.open_table(PIECES).unwrap());
            assert!(get(&values, &pieces, b"a").unwrap().unwrap() == value, "{length} bytes");
            assert_eq!(get(&values, &pieces, b"b").unwrap().unwrap(), b"short");
            assert_eq!(get(&values, &pieces, b"c").unwrap(), None);
            let used = pieces.stats().unwrap();
            assert!(used.fragmented_bytes() < 200 * pieces.len().unwrap() + 4096, "{length} bytes: {used:?}");
        }
        let transaction = database.begin_write().unwrap();
        {
            let mut values = transaction.open_table(VALUES).unwrap();
            let mut pieces = transaction.open_table(PIECES).unwrap();
            for key in ["a", "b", "c"] {
                remove(&mut values, &mut pieces, key.as_bytes()).unwrap();
            }
            assert_eq!((values.len().unwrap(), pieces.len().unwrap()), (0, 0));
        }
        transaction.commit().unwrap();
    }
}
