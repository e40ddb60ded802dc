//! The catalogue and the code agree: every text has Chinese with the same placeholders, and no entry is unused.
#![allow(clippy::expect_used, reason = "a test that cannot read its files has to stop")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use i18n::catalog::{self, Part};

/// A string literal of the code.
struct Literal {
    /// The literal with its escapes decoded.
    value: String,
    /// `text!(` or `#[error(` if one of them is in front of the literal.
    marker: Option<&'static str>,
    /// The file, from the root of the workspace.
    path: String,
}

const TEXT: &str = "text!(";
const ERROR: &str = "#[error(";

/// Files with errors that need no Chinese. They go to the log or to machines, or `in_lang` shows another text instead.
const ENGLISH_ERRORS: [&str; 17] = [
    "crates/counting/src/page.rs",
    "crates/msgcube/src/conformance/error.rs",
    "crates/msgcube/src/conformance/template.rs",
    "crates/msgcube/src/query.rs",
    "crates/msgcube/src/query/credentials.rs",
    "crates/server/src/accounts/platform_issuer/authorize.rs",
    "crates/server/src/accounts/platform_receiver.rs",
    "crates/server/src/auth/quota.rs",
    "crates/server/src/http/answer_progress.rs",
    "crates/server/src/http/body_reader.rs",
    "crates/server/src/http/gateway/retry_copy.rs",
    "crates/server/src/http/gateway/write_timeout_body.rs",
    "crates/server/src/http/gateway/idle_timeout_body.rs",
    "crates/server/src/http/serve.rs",
    "crates/wechat/src/callback/cipher.rs",
    "crates/wechat/src/callback/fields.rs",
    "crates/wechat/src/callback/refusal.rs",
];

/// Files with Chinese in the code: names of the demo, answers to a question, the name of the language.
const CHINESE_IN_CODE: [&str; 3] =
    ["crates/i18n/src/lang.rs", "crates/msgcube/src/demo/account.rs", "crates/msgcube/src/output.rs"];

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("the folder is readable").path()) {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != "tests" && name != "bench" {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The literals of all code in the workspace, without tests.
fn literals() -> Vec<Literal> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut paths, mut literals) = (Vec::new(), Vec::new());
    walk(&root, &mut paths);
    for path in paths {
        let name = path.strip_prefix(&root).expect("it was found there").display().to_string();
        let source = fs::read_to_string(&path).expect("sources are UTF-8");
        let code = source.split("\n#[cfg(test)]\nmod").next().unwrap_or_default();
        read(code, &name, &mut literals);
    }
    assert!(literals.len() > 10, "the sources were not found");
    literals
}

/// Skips comments and character literals, which may contain a quote.
fn read(code: &str, path: &str, literals: &mut Vec<Literal>) {
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let (before, here) = rest.split_at(at);
        let skipped = if here.starts_with("//") {
            here.find('\n').unwrap_or(here.len())
        } else if here.starts_with("'\"'") || here.starts_with("'\\\"'") {
            here[1..].find('\'').map_or(1, |end| end + 2)
        } else if here.starts_with('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before.trim_end_matches('#').ends_with('r');
            let (value, length) = if is_raw { raw(here, hashes) } else { escaped(here) };
            let before = before.trim_end_matches('#').trim_end_matches('r').trim_end();
            let marker = [TEXT, ERROR].into_iter().find(|marker| before.ends_with(marker));
            literals.push(Literal { value, marker, path: path.to_owned() });
            length
        } else {
            1
        };
        rest = &here[skipped..];
    }
}

fn raw(here: &str, hashes: usize) -> (String, usize) {
    let end = format!("\"{}", "#".repeat(hashes));
    let length = here[1..].find(&end).expect("a literal ends");
    (here[1..=length].to_owned(), 1 + length + end.len())
}

fn escaped(here: &str) -> (String, usize) {
    let (mut value, mut characters) = (String::new(), here.char_indices().skip(1).peekable());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, at + 1),
            '\\' => match characters.next() {
                Some((_, '\n')) => while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {},
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => {}
            },
            other => value.push(other),
        }
    }
    (value, here.len())
}

/// The placeholders of a template, each once. Those without a name have their number.
fn placeholders(template: &str) -> BTreeSet<String> {
    let parts = template.split('{').skip(1).filter_map(|part| part.split_once('}'));
    let names = parts.map(|(name, _)| name.split(':').next().unwrap_or_default());
    let mut unnamed = 0..;
    names
        .map(|name| {
            if name.is_empty() {
                unnamed.next().map(|number| number.to_string()).unwrap_or_default()
            } else {
                name.to_owned()
            }
        })
        .collect()
}

