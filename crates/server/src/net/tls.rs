//! HTTPS: certificate and key, which are read again when their files change.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use system::sync::lock;
use tokio::{io::AsyncRead, io::AsyncWrite, task::AbortHandle};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::{EndEntityCert, KeyUsage};

use crate::config::TlsFiles;

/// How often the files are checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longest time of a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why HTTPS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("[tls] {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file contains no certificate or key.
    #[error("[tls] {path} holds no {what} in PEM: {why}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should contain: `certificate` or `private key`.
        what: &'static str,
        /// The parser's error.
        why: String,
    },
    /// Certificate and key do not match, or the type of the key is not supported.
    #[error(
        "[tls] {cert} and {key} do not serve together: {source}; give the key of the first certificate in the file"
    )]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The TLS library's error.
        source: rustls::Error,
    },
    /// The TLS library reported an error.
    #[error("[tls] {0}")]
    Library(#[from] rustls::Error),
}

/// Accepts TLS connections with the current certificate.
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<CurrentCertificate>,
    seen: Arc<Mutex<WatchedFiles>>,
    watch: AbortHandle,
}

/// Certificate and key as they were read.
pub struct CertificateAndKey {
    seen: WatchedFiles,
    key: CertifiedKey,
}

impl CertificateAndKey {
    /// Reads both files.
    pub fn read(files: &TlsFiles) -> Result<CertificateAndKey, TlsError> {
        let state = FileStamps::of(files);
        Ok(CertificateAndKey { key: read(files)?, seen: WatchedFiles { files: files.clone(), state } })
    }
}

/// The files in use, and their state when they were read.
struct WatchedFiles {
    files: TlsFiles,
    state: FileStamps,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// The current certificate.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    /// Reads the files, and starts the task that checks them for changes.
    pub fn start(files: &TlsFiles) -> Result<Tls, TlsError> {
        let CertificateAndKey { seen, key } = CertificateAndKey::read(files)?;
        let (current, seen) =
            (Arc::new(CurrentCertificate(RwLock::new(Arc::new(key)))), Arc::new(Mutex::new(seen)));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let watch = tokio::spawn(watch(seen.clone(), current.clone())).abort_handle();
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), current, seen, watch })
    }

    /// Uses this certificate from now on, and watches its files. True if it differs from the former one.
    pub fn serve(&self, CertificateAndKey { seen, key }: CertificateAndKey) -> bool {
        let mut looked_at = lock(&self.seen);
        *looked_at = seen;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = current.cert != key.cert;
        *current = Arc::new(key);
        is_other
    }

    /// When the current certificate expires, Unix seconds. None if it does not say so.
    pub fn certificate_end_s(&self) -> Option<i64> {
        let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        end_s(current.cert.first()?)
    }

    /// Performs the handshake. None if it fails or takes too long.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> Option<TlsStream<T>> {
        tokio::time::timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)).await.ok()?.ok()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Reads certificate and key, and checks that they match.
pub fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let TlsFiles { cert, key } = files;
    let chain = certificates(cert)?;
    let text = fs::read(key).map_err(|source| TlsError::File { path: key.clone(), source })?;
    let private = PrivateKeyDer::from_pem_slice(&zeroize::Zeroizing::new(text))
        .map_err(|error| TlsError::Pem { path: key.clone(), what: "private key", why: error.to_string() })?;
    CertifiedKey::from_der(chain, private, &default_provider()).map_err(|source| TlsError::Pair {
        cert: cert.clone(),
        key: key.clone(),
        source,
    })
}

/// When a certificate expires, Unix seconds. For a time in the far future the verifier reports the expiry before it
/// checks anything else.
pub fn end_s(der: &CertificateDer<'_>) -> Option<i64> {
    let certificate = EndEntityCert::try_from(der).ok()?;
    let far = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 60));
    let asked = certificate.verify_for_usage(&[], &[], &[], far, KeyUsage::server_auth(), None, None);
    match asked {
        Err(webpki::Error::CertExpired { not_after, .. }) => i64::try_from(not_after.as_secs()).ok(),
        _ => None,
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem_error = |why: String| TlsError::Pem { path: path.to_owned(), what: "certificate", why };
    let text = fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| pem_error(error.to_string()))?;
    if chain.is_empty() { Err(pem_error("it has no BEGIN CERTIFICATE".to_owned())) } else { Ok(chain) }
}

/// Modification time, length and inode of both files. If they are unchanged, so are the files.
#[derive(Clone, PartialEq, Eq)]
struct FileStamps([Option<(SystemTime, u64, u64)>; 2]);

impl FileStamps {
    fn of(files: &TlsFiles) -> FileStamps {
        use std::os::unix::fs::MetadataExt as _;
        FileStamps([&files.cert, &files.key].map(|path| {
            let about = fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len(), about.ino()))
        }))
    }
}

async fn watch(seen: Arc<Mutex<WatchedFiles>>, current: Arc<CurrentCertificate>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut seen = lock(&seen);
        let state = FileStamps::of(&seen.files);
        if state == seen.state {
            continue;
        }
        seen.state = state;
        match read(&seen.files) {
            Ok(key) => {
                *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                tracing::info!(cert = %seen.files.cert.display(), "the certificate was read again");
            }
            // A renewal writes the files one after another, so the next check may find a matching pair.
            Err(error) => {
                tracing::warn!(%error, "the changed certificate cannot be used; the former one stays in use");
            }
        }
    }
}
