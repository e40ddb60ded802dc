//! Backup, restore and verify: a backup is the state of the moment it began, whatever arrives meanwhile; a fault leaves
//! everything as it was; every damage is found and named.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use redb::ReadableTable as _;
use storage::{
    backup::{
        BackupError, BackupFolder, BackupSummary, FolderKind,
        export::{Wanted, export},
        restore,
        stream::{Piece, PieceDecoder},
        verify,
    },
    store::{
        Change, Embedded, Options, Store, StoreError,
        disk::{Disk, LogFile, RealDisk},
    },
};

use crate::{
    changes::{APPIDS, any_batch},
    disk::{self, Fault, FaultyDisk},
    model::Model,
};

fn open(folder: &Path) -> Result<Store, StoreError> {
    let options = Options { memory_bytes: 1, log_bytes: 4000, ends_messages: 1, ..Options::default() };
    Ok(Store::Embedded(Box::new(Embedded::open(folder, &options)?)))
}

fn opened(folder: &Path) -> Store {
    let store = open(folder).unwrap();
    for appid in APPIDS {
        store.account(appid).unwrap();
    }
    store
}

fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Backs a store up; `meanwhile` runs between any two pieces.
fn back_up(
    store: &Store,
    folder: &Path,
    disk: Arc<dyn Disk>,
    meanwhile: &dyn Fn(),
) -> Result<BackupSummary, BackupError> {
    let Store::Embedded(embedded) = store else { panic!("only the embedded store has backups") };
    let mut folder = BackupFolder::open(folder, disk, &|_| {})?;
    let wanted = Wanted {
        known: folder.known().collect(),
        bytes_per_second: u64::MAX,
        identity: "a key".to_owned(),
        at_s: 7,
    };
    let (mut decoder, mut done) = (PieceDecoder::default(), Ok(None));
    let snapshot = embedded.snapshot()?;
    let exported = export(&snapshot, &wanted, &mut |piece: Piece| {
        meanwhile();
        decoder.push(&piece.encode());
        while let (Ok(None), Some(piece)) = (&done, decoder.next_piece().unwrap()) {
            done = folder.take(piece);
        }
        done.is_ok()
    });
    let summary = done?;
    exported?;
    Ok(summary.expect("the manifest came"))
}

fn check(folder: &Path, model: &Model) {
    let store = open(folder).unwrap();
    let mut model = model.clone();
    model.interrupt();
    assert_eq!(model.difference(&store), None);
}

fn restored(backup: &Path, place: &Path, model: &Model) {
    restore(backup, place, &real(), &|_, _| {}).unwrap();
    check(place, model);
    assert_eq!(verify(place, &|_, _| {}).unwrap().damages, []);
    fs::remove_dir_all(place).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_backup_is_the_state_of_the_moment_it_began(
        before in prop::collection::vec((any_batch(), any::<bool>()), 1..12),
        meanwhile in prop::collection::vec((any_batch(), any::<bool>()), 1..12),
    ) {
        let folder = disk::folder();
        let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
        let store = opened(&data);
        let model = RefCell::new(Model::default());
        let take = |(changes, saves): &(Vec<Change>, bool)| {
            let outcomes = store.commit(changes).unwrap();
            assert_eq!(outcomes, model.borrow_mut().commit(changes));
            store.maintain(*saves).unwrap();
        };
        before.iter().for_each(take);
        let at_begin = model.borrow().clone();
        let rest = RefCell::new(meanwhile.iter());
        back_up(&store, &backup, real(), &|| rest.borrow_mut().next().into_iter().for_each(take)).unwrap();
        let place = folder.path().join("restored");
        restored(&backup, &place, &at_begin);
        rest.into_inner().for_each(take);
        // The next one has all of it.
        back_up(&store, &backup, real(), &|| {}).unwrap();
        restored(&backup, &place, &model.borrow());
        prop_assert_eq!(verify(&backup, &|_, _| {}).unwrap().damages, []);
        // A third one needs nothing new.
        let summary = back_up(&store, &backup, real(), &|| {}).unwrap();
        prop_assert_eq!((summary.new_parts, summary.new_bytes), (0, 0));
    }
}

