//! The file with 32 random bytes that tokens are made from and secrets are sealed with. Never in the data folder, never
//! in a backup of it.

use std::{
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::disk;

const BYTES: usize = 32;
/// The first byte of what is sealed: how it was.
const SEALED_V1: u8 = 1;

/// The key.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; BYTES]>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// The file cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// It is no key.
    #[error(
        "{path} has {found} bytes instead of {BYTES}; restore it from a backup. To go on without it, remove it: the next start says what is lost"
    )]
    Length { path: PathBuf, found: usize },
    /// Others can read it.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Open { path: PathBuf, mode: u32 },
}

/// Why something sealed does not open, or cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The cipher failed.
    #[error("the cipher failed")]
    Cipher,
    /// Made by another key, or changed.
    #[error(
        "it was sealed with another data key, or changed; put the data_key_file back that belongs to this data_dir"
    )]
    NotOurs,
}

impl DataKey {
    /// Reads the file; if there is none, makes it, readable for its owner only.
    pub fn load_or_create(path: &Path) -> Result<DataKey, DataKeyError> {
        match DataKey::load(path)? {
            Some(key) => Ok(key),
            None => {
                DataKey::create(path).map_err(|source| DataKeyError::File { path: path.to_owned(), source })
            }
        }
    }

    /// Reads the file; none if it is not there.
    pub fn load(path: &Path) -> Result<Option<DataKey>, DataKeyError> {
        match fs::read(path) {
            Ok(bytes) => DataKey::of_file(path, &Zeroizing::new(bytes)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataKeyError::File { path: path.to_owned(), source }),
        }
    }

    fn of_file(path: &Path, bytes: &[u8]) -> Result<DataKey, DataKeyError> {
        let mode = fs::metadata(path)
            .map_err(|source| DataKeyError::File { path: path.to_owned(), source })?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(DataKeyError::Open { path: path.to_owned(), mode: mode & 0o777 });
        }
        match <[u8; BYTES]>::try_from(bytes) {
            Ok(bytes) => Ok(DataKey(Zeroizing::new(bytes))),
            Err(_) => Err(DataKeyError::Length { path: path.to_owned(), found: bytes.len() }),
        }
    }

    /// Written under another name first, so that a crash leaves a whole key or none. What is left of such a crash goes
    /// first: whoever made it may have given it another mode, or another owner.
    fn create(path: &Path) -> io::Result<DataKey> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let new = path.with_extension("new");
        disk::remove(&new)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        rename_to_new(&new, path)?;
        disk::sync_folder_of(path)?;
        Ok(DataKey(bytes))
    }

    /// A key that is the same each time.
    #[cfg(test)]
    pub fn for_test(byte: u8) -> DataKey {
        DataKey(Zeroizing::new([byte; BYTES]))
    }

    /// A code over texts, each with its length, that only this key makes. The first says what it is for.
    pub fn mac(&self, texts: &[&str]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.0) else {
            unreachable!("HMAC takes keys of any length");
        };
        for text in texts {
            mac.update(&(text.len() as u64).to_le_bytes());
            mac.update(text.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    /// Encrypts. `name` says what it is, so that nothing sealed can stand in for something else.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut content = plain.to_vec();
        let nonce = self.sealing_key()?.seal_in_place_append_tag(Aad::from(name), &mut content);
        let nonce = nonce.map_err(|_| SealError::Cipher)?;
        Ok([&[SEALED_V1], nonce.as_ref().as_slice(), &content].concat())
    }

    /// Decrypts what [`DataKey::seal`] made under the same name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[SEALED_V1]).ok_or(SealError::NotOurs)?;
        let (nonce, content) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::NotOurs)?;
        let mut content = Zeroizing::new(content.to_vec());
        let opened = self.sealing_key()?.open_in_place(nonce, Aad::from(name), &mut content);
        let length = opened.map_err(|_| SealError::NotOurs)?.len();
        content.truncate(length);
        Ok(content)
    }

    /// Random nonces never come twice by chance in one key's life, and with SIV it would do no harm if one did.
    fn sealing_key(&self) -> Result<RandomizedNonceKey, SealError> {
        let key = Zeroizing::new(self.mac(&["sealing key"]));
        RandomizedNonceKey::new(&AES_256_GCM_SIV, &*key).map_err(|_| SealError::Cipher)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(secret)")
    }
}

/// Fails if the name is taken: the key of another start must not be replaced.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_for_its_owner_only_whatever_was_left_over_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("msgcube.key"), folder.path().join("msgcube.new"));
        fs::write(&new, "left over").unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o666)).unwrap();
        DataKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!new.exists());
        let made = fs::read(&path).unwrap();
        assert_eq!(DataKey::create(&path).map(drop).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), made);
    }

    #[test]
    fn what_is_sealed_opens_only_under_its_name_and_key_and_unchanged() {
        let sealed = DataKey::for_test(1).seal("account/wx1", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(
            sealed,
            DataKey::for_test(1).seal("account/wx1", b"secret").unwrap(),
            "the same twice looks different"
        );
        assert_eq!(DataKey::for_test(1).open("account/wx1", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(DataKey::for_test(1).open("account/wx2", &sealed).unwrap_err(), SealError::NotOurs);
        assert_eq!(DataKey::for_test(2).open("account/wx1", &sealed).unwrap_err(), SealError::NotOurs);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                DataKey::for_test(1).open("account/wx1", &changed).unwrap_err(),
                SealError::NotOurs,
                "byte {at}"
            );
            assert!(DataKey::for_test(1).open("account/wx1", &sealed[..at]).is_err(), "{at} bytes");
        }
    }
}
