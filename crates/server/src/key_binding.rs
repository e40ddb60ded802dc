//! Binds the data folder to its data key: the folder keeps a fingerprint of the key. A lost or exchanged key is
//! reported at the start, before tokens and sealed values silently stop working.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use storage::store::{Change, NotDurable, Store};
use system::data_key::{DataKey, DataKeyError};

use crate::{
    accounts::{platform_issuer::event, platform_receiver, registry},
    auth::{access_token, sessions},
    forward::upstream_token,
};

/// The fact with the fingerprint.
pub const FACT: &str = "data_key/fingerprint";

/// Prefixes of facts that are sealed with the data key.
const SEALED: [&str; 6] = [
    registry::settings::FACT_PREFIX,
    platform_receiver::SEALED_FACTS[0],
    platform_receiver::SEALED_FACTS[1],
    upstream_token::FACT_PREFIX,
    event::FACT_PREFIX,
    sessions::FACT_PREFIX,
];

/// What to do if the data folder belongs to another data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKey {
    /// Refuse to start.
    Refuse,
    /// Continue. Everything that only the former key can open is deleted.
    Accept,
}

/// Why there is no usable data key.
#[derive(Debug, thiserror::Error)]
pub enum KeyBindingError {
    /// The key file cannot be read or created.
    #[error("{0}")]
    DataKey(#[from] DataKeyError),
    /// The key file is missing.
    #[error(
        "{key} is missing, the data key of {data_dir}. Restore it from its backup. To go on without it, start once with --accept-new-data-key: figures, coverage and API keys stay; all tokens end; accounts added at run time, kept real tokens, what third-party platforms brought and copies that wait are lost"
    )]
    Missing {
        /// The key file.
        key: PathBuf,
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The key file holds another key.
    #[error(
        "{key} is not the data key of {data_dir}. Restore the right one from its backup. To go on with this one, start once with --accept-new-data-key: figures, coverage and API keys stay; all tokens end; accounts added at run time, kept real tokens, what third-party platforms brought and copies that wait are lost"
    )]
    Other {
        /// The key file.
        key: PathBuf,
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The key file is missing, and processes on other machines have the key.
    #[error(
        "{key} is missing, the data key of the shared store. Copy the file from a machine whose msgcube uses this store, or from its backup. To go on without it, stop all of them and start one with --accept-new-data-key: figures, coverage and API keys stay; all tokens end; accounts added at run time, kept real tokens and what third-party platforms brought are lost"
    )]
    MissingHere {
        /// The key file.
        key: PathBuf,
    },
    /// The key file holds another key than that of the other processes.
    #[error(
        "{key} is not the data key of the shared store: all processes need the same one. Copy the file from a machine whose msgcube uses this store, or from its backup. To go on with this one, stop all of them and start one with --accept-new-data-key: figures, coverage and API keys stay; all tokens end; accounts added at run time, kept real tokens and what third-party platforms brought are lost"
    )]
    OtherHere {
        /// The key file.
        key: PathBuf,
    },
    /// A new key was to be accepted while other processes use the old one.
    #[error(
        "--accept-new-data-key was given while another msgcube uses the shared store with its data key. Stop all of them first (one that was killed counts as running for 10 s)"
    )]
    OthersRun,
    /// The store failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
}

/// The fingerprint of the data key that a store belongs to, in Base64. None if the store has none yet.
pub fn fingerprint(store: &Store) -> Option<String> {
    stored_fingerprint(store).map(|bytes| STANDARD.encode(bytes))
}

fn stored_fingerprint(store: &Store) -> Option<Vec<u8>> {
    store.facts(FACT).into_iter().find(|(name, _)| name == FACT).map(|(_, bytes)| bytes)
}

/// Loads the data key of a store, or creates it for a new data folder. The store has its folder locked, or this process is
/// known to the others that share the store.
pub fn load_bound_key(
    path: &Path,
    data_dir: &Path,
    store: &Store,
    other_key: OtherKey,
) -> Result<DataKey, KeyBindingError> {
    let is_refused = other_key == OtherKey::Refuse;
    let (key, data_dir) = (path.to_owned(), data_dir.to_owned());
    if !is_refused && store.has_other_processes()? {
        return Err(KeyBindingError::OthersRun);
    }
    let loaded = match DataKey::load(path)? {
        None if is_refused && !store.is_blank() => {
            return Err(match store.is_shared() {
                true => KeyBindingError::MissingHere { key },
                false => KeyBindingError::Missing { key, data_dir },
            });
        }
        _ => DataKey::load_or_create(path)?,
    };
    store.decide_at_start(|store| {
        binding_changes(&loaded, store, other_key).ok_or_else(|| match store.is_shared() {
            true => KeyBindingError::OtherHere { key },
            false => KeyBindingError::Other { key, data_dir },
        })
    })?;
    Ok(loaded)
}

