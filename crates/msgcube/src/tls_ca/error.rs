//! Why there is no certificate, with what to do about it.

use std::{io, path::PathBuf};

use i18n::Lang;
use jiff::civil::Date;

/// Why nothing was made. Nothing was overwritten then.
#[derive(Debug, thiserror::Error)]
pub enum TlsCaError {
    /// A file or the folder cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The authority's certificate without its key.
    #[error(
        "{path} is missing: put it back beside ca.pem for this run, or make a new authority in another --dir"
    )]
    KeyMissing { path: PathBuf },
    /// The authority's key without its certificate.
    #[error(
        "{path} is missing and ca.key is there: put it back for this run, or make a new authority in another --dir"
    )]
    CaMissing { path: PathBuf },
    /// No private key.
    #[error("{path} is no private key; restore it from a backup, or remove it and run this again")]
    NotAKey { path: PathBuf },
    /// A certificate of another key, or of another program.
    #[error("{path} does not belong to ca.key; restore both, or make a new authority in another --dir")]
    NotTheKeys { path: PathBuf },
    /// Constraints of an earlier run.
    #[error(
        "{path} was made for other hosts and cannot vouch for {hosts}: leave them out, or make a new authority in another --dir and hand out its ca.pem"
    )]
    Refused { path: PathBuf, hosts: String },
    /// It would outlive the authority.
    #[error(
        "{path} ends on {until}, before the certificate would: fewer --days, or a new authority in another --dir"
    )]
    Ends { path: PathBuf, until: Date },
    /// What was made does not hold; not expected.
    #[error("the certificate that was made is not valid: {0}")]
    Invalid(webpki::Error),
    /// Making it failed.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The clock shows a year that cannot be.
    #[error("the clock is wrong: set the machine's date")]
    Clock,
    /// Printing failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl TlsCaError {
    /// The same in the language of the terminal.
    pub fn in_lang(&self, lang: Lang) -> String {
        let zh = match self {
            TlsCaError::KeyMissing { path } => format!(
                "缺少 {}：请把它暂时放回 ca.pem 旁边再运行，或用另一个 --dir 新建证书颁发机构",
                path.display()
            ),
            TlsCaError::CaMissing { path } => format!(
                "有 ca.key 而缺少 {}：请把它放回再运行，或用另一个 --dir 新建证书颁发机构",
                path.display()
            ),
            TlsCaError::NotAKey { path } => {
                format!("{} 不是私钥：请从备份恢复，或删除后重新运行", path.display())
            }
            TlsCaError::NotTheKeys { path } => {
                format!("{} 与 ca.key 不匹配：请把两者一起恢复，或用另一个 --dir 新建", path.display())
            }
            TlsCaError::Refused { path, hosts } => format!(
                "{} 是为其他主机制作的，不能为 {hosts} 签发证书：请去掉它们，或用另一个 --dir 新建并分发新的 ca.pem",
                path.display()
            ),
            TlsCaError::Ends { path, until } => format!(
                "{} 将于 {until} 到期，早于要签发的证书：请减小 --days，或用另一个 --dir 新建",
                path.display()
            ),
            TlsCaError::Clock => "系统时间不正确：请先校准".to_owned(),
            _ => return self.to_string(),
        };
        lang.pick(self.to_string(), zh)
    }
}
