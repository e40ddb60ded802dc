//! Errors of `msgcube conformance`, with the next step. They hold no secret.

use std::{io, path::PathBuf};

use i18n::{Lang, Text, format, text};

use super::complaint::Complaint;
use crate::{
    probe::{
        ProbeError, error_text,
        exchange::{NoAnswer, RawAnswer},
    },
    query::{CredentialError, advice_for_code},
};

static RUNS: Text = text!("Check --server and whether the server runs.");
/// For a wrong path in `--server`.
static BASE: Text = text!("Give the address in front of /cgi-bin and /datacube.");

/// Why a run failed or stopped. For the screen use [`ConformanceError::in_lang`].
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// Neither a target nor a configuration was given.
    #[error("no server: give --server, such as https://api.weixin.qq.com or http://127.0.0.1:8060")]
    NoTarget,
    #[error("--server {0}")]
    Target(String),
    #[error("--ca {}: {why}", path.display())]
    Ca { path: PathBuf, why: String },
    #[error("{target} cannot be reached")]
    Unreached { target: String, fault: ProbeError },
    /// Connected, but no answer came.
    #[error("{target} gave no answer to {call}")]
    Silent { target: String, call: String, why: NoAnswer },
    /// An error in WeChat's form.
    #[error("{call}: {code} {text}")]
    Refused { call: &'static str, code: i64, text: String },
    /// An answer that is not one of the interface.
    #[error("{call}: HTTP status {}", answer.status)]
    Foreign { call: &'static str, location: Option<String>, answer: RawAnswer },
    #[error("{}: {why}", path.display())]
    Record { path: PathBuf, why: String },
    /// The built-in cases cannot be read. Not expected.
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
            ConformanceError::Unreached { target, fault } => unreached(target, fault).in_lang(lang),
            ConformanceError::Silent { target, call, why } => silent(target, call, *why).in_lang(lang),
            ConformanceError::Refused { call, code, text } => {
                let advice = advice_for_code(i32::try_from(*code).unwrap_or_default(), lang);
                format!("{call}: {code} {text}\n{advice}")
            }
            ConformanceError::Foreign { call, location, answer } => {
                foreign(call, location.as_deref(), answer).in_lang(lang)
            }
            other => other.to_string(),
        }
    }
}

fn unreached(target: &str, fault: &ProbeError) -> Text {
    let why = error_text::probe_error(fault);
    let next = match fault {
        ProbeError::Name(_) => text!("Check the name in --server."),
        ProbeError::Tls(_) => text!("If it speaks plain HTTP there, give http:// in --server."),
        ProbeError::Untrusted(_) => {
            text!("Name it as its certificate does, or give its authority with --ca FILE.")
        }
        _ => RUNS.clone(),
    };
    text!("{target}: {why}\n{next}", target, why, next)
}

fn silent(target: &str, call: &str, why: NoAnswer) -> Text {
    let what = Complaint::NoAnswer(why).text();
    let next = match why {
        NoAnswer::NotHttp | NoAnswer::Closed if target.starts_with("http://") => {
            text!("If it speaks HTTPS there, give https:// in --server.")
        }
        NoAnswer::Late => RUNS.clone(),
        _ => BASE.clone(),
    };
    text!("{target}: {call}: {what}\n{next}", target, call, what, next)
}

fn foreign(call: &str, location: Option<&str>, answer: &RawAnswer) -> Text {
    let said = format::quote(&answer.body);
    let (status, kind) = (answer.status, answer.header("content-type").unwrap_or("-"));
    let what = text!("something else than the interface answers there");
    let next = match location {
        Some(to) => {
            text!(
                "It redirects to {to}, which no SDK follows.",
                to = format::quote(without_query(to).as_bytes())
            )
        }
        None => BASE.clone(),
    };
    text!("{call}: {what}: HTTP {status}, {kind}: {said}\n{next}", call, what, status, kind, said, next)
}

/// A URL without its query, which may hold a secret.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