/// The changes that bind a store to a key. None if it belongs to another one, and that is refused.
fn binding_changes(key: &DataKey, store: &Store, other_key: OtherKey) -> Option<Vec<Change>> {
    let is_refused = other_key == OtherKey::Refuse;
    let mut changes = Vec::new();
    match binding_of(key, store) {
        Binding::Same => {}
        Binding::Unrecorded => changes.push(fingerprint_of(key)),
        Binding::Other if is_refused => return None,
        Binding::Other => {
            changes.push(fingerprint_of(key));
            changes.extend(deletions(store.facts(access_token::FACT_PREFIX)));
        }
    }
    if !is_refused {
        let sealed = sealed_facts(store).filter(|(name, sealed)| key.open(name, sealed).is_err());
        changes.extend(deletions(sealed.collect()));
        tracing::warn!(
            given_up =
                changes.iter().filter(|change| matches!(change, Change::Fact { value: None, .. })).count(),
            "facts of another data key were deleted; start without --accept-new-data-key from now on"
        );
    }
    Some(changes)
}

/// Follows the fact of the fingerprint. Ends the process if another one has bound the store to another key: neither could
/// read what the other one seals from now on.
pub fn follow(key: &DataKey, fingerprint: Option<&[u8]>) {
    if fingerprint.is_some_and(|fingerprint| fingerprint != fingerprint_bytes(key)) {
        tracing::error!(
            "another msgcube was started with --accept-new-data-key and another data key on the shared store; ending now. Give all processes the same key file"
        );
        std::process::abort();
    }
}

enum Binding {
    Same,
    /// A new folder, or one of a version that stored no fingerprint.
    Unrecorded,
    Other,
}

fn binding_of(key: &DataKey, store: &Store) -> Binding {
    if let Some(fingerprint) = stored_fingerprint(store) {
        return if fingerprint == fingerprint_bytes(key) { Binding::Same } else { Binding::Other };
    }
    // Without a fingerprint, the sealed facts show whether this is their key.
    let mut sealed = sealed_facts(store).peekable();
    let is_other = sealed.peek().is_some() && sealed.all(|(name, sealed)| key.open(&name, &sealed).is_err());
    if is_other { Binding::Other } else { Binding::Unrecorded }
}

/// A MAC reveals nothing about the key.
fn fingerprint_bytes(key: &DataKey) -> [u8; 32] {
    key.mac(&["data key fingerprint"])
}

fn fingerprint_of(key: &DataKey) -> Change {
    Change::Fact { key: FACT.to_owned(), value: Some(fingerprint_bytes(key).to_vec()) }
}

fn sealed_facts(store: &Store) -> impl Iterator<Item = (String, Vec<u8>)> {
    SEALED.into_iter().flat_map(move |prefix| store.facts(prefix))
}

