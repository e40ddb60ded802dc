//! TLS certificates: which authorities are trusted, and what happens with an untrusted certificate.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Which certificates are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those issued by the system's certificate authorities.
    Authorities,
    /// Any certificate. Only for a server on this machine, where no other host can intercept the connection.
    ThisMachine,
}

/// The system's certificate authorities, or those in `SSL_CERT_FILE`; Mozilla's list if the system has none.
pub fn authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::info!("the system has no certificate authorities; using Mozilla's list");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// How certificates are checked, with this program's cryptography.
pub fn tls_config(trust: Trust) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = match builder.with_safe_default_protocol_versions() {
        Ok(builder) => builder,
        Err(error) => unreachable!("the provider supports TLS 1.2 and 1.3: {error}"),
    };
    let roots = authorities();
    let check = (trust == Trust::ThisMachine).then(|| CertificateCheck::new(roots.clone()));
    match check {
        Some(Ok(check)) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(check)).with_no_client_auth()
        }
        _ => builder.with_root_certificates(roots).with_no_client_auth(),
    }
}

/// Checks a server's certificate and stores the result. The connection is made even if the certificate is not trusted: the
/// caller decides.
#[derive(Debug)]
pub struct CertificateCheck {
    verifier: Arc<WebPkiServerVerifier>,
    verdict: Mutex<Result<(), rustls::Error>>,
}

impl CertificateCheck {
    /// A check against these authorities, for one connection.
    ///
    /// # Errors
    /// `authorities` is empty.
    pub fn new(authorities: RootCertStore) -> Result<CertificateCheck, VerifierBuilderError> {
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), provider).build()?;
        Ok(CertificateCheck { verifier, verdict: Mutex::new(Ok(())) })
    }

    /// A new check against the same authorities, for another connection.
    #[must_use]
    pub fn for_another_connection(&self) -> CertificateCheck {
        CertificateCheck { verifier: self.verifier.clone(), verdict: Mutex::new(Ok(())) }
    }

    /// The result for the certificate that the server showed last.
    ///
    /// # Errors
    /// Why the certificate is not trusted.
    pub fn verdict(&self) -> Result<(), rustls::Error> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for CertificateCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict.map(drop);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
