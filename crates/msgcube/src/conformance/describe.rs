//! Short texts for the report: what a case expects and what was answered.

use datacube::ErrorCode;
use i18n::{Lang, Text, format, text};
use serde_json::Value;

use super::{
    case::{Case, Certainty, Step},
    case_run::{CaseResult, CaseVerdict, SkipReason, errcode},
    complaint::Complaint,
    rows,
};
use crate::probe::exchange::{ExchangeResult, RawAnswer};

/// Limit of a quoted answer in characters.
const ANSWERED_CHARACTERS_MAX: usize = 48;

/// The certainty, in the words of COMPATIBILITY.md.
pub fn sure(sure: Certainty) -> Text {
    match sure {
        Certainty::Documented => text!("documented"),
        Certainty::Seen => text!("seen"),
        Certainty::Assumed => text!("assumed"),
    }
}

pub fn name(case: &Case, lang: Lang) -> &str {
    lang.pick(&case.name, case.zh.as_ref().unwrap_or(&case.name))
}

/// What the steps expect, each different expectation once.
pub fn expected(case: &Case) -> String {
    joined(case.step.iter().filter_map(expectation))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for part in parts {
        if all.last() != Some(&part) {
            all.push(part);
        }
    }
    all.join("; ")
}

fn expectation(step: &Step) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(step.errcode.map(|code| code.to_string()));
    parts.extend((step.rows || step.sorted).then(|| "list".to_owned()));
    parts.extend(step.json.as_ref().map(|json| {
        let is_token = json.contains("access_token");
        if is_token { "access_token".to_owned() } else { json.clone() }
    }));
    parts.extend(step.answer.as_deref().map(|pattern| {
        let errmsg = pattern.split_once(r#""errmsg":""#).and_then(|(_, text)| text.strip_suffix(r#""}"#));
        errmsg.unwrap_or(pattern).to_owned()
    }));
    parts.extend(step.or_errcodes.iter().map(i64::to_string));
    let mut text = parts.join(" / ");
    for (name, value) in &step.answer_headers {
        let header = if value.is_empty() { format!("; no {name}") } else { format!("; {value}") };
        text.push_str(&header);
    }
    (!text.is_empty()).then_some(text)
}

/// The answers, each different answer once. If the case differs, only the answers that differ.
pub fn answered(result: &CaseResult<'_>, lang: Lang) -> String {
    if let CaseVerdict::NotAsked(why) = result.verdict {
        return not_asked(why).in_lang(lang);
    }
    let is_met = result.verdict == CaseVerdict::Same;
    let mut outcomes: Vec<&ExchangeResult> = Vec::new();
    for (asked, step) in result.steps.iter().zip(&result.case.step) {
        if if is_met { expectation(step).is_some() } else { !asked.complaints.is_empty() } {
            outcomes.extend(&asked.outcomes);
        }
    }
    joined(outcomes.into_iter().map(|outcome| answer_text(outcome, is_met, lang)))
}

fn not_asked(why: SkipReason) -> Text {
    match why {
        SkipReason::Disturbs => text!("not asked: see --disturb"),
        SkipReason::NeedsSecret => text!("not asked: needs appid and secret"),
        SkipReason::NotRecorded => text!("not in the record"),
        SkipReason::BrokenOff => text!("not asked: the run stopped before"),
    }
}

fn answer_text(outcome: &ExchangeResult, is_met: bool, lang: Lang) -> String {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(why) => return Complaint::NoAnswer(*why).text().in_lang(lang),
    };
    let text = match (errcode(answer), rows::count(&answer.body)) {
        (Some(code), _) if is_met => code.to_string(),
        (Some(code), _) => format!("{code} {}", errmsg(answer)),
        (None, Some(0)) => r#"{"list":[]}"#.to_owned(),
        (None, Some(1)) => text!("list, 1 row").in_lang(lang),
        (None, Some(rows)) => text!("list, {rows} rows", rows).in_lang(lang),
        (None, None) if is_met => "access_token".to_owned(),
        (None, None) => format::quote(&answer.body),
    };
    let text = if answer.status == 200 { text } else { format!("HTTP {} {text}", answer.status) };
    shortened(text)
}

/// The error text without its rid.
fn errmsg(answer: &RawAnswer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = body["errmsg"].as_str().unwrap_or_default();
    let known = errcode(answer).and_then(|code| ErrorCode::by_number(i32::try_from(code).ok()?));
    match known {
        Some(known) if text.starts_with(known.text) => known.text.to_owned(),
        _ => format::quote(text.split(" rid: ").next().unwrap_or_default().as_bytes()),
    }
}

fn shortened(text: String) -> String {
    if text.chars().count() <= ANSWERED_CHARACTERS_MAX {
        return text;
    }
    text.chars().take(ANSWERED_CHARACTERS_MAX - 1).chain(['…']).collect()
}
