//! What a folder may hold when it is opened: whatever a kill leaves while it is being made starts, whatever was lost
//! of it is refused by name.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use counting::{Content, Kind, Message};
use datacube::Day;
use storage::store::{
    AccountNumber, Change, Embedded, Options, Outcome, Slice, Store, StoreError, statistics,
};

use crate::disk::{self, Fault, FaultyDisk};

const FIRST_SEGMENT: &str = "log/00000000000000000000.log";

fn open(folder: &Path) -> Result<Store, StoreError> {
    open_on(folder, &Options::default())
}

fn open_on(folder: &Path, options: &Options) -> Result<Store, StoreError> {
    Ok(Store::Embedded(Box::new(Embedded::open(folder, options)?)))
}

fn one(msg_id: u64) -> [Change; 1] {
    let content = Content::Message { kind: Kind::Text, msg_id };
    let message = Message { user: format!("o{msg_id}").into(), create_time: 1_417_363_200, content };
    [Change::Message { account: AccountNumber(0), message }]
}

fn messages(store: &Store) -> u64 {
    let day: Day = "2014-12-01".parse().unwrap();
    let number = store.account("wxone").unwrap();
    let slice: Slice = store.slice(number, statistics::Span::Days(day, day)).unwrap();
    slice.messages_counted
}

/// Takes a message, and has it after a restart.
fn works(folder: &Path, msg_id: u64) {
    let store = open(folder).unwrap();
    let before = messages(&store);
    assert_eq!(store.commit(&one(msg_id)).unwrap(), [Outcome::Counted]);
    drop(store);
    assert_eq!(messages(&open(folder).unwrap()), before + 1);
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_start_that_was_killed_while_it_made_the_folder_starts_again() {
    let whole = disk::folder();
    let store = open(whole.path()).unwrap();
    assert!(store.is_blank());
    drop(store);
    let (segment, pages) = (
        fs::read(whole.path().join(FIRST_SEGMENT)).unwrap(),
        fs::read(whole.path().join("pages.redb")).unwrap(),
    );
    let new_segment = "log/00000000000000000000.new";
    let stages: [&[(&str, &[u8])]; 9] = [
        &[],
        &[("lock", b"")],
        &[("lock", b""), (new_segment, b"")],
        &[("lock", b""), (new_segment, &segment[..9])],
        &[("lock", b""), (FIRST_SEGMENT, &segment)],
        &[("lock", b""), (FIRST_SEGMENT, &segment), ("pages.new", b"")],
        &[("lock", b""), (FIRST_SEGMENT, &segment), ("pages.new", &pages[..5000])],
        &[("lock", b""), (FIRST_SEGMENT, &segment), ("pages.redb", &pages)],
        // As an older version left it, which made the segment last and in place.
        &[("lock", b""), (FIRST_SEGMENT, &segment[..9]), ("pages.redb", &pages)],
    ];
    for (number, files) in stages.into_iter().enumerate() {
        let folder = disk::folder();
        files.iter().for_each(|(name, bytes)| put(folder.path(), name, bytes));
        let store = open(folder.path()).unwrap_or_else(|error| panic!("stage {number}: {error}"));
        assert!(store.is_blank(), "stage {number}");
        drop(store);
        works(folder.path(), 1);
        assert!(!open(folder.path()).unwrap().is_blank(), "stage {number}");
        assert!(!folder.path().join("pages.new").exists() && !folder.path().join(new_segment).exists());
    }
}

/// A folder with one message in the pages, if so, and another in the log alone.
fn used(is_saved: bool) -> tempfile::TempDir {
    let folder = disk::folder();
    let store = open(folder.path()).unwrap();
    store.account("wxone").unwrap();
    if is_saved {
        store.commit(&one(1)).unwrap();
        store.maintain(true).unwrap();
    }
    store.commit(&one(2)).unwrap();
    folder
}

fn missing(folder: &Path) -> PathBuf {
    match open(folder).unwrap_err() {
        StoreError::LogMissing { path, .. } => path,
        error => panic!("{error}"),
    }
}

#[test]
fn a_log_that_was_lost_is_refused_until_its_loss_is_accepted() {
    for is_saved in [false, true] {
        for whole_folder in [false, true] {
            let folder = used(is_saved);
            let log = folder.path().join("log");
            fs::remove_dir_all(&log).unwrap();
            if !whole_folder {
                fs::create_dir(&log).unwrap();
            }
            let path = missing(folder.path());
            assert_eq!(missing(folder.path()), path, "asking does not change it");
            assert!(path.starts_with(&log));
            // What the error says to do.
            fs::create_dir_all(&log).unwrap();
            fs::write(&path, b"").unwrap();
            assert_eq!(messages(&open(folder.path()).unwrap()), u64::from(is_saved));
            works(folder.path(), 3);
        }
    }
}

#[test]
fn a_log_that_ends_before_the_pages_is_refused() {
    let folder = used(true);
    let log = folder.path().join("log");
    let newest = fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&newest).unwrap();
    let other = disk::folder();
    drop(open(other.path()).unwrap());
    fs::copy(other.path().join(FIRST_SEGMENT), folder.path().join(FIRST_SEGMENT)).unwrap();
    assert_eq!(missing(folder.path()), newest);
}

#[test]
fn a_folder_that_holds_only_what_lies_beside_pages_and_log_is_refused() {
    for name in ["copies.redb", "refused.redb"] {
        let folder = disk::folder();
        put(folder.path(), name, b"x");
        assert_eq!(missing(folder.path()), folder.path().join(FIRST_SEGMENT), "{name}");
    }
}

#[test]
fn pages_that_were_never_saved_cost_nothing_and_saved_ones_are_missed() {
    let folder = used(false);
    fs::remove_file(folder.path().join("pages.redb")).unwrap();
    assert_eq!(messages(&open(folder.path()).unwrap()), 1);
    let folder = used(true);
    fs::remove_file(folder.path().join("pages.redb")).unwrap();
    for _ in 0..2 {
        let error = open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("are missing before this file"), "{error}");
    }
}

#[test]
fn a_segment_that_is_missing_in_the_middle_is_refused() {
    let folder = disk::folder();
    let faulty = FaultyDisk::default();
    let options = Options { disk: Arc::new(faulty.clone()), ..Options::default() };
    let store = open_on(folder.path(), &options).unwrap();
    store.account("wxone").unwrap();
    for msg_id in 0..3 {
        store.commit(&one(msg_id)).unwrap();
        // A failed write ends the segment.
        faulty.plan(Fault { after: 0, times: 1, written: 0, lost: true });
        assert!(store.commit(&one(9)).is_err());
    }
    drop(store);
    let mut segments: Vec<PathBuf> =
        fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    assert_eq!(segments.len(), 3);
    fs::remove_file(&segments[1]).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(segments[2].to_str().unwrap()) && error.contains("are missing before"), "{error}");
}

#[test]
fn a_segment_that_takes_the_place_of_another_leaves_no_moment_without_one() {
    for after in 0..4 {
        let folder = used(true);
        let store = open(folder.path()).unwrap();
        store.maintain(true).unwrap();
        drop(store);
        let faulty = FaultyDisk::default();
        let options = Options { disk: Arc::new(faulty.clone()), ..Options::default() };
        let store = open_on(folder.path(), &options).unwrap();
        faulty.plan(Fault { after, times: 1, written: 0, lost: true });
        assert!(store.commit(&one(3)).is_err(), "{after}");
        // Killed before the next try.
        drop(store);
        assert_eq!(messages(&open(folder.path()).unwrap()), 2, "{after}");
        works(folder.path(), 3);
    }
}