/// A store with pages and log, and what it must answer.
fn filled(data: &Path, batches: usize) -> (Store, Model) {
    let store = opened(data);
    let mut model = Model::default();
    let mut runner = TestRunner::deterministic();
    for number in 0..batches {
        let changes = any_batch().new_tree(&mut runner).unwrap().current();
        store.commit(&changes).unwrap();
        model.commit(&changes);
        if number == batches / 2 {
            store.maintain(true).unwrap();
        }
    }
    (store, model)
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_backup_that_fails_at_any_moment_leaves_the_former_one() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, former) = filled(&data, 10);
    back_up(&store, &backup, real(), &|| {}).unwrap();
    let mut runner = TestRunner::deterministic();
    for _ in 0..20 {
        store.commit(&any_batch().new_tree(&mut runner).unwrap().current()).unwrap();
    }
    store.maintain(true).unwrap();
    let before = files(&backup);
    let mut failures = 0;
    loop {
        let disk = FaultyDisk::default();
        disk.plan(Fault { after: failures, times: usize::MAX, written: 5, lost: false });
        match back_up(&store, &backup, Arc::new(disk), &|| {}) {
            Ok(_) => break,
            Err(BackupError::File { .. }) => assert_eq!(files(&backup), before, "after {failures}"),
            Err(error) => panic!("{error}"),
        }
        failures += 1;
    }
    assert!(failures > 8, "a part and the manifest have four operations each, and {failures} failed");
    assert_ne!(files(&backup), before);
    drop(store);
    assert!(former.difference(&open(&data).unwrap()).is_some());
}

/// A disk that renames the manifest and then fails to sync the folder.
#[derive(Debug)]
struct NoSyncOfTheManifest;

impl Disk for NoSyncOfTheManifest {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        RealDisk.create(path)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.replace(from, to)?;
        if to.ends_with("manifest") { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    fn settle(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        RealDisk.settle(path, at, bytes)
    }
}

#[test]
fn a_manifest_that_is_in_place_keeps_its_parts_though_its_folder_could_not_be_synced() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, model) = filled(&data, 10);
    let failed = back_up(&store, &backup, Arc::new(NoSyncOfTheManifest), &|| {});
    assert!(matches!(failed, Err(BackupError::File { .. })), "{failed:?}");
    assert_eq!(verify(&backup, &|_, _| {}).unwrap().damages, []);
    restored(&backup, &folder.path().join("restored"), &model);
}

#[test]
fn a_backup_that_was_killed_leaves_the_former_one_and_the_next_one_tidies_up() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, model) = filled(&data, 10);
    back_up(&store, &backup, real(), &|| {}).unwrap();
    let whole = files(&backup);
    // What a kill leaves: parts that nothing names, a part and a manifest that are not whole.
    fs::write(backup.join("parts").join("0".repeat(64)), b"half").unwrap();
    fs::write(backup.join("parts").join(format!("{}.new", "1".repeat(64))), b"half").unwrap();
    fs::write(backup.join("manifest.new"), b"half").unwrap();
    assert_eq!(verify(&backup, &|_, _| {}).unwrap().damages, []);
    restored(&backup, &folder.path().join("restored"), &model);
    back_up(&store, &backup, real(), &|| {}).unwrap();
    assert_eq!(files(&backup), whole);
}

#[test]
fn a_restore_that_fails_or_was_killed_leaves_nothing() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, model) = filled(&data, 10);
    back_up(&store, &backup, real(), &|| {}).unwrap();
    let place = folder.path().join("restored");
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<BTreeSet<_>>()
    };
    let before = names();
    for after in 0..3 {
        let disk = FaultyDisk::default();
        disk.plan(Fault { after, times: usize::MAX, written: 5, lost: false });
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let failed = restore(&backup, &place, &disk, &|_, _| {});
        assert!(matches!(failed, Err(BackupError::File { .. })), "{failed:?}");
        assert_eq!(names(), before, "after {after}");
    }
    // A kill leaves a folder under another name.
    let left = folder.path().join("restored.restore-unfinished/log");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("00000000000000000000.log"), b"half").unwrap();
    restored(&backup, &place, &model);
    assert_eq!(names(), before);
    fs::create_dir(&place).unwrap();
    restored(&backup, &place, &model);
    fs::create_dir(&place).unwrap();
    fs::write(place.join("mine"), b"").unwrap();
    let refused = restore(&backup, &place, &real(), &|_, _| {});
    assert!(matches!(refused, Err(BackupError::NotEmpty { .. })), "{refused:?}");
    assert!(place.join("mine").exists());
}