/// The template without the names of its placeholders.
fn without_names(template: &str) -> String {
    let mut pieces = template.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((_, rest)) => text.extend(["{}", rest]),
            None => text.extend(["{", piece]),
        }
    }
    text
}

fn has_words(template: &str) -> bool {
    let mut depth = 0;
    template.chars().any(|character| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        depth == 0 && character.is_alphabetic()
    })
}

/// Fails with all offences in one message.
fn check(rule: &str, offences: impl IntoIterator<Item = String>) {
    let offences: Vec<String> = offences.into_iter().collect();
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

fn all_entries() -> impl Iterator<Item = (String, String)> {
    Part::ALL.into_iter().flat_map(Part::entries)
}

#[test]
fn every_text_of_the_code_has_chinese() {
    let known: BTreeSet<String> = all_entries().map(|(english, _)| english).collect();
    let texts = literals().into_iter().filter(|literal| literal.marker == Some(TEXT));
    let missing = texts.filter(|text| has_words(&text.value) && !known.contains(&text.value));
    check("no Chinese for", missing.map(|text| format!("{:?}", text.value)));
}

#[test]
fn every_error_that_people_see_has_chinese() {
    let literals = literals();
    let errors = literals.iter().filter(|literal| literal.marker == Some(ERROR) && has_words(&literal.value));
    // The name of a setting in front of a cause stays as it is.
    let errors = errors.filter(|error| error.value.trim_end_matches(": {0}").contains(' '));
    let missing: Vec<_> = errors.filter(|error| catalog::known(&error.value).is_none()).collect();
    let is_listed = |error: &&&Literal| ENGLISH_ERRORS.contains(&error.path.as_str());
    let unlisted = missing.iter().filter(|error| !is_listed(error));
    check("no Chinese for", unlisted.map(|error| format!("{}: {:?}", error.path, error.value)));
    let needless = ENGLISH_ERRORS.iter().filter(|path| missing.iter().all(|error| error.path != **path));
    check("listed without need", needless.map(ToString::to_string));
}

#[test]
fn chinese_is_in_the_catalogue_and_not_in_the_code() {
    let literals = literals();
    let has_chinese =
        |literal: &&Literal| literal.value.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let unlisted = literals.iter().filter(has_chinese);
    let unlisted = unlisted.filter(|literal| !CHINESE_IN_CODE.contains(&literal.path.as_str()));
    check("Chinese in the code", unlisted.map(|literal| format!("{}: {:?}", literal.path, literal.value)));
}

#[test]
fn every_entry_is_used_by_the_code() {
    let literals = literals();
    let texts: BTreeSet<&str> = literals
        .iter()
        .filter(|literal| literal.marker.is_some())
        .map(|literal| literal.value.as_str())
        .collect();
    let unused = Part::Texts.entries().filter(|(english, _)| !texts.contains(english.as_str()));
    check("no text!(…) has", unused.map(|(english, _)| english));
    // An error with a cause, and one of the form `field is not …`, are written in parts.
    let all: Vec<String> = literals.iter().map(|literal| without_names(&literal.value)).collect();
    let is_used = |part: &str| all.iter().any(|literal| literal.contains(part));
    let is_in_parts =
        |english: &str| english.split("; ").flat_map(|part| part.split(" is not ")).all(is_used);
    let errors = Part::Errors.entries().map(|(english, _)| without_names(&english));
    check("no code has", errors.filter(|english| !is_used(english) && !is_in_parts(english)));
}

#[test]
fn chinese_has_the_placeholders_of_english() {
    let differ = all_entries().filter(|(english, chinese)| {
        // Texts of others may contain values that are not worth showing.
        let is_foreign = Part::Foreign.entries().any(|(foreign, _)| foreign == *english);
        let (wanted, has) = (placeholders(english), placeholders(chinese));
        if is_foreign { !has.is_subset(&wanted) } else { has != wanted }
    });
    check("other placeholders", differ.map(|(english, chinese)| format!("{english:?}: {chinese:?}")));
}

#[test]
fn no_entry_is_repeated_or_empty() {
    let mut counts = BTreeMap::new();
    for (english, chinese) in all_entries() {
        assert!(!english.is_empty() && !chinese.is_empty(), "{english:?}: {chinese:?}");
        *counts.entry(english).or_insert(0) += 1;
    }
    check("repeated", counts.into_iter().filter(|(_, times)| *times > 1).map(|(english, _)| english));
}
