//! Damaged files: the store answers exact figures, or its error names the damaged file. It never panics and never
//! answers wrong figures.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use storage::store::{Embedded, Options, Store, StoreError};

use crate::{
    changes::{APPIDS, any_batch},
    disk,
    model::{Model, REFUSED},
};

/// The files of an undamaged folder after a kill, and what the store must answer from them.
struct Undamaged {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// The expected state after each batch.
    models: Vec<Model>,
}

/// Batches that are committed.
const BATCHES: usize = 40;
/// The pages are saved after this batch.
const SAVED_AFTER: usize = 25;

fn undamaged() -> &'static Undamaged {
    static UNDAMAGED: OnceLock<Undamaged> = OnceLock::new();
    UNDAMAGED.get_or_init(|| {
        let folder = disk::folder();
        let mut runner = TestRunner::deterministic();
        let mut models = vec![Model::default()];
        let store = open(folder.path()).unwrap();
        for appid in APPIDS {
            store.account(appid).unwrap();
        }
        for number in 0..BATCHES {
            let changes = any_batch().new_tree(&mut runner).unwrap().current();
            store.commit(&changes).unwrap();
            let mut model = models[number].clone();
            model.commit(&changes);
            models.push(model);
            if number == SAVED_AFTER {
                store.maintain(true).unwrap();
            }
        }
        drop(store);
        for model in &mut models {
            model.interrupt();
        }
        Undamaged { files: read_files(folder.path()), models }
    })
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    // With so little memory no cached page can hide a damaged one.
    let options = Options { memory_bytes: 1, ends_messages: 1, ..Options::default() };
    Ok(Store::Embedded(Box::new(Embedded::open(folder, &options)?)))
}

fn read_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let log = fs::read_dir(folder.join("log")).unwrap().map(|entry| entry.unwrap().path());
    log.chain([folder.join("pages.redb")])
        .map(|path| (path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

fn write_files(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    fs::create_dir(folder.join("log")).unwrap();
    for (path, bytes) in files {
        fs::write(folder.join(path), bytes).unwrap();
    }
}

/// Opens the folder and reads everything. The store must match one of the `allowed` models, or fail with an error that
/// names the folder.
fn check_damaged(folder: &Path, allowed: &[Model]) {
    let error = match open(folder) {
        Err(error) => error.to_string(),
        Ok(store) => {
            let differences: Vec<String> =
                allowed.iter().map_while(|model| model.difference(&store)).collect();
            if differences.len() < allowed.len() {
                return;
            }
            let error = differences.into_iter().next().unwrap();
            assert!(error.contains(REFUSED), "wrong figures: {error}");
            error
        }
    };
    assert!(error.contains(folder.to_str().unwrap()), "the error does not name the folder: {error}");
}

fn file_name(nth: usize) -> PathBuf {
    undamaged().files.keys().nth(nth % undamaged().files.len()).unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_detected_or_harmless(nth in 0..9_usize, at: prop::sample::Index, change in 1..=255_u8) {
        let mut files = undamaged().files.clone();
        let bytes = files.get_mut(&file_name(nth)).unwrap();
        // Most of a page file is empty. Change a byte that is not.
        let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        bytes[written[at.index(written.len())]] ^= change;
        let folder = disk::folder();
        write_files(folder.path(), &files);
        check_damaged(folder.path(), &undamaged().models[BATCHES..]);
    }
}

// A newest log file that is cut short looks like a power loss: the store answers from the rest.
proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_file_is_detected_or_leaves_an_earlier_state(nth in 0..9_usize, at: prop::sample::Index) {
        let mut files = undamaged().files.clone();
        let name = file_name(nth);
        let bytes = files.get_mut(&name).unwrap();
        bytes.truncate(at.index(bytes.len()));
        let is_newest_log = name.starts_with("log") && files.keys().rfind(|path| path.starts_with("log")) == Some(&name);
        let folder = disk::folder();
        write_files(folder.path(), &files);
        check_damaged(folder.path(), &undamaged().models[if is_newest_log { SAVED_AFTER } else { BATCHES }..]);
    }

    #[test]
    fn a_missing_file_is_detected_or_leaves_an_earlier_state(nth in 0..9_usize) {
        let mut files = undamaged().files.clone();
        let name = file_name(nth);
        files.remove(&name);
        let folder = disk::folder();
        write_files(folder.path(), &files);
        check_damaged(folder.path(), &undamaged().models[if name.starts_with("log") { SAVED_AFTER } else { BATCHES }..]);
    }
}
