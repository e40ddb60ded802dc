//! Comparing an answer with what the case says, and with what holds for all answers.

use datacube::ErrorCode;
use serde_json::Value;

use super::{
    case::Step,
    complaint::{Complaint, Form},
    request::Request,
    rows,
    template::{Known, Moment, Place, TemplateError, fill, fits, is_token},
};
use crate::probe::exchange::{Answer, Outcome};

/// Bytes of a hint. Source: the contract.
const HINT_BYTES_MAX: usize = 512;

/// How closely errors are compared, and what else every answer is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rigour {
    /// Byte for byte, with the type, the one line and the headers of every answer: msgcube itself.
    Bytes,
    /// As clients read them: the code, and how the text begins. WeChat puts advice behind some texts.
    Meaning,
}

/// Against what an answer is held.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    pub step: &'a Step,
    pub request: &'a Request,
    pub known: &'a Known,
    pub moment: Moment,
    pub rigour: Rigour,
}

/// Everything that is wrong with an answer.
pub fn complaints(held: &Held<'_>, outcome: &Outcome) -> Vec<Complaint> {
    let step = held.step;
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
    let is_other = step.or_errcodes.iter().any(|code| error(held, answer, *code).is_empty());
    if !is_other {
        wrong.extend(body(held, answer).unwrap_or_else(|error| vec![Complaint::Case(error)]));
    }
    wrong.extend(headers(step, answer));
    wrong.extend(hint(step, answer));
    let path = held.request.target();
    let is_call = path.starts_with(b"/datacube/") || path.starts_with(b"/cgi-bin/");
    // A page is for people, and a path that there is not is no call.
    let has_form = is_call && !path.starts_with(b"/cgi-bin/componentloginpage") && answer.status != 404;
    if held.rigour == Rigour::Bytes && has_form {
        wrong.extend(wechat_form(answer));
    }
    wrong
}

/// Takes from an answer what the step says; what is not there is empty.
pub fn remember(step: &Step, outcome: Option<&Outcome>, known: &mut Known) {
    if step.remember.is_empty() {
        return;
    }
    let body = outcome.and_then(|outcome| outcome.as_ref().ok()).map(|answer| answer.body.as_slice());
    let value: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
    for (name, field) in &step.remember {
        known.insert(name, field_of(&value, field).unwrap_or_default());
    }
}

/// A field by its name, or `/a/b` for one within a field; `rid` also as the end of an error's text.
fn field_of<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    let found = if field.starts_with('/') { value.pointer(field) } else { value.get(field) };
    let rid = || Some(value["errmsg"].as_str().filter(|_| field == "rid")?.split_once("rid: ")?.1);
    found.and_then(Value::as_str).or_else(rid)
}

fn body(held: &Held<'_>, answer: &Answer) -> Result<Vec<Complaint>, TemplateError> {
    let Held { step, known, .. } = held;
    let mut wrong = Vec::new();
    if let Some(code) = step.errcode {
        wrong.extend(error(held, answer, code));
    }
    if let Some(pattern) = &step.answer
        && !fits(pattern, known, &answer.body, held.moment)?
    {
        wrong.push(Complaint::Body { wanted: pattern.clone() });
    }
    if let Some(json) = &step.json {
        let wanted: Value = serde_json::from_slice(&fill(json, known, Place::Json)?).unwrap_or_default();
        let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !is_like(&wanted, &found) {
            // Unfilled: a token may stand in it.
            wrong.push(Complaint::Body { wanted: json.clone() });
        }
    }
    for (parts, is_wanted) in [(&step.answer_has, true), (&step.answer_lacks, false)] {
        for part in parts {
            let bytes = fill(part, known, Place::Plain)?;
            let holds = answer.body.windows(bytes.len().max(1)).any(|window| window == bytes);
            if holds != is_wanted {
                let part = part.clone();
                wrong.push(if holds { Complaint::Has(part) } else { Complaint::Lacks(part) });
            }
        }
    }
    if step.rows || step.sorted {
        wrong.extend(match held.request.question() {
            Some(question) => rows::complaints(question, &answer.body, step.sorted),
            None => vec![Complaint::NoQuestion],
        });
    }
    Ok(wrong)
}

fn error(held: &Held<'_>, answer: &Answer, code: i64) -> Vec<Complaint> {
    let Some(known) = i32::try_from(code).ok().and_then(ErrorCode::by_number) else {
        return vec![Complaint::UnknownErrcode(code)];
    };
    if held.rigour == Rigour::Bytes {
        let pattern = format!(r#"{{"errcode":{code},"errmsg":"{} rid: {{rid}}"}}"#, known.text);
        return match fits(&pattern, held.known, &answer.body, held.moment) {
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
        (Value::String(wanted), Value::Number(found)) => between(wanted)
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

/// `<1 to 9>`
fn between(text: &str) -> Option<(i64, i64)> {
    let (low, high) = text.strip_prefix('<')?.strip_suffix('>')?.split_once(" to ")?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

fn headers(step: &Step, answer: &Answer) -> Vec<Complaint> {
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

fn hint(step: &Step, answer: &Answer) -> Vec<Complaint> {
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

/// What every answer in WeChat's form is like.
fn wechat_form(answer: &Answer) -> Vec<Complaint> {
    let rules = [
        (Form::Status, answer.status == 200),
        (Form::OneLine, !answer.body.iter().any(u8::is_ascii_control)),
        (Form::ContentType, answer.header("content-type") == Some("application/json; encoding=utf-8")),
        (Form::Object, answer.body.starts_with(b"{") && answer.body.ends_with(b"}")),
        (Form::NoCors, !answer.headers.iter().any(|(name, _)| name.starts_with("access-control"))),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| Complaint::Form(rule)).collect()
}