#[test]
fn folders_that_hold_something_else_are_refused_and_stay_as_they_are() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, _) = filled(&data, 4);
    let refused = back_up(&store, &data, real(), &|| {});
    assert!(matches!(refused, Err(BackupError::NotABackup { .. })), "{refused:?}");
    let refused = verify(&data, &|_, _| {});
    assert!(matches!(refused, Err(BackupError::Store(StoreError::InUse(_)))), "{refused:?}");
    let refused = verify(folder.path(), &|_, _| {});
    assert!(matches!(refused, Err(BackupError::Unknown { .. })), "{refused:?}");
    let refused = restore(folder.path(), &folder.path().join("x"), &real(), &|_, _| {});
    assert!(matches!(refused, Err(BackupError::Unfinished { .. })), "{refused:?}");
    back_up(&store, &backup, real(), &|| {}).unwrap();
    let mut other = BackupFolder::open(&backup, real(), &|_| {}).unwrap();
    let second = BackupFolder::open(&backup, real(), &|_| {});
    assert!(matches!(second, Err(BackupError::FolderInUse { .. })), "{second:?}");
    let start = storage::backup::stream::Start { identity: "another key".to_owned(), bytes: 1 };
    let refused = other.take(Piece::Start(start));
    assert!(matches!(refused, Err(BackupError::OtherData { .. })), "{refused:?}");
}

#[test]
fn a_flipped_byte_in_any_file_of_a_backup_is_named_and_the_next_backup_mends_it() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, model) = filled(&data, 10);
    back_up(&store, &backup, real(), &|| {}).unwrap();
    let whole = files(&backup);
    for (path, bytes) in whole.iter().filter(|(path, _)| !path.ends_with("lock")) {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            fs::write(path, &damaged).unwrap();
            let verified = verify(&backup, &|_, _| {}).unwrap();
            let named: Vec<&PathBuf> = verified.damages.iter().map(|damage| &damage.file).collect();
            assert_eq!((verified.folder, named), (FolderKind::Backup, vec![path]), "byte {at}");
            let place = folder.path().join("restored");
            let refused = restore(&backup, &place, &real(), &|_, _| {});
            assert!(matches!(refused, Err(BackupError::Damaged { .. })), "{refused:?}");
            assert!(!place.exists());
        }
        if path.ends_with("manifest") {
            fs::write(path, bytes).unwrap();
        } else {
            back_up(&store, &backup, real(), &|| {}).unwrap();
            assert_eq!(files(&backup), whole);
        }
    }
    let part =
        whole.keys().find(|path| path.parent().is_some_and(|parent| parent.ends_with("parts"))).unwrap();
    fs::remove_file(part).unwrap();
    assert_eq!(verify(&backup, &|_, _| {}).unwrap().damages.len(), 1);
    back_up(&store, &backup, real(), &|| {}).unwrap();
    restored(&backup, &folder.path().join("restored"), &model);
}

