//! The page file as tables of bytes, for backup, restore and verify. Only [`ValueCheck`] knows what the tables contain.

use std::{ops::Bound, path::Path};

use redb::{
    Database, Key, MultimapTableHandle as _, ReadOnlyTable, ReadTransaction, ReadableDatabase as _,
    TableDefinition, TableError, TableHandle as _,
};
use serde::{Deserialize, Serialize};

use super::{
    KeyValue, Pages, checksum,
    overlay::Overlay,
    value::{self, PIECES, VALUES},
};
use crate::store::StoreError;

/// Bytes that one transaction of a restore writes.
const RESTORE_BATCH_BYTES: usize = 32 << 20;

/// Bytes of rows that an examination reads at a time.
const EXAM_ROWS_BYTES: usize = 8 << 20;

/// A table of the page file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawTable {
    /// Its name.
    pub name: String,
    /// The type of its keys in redb.
    pub keys: RawKeys,
}

/// The type of keys in redb. redb refuses to open a table with another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawKeys {
    /// `&[u8]`
    Bytes,
    /// `&str`
    Text,
}

/// A state of the page file that does not change. After a failed save it can no longer be read.
pub struct PagesSnapshot<'a> {
    pages: &'a Pages,
    transaction: ReadTransaction,
}

impl Pages {
    /// Keeps the current state until the snapshot is dropped. Until then redb does not reuse its space, so the file
    /// grows with each save.
    pub fn snapshot(&self) -> Result<PagesSnapshot<'_>, StoreError> {
        let transaction = self.with(|database| Ok(database.begin_read()?))?;
        Ok(PagesSnapshot { pages: self, transaction })
    }
}

impl PagesSnapshot<'_> {
    fn read<T>(
        &self,
        call: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.pages.caught(|| call(&self.transaction))
    }

    /// Its tables, by name.
    pub fn tables(&self) -> Result<Vec<RawTable>, StoreError> {
        self.read(tables)
    }

    /// The rows after this key, until they have `bytes_max` bytes. Fails if one of them is damaged.
    pub fn rows(
        &self,
        table: &RawTable,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        let (rows, damaged) = self.read(|transaction| {
            let rows = rows(transaction, table, after, bytes_max)?;
            let check = ValueCheck::new(transaction)?;
            for (key, value) in &rows {
                if !check.is_whole(table, key, value)? {
                    let damaged = Some(key.clone());
                    return Ok((rows, damaged));
                }
            }
            Ok((rows, None))
        })?;
        damaged.map_or(Ok(rows), |key| Err(self.pages.damaged_value(&key)))
    }
}

/// A page file that is opened to read all of it. It is not changed: what redb repairs after a kill stays in memory.
pub struct PagesExam {
    database: Database,
    /// The result of redb's own check.
    pub is_intact: bool,
}

impl PagesExam {
    /// Opens the file and lets redb check it. Fails if the file cannot be read at all.
    pub fn open(path: &Path) -> Result<PagesExam, StoreError> {
        let reader = Pages::unopened(path);
        let file = std::fs::File::open(path);
        let file = file.map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        reader.caught(|| {
            let mut database = Database::builder()
                .set_cache_size(super::CACHE_BYTES)
                .create_with_backend(Overlay::new(file))?;
            let is_intact = database.check_integrity()?;
            Ok(PagesExam { database, is_intact })
        })
    }

    /// Visits each row: its table, its key, its value, and whether the value is whole.
    pub fn each_row(
        &self,
        path: &Path,
        mut visit: impl FnMut(&RawTable, &[u8], &[u8], bool),
    ) -> Result<(), StoreError> {
        Pages::unopened(path).caught(|| {
            let transaction = self.database.begin_read()?;
            let check = ValueCheck::new(&transaction)?;
            for table in tables(&transaction)? {
                let mut after: Option<Vec<u8>> = None;
                loop {
                    let found = rows(&transaction, &table, after.as_deref(), EXAM_ROWS_BYTES)?;
                    let Some((last, _)) = found.last() else { break };
                    after = Some(last.clone());
                    for (key, value) in &found {
                        visit(&table, key, value, check.is_whole(&table, key, value)?);
                    }
                }
            }
            Ok(())
        })
    }
}

/// Fills a new page file with the rows of a backup.
pub struct PagesRestore {
    pages: Pages,
    waiting: Vec<(RawTable, Vec<KeyValue>)>,
    waiting_bytes: usize,
}

impl PagesRestore {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<PagesRestore, StoreError> {
        Ok(PagesRestore { pages: Pages::open(path)?, waiting: Vec::new(), waiting_bytes: 0 })
    }

    /// Adds rows of a table. A table without rows is created, too: the store only reads `values` if `pieces` exists.
    pub fn add(&mut self, table: &RawTable, rows: Vec<KeyValue>) -> Result<(), StoreError> {
        self.waiting_bytes += rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        self.waiting.push((table.clone(), rows));
        if self.waiting_bytes >= RESTORE_BATCH_BYTES { self.write() } else { Ok(()) }
    }

