//! Compares an answer with the expectation of the step, and with the rules for all answers.

use datacube::ErrorCode;
use serde_json::Value;

use super::{
    case::Step,
    complaint::{Complaint, Form},
    request::Request,
    rows,
    template::{Escaping, Placeholders, RidWindow, TemplateError, fill, fits, is_token},
};
use crate::probe::exchange::{ExchangeResult, RawAnswer};

/// Limit of a hint in bytes. Source: the interface contract.
const HINT_BYTES_MAX: usize = 512;

/// How strictly an answer is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// For msgcube: byte for byte, with content type, one-line body and headers.
    Bytes,
    /// For other servers: the code, and the beginning of the text. WeChat appends advice to some texts.
    Meaning,
}

/// What an answer is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    pub step: &'a Step,
    pub request: &'a Request,
    pub known: &'a Placeholders,
    pub moment: RidWindow,
    pub rigour: Strictness,
}

/// All differences of an answer from the expectation.
pub fn complaints(expectation: &Expectation<'_>, outcome: &ExchangeResult) -> Vec<Complaint> {
    let step = expectation.step;
    let answer = match outcome {
        Ok(answer) => answer,
        Err(why) if step.closed && *why == crate::probe::exchange::NoAnswer::Closed => return Vec::new(),
        Err(why) => return vec![Complaint::NoAnswer(*why)],
    };
    let mut wrong = Vec::new();
    if step.closed {
        wrong.push(Complaint::Answered);
    }
    let status = step.status.unwrap_or(200);
    if answer.status != status {
        wrong.push(Complaint::Status { wanted: status, found: answer.status });
    }
    let is_other = step.or_errcodes.iter().any(|code| error(expectation, answer, *code).is_empty());
    if !is_other {
        wrong.extend(body(expectation, answer).unwrap_or_else(|error| vec![Complaint::Case(error)]));
    }
    wrong.extend(headers(step, answer));
    wrong.extend(hint(step, answer));
    let path = expectation.request.target();
    let is_call = path.starts_with(b"/datacube/") || path.starts_with(b"/cgi-bin/");
    // The page is not a call, and neither is a path that does not exist.
    let has_form = is_call && !path.starts_with(b"/cgi-bin/componentloginpage") && answer.status != 404;
    if expectation.rigour == Strictness::Bytes && has_form {
        wrong.extend(wechat_form(answer));
    }
    wrong
}

/// Takes the values of `remember` from an answer. A missing value is empty.
pub fn remember(step: &Step, outcome: Option<&ExchangeResult>, known: &mut Placeholders) {
    if step.remember.is_empty() {
        return;
    }
    let body = outcome.and_then(|outcome| outcome.as_ref().ok()).map(|answer| answer.body.as_slice());
    let value: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
    for (name, field) in &step.remember {
        known.insert(name, field_of(&value, field).unwrap_or_default());
    }
}

/// A field by its name, or `/a/b` for a nested field. `rid` is also found at the end of an error's text.
fn field_of<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    let found = if field.starts_with('/') { value.pointer(field) } else { value.get(field) };
    let rid = || Some(value["errmsg"].as_str().filter(|_| field == "rid")?.split_once("rid: ")?.1);
    found.and_then(Value::as_str).or_else(rid)
}

fn body(expectation: &Expectation<'_>, answer: &RawAnswer) -> Result<Vec<Complaint>, TemplateError> {
    let Expectation { step, known, .. } = expectation;
    let mut wrong = Vec::new();
    if let Some(code) = step.errcode {
        wrong.extend(error(expectation, answer, code));
    }
    if let Some(pattern) = &step.answer
        && !fits(pattern, known, &answer.body, expectation.moment)?
    {
        wrong.push(Complaint::Body { wanted: pattern.clone() });
    }
    if let Some(json) = &step.json {
        let wanted: Value = serde_json::from_slice(&fill(json, known, Escaping::Json)?).unwrap_or_default();
        let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !is_like(&wanted, &found) {
            // The template, not the filled text, which may hold a token.
            wrong.push(Complaint::Body { wanted: json.clone() });
        }
    }
    for (parts, is_wanted) in [(&step.answer_has, true), (&step.answer_lacks, false)] {
        for part in parts {
            let bytes = fill(part, known, Escaping::Plain)?;
            let holds = answer.body.windows(bytes.len().max(1)).any(|window| window == bytes);
            if holds != is_wanted {
                let part = part.clone();
                wrong.push(if holds { Complaint::Has(part) } else { Complaint::Lacks(part) });
            }
        }
    }
    if step.rows || step.sorted {
        wrong.extend(match expectation.request.question() {
            Some(question) => rows::complaints(question, &answer.body, step.sorted),
            None => vec![Complaint::NoQuestion],
        });
    }
    Ok(wrong)
}

