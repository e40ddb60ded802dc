//! `msgcube tls ca`: makes a private certificate authority and a server certificate, for SDKs with a hard-coded WeChat
//! host. The authority can sign only for the hosts it was made for.

mod advice;
mod authority;
mod error;
mod folder;
mod host;

use std::{io::Write, path::PathBuf};

use clap::Args;
use i18n::Lang;
use jiff::{ToSpan as _, civil::Date};
use rcgen::KeyPair;

use self::{
    authority::{Authority, Certificate},
    folder::TlsFolder,
};
pub use self::{error::TlsCaError, host::CertificateHost};

/// Arguments of `msgcube tls ca`.
#[derive(Args)]
pub struct TlsCaArgs {
    /// A DNS name or IP address that clients ask for; may be given several times
    #[arg(long = "host", value_name = "HOST", default_value = "api.weixin.qq.com")]
    pub hosts: Vec<CertificateHost>,
    /// The folder for the four files; an existing authority there is used again
    #[arg(long, value_name = "DIR", default_value = "tls")]
    pub dir: PathBuf,
    /// How many days the server's certificate is valid; some systems refuse more than 397
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub days: u16,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The certificates that were issued, and their files.
struct IssuedFiles {
    folder: TlsFolder,
    hosts: Vec<CertificateHost>,
    authority_until: Date,
    server: Certificate,
    /// The authority existed already; only the server's certificate is new.
    renewed: bool,
}

/// Makes or renews the files and prints what they are for. `now_s` is Unix seconds.
pub fn run(args: TlsCaArgs, lang: Lang, now_s: i64, out: &mut impl Write) -> Result<(), TlsCaError> {
    let json = args.json;
    let made = make(args, now_s)?;
    write!(out, "{}", if json { advice::json(&made) } else { advice::text(&made, lang) })?;
    Ok(())
}

/// All certificates are made and checked before a file is written.
fn make(args: TlsCaArgs, now_s: i64) -> Result<IssuedFiles, TlsCaError> {
    let TlsCaArgs { hosts, dir, days, .. } = args;
    let folder = TlsFolder::open(&dir)?;
    let known = folder.authority()?;
    let renewed = known.is_some();
    let authority = match known {
        Some(authority) => authority,
        None => Authority::make(TlsFolder::key(&folder.ca_key())?, &hosts, now_s)?,
    };
    let key = TlsFolder::key(&folder.server_key())?;
    let server = issue(&authority, &folder, &key, &hosts, now_s, days)?;
    if !renewed {
        folder.write_authority(&authority)?;
    }
    folder.write_server(&key, &format!("{}{}", server.pem, authority.issuer.pem))?;
    Ok(IssuedFiles { folder, hosts, authority_until: authority.until(), server, renewed })
}

fn issue(
    authority: &Authority,
    folder: &TlsFolder,
    key: &KeyPair,
    hosts: &[CertificateHost],
    now_s: i64,
    days: u16,
) -> Result<Certificate, TlsCaError> {
    let until = authority::date(now_s)?.saturating_add(i32::from(days).days());
    if authority.until() < until {
        return Err(TlsCaError::Ends { path: folder.ca(), until: authority.until() });
    }
    let refused = authority.disallowed_hosts(key, hosts, now_s)?;
    if !refused.is_empty() {
        return Err(TlsCaError::Refused { path: folder.ca(), hosts: host::join(&refused) });
    }
    let server = authority.issue(key, hosts, now_s, until)?;
    authority.check(&server, hosts, now_s).map_err(|error| match error {
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            TlsCaError::NotTheKeys { path: folder.ca() }
        }
        error => TlsCaError::Invalid(error),
    })?;
    Ok(server)
}
