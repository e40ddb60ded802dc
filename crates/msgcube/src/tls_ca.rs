//! `msgcube tls ca`: an authority of one's own and a server certificate, for SDKs that have WeChat's host written into
//! them. The authority can vouch for the hosts it is made for and for nothing else.

mod advice;
mod authority;
mod error;
mod folder;
mod host;

use std::{io::Write, path::PathBuf};

use clap::Args;
use jiff::{ToSpan as _, civil::Date};
use rcgen::KeyPair;

use self::{
    authority::{Authority, Certificate},
    folder::Folder,
};
pub use self::{error::TlsCaError, host::Host};
use i18n::Lang;

/// What `msgcube tls ca` takes.
#[derive(Args)]
pub struct TlsCaArgs {
    /// A DNS name or IP address that clients ask for; may be given several times
    #[arg(long = "host", value_name = "HOST", default_value = "api.weixin.qq.com")]
    pub hosts: Vec<Host>,
    /// The folder for the four files; an authority that lies there is used again
    #[arg(long, value_name = "DIR", default_value = "tls")]
    pub dir: PathBuf,
    /// How many days the server's certificate holds; some systems refuse more than 397
    #[arg(long, default_value_t = 397, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub days: u16,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What was made, for people and machines.
struct Made {
    folder: Folder,
    hosts: Vec<Host>,
    authority_until: Date,
    server: Certificate,
    /// The authority was there already: only the server's certificate is new.
    renewed: bool,
}

/// Makes or renews the files and says what they are for. `now_s` is Unix seconds.
pub fn run(args: TlsCaArgs, lang: Lang, now_s: i64, out: &mut impl Write) -> Result<(), TlsCaError> {
    let json = args.json;
    let made = make(args, now_s)?;
    write!(out, "{}", if json { advice::json(&made) } else { advice::text(&made, lang) })?;
    Ok(())
}

/// Everything is made and checked before anything is written.
fn make(args: TlsCaArgs, now_s: i64) -> Result<Made, TlsCaError> {
    let TlsCaArgs { hosts, dir, days, .. } = args;
    let folder = Folder::open(&dir)?;
    let known = folder.authority()?;
    let renewed = known.is_some();
    let authority = match known {
        Some(authority) => authority,
        None => Authority::make(Folder::key(&folder.ca_key())?, &hosts, now_s)?,
    };
    let key = Folder::key(&folder.server_key())?;
    let server = issue(&authority, &folder, &key, &hosts, now_s, days)?;
    if !renewed {
        folder.write_authority(&authority)?;
    }
    folder.write_server(&key, &format!("{}{}", server.pem, authority.issuer.pem))?;
    Ok(Made { folder, hosts, authority_until: authority.until(), server, renewed })
}

fn issue(
    authority: &Authority,
    folder: &Folder,
    key: &KeyPair,
    hosts: &[Host],
    now_s: i64,
    days: u16,
) -> Result<Certificate, TlsCaError> {
    let until = authority::date(now_s)?.saturating_add(i32::from(days).days());
    if authority.until() < until {
        return Err(TlsCaError::Ends { path: folder.ca(), until: authority.until() });
    }
    let refused = authority.refused(key, hosts, now_s)?;
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