#[test]
fn a_flipped_byte_in_any_file_of_a_data_folder_is_named_or_changes_nothing() {
    let folder = disk::folder();
    let data = folder.path().join("data");
    let (store, model) = filled(&data, 30);
    drop(store);
    let whole = files(&data);
    let sound = verify(&data, &|_, _| {}).unwrap();
    assert_eq!((sound.folder, sound.damages.len()), (FolderKind::DataDir, 0), "{sound:?}");
    assert_eq!(files(&data), whole, "verify changes nothing");
    let mut costs = BTreeSet::new();
    for (path, bytes) in whole.iter().filter(|(path, _)| !path.ends_with("lock")) {
        let step = if path.ends_with("pages.redb") { 509 } else { 1 };
        for at in (0..bytes.len()).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 16;
            fs::write(path, &damaged).unwrap();
            let found = verify(&data, &|_, _| {}).unwrap().damages;
            assert!(found.iter().all(|damage| damage.file == *path), "{found:?}");
            costs.extend(found.iter().map(|damage| damage.cost.clone()));
            if found.is_empty() {
                // Free space of the page file, or what redb keeps twice.
                assert!(path.ends_with("pages.redb"), "{}: byte {at}", path.display());
                check(&data, &model);
                fs::remove_dir_all(&data).unwrap();
                whole.iter().for_each(|(path, bytes)| put(path, bytes));
            }
        }
        fs::write(path, bytes).unwrap();
    }
    let has = |what: &str| costs.iter().any(|cost| cost.contains(what));
    assert!(has("of the log on") && has("all figures"), "{costs:?}");
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Account 0, a week, 1970-01-01, piece 200.
const PIECE_OF_NO_VALUE: &[u8] = &[0, 0, 0, 0, 4, 0x80, 0, 0, 0, 200];

fn bytes_table(name: &str) -> redb::TableDefinition<'_, &'static [u8], &'static [u8]> {
    redb::TableDefinition::new(name)
}

#[test]
fn a_damaged_value_is_named_with_its_account_and_day_and_no_backup_takes_it() {
    let folder = disk::folder();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (store, _) = filled(&data, 30);
    // A log would need the pages when it is read.
    store.maintain(true).unwrap();
    drop(store);
    let path = data.join("pages.redb");
    let mut damaged = 0;
    {
        let database = redb::Database::open(&path).unwrap();
        let write = database.begin_write().unwrap();
        for name in ["values", "users"] {
            let mut table = write.open_table(bytes_table(name)).unwrap();
            let keys: Vec<Vec<u8>> =
                table.iter().unwrap().map(|row| row.unwrap().0.value().to_vec()).collect();
            assert!(!keys.is_empty(), "{name}");
            for key in &keys {
                table.insert(key.as_slice(), b"wrong".as_slice()).unwrap();
                damaged += 1;
            }
        }
        write.open_table(bytes_table("pieces")).unwrap().insert(PIECE_OF_NO_VALUE, &b"wrong"[..]).unwrap();
        damaged += 1;
        write.commit().unwrap();
    }
    let found = verify(&data, &|_, _| {}).unwrap().damages;
    assert_eq!(found.len(), damaged, "{found:?}");
    let has = |what: &str| found.iter().any(|damage| damage.cost.contains(what));
    assert!(has("account wxone: some of its users"), "{found:?}");
    assert!(has("account wxone: messages of 201"), "{found:?}");
    assert!(has("account wxone: figures of the month of 201"), "{found:?}");
    assert!(has("account wxone: who wrote in the day of 201"), "{found:?}");
    assert!(has("account wxone: when some or all of its users first wrote"), "{found:?}");
    assert!(has("account wxone: figures of the week of 1970-01-01"), "{found:?}");
    let refused = back_up(&open(&data).unwrap(), &backup, real(), &|| {});
    assert!(matches!(refused, Err(BackupError::Store(StoreError::Damaged { .. }))), "{refused:?}");
    assert!(!backup.join("manifest").exists());
}

/// Copying the folder while it is served is not promised to work; but a copy that is torn is refused by verify and by
/// the start.
#[test]
fn a_copy_across_a_save_is_refused_by_name() {
    for log_first in [true, false] {
        let folder = disk::folder();
        let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
        let (store, _) = filled(&data, 10);
        let copy_of = |is_log: bool| {
            for (path, bytes) in files(&data) {
                if path.ends_with("pages.redb") != is_log && !path.ends_with("lock") {
                    put(&copy.join(path.strip_prefix(&data).unwrap()), &bytes);
                }
            }
        };
        copy_of(log_first);
        store.maintain(true).unwrap();
        copy_of(!log_first);
        let found = verify(&copy, &|_, _| {}).unwrap().damages;
        assert!(found.iter().any(|damage| damage.file.starts_with(copy.join("log"))), "{found:?}");
        assert!(matches!(open(&copy), Err(StoreError::LogMissing { .. } | StoreError::Damaged { .. })));
    }
}
