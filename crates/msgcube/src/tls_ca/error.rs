//! Errors of `msgcube tls ca`, with the next step.

use std::{io, path::PathBuf};

use i18n::Lang;
use jiff::civil::Date;

/// Why no certificate was made. No file was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum TlsCaError {
    /// A file or the folder cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The authority's certificate exists, but not its key.
    #[error(
        "{path} is missing: put it back beside ca.pem for this run, or make a new authority in another --dir"
    )]
    KeyMissing { path: PathBuf },
    /// The authority's key exists, but not its certificate.
    #[error(
        "{path} is missing and ca.key is there: put it back for this run, or make a new authority in another --dir"
    )]
    CaMissing { path: PathBuf },
    /// The file holds no private key.
    #[error("{path} is not a private key; restore it from a backup, or remove it and run this again")]
    NotAKey { path: PathBuf },
    /// The certificate belongs to another key, or was made by another program.
    #[error("{path} does not belong to ca.key; restore both, or make a new authority in another --dir")]
    NotTheKeys { path: PathBuf },
    /// The name constraints of the authority do not allow these hosts.
    #[error(
        "{path} was made for other hosts and cannot sign for {hosts}: leave them out, or make a new authority in another --dir and hand out its ca.pem"
    )]
    Refused { path: PathBuf, hosts: String },
    /// The certificate would outlive the authority.
    #[error(
        "{path} ends on {until}, before the certificate would: fewer --days, or a new authority in another --dir"
    )]
    Ends { path: PathBuf, until: Date },
    /// The new certificate does not verify. Not expected.
    #[error("the certificate that was made is not valid: {0}")]
    Invalid(webpki::Error),
    /// Generating a certificate failed.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The clock shows an impossible year.
    #[error("the clock is wrong: set the machine's date")]
    Clock,
    /// Printing failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl TlsCaError {
    /// The error in a language.
    pub fn in_lang(&self, lang: Lang) -> String {
        i18n::translated(lang, &self.to_string())
    }
}
