//! Comparing an answer with what the case says, and with what holds for all answers.

use msgcube_client::ErrorCode;
use serde_json::Value;

use crate::{
    case::Step,
    exchange::Answer,
    template::{Known, fill, fits},
};

/// Bytes of a hint. Source: the contract.
const HINT_BYTES_MAX: usize = 512;

/// Everything that is wrong with an answer.
pub fn complaints(
    step: &Step,
    line: &[u8],
    answer: Option<&Answer>,
    known: &Known,
    now_s: i64,
) -> Vec<String> {
    let Some(answer) = answer else {
        return if step.closed { Vec::new() } else { vec!["closed without an answer".to_owned()] };
    };
    let mut wrong = Vec::new();
    if step.closed {
        wrong.push("it was to be closed without an answer".to_owned());
    }
    let status = step.status.unwrap_or(200);
    if answer.status != status {
        wrong.push(format!("status {} instead of {status}", answer.status));
    }
    wrong.extend(body(step, answer, known, now_s));
    wrong.extend(headers(step, answer));
    wrong.extend(hint(step, answer));
    let path = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let is_call = path.starts_with(b"/datacube/") || path.starts_with(b"/cgi-bin/");
    // A page is for people, and a path that there is not is no call.
    if is_call && !path.starts_with(b"/cgi-bin/componentloginpage") && status != 404 {
        wrong.extend(wechat_form(answer));
    }
    wrong
}

fn body(step: &Step, answer: &Answer, known: &Known, now_s: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    let error = step.errcode.map(|code| {
        let text = ErrorCode::by_number(i32::try_from(code).unwrap()).unwrap().text;
        format!(r#"{{"errcode":{code},"errmsg":"{text} rid: {{rid}}"}}"#)
    });
    for pattern in step.answer.iter().chain(&error) {
        if !fits(pattern, known, &answer.body, now_s) {
            wrong.push(format!("expected {pattern}"));
        }
    }
    if let Some(json) = &step.json {
        let wanted: Value = serde_json::from_slice(&fill(json, known)).unwrap();
        let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !is_like(&wanted, &found) {
            wrong.push(format!("expected {wanted}"));
        }
    }
    let holds = |part: &String| {
        let part = fill(part, known);
        answer.body.windows(part.len()).any(|bytes| bytes == part)
    };
    wrong.extend(step.answer_has.iter().filter(|part| !holds(part)).map(|part| format!("lacks {part}")));
    wrong.extend(step.answer_lacks.iter().filter(|part| holds(part)).map(|part| format!("has {part}")));
    wrong
}

fn is_like(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::String(wanted), _) if wanted == "<any>" => true,
        (Value::String(wanted), Value::String(found)) if wanted == "<text>" => !found.is_empty(),
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

fn headers(step: &Step, answer: &Answer) -> Vec<String> {
    let is_wrong = |name: &str, value: &str| match (value, answer.header(name)) {
        ("*", found) => found.is_none(),
        ("", found) => found.is_some(),
        (value, found) => found != Some(value),
    };
    let wrong = step.answer_headers.iter().filter(|(name, value)| is_wrong(name, value));
    wrong
        .map(|(name, value)| format!("header {name}: {:?} instead of {value:?}", answer.header(name)))
        .collect()
}

fn hint(step: &Step, answer: &Answer) -> Vec<String> {
    let hints = [answer.header("x-msgcube-hint"), answer.header("x-msgcube-hint-zh")];
    let is_short = |text: &str| !text.is_empty() && text.len() <= HINT_BYTES_MAX && text.is_ascii();
    let mut wrong = Vec::new();
    match hints {
        [None, None] => {}
        [Some(en), Some(zh)] if is_short(en) && is_short(zh) => {}
        _ => wrong.push("hints come in two languages, in ASCII, at most 512 bytes each".to_owned()),
    }
    let is_right = match step.hint.as_deref() {
        None => true,
        Some("") => hints[0].is_none(),
        Some("*") => hints[0].is_some(),
        Some(part) => hints[0].is_some_and(|text| text.contains(part)),
    };
    if !is_right {
        wrong.push(format!("hint {:?} instead of {:?}", hints[0], step.hint));
    }
    wrong
}

/// What every answer in WeChat's form is like.
fn wechat_form(answer: &Answer) -> Vec<String> {
    let rules = [
        ("status 200", answer.status == 200),
        ("one line", !answer.body.iter().any(u8::is_ascii_control)),
        ("JSON", answer.header("content-type") == Some("application/json; encoding=utf-8")),
        ("a JSON object", answer.body.starts_with(b"{") && answer.body.ends_with(b"}")),
        ("no CORS headers", !answer.headers.iter().any(|(name, _)| name.starts_with("access-control"))),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| format!("is not {rule}")).collect()
}
