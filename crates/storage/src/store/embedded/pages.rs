//! The page store: a B-tree file (redb) that is replaced as a whole at each save, with a checksum of our own on
//! every value, since redb checks its pages only when asked.

mod overlay;
pub mod raw;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::RwLock,
};

use counting::{Cold, ColdError, Damaged, PageKey};
use datacube::Day;
use redb::{Database, ReadableDatabase as _, TableDefinition};

use crate::store::StoreError;

const PAGES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pages");
const ASIDES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("asides");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Bytes of redb's own cache; our pages are kept in memory decoded, so it needs little.
const CACHE_BYTES: usize = 8 << 20;

/// A file up to this size is checked as a whole when it is opened.
const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// The open file.
#[derive(Debug)]
pub struct Pages {
    path: PathBuf,
    /// None only while it is being opened again after a fault.
    database: RwLock<Option<Database>>,
}

/// Everything one save writes, at once.
#[derive(Debug, Default)]
pub struct Save {
    /// Full key and value of each page.
    pub pages: Vec<Row>,
    /// Messages kept aside.
    pub asides: Vec<Row>,
    /// What is known of the store as a whole.
    pub meta: Vec<(&'static str, Vec<u8>)>,
}

impl Pages {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Pages, StoreError> {
        let pages = Pages::unopened(path);
        pages.reopen()?;
        Ok(pages)
    }

    fn unopened(path: &Path) -> Pages {
        Pages { path: path.to_owned(), database: RwLock::new(None) }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *database = None;
        *database = Some(self.caught(|| open_checked(&self.path))?);
        Ok(())
    }

    /// redb panics when its own pages make no sense; that is the file's fault and not ours.
    fn caught<T>(&self, call: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => result.map_err(|error| self.failed(error)),
            Err(_) => Err(self.failed("the file is damaged; restore data_dir from a backup")),
        }
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Pages { path: self.path.clone(), what: error.to_string() }
    }

    /// Something in this file makes no sense.
    pub fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    /// A question that could not be answered from this file.
    pub fn cold(&self, source: ColdError) -> StoreError {
        StoreError::Cold { path: self.path.clone(), source }
    }

    fn with<T>(&self, call: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match database.as_ref() {
            Some(database) => self.caught(|| call(database)),
            None => Err(self.failed("not open")),
        }
    }

    /// A value of the store as a whole.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(META, key, key.as_bytes())
    }

    /// The page with this full key.
    pub fn page(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(PAGES, key, key)
    }

    /// The message kept aside under this key.
    pub fn aside(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(ASIDES, key, key)
    }

    fn get<K: redb::Key + 'static>(
        &self,
        table: TableDefinition<K, &[u8]>,
        key: K::SelfType<'_>,
        key_bytes: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.with(|database| {
            let table = match database.begin_read()?.open_table(table) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        })?;
        sealed.map(|sealed| self.unseal(key_bytes, sealed)).transpose()
    }

    /// The newest `limit` messages aside whose key starts so, newest first.
    pub fn asides(&self, prefix: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        let found: Vec<Row> = self.with(|database| {
            let table = match database.begin_read()?.open_table(ASIDES) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut end = prefix.to_vec();
            end.extend_from_slice(&[0xff; 32]);
            let newest = table.range::<&[u8]>(prefix..end.as_slice())?.rev().take(limit);
            newest
                .map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
                .collect::<Result<_, _>>()
                .map_err(redb::Error::from)
        })?;
        found.into_iter().map(|(key, sealed)| self.unseal(&key, sealed).map(|value| (key, value))).collect()
    }

    /// Makes a save durable, all of it or nothing. After a fault of the disk the file is opened anew.
    pub fn save(&self, save: &Save) -> Result<(), StoreError> {
        let saved = self.with(|database| {
            let mut transaction = database.begin_write()?;
            // Opening after a crash must not read the whole file.
            transaction.set_quick_repair(true);
            {
                let mut pages = transaction.open_table(PAGES)?;
                for (key, value) in &save.pages {
                    pages.insert(key.as_slice(), seal(key, value).as_slice())?;
                }
                let mut asides = transaction.open_table(ASIDES)?;
                for (key, value) in &save.asides {
                    asides.insert(key.as_slice(), seal(key, value).as_slice())?;
                }
                let mut meta = transaction.open_table(META)?;
                for (key, value) in &save.meta {
                    meta.insert(*key, seal(key.as_bytes(), value).as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        });
        if saved.is_err() {
            self.reopen()?;
        }
        saved
    }

    fn unseal(&self, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let length = sealed.len().saturating_sub(4);
        let sum = sealed.split_off(length);
        if sum == checksum(key, &sealed).to_le_bytes() {
            return Ok(sealed);
        }
        Err(self.damaged_value(key))
    }

    fn damaged_value(&self, key: &[u8]) -> StoreError {
        self.damaged(&format!("the value of key {key:02x?} is damaged"))
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// The pages of one account.
    pub fn of_account(&self, account: u32) -> AccountPages<'_> {
        AccountPages { pages: self, account }
    }
}

/// Opens the file or makes it. All of it is checked while that takes no second: a key that is damaged would
/// otherwise just not be found.
fn open_checked(path: &Path) -> Result<Database, redb::Error> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    if (1..=CHECKED_BYTES_MAX).contains(&bytes) && !database.check_integrity()? {
        return Err(redb::Error::Corrupted("its checksums are wrong".to_owned()));
    }
    Ok(database)
}

fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + 4);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&checksum(key, value).to_le_bytes());
    sealed
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

/// One account's view of the page store.
#[derive(Clone, Copy, Debug)]
pub struct AccountPages<'a> {
    pages: &'a Pages,
    account: u32,
}

impl Cold for AccountPages<'_> {
    fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, ColdError> {
        self.pages.page(&page_key(self.account, key)).map_err(|error| match error {
            StoreError::Damaged { .. } => ColdError::Damaged(key, Damaged("its checksum is wrong")),
            error => ColdError::Unreadable(key, error.to_string()),
        })
    }
}

/// A page's key in the file: account, sort of page, number, so that an account's pages lie together.
pub fn page_key(account: u32, key: PageKey) -> Vec<u8> {
    let (sort, number) = match key {
        PageKey::Users(page) => (1, page),
        PageKey::DayMessages(day) => (2, sortable(day)),
        PageKey::DayFigures(day) => (3, sortable(day)),
        PageKey::Week(day) => (4, sortable(day)),
        PageKey::Month(day) => (5, sortable(day)),
    };
    let mut bytes = Vec::with_capacity(9);
    bytes.extend_from_slice(&account.to_be_bytes());
    bytes.push(sort);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

fn sortable(day: Day) -> u32 {
    day.days_since_1970().cast_unsigned() ^ 1 << 31
}
