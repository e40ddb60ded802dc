//! Damaged files: the store works with exact figures or says which file is damaged. Never a panic, never wrong
//! figures.

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

/// A folder as it was after a kill, and what it holds.
struct Whole {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What is known after each batch; the last is all.
    models: Vec<Model>,
}

const BATCHES: usize = 40;
const SAVED_AFTER: usize = 25;

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
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
        Whole { files: read_files(folder.path()), models }
    })
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    // Nothing is kept in memory that could hide a damaged page.
    let options = Options { memory_bytes: 1, ..Options::default() };
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

/// Opens, asks everything, takes messages and saves; what the store says must be right or a refusal naming its files.
fn judge(folder: &Path, allowed: &[Model]) {
    let refused = match open(folder) {
        Err(error) => error.to_string(),
        Ok(store) => {
            let differences: Vec<String> =
                allowed.iter().map_while(|model| model.difference(&store)).collect();
            if differences.len() < allowed.len() {
                return;
            }
            let refusal = differences.into_iter().next().unwrap();
            assert!(refusal.contains(REFUSED), "wrong figures: {refusal}");
            refusal
        }
    };
    assert!(refused.contains(folder.to_str().unwrap()), "does not say where: {refused}");
}

fn file(nth: usize) -> PathBuf {
    whole().files.keys().nth(nth % whole().files.len()).unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_found_or_harmless(nth in 0..9_usize, at: prop::sample::Index, change in 1..=255_u8) {
        let mut files = whole().files.clone();
        let bytes = files.get_mut(&file(nth)).unwrap();
        // Most of a page file is empty; what counts is what is written.
        let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        bytes[written[at.index(written.len())]] ^= change;
        let folder = disk::folder();
        write_files(folder.path(), &files);
        judge(folder.path(), &whole().models[BATCHES..]);
    }
}

// A file that ends early at the end of the log looks like a power loss: then what is left counts.
proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_cut_short_is_found_or_a_beginning_of_what_was_there(nth in 0..9_usize, at: prop::sample::Index) {
        let mut files = whole().files.clone();
        let name = file(nth);
        let bytes = files.get_mut(&name).unwrap();
        bytes.truncate(at.index(bytes.len()));
        let newest = name.starts_with("log") && files.keys().rfind(|path| path.starts_with("log")) == Some(&name);
        let folder = disk::folder();
        write_files(folder.path(), &files);
        judge(folder.path(), &whole().models[if newest { SAVED_AFTER } else { BATCHES }..]);
    }

    #[test]
    fn a_missing_file_is_found_or_a_beginning_of_what_was_there(nth in 0..9_usize) {
        let mut files = whole().files.clone();
        let name = file(nth);
        files.remove(&name);
        let folder = disk::folder();
        write_files(folder.path(), &files);
        judge(folder.path(), &whole().models[if name.starts_with("log") { SAVED_AFTER } else { BATCHES }..]);
    }
}
