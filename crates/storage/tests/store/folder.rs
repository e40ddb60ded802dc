//! What a folder may hold when it is opened. A folder that a kill left half made is completed. A folder with a lost file
//! is refused, and the error names the file.

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

fn one_message(msg_id: u64) -> [Change; 1] {
    let content = Content::Message { kind: Kind::Text, msg_id };
    let message = Message { user: format!("o{msg_id}").into(), create_time: 1_417_363_200, content };
    [Change::Message { account: AccountNumber(0), message }]
}

fn messages_counted(store: &Store) -> u64 {
    let day: Day = "2014-12-01".parse().unwrap();
    let number = store.account("wxone").unwrap();
    let slice: Slice = store.slice(number, statistics::Span::Days(day, day)).unwrap();
    slice.messages_counted
}

/// Checks that the store takes a message and still has it after a restart.
fn check_it_works(folder: &Path, msg_id: u64) {
    let store = open(folder).unwrap();
    let before = messages_counted(&store);
    assert_eq!(store.commit(&one_message(msg_id)).unwrap(), [Outcome::Counted]);
    drop(store);
    assert_eq!(messages_counted(&open(folder).unwrap()), before + 1);
}

fn write_file(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_kill_while_the_folder_is_made_does_not_stop_the_next_start() {
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
        // An older version made the segment last, without a temporary file.
        &[("lock", b""), (FIRST_SEGMENT, &segment[..9]), ("pages.redb", &pages)],
    ];
    for (number, files) in stages.into_iter().enumerate() {
        let folder = disk::folder();
        files.iter().for_each(|(name, bytes)| write_file(folder.path(), name, bytes));
        let store = open(folder.path()).unwrap_or_else(|error| panic!("stage {number}: {error}"));
        assert!(store.is_blank(), "stage {number}");
        drop(store);
        check_it_works(folder.path(), 1);
        assert!(!open(folder.path()).unwrap().is_blank(), "stage {number}");
        assert!(!folder.path().join("pages.new").exists() && !folder.path().join(new_segment).exists());
    }
}

/// A folder with one message only in the log, and, if `is_saved`, another one in the pages.
fn used_folder(is_saved: bool) -> tempfile::TempDir {
    let folder = disk::folder();
    let store = open(folder.path()).unwrap();
    store.account("wxone").unwrap();
    if is_saved {
        store.commit(&one_message(1)).unwrap();
        store.maintain(true).unwrap();
    }
    store.commit(&one_message(2)).unwrap();
    folder
}

fn missing_log(folder: &Path) -> PathBuf {
    match open(folder).unwrap_err() {
        StoreError::LogMissing { path, .. } => path,
        error => panic!("{error}"),
    }
}

#[test]
fn a_lost_log_is_refused_until_the_operator_accepts_the_loss() {
    for is_saved in [false, true] {
        for whole_folder in [false, true] {
            let folder = used_folder(is_saved);
            let log = folder.path().join("log");
            fs::remove_dir_all(&log).unwrap();
            if !whole_folder {
                fs::create_dir(&log).unwrap();
            }
            let path = missing_log(folder.path());
            assert_eq!(missing_log(folder.path()), path, "a second try gives the same error");
            assert!(path.starts_with(&log));
            // The error tells the operator to make this empty file.
            fs::create_dir_all(&log).unwrap();
            fs::write(&path, b"").unwrap();
            assert_eq!(messages_counted(&open(folder.path()).unwrap()), u64::from(is_saved));
            check_it_works(folder.path(), 3);
        }
    }
}

#[test]
fn a_log_that_ends_before_the_pages_is_refused() {
    let folder = used_folder(true);
    let log = folder.path().join("log");
    let newest = fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&newest).unwrap();
    let other = disk::folder();
    drop(open(other.path()).unwrap());
    fs::copy(other.path().join(FIRST_SEGMENT), folder.path().join(FIRST_SEGMENT)).unwrap();
    assert_eq!(missing_log(folder.path()), newest);
}

#[test]
fn a_folder_with_only_side_databases_is_refused() {
    for name in ["copies.redb", "refused.redb"] {
        let folder = disk::folder();
        write_file(folder.path(), name, b"x");
        assert_eq!(missing_log(folder.path()), folder.path().join(FIRST_SEGMENT), "{name}");
    }
}

#[test]
fn losing_pages_is_harmless_before_the_first_save_and_an_error_after_it() {
    let folder = used_folder(false);
    fs::remove_file(folder.path().join("pages.redb")).unwrap();
    assert_eq!(messages_counted(&open(folder.path()).unwrap()), 1);
    let folder = used_folder(true);
    fs::remove_file(folder.path().join("pages.redb")).unwrap();
    for _ in 0..2 {
        let error = open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("are missing before this file"), "{error}");
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_refused() {
    let folder = disk::folder();
    let faulty = FaultyDisk::default();
    let options = Options { disk: Arc::new(faulty.clone()), ..Options::default() };
    let store = open_on(folder.path(), &options).unwrap();
    store.account("wxone").unwrap();
    for msg_id in 0..3 {
        store.commit(&one_message(msg_id)).unwrap();
        // A failed write ends the segment, and the next commit begins a new one.
        faulty.plan(Fault { after: 0, times: 1, written: 0, lost: true });
        assert!(store.commit(&one_message(9)).is_err());
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
fn a_kill_while_a_segment_is_replaced_loses_nothing() {
    for after in 0..4 {
        let folder = used_folder(true);
        let store = open(folder.path()).unwrap();
        store.maintain(true).unwrap();
        drop(store);
        let faulty = FaultyDisk::default();
        let options = Options { disk: Arc::new(faulty.clone()), ..Options::default() };
        let store = open_on(folder.path(), &options).unwrap();
        faulty.plan(Fault { after, times: 1, written: 0, lost: true });
        assert!(store.commit(&one_message(3)).is_err(), "{after}");
        // The program is killed before the next try.
        drop(store);
        assert_eq!(messages_counted(&open(folder.path()).unwrap()), 2, "{after}");
        check_it_works(folder.path(), 3);
    }
}
