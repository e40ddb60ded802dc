//! The folder with the four files. Each file is replaced atomically.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::KeyPair;
use system::files;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::{authority::Authority, error::TlsCaError};

/// File modes of certificates and of keys.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// The folder with the four files.
pub struct TlsFolder(PathBuf);

impl TlsFolder {
    /// Opens the folder, and creates it if it does not exist.
    pub fn open(path: &Path) -> Result<TlsFolder, TlsCaError> {
        let error = |source| TlsCaError::File { path: path.to_owned(), source };
        files::create_folder(path).map_err(error)?;
        Ok(TlsFolder(path.canonicalize().map_err(error)?))
    }

    pub fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub fn ca_key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    pub fn server(&self) -> PathBuf {
        self.0.join("server.pem")
    }

    pub fn server_key(&self) -> PathBuf {
        self.0.join("server.key")
    }

    /// The authority of an earlier run. A key without its certificate is an error, not overwritten: clients may trust the
    /// certificate.
    pub fn authority(&self) -> Result<Option<Authority>, TlsCaError> {
        let path = self.ca_key();
        let Some(pem) = read(&self.ca())? else {
            return if path.exists() { Err(TlsCaError::CaMissing { path: self.ca() }) } else { Ok(None) };
        };
        let key = key(&path)?.ok_or(TlsCaError::KeyMissing { path })?;
        let issuer = read(&self.ca_key())?.unwrap_or_default();
        let authority = Authority::load(key, &issuer, &pem);
        authority.map(Some).ok_or_else(|| TlsCaError::NotTheKeys { path: self.ca() })
    }

    /// The key of an earlier run, or a new one.
    pub fn key(path: &Path) -> Result<KeyPair, TlsCaError> {
        key(path)?.map_or_else(|| Ok(KeyPair::generate()?), Ok)
    }

    /// `ca.key` also holds the issuer's certificate, which only signing needs. The key is written first: after a crash
    /// there is no root that clients trust without a key.
    pub fn write_authority(&self, authority: &Authority) -> Result<(), TlsCaError> {
        let key = Zeroizing::new(authority.key.serialize_pem());
        let both = Zeroizing::new(format!("{}{}", *key, authority.issuer.pem));
        write(&self.ca_key(), both.as_bytes(), PRIVATE)?;
        write(&self.ca(), authority.root.pem.as_bytes(), PUBLIC)
    }

    /// The key is written before its certificate: the next run uses the key that it finds.
    pub fn write_server(&self, key: &KeyPair, chain: &str) -> Result<(), TlsCaError> {
        write(&self.server_key(), Zeroizing::new(key.serialize_pem()).as_bytes(), PRIVATE)?;
        write(&self.server(), chain.as_bytes(), PUBLIC)
    }
}

fn key(path: &Path) -> Result<Option<KeyPair>, TlsCaError> {
    let not_a_key = |_| TlsCaError::NotAKey { path: path.to_owned() };
    read(path)?.map(|pem| KeyPair::from_pem(&pem).map_err(not_a_key)).transpose()
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, TlsCaError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsCaError::File { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsCaError> {
    replace(path, content, mode).map_err(|source| TlsCaError::File { path: path.to_owned(), source })
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    temporary.write_all(content)?;
    temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    files::sync_folder_of(path)
}
