//! TLS to PostgreSQL: which certificates each `sslmode` accepts. TLS ends in the test; behind it is the real server.

use std::sync::Arc;

use cluster::state::{State, StateError, StateOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use system::secret::Secret;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{proxy::writable, server::with_tables};

/// An authority, and a server certificate of it for `localhost`.
fn certificates() -> (String, ServerConfig) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .unwrap();
    (issuer.pem(), config)
}

/// Answers the request for TLS as PostgreSQL does, and passes the rest on. Returns its port.
async fn front(server: String, config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                // Source: PostgreSQL's documentation of its protocol, SSLRequest.
                if request != [0, 0, 0, 8, 4, 210, 22, 47] {
                    return Ok(());
                }
                client.write_all(b"S").await?;
                let mut encrypted = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut encrypted, &mut server).await.map(drop)
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn each_mode_accepts_the_certificates_that_it_says() {
    with_tables(|database| async move {
        let (authority, config) = certificates();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority).unwrap();
        let port = front(writable(&database.url).await, config).await;
        let (credentials, rest) = database.url.split_once('@').unwrap();
        let path = rest.split_once('/').unwrap().1.split('?').next().unwrap().to_owned();
        let root = format!("sslrootcert={}", file.display());
        for (host, parameters, is_accepted) in [
            ("localhost", format!("sslmode=verify-full&{root}"), true),
            ("127.0.0.1", format!("sslmode=verify-full&{root}"), false),
            ("127.0.0.1", format!("sslmode=verify-ca&{root}"), true),
            ("127.0.0.1", format!("sslmode=require&{root}"), true),
            ("localhost", "sslmode=verify-full".to_owned(), false),
            ("localhost", "sslmode=verify-ca&sslrootcert=system".to_owned(), false),
            ("127.0.0.1", "sslmode=require".to_owned(), true),
            ("127.0.0.1", "sslmode=prefer".to_owned(), true),
            ("127.0.0.1", "sslmode=disable".to_owned(), false),
            ("127.0.0.1", "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), false),
        ] {
            let url = format!("{credentials}@{host}:{port}/{path}?{parameters}");
            let outcome = State::open(&StateOptions { url: Secret::new(&url) }, "tls").await.map(drop);
            assert_eq!(outcome.is_ok(), is_accepted, "{host} {parameters}: {outcome:?}");
            if let Err(error) = &outcome {
                assert!(matches!(error, StateError::Unreachable(_) | StateError::Address(_)), "{error}");
                assert!(!error.to_string().contains("testonly"), "{error}");
            }
        }
        // The server of the tests has no TLS.
        let plain = |mode: &str| StateOptions {
            url: Secret::new(format!(
                "{}{}sslmode={mode}",
                database.url,
                if database.url.contains('?') { "&" } else { "?" }
            )),
        };
        let refused = State::open(&plain("require"), "tls").await.map(drop);
        assert!(matches!(refused, Err(StateError::Unreachable(_))), "{refused:?}");
        assert!(State::open(&plain("prefer"), "tls").await.is_ok());
    })
    .await;
}
