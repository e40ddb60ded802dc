//! Placeholders in requests and answers: `{name}` for a value, `{yesterday-6}` and similar for days, `{byte ff}` for any
//! byte, `{64 KiB}` for a long message. Only in answers: `{rid}`, `{about 7200}` (at most 60 less), `{text}` (characters up
//! to a quote) and `{word}` (characters of a token).

use std::{borrow::Cow, collections::BTreeMap};

use datacube::Day;
use msgcube_client::http::UNRESERVED;
use percent_encoding::utf8_percent_encode;

/// Limit of a line of an import and of a callback, in bytes.
const LONG_BYTES: usize = 65_536;

/// The range of times in Unix seconds that a rid may have.
#[derive(Clone, Copy, Debug)]
pub struct RidWindow {
    pub earliest_s: i64,
    pub latest_s: i64,
}

/// Why a template cannot be filled in: the case is wrong, or an earlier answer lacked a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("nothing is known as {{{0}}}")]
    Unknown(String),
    #[error("{{{0}}} is for answers only")]
    AnswersOnly(String),
}

/// The values of placeholders, and the day from which other days are counted.
#[derive(Clone, Debug)]
pub struct Placeholders {
    values: BTreeMap<String, String>,
    today: Day,
}

impl Placeholders {
    /// Placeholders for days only.
    pub fn on(today: Day) -> Placeholders {
        Placeholders { values: BTreeMap::new(), today }
    }

    pub fn insert(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    pub fn holds(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.values.get(name).map(|value| Cow::Borrowed(value.as_str()));
        value.or_else(|| day(name, self.today).map(|day| Cow::Owned(day.to_string())))
    }
}

/// The day for `yesterday`, `last monday+2` and similar.
fn day(text: &str, today: Day) -> Option<Day> {
    let (name, days) = match text.find(['+', '-']) {
        Some(at) => (&text[..at], text[at..].parse().ok()?),
        None => (text, 0),
    };
    let day = match name {
        "today" => today,
        "yesterday" => today.plus_days(-1),
        // The Mondays of the last complete week and of this week.
        "last monday" => today.monday().plus_days(-7),
        "this monday" => today.monday(),
        "first of last month" => today.first_of_month().plus_days(-1).first_of_month(),
        "first of this month" => today.first_of_month(),
        _ => return None,
    };
    Some(day.plus_days(days))
}

/// How a value is escaped, depending on where it is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// The first line of a request.
    Target,
    /// JSON.
    Json,
    /// No escaping.
    Plain,
}

impl Escaping {
    /// The escaped value.
    pub fn write(self, value: &str) -> String {
        match self {
            Escaping::Target => utf8_percent_encode(value, UNRESERVED).to_string(),
            Escaping::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
            }
            Escaping::Plain => value.to_owned(),
        }
    }
}

enum Part<'a> {
    Bytes(Vec<u8>),
    Special(&'a str),
}

/// Fills in a template for a request.
pub fn fill(text: &str, known: &Placeholders, escaping: Escaping) -> Result<Vec<u8>, TemplateError> {
    let bytes = parts(text, known, escaping)?.into_iter().map(|part| match part {
        Part::Bytes(bytes) => Ok(bytes),
        Part::Special(name) => Err(TemplateError::AnswersOnly(name.to_owned())),
    });
    Ok(bytes.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Whether an answer matches a pattern. `moment` limits the time in a rid.
pub fn fits(
    pattern: &str,
    known: &Placeholders,
    answer: &[u8],
    moment: RidWindow,
) -> Result<bool, TemplateError> {
    let mut rest = answer;
    for part in parts(pattern, known, Escaping::Plain)? {
        let length = match part {
            Part::Bytes(bytes) if rest.starts_with(&bytes) => bytes.len(),
            Part::Bytes(_) => return Ok(false),
            Part::Special(name) => match special_length(name, rest, moment) {
                Some(length) => length,
                None => return Ok(false),
            },
        };
        rest = &rest[length..];
    }
    Ok(rest.is_empty())
}

fn parts<'a>(
    text: &'a str,
    known: &Placeholders,
    escaping: Escaping,
) -> Result<Vec<Part<'a>>, TemplateError> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('{') {
        let name = rest[at + 1..].split_once('}').map_or("", |(name, _)| name);
        let part = match known.get(name) {
            Some(value) => Some(Part::Bytes(escaping.write(&value).into_bytes())),
            None => unknown(name)?,
        };
        let end = if part.is_some() { at + name.len() + 2 } else { at + 1 };
        let literal = if part.is_some() { &rest[..at] } else { &rest[..end] };
        parts.push(Part::Bytes(literal.as_bytes().to_vec()));
        parts.extend(part);
        rest = &rest[end..];
    }
    parts.push(Part::Bytes(rest.as_bytes().to_vec()));
    Ok(parts)
}

fn unknown(name: &str) -> Result<Option<Part<'_>>, TemplateError> {
    let byte = name.strip_prefix("byte ").and_then(|hex| u8::from_str_radix(hex, 16).ok());
    if let Some(byte) = byte {
        return Ok(Some(Part::Bytes(vec![byte])));
    }
    if name == "64 KiB" {
        return Ok(Some(Part::Bytes(long_message())));
    }
    let is_special = matches!(name, "rid" | "text" | "word") || name.starts_with("about ");
    // An unknown name must be an error, not text. In JSON a quote follows the brace, so it is no name.
    let is_sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_ +-".contains(&byte);
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(is_sign);
    match (is_special, is_name) {
        (true, _) => Ok(Some(Part::Special(name))),
        (_, true) => Err(TemplateError::Unknown(name.to_owned())),
        _ => Ok(None),
    }
}

