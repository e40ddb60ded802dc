//! Refused calls on disk: a B-tree file (redb) by rid, which sorts by time, and by account. Bounded: for whatever is too
//! much the oldest goes.

use std::{collections::HashMap, path::Path, sync::Mutex};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition};

use super::AGE_S_MAX;
use crate::{rid::Rid, side_file, store::lock};

/// By sort and rid: the owner, and the sealed call.
const CALLS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("calls");
/// By sort, owner and rid: bytes of the entry.
const OWNERS: TableDefinition<&[u8], u32> = TableDefinition::new("owners");
const CACHE_BYTES: usize = 1 << 20;
/// What an entry takes beside its content, about.
const ENTRY_BYTES: u64 = 128;
/// Entries too old that go with one change.
const EXPIRED_MAX: usize = 4096;

/// Names an account.
pub type Owner = [u8; 16];

/// Whether the caller had shown that it may speak for the account. Anybody can cause the others, so they have bounds of
/// their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    Unproven,
    Proven,
}

/// Entries of an account, and bytes of all accounts together.
#[derive(Clone, Copy, Debug)]
struct Bound {
    entries_of_owner: u64,
    bytes: u64,
}

/// A sealed call.
#[derive(Clone, Debug)]
pub struct Entry {
    pub sort: Sort,
    pub rid: Rid,
    pub owner: Owner,
    pub sealed: Vec<u8>,
}

/// The open file.
#[derive(Debug)]
pub struct Book {
    database: Database,
    tally: Mutex<Tally>,
}

/// What is in the file.
#[derive(Debug, Default)]
struct Tally {
    bytes: HashMap<Sort, u64>,
    entries: HashMap<(Sort, Owner), u64>,
}

type Calls<'a> = Table<'a, &'static [u8], &'static [u8]>;
type Owners<'a> = Table<'a, &'static [u8], u32>;

impl Sort {
    const ALL: [Sort; 2] = [Sort::Unproven, Sort::Proven];

    fn bound(self) -> Bound {
        match self {
            Sort::Proven => Bound { entries_of_owner: 1000, bytes: 56 << 20 },
            Sort::Unproven => Bound { entries_of_owner: 100, bytes: 8 << 20 },
        }
    }

    fn byte(self) -> u8 {
        u8::from(self == Sort::Proven)
    }
}

impl Tally {
    fn add(&mut self, sort: Sort, owner: Owner, bytes: u64) {
        *self.bytes.entry(sort).or_default() += bytes;
        *self.entries.entry((sort, owner)).or_default() += 1;
    }

    fn remove(&mut self, sort: Sort, owner: Owner, bytes: u64) {
        let total = self.bytes.entry(sort).or_default();
        *total = total.saturating_sub(bytes);
        if let Some(entries) = self.entries.get_mut(&(sort, owner)) {
            *entries = entries.saturating_sub(1);
            if *entries == 0 {
                self.entries.remove(&(sort, owner));
            }
        }
    }

    fn bytes(&self, sort: Sort) -> u64 {
        self.bytes.get(&sort).copied().unwrap_or(0)
    }
}

impl Book {
    /// Opens the file, or makes it. One that makes no sense is put aside.
    pub fn open(path: &Path) -> Result<Book, String> {
        let database = side_file::open_or_renew(path, CACHE_BYTES)?;
        let tally = survey(&database).map_err(|error| error.to_string())?;
        Ok(Book { database, tally: Mutex::new(tally) })
    }

