//! The data key: a file of 32 random bytes. It signs tokens and encrypts stored secrets. It must not lie in the data
//! folder, so that a backup of that folder does not contain it.

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
/// The first byte of sealed data: the format.
const SEAL_FORMAT_V1: u8 = 1;

/// The data key. Hidden in `Debug`, wiped from memory when dropped.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; BYTES]>);

/// Why the data key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// The file cannot be read, written or synced.
    #[error("{path}: {source}")]
    File {
        /// The key file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file does not have the length of a key.
    #[error(
        "{path} has {found} bytes instead of {BYTES}; restore it from a backup. To go on without it, remove it: the next start says what is lost"
    )]
    Length {
        /// The key file.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
    /// Other users of this machine can read the file.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Open {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Why data cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Encryption failed, or the system gave no random bytes.
    #[error("the cipher failed")]
    Cipher,
    /// The data was sealed with another key or under another name, or it was changed.
    #[error(
        "it was sealed with another data key, or changed; put the data_key_file back that belongs to this data_dir"
    )]
    NotOurs,
}

impl DataKey {
    /// Reads the file. Creates it, readable by its owner only, if it does not exist.
    pub fn load_or_create(path: &Path) -> Result<DataKey, DataKeyError> {
        match DataKey::load(path)? {
            Some(key) => Ok(key),
            None => {
                DataKey::create(path).map_err(|source| DataKeyError::File { path: path.to_owned(), source })
            }
        }
    }

    /// Reads the file. None if it does not exist.
    pub fn load(path: &Path) -> Result<Option<DataKey>, DataKeyError> {
        match fs::read(path) {
            Ok(bytes) => DataKey::from_file_bytes(path, &Zeroizing::new(bytes)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataKeyError::File { path: path.to_owned(), source }),
        }
    }

    fn from_file_bytes(path: &Path, bytes: &[u8]) -> Result<DataKey, DataKeyError> {
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

    /// Writes the key under another name first, so that a crash leaves a whole key or none. A file that such a crash left
    /// is removed first: it may have the wrong mode or owner.
    fn create(path: &Path) -> io::Result<DataKey> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let new = path.with_extension("new");
        files::remove(&new)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&*bytes)?;
        file.sync_all()?;
        rename_without_replacing(&new, path)?;
        files::sync_folder_of(path)?;
        Ok(DataKey(bytes))
    }

    /// A key of known bytes, for tests and test vectors.
    pub fn from_bytes(bytes: [u8; BYTES]) -> DataKey {
        DataKey(Zeroizing::new(bytes))
    }

    /// HMAC-SHA256 over the texts, each preceded by its length. The first text names the purpose, so that a code made for
    /// one purpose is not valid for another.
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

    /// Encrypts `plain`. The same `name` is needed to open it, so that sealed data cannot be moved to another place.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        // A repeated random nonce is very unlikely, and with SIV it only shows that two plaintexts are equal.
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Cipher)?;
        let payload = Payload { msg: plain, aad: name.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::Cipher)?;
        Ok([&[SEAL_FORMAT_V1], nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts data that [`DataKey::seal`] encrypted under the same name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let rest = sealed.strip_prefix(&[SEAL_FORMAT_V1]).ok_or(SealError::NotOurs)?;
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

/// Fails if `to` exists: another process may have just created its key there.
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems do not support NOREPLACE.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_readable_by_its_owner_only_and_replaces_no_key() {
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
    fn sealed_data_opens_only_unchanged_with_the_same_name_and_key() {
        let sealed = DataKey::from_bytes([1; BYTES]).seal("account/wx1", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(
            sealed,
            DataKey::from_bytes([1; BYTES]).seal("account/wx1", b"secret").unwrap(),
            "sealing twice gives different bytes"
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
    fn data_sealed_by_another_implementation_opens() {
        // Made with Python's `cryptography` (RFC 8452): the key that `cipher` derives, and the nonce 00 01 ... 0b.
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
