//! HTTPS by the program itself: certificate and key, read again when their files change.

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

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a client may take to agree on keys.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("[tls] {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// It holds nothing of the kind.
    #[error("[tls] {path} holds no {what} in PEM: {why}")]
    Pem { path: PathBuf, what: &'static str, why: String },
    /// They do not belong together, or the key is of a kind that is not known.
    #[error(
        "[tls] {cert} and {key} do not serve together: {source}; give the key of the first certificate in the file"
    )]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    /// The library refuses.
    #[error("[tls] {0}")]
    Library(#[from] rustls::Error),
}

/// Accepts connections with the certificate of the moment.
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    seen: Arc<Mutex<Seen>>,
    watch: AbortHandle,
}

/// Certificate and key as they were read, to be served.
pub struct Pair {
    seen: Seen,
    key: CertifiedKey,
}

impl Pair {
    /// Reads the files.
    pub fn read(files: &TlsFiles) -> Result<Pair, TlsError> {
        let state = FileState::of(files);
        Ok(Pair { key: read(files)?, seen: Seen { files: files.clone(), state } })
    }
}

/// Which files are served, and how they were when they were read.
struct Seen {
    files: TlsFiles,
    state: FileState,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// The certificate of the moment.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    /// Reads the files, and looks at them again every few seconds.
    pub fn start(files: &TlsFiles) -> Result<Tls, TlsError> {
        let Pair { seen, key } = Pair::read(files)?;
        let (current, seen) = (Arc::new(Current(RwLock::new(Arc::new(key)))), Arc::new(Mutex::new(seen)));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let watch = tokio::spawn(watch(seen.clone(), current.clone())).abort_handle();
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), current, seen, watch })
    }

    /// Serves this certificate from now on, and looks at its files; true if it is another one.
    pub fn serve(&self, Pair { seen, key }: Pair) -> bool {
        let mut looked_at = lock(&self.seen);
        *looked_at = seen;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = current.cert != key.cert;
        *current = Arc::new(key);
        is_other
    }

    /// Agrees on keys with a client; none if it cannot, or takes too long.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> Option<TlsStream<T>> {
        tokio::time::timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)).await.ok()?.ok()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Certificate and key, if they belong together.
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

/// The Unix second at which a certificate ends. Asked in the far future, the verifier names the end before it looks at
/// anything else.
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

/// What shows that files changed.
#[derive(Clone, PartialEq, Eq)]
struct FileState([Option<(SystemTime, u64, u64)>; 2]);

impl FileState {
    fn of(files: &TlsFiles) -> FileState {
        use std::os::unix::fs::MetadataExt as _;
        FileState([&files.cert, &files.key].map(|path| {
            let about = fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len(), about.ino()))
        }))
    }
}

async fn watch(seen: Arc<Mutex<Seen>>, current: Arc<Current>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut seen = lock(&seen);
        let state = FileState::of(&seen.files);
        if state == seen.state {
            continue;
        }
        seen.state = state;
        match read(&seen.files) {
            Ok(key) => {
                *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                tracing::info!(cert = %seen.files.cert.display(), "the certificate was read again");
            }
            // Renewing writes one file after the other, so the next look may find both.
            Err(error) => {
                tracing::warn!(%error, "the certificate changed and cannot be used; the former one is kept");
            }
        }
    }
}
