//! The page store: a B-tree file (redb) that is updated atomically at each save. Each value has a checksum of ours,
//! because redb checks its pages only on request.

mod overlay;
pub mod raw;
mod value;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::RwLock,
};

use counting::{Damaged, PageError, PageKey, PageSource};
use datacube::Day;
use redb::{Database, ReadTransaction, ReadableDatabase as _, TableDefinition, TableError};

use crate::store::StoreError;

use value::{PIECES, VALUES};

/// Pages of formats before 3: one value for each page.
const FORMER_PAGES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pages");
/// Sorted pages of users. The key is the account and the lowest openid.
const USERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("users");
const QUARANTINED: TableDefinition<&[u8], &[u8]> = TableDefinition::new("asides");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Bytes of redb's cache. It can be small, because we keep decoded pages in memory.
const CACHE_BYTES: usize = 8 << 20;

/// A file up to this size is checked completely when it is opened.
const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// The open page store.
#[derive(Debug)]
pub struct Pages {
    path: PathBuf,
    /// None only while the file is opened again after a fault.
    database: RwLock<Option<Database>>,
}

/// All values that one save writes, in one transaction.
#[derive(Debug, Default)]
pub struct Save {
    /// Full key and value of each page.
    pub pages: Vec<KeyValue>,
    /// Full keys of pages to remove.
    pub removed: Vec<Vec<u8>>,
    /// Keys of sorted user pages to remove. They are removed before new ones are written.
    pub removed_users: Vec<Vec<u8>>,
    /// Sorted pages of users.
    pub users: Vec<KeyValue>,
    /// Quarantined messages.
    pub quarantined: Vec<KeyValue>,
    /// Values about the store as a whole, by name.
    pub meta: Vec<(&'static str, Vec<u8>)>,
}

impl Pages {
    /// Opens the file, or creates it.
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

    /// redb panics if its own pages are damaged. That is an error of the file, so it becomes an error here.
    fn caught<T>(&self, call: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => result.map_err(|error| self.failed(error)),
            Err(_) => Err(self.failed("the file is damaged; restore data_dir from a backup")),
        }
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Pages { path: self.path.clone(), what: error.to_string() }
    }

    /// The error that something in this file is damaged.
    pub fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    /// The error that a page could not be read.
    pub fn read_error(&self, source: PageError) -> StoreError {
        StoreError::Page { path: self.path.clone(), source }
    }

    fn with<T>(&self, call: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match database.as_ref() {
            Some(database) => self.caught(|| call(database)),
            None => Err(self.failed("not open")),
        }
    }