fn long_message() -> Vec<u8> {
    let mut line = br#"{"FromUserName":"o1","CreateTime":1414807200,"MsgType":"text","MsgId":1}"#.to_vec();
    line.resize(LONG_BYTES, b' ');
    line
}

/// The number of bytes at the beginning of `rest` that match a special placeholder.
fn special_length(name: &str, rest: &[u8], moment: RidWindow) -> Option<usize> {
    let run = |wanted: fn(&u8) -> bool| rest.iter().take_while(|byte| wanted(byte)).count();
    let length = match name {
        "rid" => return is_rid(rest.get(..26)?, moment).then_some(26),
        "text" => run(|byte| *byte != b'"'),
        "word" => run(|byte| is_of_token(*byte)).min(TOKEN_BYTES_MAX),
        about => {
            let wanted: i64 = about.strip_prefix("about ")?.parse().ok()?;
            let digits = run(u8::is_ascii_digit);
            let found: i64 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
            return (wanted - 60..=wanted).contains(&found).then_some(digits);
        }
    };
    (length > 0).then_some(length)
}

/// Longest token in bytes. Source: WeChat's pages on tokens.
const TOKEN_BYTES_MAX: usize = 512;

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
}

/// Whether a text has the form of a token.
pub fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_of_token)
}

/// `8hex-8hex-8hex`, the first group being Unix seconds.
fn is_rid(text: &[u8], moment: RidWindow) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let groups: Vec<&str> = text.split('-').collect();
    let is_hex =
        |group: &&str| group.len() == 8 && group.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    groups.len() == 3
        && groups.iter().all(is_hex)
        && i64::from_str_radix(groups[0], 16)
            .is_ok_and(|at_s| (moment.earliest_s..=moment.latest_s).contains(&at_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(today: &str) -> Placeholders {
        Placeholders::on(today.parse().unwrap())
    }

    #[test]
    fn placeholders_stand_for_what_they_say() {
        let mut known = known("2014-12-01");
        known.insert("a", "x{b}");
        let filled = fill(r#"{"k":{"v":1},{a}{byte ff}}"#, &known, Escaping::Plain);
        assert_eq!(filled.unwrap(), b"{\"k\":{\"v\":1},x{b}\xff}");
        assert_eq!(fill("{64 KiB}", &known, Escaping::Plain).unwrap().len(), 65_536);
        let answer = br#"{"errcode":1,"rid: 547b3f00-0a0b0c0d-00000001","in":7199}"#;
        let pattern = r#"{"errcode":1,"rid: {rid}","in":{about 7200}}"#;
        let is_fit = |pattern: &str, answer: &[u8], earliest_s: i64| {
            let moment = RidWindow { earliest_s, latest_s: earliest_s + 600 };
            fits(pattern, &known, answer, moment).unwrap()
        };
        assert!(is_fit(pattern, answer, 0x547b_3f00));
        assert!(!is_fit(pattern, answer, 0x547b_3f01), "a rid of the past");
        assert!(!is_fit(pattern, &answer[..answer.len() - 1], 0x547b_3f00), "cut off");
        assert!(!is_fit("{word}", b"a.b", 0));
    }

    #[test]
    fn a_value_is_written_as_its_place_needs_it() {
        let mut known = known("2014-12-01");
        known.insert("secret", "a\"&b=\\");
        let filled =
            |escaping| String::from_utf8(fill("secret={secret}", &known, escaping).unwrap()).unwrap();
        assert_eq!(filled(Escaping::Target), "secret=a%22%26b%3D%5C");
        assert_eq!(filled(Escaping::Json), r#"secret=a\"&b=\\"#);
        assert_eq!(filled(Escaping::Plain), r#"secret=a"&b=\"#);
    }

    #[test]
    fn days_are_counted_from_today() {
        for (today, text, expected) in [
            ("2014-12-01", "{today} {yesterday} {yesterday-6}", "2014-12-01 2014-11-30 2014-11-24"),
            ("2014-12-01", "{last monday} {this monday+1}", "2014-11-24 2014-12-02"),
            ("2014-12-07", "{last monday} {this monday}", "2014-11-24 2014-12-01"),
            ("2016-03-01", "{first of last month+28} {first of this month}", "2016-02-29 2016-03-01"),
            ("2027-01-01", "{first of last month} {today+30}", "2026-12-01 2027-01-31"),
        ] {
            let filled = fill(text, &known(today), Escaping::Json).unwrap();
            assert_eq!(String::from_utf8(filled).unwrap(), expected, "{today}");
        }
    }

    #[test]
    fn what_nobody_knows_is_an_error_and_never_text() {
        for name in ["tokken", "yesterdy-1", "first of next month", "yesterday-x"] {
            let error = fill(&format!("a{{{name}}}"), &known("2014-12-01"), Escaping::Plain).unwrap_err();
            assert_eq!(error, TemplateError::Unknown(name.to_owned()));
        }
        let error = fill("{rid}", &known("2014-12-01"), Escaping::Plain).unwrap_err();
        assert_eq!(error, TemplateError::AnswersOnly("rid".to_owned()));
    }
}
