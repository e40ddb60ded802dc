//! Why the kit could not ask, or not show: what it means and what to do, in both languages. No secret stands in it.

use std::{io, path::PathBuf};

use i18n::{Lang, format};
use i18n::{Text, text};

use super::complaint::Complaint;
use crate::{
    probe::{
        Fault,
        exchange::{Answer, NoAnswer},
        remarks,
    },
    query::{CredentialError, of_code},
};

static RUNS: Text = text!("Check --target and whether the server runs.");
/// Where SDKs have their base URL, too.
static BASE: Text = text!("Give the address in front of /cgi-bin and /datacube.");

/// Why a run came to nothing, or broke off. For people use [`ConformanceError::in_lang`].
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// Neither a target nor a configuration that has one.
    #[error("no server: give --target, such as https://api.weixin.qq.com or http://127.0.0.1:8060")]
    NoTarget,
    #[error("--target {0}")]
    Target(String),
    #[error("--ca {}: {why}", path.display())]
    Ca { path: PathBuf, why: String },
    #[error("{target} cannot be reached")]
    Unreached { target: String, fault: Fault },
    /// Connected, and no answer.
    #[error("{target} gave no answer to {call}")]
    Silent { target: String, call: String, why: NoAnswer },
    /// An error in WeChat's form.
    #[error("{call}: {code} {text}")]
    Refused { call: &'static str, code: i64, text: String },
    /// Something that is not of this interface.
    #[error("{call}: HTTP status {}", answer.status)]
    Foreign { call: &'static str, location: Option<String>, answer: Answer },
    #[error("{}: {why}", path.display())]
    Record { path: PathBuf, why: String },
    /// The cases built in.
    #[error("cases: {0}")]
    Cases(String),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

impl ConformanceError {
    /// What went wrong and what to do next.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            ConformanceError::Credentials(error) => error.in_lang(lang),
            ConformanceError::NoTarget => i18n::translated(lang, &self.to_string()),
            ConformanceError::Unreached { target, fault } => unreached(target, fault, lang),
            ConformanceError::Silent { target, call, why } => silent(target, call, *why, lang),
            ConformanceError::Refused { call, code, text } => {
                let advice = of_code(i32::try_from(*code).unwrap_or_default(), lang);
                format!("{call}: {code} {text}\n{advice}")
            }
            ConformanceError::Foreign { call, location, answer } => {
                foreign(call, location.as_deref(), answer, lang)
            }
            other => other.to_string(),
        }
    }
}

fn unreached(target: &str, fault: &Fault, lang: Lang) -> String {
    let why = remarks::fault(lang, fault);
    let next = match fault {
        Fault::Name(_) => text!("Check the name in --target.").in_lang(lang),
        Fault::Tls(_) => text!("If it speaks plain HTTP there, give http:// in --target.").in_lang(lang),
        Fault::Untrusted(_) => {
            text!("Name it as its certificate does, or give its authority with --ca FILE.").in_lang(lang)
        }
        _ => RUNS.in_lang(lang),
    };
    format!("{target}: {why}\n{next}")
}

fn silent(target: &str, call: &str, why: NoAnswer, lang: Lang) -> String {
    let what = Complaint::NoAnswer(why).text(lang);
    let next = match why {
        NoAnswer::NotHttp | NoAnswer::Closed if target.starts_with("http://") => {
            text!("If it speaks HTTPS there, give https:// in --target.").in_lang(lang)
        }
        NoAnswer::Late => RUNS.in_lang(lang),
        _ => BASE.in_lang(lang),
    };
    format!("{target}: {call}: {what}\n{next}")
}

fn foreign(call: &str, location: Option<&str>, answer: &Answer, lang: Lang) -> String {
    let said = format::quote(&answer.body);
    let (status, kind) = (answer.status, answer.header("content-type").unwrap_or("-"));
    let what = text!("something else than the interface answers there").in_lang(lang);
    let next = match location {
        Some(to) => {
            text!("It redirects to {to}, which no SDK follows.", to = format::quote(bare(to).as_bytes()))
                .in_lang(lang)
        }
        None => BASE.in_lang(lang),
    };
    format!("{call}: {what}: HTTP {status}, {kind}: {said}\n{next}")
}

/// Without its query, which may hold a secret.
fn bare(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