    /// A value about the store as a whole.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.read(|transaction| one(transaction, META, key))?;
        sealed.map(|sealed| self.unseal(key.as_bytes(), sealed)).transpose()
    }

    /// The page with this full key.
    pub fn page(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.read(|transaction| {
            let values = table(transaction, VALUES)?.zip(table(transaction, PIECES)?);
            match values.map(|(values, pieces)| value::get(&values, &pieces, key)).transpose()?.flatten() {
                Some(sealed) => Ok(Some(sealed)),
                None => one(transaction, FORMER_PAGES, key),
            }
        })?;
        sealed.map(|sealed| self.unseal(key, sealed)).transpose()
    }

    /// The quarantined message with this key.
    pub fn quarantined(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.read(|transaction| one(transaction, QUARANTINED, key))?;
        sealed.map(|sealed| self.unseal(key, sealed)).transpose()
    }

    /// The account's sorted user page with the highest key that is not above this openid.
    fn sorted_users(&self, account: u32, openid: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (from, to) = (users_key(account, &[]), users_key(account, openid));
        let row: Option<KeyValue> = self.read(|transaction| {
            let Some(table) = table(transaction, USERS)? else { return Ok(None) };
            let row = table.range::<&[u8]>(from.as_slice()..=to.as_slice())?.next_back().transpose()?;
            Ok(row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
        })?;
        row.map(|(key, sealed)| self.unseal(&key, sealed)).transpose()
    }

    /// Keys from…to of pages in a format before 3.
    pub fn former_keys(&self, from: &[u8], to: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let Some(table) = table(transaction, FORMER_PAGES)? else { return Ok(Vec::new()) };
            let keys = table.range::<&[u8]>(from..=to)?.map(|row| row.map(|(key, _)| key.value().to_vec()));
            Ok(keys.collect::<Result<_, _>>()?)
        })
    }

    fn read<T>(
        &self,
        call: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.with(|database| call(&database.begin_read()?))
    }

    /// The last `limit` quarantined messages whose key starts with `prefix`, newest first.
    pub fn quarantined_messages(&self, prefix: &[u8], limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        let found: Vec<KeyValue> = self.read(|transaction| {
            let Some(table) = table(transaction, QUARANTINED)? else { return Ok(Vec::new()) };
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

    /// Makes a save durable, all of it or nothing. After an error the file is opened again.
    pub fn save(&self, save: &Save) -> Result<(), StoreError> {
        let saved = self.with(|database| {
            let mut transaction = database.begin_write()?;
            // With this, opening after a crash does not read the whole file.
            transaction.set_quick_repair(true);
            put_pages(&transaction, save)?;
            {
                let mut quarantined = transaction.open_table(QUARANTINED)?;
                for (key, value) in &save.quarantined {
                    quarantined.insert(key.as_slice(), seal(key, value).as_slice())?;
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

    /// Size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// A view of one account's pages.
    pub fn of_account(&self, account: u32) -> AccountPages<'_> {
        AccountPages { pages: self, account }
    }
}

/// A table. None until something was written to it.
fn table<K: redb::Key + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<K, &'static [u8]>,
) -> Result<Option<redb::ReadOnlyTable<K, &'static [u8]>>, redb::Error> {
    match transaction.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(Some(table?)),
    }
}

fn one<K: redb::Key + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<K, &'static [u8]>,
    key: K::SelfType<'_>,
) -> Result<Option<Vec<u8>>, redb::Error> {
    let Some(table) = table(transaction, definition)? else { return Ok(None) };
    Ok(table.get(key)?.map(|value| value.value().to_vec()))
}

fn put_pages(transaction: &redb::WriteTransaction, save: &Save) -> Result<(), redb::Error> {
    let mut values = transaction.open_table(VALUES)?;
    let mut pieces = transaction.open_table(PIECES)?;
    let mut former = transaction.open_table(FORMER_PAGES)?;
    for (key, value) in &save.pages {
        value::put(&mut values, &mut pieces, key, &seal(key, value))?;
        former.remove(key.as_slice())?;
    }
    for key in &save.removed {
        value::remove(&mut values, &mut pieces, key)?;
        former.remove(key.as_slice())?;
    }
    let mut users = transaction.open_table(USERS)?;
    for key in &save.removed_users {
        users.remove(key.as_slice())?;
    }
    for (key, value) in &save.users {
        users.insert(key.as_slice(), seal(key, value).as_slice())?;
    }
    Ok(())
}

/// Opens or creates the file. A file that can be checked within a second is checked completely: redb would not find a
/// damaged key otherwise.
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

/// One account's pages in the page store.
#[derive(Clone, Copy, Debug)]
pub struct AccountPages<'a> {
    pages: &'a Pages,
    account: u32,
}

impl PageSource for AccountPages<'_> {
    fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, PageError> {
        self.pages.page(&page_key(self.account, key)).map_err(|error| page_error(key, &error))
    }

    fn sorted_users(&self, openid: &[u8]) -> Result<Option<Vec<u8>>, PageError> {
        let page = self.pages.sorted_users(self.account, openid);
        page.map_err(|error| page_error(PageKey::SortedUsers, &error))
    }
}

fn page_error(key: PageKey, error: &StoreError) -> PageError {
    match error {
        StoreError::Damaged { .. } => PageError::Damaged(key, Damaged("its checksum is wrong")),
        error => PageError::Unreadable(key, error.to_string()),
    }
}

/// Key of a sorted user page: account, then its lowest openid.
pub fn users_key(account: u32, first: &[u8]) -> Vec<u8> {
    [&account.to_be_bytes(), first].concat()
}

/// Key of a page in the file: account, type of page, number. So the pages of an account lie together.
pub fn page_key(account: u32, key: PageKey) -> Vec<u8> {
    let (sort, number) = match key {
        PageKey::Users(page) => (1, page),
        PageKey::DayMessages(day) => (2, sortable(day)),
        PageKey::DayFigures(day) => (3, sortable(day)),
        PageKey::Week(day) => (4, sortable(day)),
        PageKey::Month(day) => (5, sortable(day)),
        PageKey::DaySenders(day) => (6, sortable(day)),
        PageKey::MonthSenders(day) => (7, sortable(day)),
        PageKey::FirstDays(page) => (8, page),
        PageKey::NewUsers => (9, 0),
        PageKey::MergedUsers => (10, 0),
        PageKey::SortedUsers => (11, 0),
        PageKey::MonthEnds(day) => (12, sortable(day)),
    };
    let mut bytes = Vec::with_capacity(9);
    bytes.extend_from_slice(&account.to_be_bytes());
    bytes.push(sort);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// The day in a key that [`page_key`] made.
pub fn day_of_key(key: &[u8]) -> Option<Day> {
    let number = key.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
    Some(Day::from_days_since_1970((number ^ 1 << 31).cast_signed().into()))
}

fn sortable(day: Day) -> u32 {
    day.days_since_1970().cast_unsigned() ^ 1 << 31
}