fn deletions(facts: Vec<(String, Vec<u8>)>) -> impl Iterator<Item = Change> {
    facts.into_iter().map(|(key, _)| Change::Fact { key, value: None })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use storage::store::{Embedded, Options};

    struct TestFolder(tempfile::TempDir);

    impl TestFolder {
        fn new() -> TestFolder {
            TestFolder(tempfile::tempdir().unwrap())
        }

        fn key_file(&self) -> PathBuf {
            self.0.path().join("msgcube.key")
        }

        fn store(&self) -> Store {
            let folder = self.0.path().join("data");
            Store::Embedded(Box::new(Embedded::open(&folder, &Options::default()).unwrap()))
        }

        fn start(&self, other_key: OtherKey) -> Result<(Store, DataKey), KeyBindingError> {
            let store = self.store();
            let key = load_bound_key(&self.key_file(), &self.0.path().join("data"), &store, other_key)?;
            Ok((store, key))
        }

        fn exchange_key(&self) {
            fs::write(self.key_file(), [9; 32]).unwrap();
            fs::set_permissions(self.key_file(), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn fact(key: &str, value: Vec<u8>) -> Change {
        Change::Fact { key: key.to_owned(), value: Some(value) }
    }

    /// Facts as the parts of the program store them.
    fn fill(store: &Store, key: &DataKey) {
        let sealed = SEALED.map(|prefix| {
            let name = format!("{prefix}wx1");
            fact(&name, key.seal(&name, b"{}").unwrap())
        });
        let plain = ["token/a", "api_key/b", "authorization/c"].map(|name| fact(name, b"{}".to_vec()));
        store.commit(&[sealed.to_vec(), plain.to_vec()].concat()).unwrap();
    }

    fn names(store: &Store) -> Vec<String> {
        store.facts("").into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_new_folder_gets_a_key_and_knows_it_from_then_on() {
        let scene = TestFolder::new();
        let (store, key) = scene.start(OtherKey::Refuse).unwrap();
        assert_eq!(names(&store), [FACT]);
        drop(store);
        let (store, again) = scene.start(OtherKey::Refuse).unwrap();
        assert_eq!(fingerprint_bytes(&key), fingerprint_bytes(&again));
        drop(store);
        fs::remove_file(scene.key_file()).unwrap();
        assert!(matches!(scene.start(OtherKey::Refuse), Err(KeyBindingError::Missing { .. })));
        assert!(!scene.key_file().exists(), "none is made beside a folder that has another");
        scene.exchange_key();
        assert!(matches!(scene.start(OtherKey::Refuse), Err(KeyBindingError::Other { .. })));
    }

    #[test]
    fn a_start_that_was_killed_between_key_and_fingerprint_starts_again() {
        let scene = TestFolder::new();
        DataKey::load_or_create(&scene.key_file()).unwrap();
        drop(scene.start(OtherKey::Refuse).unwrap());
        let scene = TestFolder::new();
        drop(scene.store());
        drop(scene.start(OtherKey::Refuse).unwrap());
    }

    #[test]
    fn a_folder_of_an_older_version_gets_the_fingerprint_of_the_key_that_opens_what_it_holds() {
        let scene = TestFolder::new();
        let key = DataKey::load_or_create(&scene.key_file()).unwrap();
        fill(&scene.store(), &key);
        let old = fs::read(scene.key_file()).unwrap();
        fs::remove_file(scene.key_file()).unwrap();
        assert!(matches!(scene.start(OtherKey::Refuse), Err(KeyBindingError::Missing { .. })));
        scene.exchange_key();
        assert!(matches!(scene.start(OtherKey::Refuse), Err(KeyBindingError::Other { .. })));
        fs::write(scene.key_file(), old).unwrap();
        let (store, _) = scene.start(OtherKey::Refuse).unwrap();
        assert!(names(&store).contains(&FACT.to_owned()));
    }

    #[test]
    fn another_key_that_is_accepted_once_leaves_nothing_that_a_later_start_cannot_read() {
        for is_exchanged in [false, true] {
            let scene = TestFolder::new();
            let (store, key) = scene.start(OtherKey::Refuse).unwrap();
            fill(&store, &key);
            drop(store);
            fs::remove_file(scene.key_file()).unwrap();
            if is_exchanged {
                scene.exchange_key();
            }
            assert!(scene.start(OtherKey::Refuse).is_err());
            drop(scene.start(OtherKey::Accept).unwrap());
            let (store, _) = scene.start(OtherKey::Refuse).unwrap();
            assert_eq!(names(&store), ["api_key/b", "authorization/c", FACT]);
        }
    }

    #[test]
    fn processes_that_share_a_store_have_the_same_key_and_it_changes_only_while_one_runs() {
        let scenes = [TestFolder::new(), TestFolder::new()];
        let mut stores = storage::store::Memory::group(2).into_iter().map(Store::Memory);
        let (one, other) = (stores.next().unwrap(), stores.next().unwrap());
        let start = |scene: &TestFolder, store: &Store, other_key| {
            load_bound_key(&scene.key_file(), scene.0.path(), store, other_key)
        };
        let key = start(&scenes[0], &one, OtherKey::Refuse).unwrap();
        fill(&one, &key);
        scenes[1].exchange_key();
        assert!(matches!(
            start(&scenes[1], &other, OtherKey::Refuse),
            Err(KeyBindingError::OtherHere { .. })
        ));
        fs::remove_file(scenes[1].key_file()).unwrap();
        let missing = start(&scenes[1], &other, OtherKey::Refuse);
        assert!(matches!(missing, Err(KeyBindingError::MissingHere { .. })), "{missing:?}");
        assert!(!scenes[1].key_file().exists());
        fs::copy(scenes[0].key_file(), scenes[1].key_file()).unwrap();
        let same = start(&scenes[1], &other, OtherKey::Refuse).unwrap();
        assert_eq!(fingerprint_bytes(&key), fingerprint_bytes(&same));
        scenes[1].exchange_key();
        assert!(matches!(start(&scenes[1], &other, OtherKey::Accept), Err(KeyBindingError::OthersRun)));
        drop(one);
        start(&scenes[1], &other, OtherKey::Accept).unwrap();
        assert_eq!(names(&other), ["api_key/b", "authorization/c", FACT]);
    }

    #[test]
    fn accepting_a_key_that_belongs_takes_only_what_it_does_not_open() {
        let scene = TestFolder::new();
        let (store, key) = scene.start(OtherKey::Refuse).unwrap();
        fill(&store, &key);
        store.commit(&[fact("account/wx2", b"of another".to_vec())]).unwrap();
        let all = names(&store);
        drop(store);
        let (store, _) = scene.start(OtherKey::Accept).unwrap();
        let kept: Vec<String> = all.into_iter().filter(|name| name != "account/wx2").collect();
        assert_eq!(names(&store), kept);
    }
}
