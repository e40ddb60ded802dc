//! Certificates: those that the program serves with, and what the public address really shows.

use std::time::Duration;

use i18n::text;
use i18n::{Lang, format};
use msgcube_client::http::Address;
use rustls::pki_types::{CertificateDer, ServerName};
use server::{
    config::TlsFiles,
    net::tls::{self, TlsError},
};
use webpki::EndEntityCert;

use super::{finding::Finding, installation::Installation};
use crate::probe::{Shown, remarks};

const DAY_S: i64 = 86_400;
/// Renewing usually happens 30 days before the end; this late it did not.
const DAYS_FEW: i64 = 21;
/// Names that are shown of a certificate.
const NAMES_MAX: usize = 4;

/// Looks at `[tls]` and at the public address.
pub async fn check(scene: &Installation) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(files) = &scene.config.tls {
        findings.push(configured(scene, files));
    }
    if let Some(url) = &scene.url {
        findings.extend(port(scene.lang, url));
        findings.push(shown(scene, url).await);
    }
    findings
}

fn configured(scene: &Installation, files: &TlsFiles) -> Finding {
    let lang = scene.lang;
    let pair = match tls::read(files) {
        Ok(pair) => pair,
        Err(error) => return unusable(lang, &error),
    };
    let Some(certificate) = pair.cert.first() else {
        return unusable(
            lang,
            &TlsError::Pem { path: files.cert.clone(), what: "certificate", why: "it is empty".to_owned() },
        );
    };
    let path = files.cert.display().to_string();
    let remedy = text!(
        "renew {path}: it is read again by itself; `msgcube tls ca` renews one of an own authority",
        path
    )
    .in_lang(lang);
    // Behind a proxy it is the proxy that shows the public name.
    match &scene.url {
        Some(url) if !is_for(certificate, &host(url)) && url.is_https() => {
            let (host, names) = (host(url), names(certificate));
            let found = text!("{path} is for {names}, not for {host}", path, names, host).in_lang(lang);
            let remedy =
                text!("fine behind a proxy that has its own; else get one for {host}", host).in_lang(lang);
            Finding::note("tls_files", found).remedied(remedy)
        }
        _ => dated(scene, "tls_files", &path, certificate, &remedy),
    }
}

fn unusable(lang: Lang, error: &TlsError) -> Finding {
    let remedy = match error {
        TlsError::Pair { .. } => {
            text!("give the key of the first certificate in the file; the server would not start with these")
                .in_lang(lang)
        }
        _ => text!("correct cert and key under [tls]").in_lang(lang),
    };
    Finding::problem("tls_files", i18n::translated(lang, &error.to_string()), remedy)
}

/// How long it still holds.
fn dated(
    scene: &Installation,
    id: &'static str,
    what: &str,
    der: &CertificateDer<'_>,
    remedy: &str,
) -> Finding {
    let lang = scene.lang;
    let Some(end_s) = tls::end_s(der) else {
        let found = text!("{what}: its end cannot be read", what).in_lang(lang);
        return Finding::warning(id, found, remedy);
    };
    let days = (end_s - scene.clock.now_s()).div_euclid(DAY_S);
    let names = names(der);
    if days < 0 {
        let over = -days - 1;
        let found = text!("{what} ({names}): over since {over} days", what, names, over).in_lang(lang);
        return Finding::problem(id, found, remedy);
    }
    let found = text!("{what} ({names}): {days} days left", what, names, days).in_lang(lang);
    if days < DAYS_FEW { Finding::warning(id, found, remedy) } else { Finding::ok(id, found) }
}

fn names(der: &CertificateDer<'_>) -> String {
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

/// WeChat calls no other ports. Source: its page on the server configuration.
fn port(lang: Lang, url: &Address) -> Option<Finding> {
    let port = url.below("/").ok()?.port_u16()?;
    let found = text!("{url}: port {port}, and WeChat calls 80 and 443 only", url, port).in_lang(lang);
    let remedy = text!("let it be reached on 443").in_lang(lang);
    (![80, 443].contains(&port)).then(|| Finding::warning("url_port", found, remedy))
}

async fn shown(scene: &Installation, url: &Address) -> Finding {
    let lang = scene.lang;
    if !url.is_https() {
        let found = text!(
            "{url} is not encrypted: who listens in reads plain callbacks, and tokens of the interfaces",
            url
        )
        .in_lang(lang);
        return Finding::note("url_certificate", found).remedied(text!("use https").in_lang(lang));
    }
    let connected = match url.below("/") {
        Ok(uri) => scene.lines.connect(&uri).await,
        Err(error) => Err(super::installation::broken(&error)),
    };
    match connected {
        Ok(line) => line.shown.map_or_else(
            || Finding::skipped("url_certificate", url.to_string()),
            |shown| judged(scene, url, &shown, line.took),
        ),
        Err(fault) => {
            let why = remarks::fault(lang, &fault);
            let found = text!("{url}: {why}", url, why).in_lang(lang);
            let remedy = text!("see DNS, the firewall, and the proxy in front").in_lang(lang);
            Finding::problem("url_certificate", found, remedy)
        }
    }
}

fn judged(scene: &Installation, url: &Address, shown: &Shown, took: Duration) -> Finding {
    let lang = scene.lang;
    let remedy =
        text!("give whoever serves this address a certificate of a public authority, with its whole chain")
            .in_lang(lang);
    match (&shown.verdict, &shown.certificate) {
        (Err(error), _) => {
            let why = remarks::untrusted(lang, error);
            let found = text!("{url} shows a certificate that is not trusted: {why}", url, why).in_lang(lang);
            Finding::problem("url_certificate", found, remedy)
        }
        (Ok(()), Some(certificate)) => {
            let took = format::time(took);
            let what = text!("{url}, connected in {took}, trusted", url, took).in_lang(lang);
            dated(scene, "url_certificate", &what, certificate, &remedy)
        }
        (Ok(()), None) => Finding::skipped("url_certificate", url.to_string()),
    }
}
