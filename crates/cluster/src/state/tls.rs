//! TLS to PostgreSQL, with the same cryptography as everywhere in the program.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    address::{PeerTrust, StateAddress},
    error::StateError,
};

/// What makes the connections of an address secure.
pub fn connector(address: &StateAddress) -> Result<MakeRustlsConnect, StateError> {
    let provider = Arc::new(default_provider());
    let wrong = |error: &dyn std::fmt::Display| StateError::Address(format!("TLS: {error}"));
    let chain = match address.trust {
        PeerTrust::Anyone => None,
        PeerTrust::Chain | PeerTrust::ChainAndName => {
            let roots = Arc::new(authorities(address.authorities.as_deref())?);
            let builder = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            Some(builder.build().map_err(|error| wrong(&error))?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?;
    let check = PeerCheck { chain, is_name_checked: address.trust == PeerTrust::ChainAndName, provider };
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(check)).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, StateError> {
    let Some(path) = file else { return Ok(msgcube_client::http::authorities()) };
    let mut roots = RootCertStore::empty();
    let wrong = |error: &dyn std::fmt::Display| {
        StateError::Address(format!("sslrootcert {}: {error}", path.display()))
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    Ok(roots)
}

/// Checks a server's certificate as `sslmode` says. The signatures of the handshake are checked in any case.
#[derive(Debug)]
struct PeerCheck {
    /// None: any certificate is accepted.
    chain: Option<Arc<WebPkiServerVerifier>>,
    is_name_checked: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PeerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is compared last, after the chain was found to be right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.is_name_checked => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