fn error(expectation: &Expectation<'_>, answer: &RawAnswer, code: i64) -> Vec<Complaint> {
    let Some(known) = i32::try_from(code).ok().and_then(ErrorCode::by_number) else {
        return vec![Complaint::UnknownErrcode(code)];
    };
    if expectation.rigour == Strictness::Bytes {
        let pattern = format!(r#"{{"errcode":{code},"errmsg":"{} rid: {{rid}}"}}"#, known.text);
        return match fits(&pattern, expectation.known, &answer.body, expectation.moment) {
            Ok(true) => Vec::new(),
            Ok(false) => vec![Complaint::Body { wanted: pattern }],
            Err(error) => vec![Complaint::Case(error)],
        };
    }
    let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (found["errcode"].as_i64(), found["errmsg"].as_str()) {
        (Some(found), Some(text)) if found == code => {
            let begins = text.starts_with(known.text);
            if begins { Vec::new() } else { vec![Complaint::Errmsg { wanted: known.text }] }
        }
        (found, None) if found == Some(code) => vec![Complaint::Errmsg { wanted: known.text }],
        (found, _) => vec![Complaint::Errcode { wanted: code, found }],
    }
}

fn is_like(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::String(wanted), _) if wanted == "<any>" => true,
        (Value::String(wanted), Value::String(found)) if wanted == "<text>" => !found.is_empty(),
        (Value::String(wanted), Value::String(found)) if wanted == "<token>" => is_token(found),
        (Value::String(wanted), Value::Number(found)) => range_bounds(wanted)
            .is_some_and(|(low, high)| found.as_i64().is_some_and(|found| (low..=high).contains(&found))),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| is_like(wanted, found))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .all(|(name, wanted)| found.get(name).is_some_and(|found| is_like(wanted, found)))
        }
        _ => wanted == found,
    }
}

/// The bounds in `<1 to 9>`.
fn range_bounds(text: &str) -> Option<(i64, i64)> {
    let (low, high) = text.strip_prefix('<')?.strip_suffix('>')?.split_once(" to ")?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

fn headers(step: &Step, answer: &RawAnswer) -> Vec<Complaint> {
    let is_wrong = |name: &str, value: &str| match (value, answer.header(name)) {
        ("*", found) => found.is_none(),
        ("", found) => found.is_some(),
        (value, found) => found != Some(value),
    };
    let wrong = step.answer_headers.iter().filter(|(name, value)| is_wrong(name, value));
    wrong
        .map(|(name, value)| Complaint::Header {
            name: name.clone(),
            wanted: value.clone(),
            found: answer.header(name).map(ToOwned::to_owned),
        })
        .collect()
}

fn hint(step: &Step, answer: &RawAnswer) -> Vec<Complaint> {
    let hints = [answer.header("x-msgcube-hint"), answer.header("x-msgcube-hint-zh")];
    let is_short = |text: &str| !text.is_empty() && text.len() <= HINT_BYTES_MAX && text.is_ascii();
    let mut wrong = Vec::new();
    match hints {
        [None, None] => {}
        [Some(en), Some(zh)] if is_short(en) && is_short(zh) => {}
        _ => wrong.push(Complaint::HintForm),
    }
    let Some(wanted) = step.hint.as_deref() else { return wrong };
    let is_right = match wanted {
        "" => hints[0].is_none(),
        "*" => hints[0].is_some(),
        part => hints[0].is_some_and(|text| text.contains(part)),
    };
    if !is_right {
        let found = hints[0].map(ToOwned::to_owned);
        wrong.push(Complaint::Hint { wanted: wanted.to_owned(), found });
    }
    wrong
}

/// Checks the rules for every answer in WeChat's form.
fn wechat_form(answer: &RawAnswer) -> Vec<Complaint> {
    let rules = [
        (Form::Status, answer.status == 200),
        (Form::OneLine, !answer.body.iter().any(u8::is_ascii_control)),
        (Form::ContentType, answer.header("content-type") == Some("application/json; encoding=utf-8")),
        (Form::Object, answer.body.starts_with(b"{") && answer.body.ends_with(b"}")),
        (Form::NoCors, !answer.headers.iter().any(|(name, _)| name.starts_with("access-control"))),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| Complaint::Form(rule)).collect()
}
