//! Why the kit could not ask, or not show: what it means and what to do, in both languages. No secret stands in it.

use std::{io, path::PathBuf};

use i18n::{Lang, words};

use super::complaint::Complaint;
use crate::{
    probe::{
        Fault,
        exchange::{Answer, NoAnswer},
        remarks,
    },
    query::{CredentialError, of_code},
};

const RUNS_EN: &str = "Check --target and whether the server runs.";
const RUNS_ZH: &str = "检查 --target 以及服务器是否在运行。";
/// Where SDKs have their base URL, too.
const BASE_EN: &str = "Give the address in front of /cgi-bin and /datacube.";
const BASE_ZH: &str = "请给出 /cgi-bin 和 /datacube 前面的地址。";

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
            ConformanceError::NoTarget => lang.pick(
                self.to_string(),
                "没有服务器：请给出 --target，例如 https://api.weixin.qq.com 或 http://127.0.0.1:8060"
                    .to_owned(),
            ),
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
        Fault::Name(_) => lang.pick("Check the name in --target.", "检查 --target 中的域名。"),
        Fault::Tls(_) => lang.pick(
            "If it speaks plain HTTP there, give http:// in --target.",
            "若该端口是明文 HTTP，请在 --target 中使用 http://。",
        ),
        Fault::Untrusted(_) => lang.pick(
            "Name it as its certificate does, or give its authority with --ca FILE.",
            "请使用证书中的域名，或用 --ca 文件 指定其颁发机构。",
        ),
        _ => lang.pick(RUNS_EN, RUNS_ZH),
    };
    format!("{target}: {why}\n{next}")
}

fn silent(target: &str, call: &str, why: NoAnswer, lang: Lang) -> String {
    let what = Complaint::NoAnswer(why).text(lang);
    let next = match why {
        NoAnswer::NotHttp | NoAnswer::Closed if target.starts_with("http://") => lang.pick(
            "If it speaks HTTPS there, give https:// in --target.",
            "若该端口是 HTTPS，请在 --target 中使用 https://。",
        ),
        NoAnswer::Late => lang.pick(RUNS_EN, RUNS_ZH),
        _ => lang.pick(BASE_EN, BASE_ZH),
    };
    format!("{target}: {call}: {what}\n{next}")
}

fn foreign(call: &str, location: Option<&str>, answer: &Answer, lang: Lang) -> String {
    let said = words::quote(&answer.body);
    let (status, kind) = (answer.status, answer.header("content-type").unwrap_or("-"));
    let what = lang.pick("something else than the interface answers there", "应答的不是该接口");
    let next = match location {
        Some(to) => lang.pick(
            format!("It redirects to {}, which no SDK follows.", words::quote(bare(to).as_bytes())),
            format!("它重定向到 {}，SDK 不会跟随。", words::quote(bare(to).as_bytes())),
        ),
        None => lang.pick(BASE_EN, BASE_ZH).to_owned(),
    };
    format!("{call}: {what}: HTTP {status}, {kind}: {said}\n{next}")
}

/// Without its query, which may hold a secret.
fn bare(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
