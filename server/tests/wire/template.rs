//! Placeholders in requests and answers: `{name}` for what is known, `{byte ff}` for any byte, and in answers
//! `{rid}`, `{about 7200}` (at most 60 less), `{text}` (some characters up to a quote) and `{word}` (as tokens are).

use std::collections::BTreeMap;

/// Names and what stands for them.
pub type Known = BTreeMap<String, String>;

enum Part<'a> {
    Bytes(Vec<u8>),
    Special(&'a str),
}

/// The bytes of a request.
pub fn fill(text: &str, known: &Known) -> Vec<u8> {
    let parts = parts(text, known).into_iter();
    let bytes = parts.map(|part| match part {
        Part::Bytes(bytes) => bytes,
        Part::Special(name) => panic!("{{{name}}} is for answers only"),
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Whether an answer fits.
pub fn fits(pattern: &str, known: &Known, answer: &[u8], now_s: i64) -> bool {
    let mut rest = answer;
    for part in parts(pattern, known) {
        let length = match part {
            Part::Bytes(bytes) if rest.starts_with(&bytes) => bytes.len(),
            Part::Bytes(_) => return false,
            Part::Special(name) => match special(name, rest, now_s) {
                Some(length) => length,
                None => return false,
            },
        };
        rest = &rest[length..];
    }
    rest.is_empty()
}

fn parts<'a>(text: &'a str, known: &Known) -> Vec<Part<'a>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('{') {
        let name = rest[at + 1..].split_once('}').map_or("", |(name, _)| name);
        let part = match known.get(name) {
            Some(value) => Some(Part::Bytes(value.clone().into_bytes())),
            None => unknown(name),
        };
        let end = if part.is_some() { at + name.len() + 2 } else { at + 1 };
        let literal = if part.is_some() { &rest[..at] } else { &rest[..end] };
        parts.push(Part::Bytes(literal.as_bytes().to_vec()));
        parts.extend(part);
        rest = &rest[end..];
    }
    parts.push(Part::Bytes(rest.as_bytes().to_vec()));
    parts
}

fn unknown(name: &str) -> Option<Part<'_>> {
    if let Some(hex) = name.strip_prefix("byte ") {
        return Some(Part::Bytes(vec![u8::from_str_radix(hex, 16).unwrap()]));
    }
    let is_special = matches!(name, "rid" | "text" | "word") || name.starts_with("about ");
    // A name that a case forgot to remember must not pass as text; JSON's braces are followed by a quote.
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(is_special || !is_name, "nothing is known as {{{name}}}");
    is_special.then_some(Part::Special(name))
}

/// How many bytes of `rest` are what is asked for.
fn special(name: &str, rest: &[u8], now_s: i64) -> Option<usize> {
    let run = |wanted: fn(&u8) -> bool| rest.iter().take_while(|byte| wanted(byte)).count();
    let length = match name {
        "rid" => return rid(rest.get(..26)?, now_s).then_some(26),
        "text" => run(|byte| *byte != b'"'),
        "word" => run(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)).min(512),
        about => {
            let wanted: i64 = about.strip_prefix("about ")?.parse().ok()?;
            let digits = run(u8::is_ascii_digit);
            let found: i64 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
            return (wanted - 60..=wanted).contains(&found).then_some(digits);
        }
    };
    (length > 0).then_some(length)
}

/// `8hex-8hex-8hex`, the first group being Unix seconds.
fn rid(text: &[u8], now_s: i64) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let groups: Vec<&str> = text.split('-').collect();
    let is_hex =
        |group: &&str| group.len() == 8 && group.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    groups.len() == 3
        && groups.iter().all(is_hex)
        && i64::from_str_radix(groups[0], 16).is_ok_and(|at_s| (now_s..now_s + 600).contains(&at_s))
}

#[test]
fn placeholders_stand_for_what_they_say() {
    let known = Known::from([("a".to_owned(), "x{b}".to_owned())]);
    assert_eq!(fill(r#"{"k":{"v":1},{a}{byte ff}}"#, &known), b"{\"k\":{\"v\":1},x{b}\xff}");
    let answer = br#"{"errcode":1,"rid: 547b3f00-0a0b0c0d-00000001","in":7199}"#;
    let pattern = r#"{"errcode":1,"rid: {rid}","in":{about 7200}}"#;
    assert!(fits(pattern, &known, answer, 0x547b_3f00));
    assert!(!fits(pattern, &known, answer, 0x547b_3f01), "a rid of the past");
    assert!(!fits(pattern, &known, &answer[..answer.len() - 1], 0x547b_3f00), "cut off");
    assert!(!fits("{word}", &known, b"a.b", 0));
}
