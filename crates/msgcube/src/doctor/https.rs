//! Certificates: those that the program serves with, and what the public address really shows.

use std::time::Duration;

use i18n::{Lang, words};
use msgcube_client::http::Address;
use rustls::pki_types::{CertificateDer, ServerName};
use server::{
    config::TlsFiles,
    net::tls::{self, TlsError},
};
use webpki::EndEntityCert;

use super::{finding::Finding, installation::Installation};
use crate::{
    chinese,
    probe::{Shown, remarks},
};

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
    let remedy = lang.pick(
        format!("renew {path}: it is read again by itself; `msgcube tls ca` renews one of an own authority"),
        format!("请续期 {path}，程序会自动重新读取；自建颁发机构的证书用 `msgcube tls ca` 续期"),
    );
    // Behind a proxy it is the proxy that shows the public name.
    match &scene.url {
        Some(url) if !is_for(certificate, &host(url)) && url.is_https() => {
            let (host, names) = (host(url), names(certificate));
            let found = lang.pick(
                format!("{path} is for {names}, not for {host}"),
                format!("{path} 适用于 {names}，不适用于 {host}"),
            );
            let remedy = lang.pick(
                format!("fine behind a proxy that has its own; else get one for {host}"),
                format!("若前面的代理有自己的证书则无妨；否则请申请适用于 {host} 的证书"),
            );
            Finding::note("tls_files", found).remedied(remedy)
        }
        _ => dated(scene, "tls_files", &path, certificate, &remedy),
    }
}

fn unusable(lang: Lang, error: &TlsError) -> Finding {
    let remedy = match error {
        TlsError::Pair { .. } => lang.pick(
            "give the key of the first certificate in the file; the server would not start with these",
            "请使用文件中第一张证书对应的私钥；否则服务无法启动",
        ),
        _ => lang.pick("correct cert and key under [tls]", "请更正 [tls] 的 cert 与 key"),
    };
    Finding::problem("tls_files", chinese::error(lang, &error.to_string()), remedy)
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
        let found = lang.pick(format!("{what}: its end cannot be read"), format!("{what}：无法读取有效期"));
        return Finding::warning(id, found, remedy);
    };
    let days = (end_s - scene.clock.now_s()).div_euclid(DAY_S);
    let names = names(der);
    if days < 0 {
        let over = -days - 1;
        let found = lang.pick(
            format!("{what} ({names}): over since {over} days"),
            format!("{what}（{names}）：已过期 {over} 天"),
        );
        return Finding::problem(id, found, remedy);
    }
    let found = lang
        .pick(format!("{what} ({names}): {days} days left"), format!("{what}（{names}）：剩余 {days} 天"));
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
    let found = lang.pick(
        format!("{url}: port {port}, and WeChat calls 80 and 443 only"),
        format!("{url}：端口 {port}，而微信只访问 80 和 443"),
    );
    let remedy = lang.pick("let it be reached on 443", "请改为通过 443 端口提供");
    (![80, 443].contains(&port)).then(|| Finding::warning("url_port", found, remedy))
}

async fn shown(scene: &Installation, url: &Address) -> Finding {
    let lang = scene.lang;
    if !url.is_https() {
        let found = lang.pick(
            format!(
                "{url} is not encrypted: who listens in reads plain callbacks, and tokens of the interfaces"
            ),
            format!("{url} 未加密：途中可窃听明文回调和接口 token"),
        );
        return Finding::note("url_certificate", found).remedied(lang.pick("use https", "请使用 https"));
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
            let found = lang.pick(format!("{url}: {why}"), format!("{url}：{why}"));
            let remedy =
                lang.pick("see DNS, the firewall, and the proxy in front", "请检查 DNS、防火墙和前面的代理");
            Finding::problem("url_certificate", found, remedy)
        }
    }
}

fn judged(scene: &Installation, url: &Address, shown: &Shown, took: Duration) -> Finding {
    let lang = scene.lang;
    let remedy = lang.pick(
        "give whoever serves this address a certificate of a public authority, with its whole chain",
        "请为提供此地址的服务配置公共颁发机构签发的证书，并附完整证书链",
    );
    match (&shown.verdict, &shown.certificate) {
        (Err(error), _) => {
            let why = remarks::untrusted(lang, error);
            let found = lang.pick(
                format!("{url} shows a certificate that is not trusted: {why}"),
                format!("{url} 出示的证书不受信任：{why}"),
            );
            Finding::problem("url_certificate", found, remedy)
        }
        (Ok(()), Some(certificate)) => {
            let took = words::time(took);
            let what = lang.pick(
                format!("{url}, connected in {took}, trusted"),
                format!("{url}，{took} 内连接，受信任"),
            );
            dated(scene, "url_certificate", &what, certificate, remedy)
        }
        (Ok(()), None) => Finding::skipped("url_certificate", url.to_string()),
    }
}