    /// Adds entries, durably; what is too old or too much goes. After an error the file has to be opened anew.
    pub fn add(&self, entries: &[Entry], now_s: i64) -> Result<(), redb::Error> {
        let mut tally = lock(&self.tally);
        let transaction = self.database.begin_write()?;
        {
            let mut page = Page {
                calls: transaction.open_table(CALLS)?,
                owners: transaction.open_table(OWNERS)?,
                tally: &mut tally,
            };
            for sort in Sort::ALL {
                page.expire(sort, now_s)?;
            }
            for entry in entries {
                page.insert(entry)?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// The call of this rid.
    pub fn find(&self, rid: Rid) -> Result<Option<(Owner, Vec<u8>)>, redb::Error> {
        let calls = self.database.begin_read()?.open_table(CALLS)?;
        for sort in Sort::ALL {
            if let Some(value) = calls.get(call_key(sort, rid).as_slice())? {
                return Ok(value
                    .value()
                    .split_first_chunk()
                    .map(|(owner, sealed)| (*owner, sealed.to_vec())));
            }
        }
        Ok(None)
    }
}

/// The file in the middle of a change.
struct Page<'a, 'b> {
    calls: Calls<'a>,
    owners: Owners<'a>,
    tally: &'b mut Tally,
}

impl Page<'_, '_> {
    fn insert(&mut self, entry: &Entry) -> Result<(), redb::Error> {
        let Entry { sort, rid, owner, sealed } = entry;
        let value = [owner.as_slice(), sealed].concat();
        let bytes = bytes_of(&value);
        self.calls.insert(call_key(*sort, *rid).as_slice(), value.as_slice())?;
        self.owners.insert(owner_key(*sort, *owner, *rid).as_slice(), bytes)?;
        self.tally.add(*sort, *owner, bytes.into());
        let bound = sort.bound();
        while self
            .tally
            .entries
            .get(&(*sort, *owner))
            .is_some_and(|entries| *entries > bound.entries_of_owner)
        {
            let Some(oldest) = self.oldest_of(*sort, *owner)? else { break };
            self.remove(*sort, oldest)?;
        }
        while self.tally.bytes(*sort) > bound.bytes {
            let Some(oldest) = self.oldest(*sort)? else { break };
            self.remove(*sort, oldest)?;
        }
        Ok(())
    }

    fn expire(&mut self, sort: Sort, now_s: i64) -> Result<(), redb::Error> {
        for _ in 0..EXPIRED_MAX {
            match self.oldest(sort)? {
                Some(rid) if rid.at_s() < now_s - AGE_S_MAX => self.remove(sort, rid)?,
                _ => break,
            }
        }
        Ok(())
    }

    fn oldest(&self, sort: Sort) -> Result<Option<Rid>, redb::Error> {
        let prefix = [sort.byte()];
        let first = self.calls.range(prefix.as_slice()..)?.next().transpose()?;
        Ok(first.and_then(|(key, _)| rid_at_end(key.value(), &prefix)))
    }

    fn oldest_of(&self, sort: Sort, owner: Owner) -> Result<Option<Rid>, redb::Error> {
        let prefix = [&[sort.byte()], owner.as_slice()].concat();
        let first = self.owners.range(prefix.as_slice()..)?.next().transpose()?;
        Ok(first.and_then(|(key, _)| rid_at_end(key.value(), &prefix)))
    }

    fn remove(&mut self, sort: Sort, rid: Rid) -> Result<(), redb::Error> {
        let removed = self.calls.remove(call_key(sort, rid).as_slice())?;
        let removed = removed.map(|value| (value.value().first_chunk().copied(), bytes_of(value.value())));
        if let Some((Some(owner), bytes)) = removed {
            self.owners.remove(owner_key(sort, owner, rid).as_slice())?;
            self.tally.remove(sort, owner, bytes.into());
        }
        Ok(())
    }
}

fn bytes_of(value: &[u8]) -> u32 {
    u32::try_from(value.len() as u64 + ENTRY_BYTES).unwrap_or(u32::MAX)
}

fn call_key(sort: Sort, rid: Rid) -> Vec<u8> {
    [&[sort.byte()], rid.bytes().as_slice()].concat()
}

fn owner_key(sort: Sort, owner: Owner, rid: Rid) -> Vec<u8> {
    [&[sort.byte()], owner.as_slice(), &rid.bytes()].concat()
}

/// The rid behind a prefix, if the key has that prefix.
fn rid_at_end(key: &[u8], prefix: &[u8]) -> Option<Rid> {
    let rid: [u8; 12] = key.strip_prefix(prefix)?.try_into().ok()?;
    Some(rid.into())
}

fn survey(database: &Database) -> Result<Tally, redb::Error> {
    let transaction = database.begin_write()?;
    let mut tally = Tally::default();
    {
        transaction.open_table(CALLS)?;
        for row in transaction.open_table(OWNERS)?.iter()? {
            let (key, bytes) = row?;
            if let Some((sort, owner)) = sort_and_owner(key.value()) {
                tally.add(sort, owner, bytes.value().into());
            }
        }
    }
    transaction.commit()?;
    Ok(tally)
}

fn sort_and_owner(key: &[u8]) -> Option<(Sort, Owner)> {
    let (byte, rest) = key.split_first()?;
    let sort = Sort::ALL.into_iter().find(|sort| sort.byte() == *byte)?;
    Some((sort, *rest.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rid::Rids;

    const NOW_S: i64 = 1_400_000_000;

    fn entry(rids: &Rids, sort: Sort, owner: u8, at_s: i64, bytes: usize) -> Entry {
        Entry { sort, rid: rids.next(at_s), owner: [owner; 16], sealed: vec![owner; bytes] }
    }

    fn is_there(book: &Book, entry: &Entry) -> bool {
        book.find(entry.rid).unwrap().is_some_and(|found| found == (entry.owner, entry.sealed.clone()))
    }

    fn open() -> (tempfile::TempDir, Book) {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::open(&folder.path().join("refused.redb")).unwrap();
        (folder, book)
    }

    #[test]
    fn an_account_keeps_its_newest_thousand_and_no_other_loses_by_it() {
        let (folder, book) = open();
        let rids = Rids::default();
        let other = entry(&rids, Sort::Proven, 2, NOW_S - 100, 10);
        let many: Vec<Entry> = (0..1003).map(|n| entry(&rids, Sort::Proven, 1, NOW_S + n, 10)).collect();
        let anyone: Vec<Entry> = (0..150).map(|n| entry(&rids, Sort::Unproven, 1, NOW_S + n, 10)).collect();
        book.add(std::slice::from_ref(&other), NOW_S).unwrap();
        for part in many.chunks(100).chain(anyone.chunks(100)) {
            book.add(part, NOW_S).unwrap();
        }
        drop(book);
        let book = Book::open(&folder.path().join("refused.redb")).unwrap();
        assert!(is_there(&book, &other));
        let kept: Vec<bool> = many.iter().map(|entry| is_there(&book, entry)).collect();
        assert_eq!(kept.iter().position(|kept| *kept), Some(3));
        assert!(kept[3..].iter().all(|kept| *kept));
        assert_eq!(anyone.iter().filter(|entry| is_there(&book, entry)).count(), 100);
        book.add(&[entry(&rids, Sort::Proven, 1, NOW_S + 5000, 10)], NOW_S).unwrap();
        assert!(!is_there(&book, &many[3]), "the number is known after opening, too");
    }

    #[test]
    fn what_anybody_can_cause_pushes_out_nothing_that_is_proven() {
        let (_folder, book) = open();
        let rids = Rids::default();
        let proven = entry(&rids, Sort::Proven, 1, NOW_S, 10);
        book.add(std::slice::from_ref(&proven), NOW_S).unwrap();
        let flood: Vec<Entry> =
            (0..10_u8).map(|n| entry(&rids, Sort::Unproven, n, NOW_S + i64::from(n), 1 << 20)).collect();
        book.add(&flood, NOW_S).unwrap();
        assert!(is_there(&book, &proven));
        assert_eq!(
            flood.iter().filter(|entry| is_there(&book, entry)).count(),
            7,
            "8 MiB hold seven and a bit"
        );
        assert!(!is_there(&book, &flood[0]) && is_there(&book, &flood[9]));
    }

    #[test]
    fn after_seven_days_it_is_gone() {
        let (_folder, book) = open();
        let rids = Rids::default();
        let old = entry(&rids, Sort::Proven, 1, NOW_S, 10);
        book.add(std::slice::from_ref(&old), NOW_S).unwrap();
        book.add(&[entry(&rids, Sort::Proven, 2, NOW_S, 10)], NOW_S + AGE_S_MAX).unwrap();
        assert!(is_there(&book, &old));
        book.add(&[], NOW_S + AGE_S_MAX + 1).unwrap();
        assert!(!is_there(&book, &old));
        assert_eq!(lock(&book.tally).bytes(Sort::Proven), 0);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.redb");
        std::fs::write(&path, "no database".repeat(1000)).unwrap();
        let book = Book::open(&path).unwrap();
        assert!(path.with_extension("damaged").exists());
        assert_eq!(book.find(Rids::default().next(NOW_S)).unwrap(), None);
    }
}