    /// Makes the added rows durable.
    pub fn write(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.pages.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_quick_repair(true);
            for (table, rows) in &waiting {
                match table.keys {
                    RawKeys::Bytes => {
                        let mut open = transaction.open_table(by_bytes(&table.name))?;
                        for (key, value) in rows {
                            open.insert(key.as_slice(), value.as_slice())?;
                        }
                    }
                    RawKeys::Text => {
                        let mut open = transaction.open_table(by_text(&table.name))?;
                        for (key, value) in rows {
                            open.insert(text_key(key)?, value.as_slice())?;
                        }
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }
}

fn by_bytes(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

fn by_text(name: &str) -> TableDefinition<'_, &'static str, &'static [u8]> {
    TableDefinition::new(name)
}

fn text_key(key: &[u8]) -> Result<&str, redb::Error> {
    std::str::from_utf8(key).map_err(|_| redb::Error::Corrupted("a key is no text".to_owned()))
}

fn tables(transaction: &ReadTransaction) -> Result<Vec<RawTable>, redb::Error> {
    if let Some(table) = transaction.list_multimap_tables()?.next() {
        return Err(redb::Error::TableIsMultimap(table.name().to_owned()));
    }
    let mut tables = Vec::new();
    for table in transaction.list_tables()? {
        let name = table.name().to_owned();
        let keys = match transaction.open_table(by_bytes(&name)) {
            Ok(_) => RawKeys::Bytes,
            Err(TableError::TableTypeMismatch { .. }) => {
                transaction.open_table(by_text(&name))?;
                RawKeys::Text
            }
            Err(error) => return Err(error.into()),
        };
        tables.push(RawTable { name, keys });
    }
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tables)
}

fn rows(
    transaction: &ReadTransaction,
    table: &RawTable,
    after: Option<&[u8]>,
    bytes_max: usize,
) -> Result<Vec<KeyValue>, redb::Error> {
    match table.keys {
        RawKeys::Bytes => rows_of(&transaction.open_table(by_bytes(&table.name))?, after, bytes_max),
        RawKeys::Text => {
            let after = after.map(text_key).transpose()?;
            rows_of(&transaction.open_table(by_text(&table.name))?, after, bytes_max)
        }
    }
}

fn rows_of<'k, K: Key + 'static>(
    table: &ReadOnlyTable<K, &'static [u8]>,
    after: Option<K::SelfType<'k>>,
    bytes_max: usize,
) -> Result<Vec<KeyValue>, redb::Error> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for row in table.range::<K::SelfType<'k>>((start, Bound::Unbounded))? {
        let (key, value) = row?;
        let key = K::as_bytes(&key.value()).as_ref().to_vec();
        bytes += key.len() + value.value().len();
        rows.push((key, value.value().to_vec()));
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(rows)
}

/// Checks that values are as they were written.
struct ValueCheck {
    values_and_pieces: Option<(BytesTable, BytesTable)>,
}

type BytesTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl ValueCheck {
    fn new(transaction: &ReadTransaction) -> Result<ValueCheck, redb::Error> {
        let values = super::table(transaction, VALUES)?;
        Ok(ValueCheck { values_and_pieces: values.zip(super::table(transaction, PIECES)?) })
    }

    /// True if the value is whole. Values of unknown tables are not checked here; redb has checksums of its own.
    fn is_whole(&self, table: &RawTable, key: &[u8], stored: &[u8]) -> Result<bool, redb::Error> {
        match table.name.as_str() {
            "pages" | "users" | "asides" | "meta" => Ok(is_sealed(key, stored)),
            "values" => self.is_whole_value(key),
            "pieces" => self.is_piece_of_a_value(key),
            _ => Ok(true),
        }
    }

    fn is_whole_value(&self, key: &[u8]) -> Result<bool, redb::Error> {
        let Some((values, pieces)) = &self.values_and_pieces else { return Ok(false) };
        Ok(value::get(values, pieces, key)?.is_some_and(|sealed| is_sealed(key, &sealed)))
    }

    /// True if a value has this piece. The bytes of the piece are checked together with that value.
    fn is_piece_of_a_value(&self, key: &[u8]) -> Result<bool, redb::Error> {
        let Some((values, _)) = &self.values_and_pieces else { return Ok(false) };
        let Some((number, value_key)) = key.split_last() else { return Ok(false) };
        let end = values.get(value_key)?;
        Ok(end.and_then(|end| end.value().first().copied()).is_some_and(|count| *number < count))
    }
}

/// Whether the checksum at the end of a value is right.
fn is_sealed(key: &[u8], sealed: &[u8]) -> bool {
    sealed.split_last_chunk::<4>().is_some_and(|(value, sum)| *sum == checksum(key, value).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::pages::Save;

    #[test]
    fn damage_of_any_piece_and_a_missing_piece_are_found_at_their_value() {
        let folder = tempfile::tempdir().unwrap();
        let pages = Pages::open(&folder.path().join("pages.redb")).unwrap();
        let value: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let save = || Save { pages: vec![(b"key".to_vec(), value.clone())], ..Save::default() };
        let whole = |pages: &Pages| {
            let snapshot = pages.snapshot().unwrap();
            let table = RawTable { name: "values".to_owned(), keys: RawKeys::Bytes };
            snapshot.rows(&table, None, usize::MAX).is_ok()
        };
        let change = |key: &[u8], piece: Option<&[u8]>| {
            let changed = pages.with(|database| {
                let transaction = database.begin_write()?;
                match piece {
                    Some(piece) => drop(transaction.open_table(PIECES)?.insert(key, piece)?),
                    None => drop(transaction.open_table(PIECES)?.remove(key)?),
                }
                Ok(transaction.commit()?)
            });
            changed.unwrap();
        };
        pages.save(&save()).unwrap();
        assert!(whole(&pages));
        let table = RawTable { name: "pieces".to_owned(), keys: RawKeys::Bytes };
        let pieces = pages.snapshot().unwrap().rows(&table, None, usize::MAX).unwrap();
        assert!(pieces.len() > 1);
        for (key, piece) in &pieces {
            let mut damaged = piece.clone();
            damaged[7] ^= 1;
            change(key, Some(&damaged));
            assert!(!whole(&pages), "{key:?}");
            change(key, None);
            assert!(!whole(&pages), "{key:?}");
            pages.save(&save()).unwrap();
            assert!(whole(&pages));
        }
    }
}
