//! Certificates: those of `[tls]`, and the one that the public address presents.

use std::time::Duration;

use i18n::{Text, format, text};
use msgcube_client::http::Address;
use rustls::pki_types::{CertificateDer, ServerName};
use server::{
    config::TlsFiles,
    net::tls::{self, TlsError},
};
use webpki::EndEntityCert;

use super::{finding::Finding, installation::Installation};
use crate::probe::{PresentedCertificate, error_text};

const DAY_S: i64 = 86_400;
/// Renewal usually happens 30 days before the end. With fewer days left than this it has probably failed.
const DAYS_FEW: i64 = 21;
/// Names of a certificate that are shown.
const NAMES_MAX: usize = 4;

/// Checks `[tls]` and the public address.
pub async fn check(installation: &Installation) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(files) = &installation.config.tls {
        findings.push(check_files(installation, files));
    }
    if let Some(url) = &installation.url {
        findings.extend(check_port(url));
        findings.push(check_public_address(installation, url).await);
    }
    findings
}

fn check_files(installation: &Installation, files: &TlsFiles) -> Finding {
    let pair = match tls::read(files) {
        Ok(pair) => pair,
        Err(error) => return unusable(&error),
    };
    let Some(certificate) = pair.cert.first() else {
        return unusable(&TlsError::Pem {
            path: files.cert.clone(),
            what: "certificate",
            why: "it is empty".to_owned(),
        });
    };
    let path = Text::plain(files.cert.display().to_string());
    let remedy = text!(
        "renew {path}: it is read again by itself; `msgcube tls ca` renews one of an own authority",
        path
    );
    // Behind a proxy, the proxy's certificate has the public name.
    match &installation.url {
        Some(url) if !is_for(certificate, &host(url)) && url.is_https() => {
            let (host, names) = (host(url), certificate_names(certificate));
            let found = text!("{path} is for {names}, not for {host}", path, names, host);
            let remedy = text!("fine behind a proxy that has its own; else get one for {host}", host);
            Finding::note("tls_files", found).with_remedy(remedy)
        }
        _ => check_expiry(installation, "tls_files", &path, certificate, remedy),
    }
}

fn unusable(error: &TlsError) -> Finding {
    let remedy = if let TlsError::Pair { .. } = error {
        text!("give the key of the first certificate in the file; the server would not start with these")
    } else {
        text!("correct cert and key under [tls]")
    };
    Finding::problem("tls_files", Text::from_english(error), remedy)
}

/// Checks how long a certificate is still valid.
fn check_expiry(
    installation: &Installation,
    id: &'static str,
    what: &Text,
    der: &CertificateDer<'_>,
    remedy: Text,
) -> Finding {
    let Some(end_s) = tls::end_s(der) else {
        let found = text!("{what}: its end cannot be read", what);
        return Finding::warning(id, found, remedy);
    };
    let days = (end_s - installation.clock.now_s()).div_euclid(DAY_S);
    let names = certificate_names(der);
    if days < 0 {
        let over = -days - 1;
        let found = text!("{what} ({names}): expired {over} days ago", what, names, over);
        return Finding::problem(id, found, remedy);
    }
    let found = text!("{what} ({names}): {days} days left", what, names, days);
    if days < DAYS_FEW { Finding::warning(id, found, remedy) } else { Finding::ok(id, found) }
}

fn certificate_names(der: &CertificateDer<'_>) -> String {
    let Ok(certificate) = EndEntityCert::try_from(der) else { return "?".to_owned() };
    let mut names: Vec<&str> = certificate.valid_dns_names().collect();
    if names.is_empty() {
        return "-".to_owned();
    }
    if names.len() > NAMES_MAX {
        names.truncate(NAMES_MAX);
        names.push("…");
    }
    names.join(", ")
}

fn is_for(der: &CertificateDer<'_>, host: &str) -> bool {
    let (Ok(certificate), Ok(name)) = (EndEntityCert::try_from(der), ServerName::try_from(host)) else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

fn host(url: &Address) -> String {
    let uri = url.below("/").unwrap_or_default();
    uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// WeChat calls only the ports 80 and 443. Source: its page on the server configuration.
fn check_port(url: &Address) -> Option<Finding> {
    let port = url.below("/").ok()?.port_u16()?;
    let found = text!("{url}: port {port}, and WeChat calls 80 and 443 only", url, port);
    let remedy = text!("let it be reached on 443");
    (![80, 443].contains(&port)).then(|| Finding::warning("url_port", found, remedy))
}

async fn check_public_address(installation: &Installation, url: &Address) -> Finding {
    if !url.is_https() {
        let found =
            text!("{url} is not encrypted: others on the network can read plain callbacks and tokens", url);
        return Finding::note("url_certificate", found).with_remedy(text!("use https"));
    }
    let connected = match url.below("/") {
        Ok(uri) => installation.prober.connect(&uri).await,
        Err(error) => Err(super::installation::invalid_request(&error)),
    };
    match connected {
        Ok(connection) => connection.presented.map_or_else(
            || Finding::skipped("url_certificate", url.to_string()),
            |presented| check_presented(installation, url, &presented, connection.took),
        ),
        Err(fault) => {
            let why = error_text::probe_error(&fault);
            let found = text!("{url}: {why}", url, why);
            let remedy = text!("see DNS, the firewall, and the proxy in front");
            Finding::problem("url_certificate", found, remedy)
        }
    }
}

fn check_presented(
    installation: &Installation,
    url: &Address,
    presented: &PresentedCertificate,
    took: Duration,
) -> Finding {
    let remedy = text!(
        "install a certificate of a public authority, with its whole chain, on the server of this address"
    );
    match (&presented.verdict, &presented.certificate) {
        (Err(error), _) => {
            let why = error_text::untrusted(error);
            let found = text!("{url} shows a certificate that is not trusted: {why}", url, why);
            Finding::problem("url_certificate", found, remedy)
        }
        (Ok(()), Some(certificate)) => {
            let took = format::time(took);
            let what = text!("{url}, connected in {took}, trusted", url, took);
            check_expiry(installation, "url_certificate", &what, certificate, remedy)
        }
        (Ok(()), None) => Finding::skipped("url_certificate", url.to_string()),
    }
}
