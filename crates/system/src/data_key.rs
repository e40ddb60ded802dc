//! The file with 32 random bytes that tokens are made from and secrets are sealed with. Never in the data folder, never
//! in a backup of it.

use std::{
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::files;

const BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
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
        files::remove(&new)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        rename_to_new(&new, path)?;
        files::sync_folder_of(path)?;
        Ok(DataKey(bytes))
    }

    /// A key whose bytes are known, for tests and test vectors.
    pub fn from_bytes(bytes: [u8; BYTES]) -> DataKey {
        DataKey(Zeroizing::new(bytes))
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
        // Random nonces never repeat by chance in one key's life, and with SIV a repeat would do no harm.
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Cipher)?;
        let payload = Payload { msg: plain, aad: name.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::Cipher)?;
        Ok([&[SEALED_V1], nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what [`DataKey::seal`] made under the same name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[SEALED_V1]).ok_or(SealError::NotOurs)?;
        let (nonce, content) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::NotOurs)?;
        let payload = Payload { msg: content, aad: name.as_bytes() };
        let opened = self.cipher().decrypt(&Nonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError::NotOurs)
    }

    fn cipher(&self) -> Aes256GcmSiv {
        let key = Zeroizing::new(self.mac(&["sealing key"]));
        Aes256GcmSiv::new((&*key).into())
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
        let sealed = DataKey::from_bytes([1; BYTES]).seal("account/wx1", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(
            sealed,
            DataKey::from_bytes([1; BYTES]).seal("account/wx1", b"secret").unwrap(),
            "the same twice looks different"
        );
        assert_eq!(
            DataKey::from_bytes([1; BYTES]).open("account/wx1", &sealed).unwrap().as_slice(),
            b"secret"
        );
        assert_eq!(
            DataKey::from_bytes([1; BYTES]).open("account/wx2", &sealed).unwrap_err(),
            SealError::NotOurs
        );
        assert_eq!(
            DataKey::from_bytes([2; BYTES]).open("account/wx1", &sealed).unwrap_err(),
            SealError::NotOurs
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                DataKey::from_bytes([1; BYTES]).open("account/wx1", &changed).unwrap_err(),
                SealError::NotOurs,
                "byte {at}"
            );
            assert!(
                DataKey::from_bytes([1; BYTES]).open("account/wx1", &sealed[..at]).is_err(),
                "{at} bytes"
            );
        }
    }

    #[test]
    fn what_another_implementation_sealed_opens() {
        // RFC 8452, made with Python's `cryptography`: the key is that of `cipher`, the nonce is 00 01 ... 0b.
        let sealed = [
            0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0xf9, 0x00, 0xef,
            0x23, 0xc8, 0x72, 0x4d, 0xa3, 0xee, 0x84, 0x9a, 0x5c, 0x21, 0x67, 0x7d, 0xce, 0x55, 0x6b, 0xfd,
            0x44, 0x2f, 0x47,
        ];
        assert_eq!(
            DataKey::from_bytes([1; BYTES]).open("account/wx1", &sealed).unwrap().as_slice(),
            b"secret"
        );
    }
}
