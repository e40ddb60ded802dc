//! The catalogue and the code agree: every text has Chinese with the same places, and no entry is left over.
#![allow(clippy::expect_used, reason = "a test that cannot read its files has to stop")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use i18n::catalog::Part;

/// A string literal of the code.
struct Literal {
    /// What it is worth.
    value: String,
    /// `text!(` or `#[error(` if one of these stands in front of it.
    marker: Option<&'static str>,
}

const MARKERS: [&str; 2] = ["text!(", "#[error("];

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

/// The literals of all code below the workspace that is no test.
fn literals() -> Vec<Literal> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut paths, mut literals) = (Vec::new(), Vec::new());
    walk(&root, &mut paths);
    for path in paths {
        let source = fs::read_to_string(&path).expect("sources are UTF-8");
        let code = source.split("\n#[cfg(test)]\nmod").next().unwrap_or_default();
        read(code, &mut literals);
    }
    assert!(literals.len() > 10, "the sources were not found");
    literals
}

/// Comments and characters are passed over, since they may hold a quote.
fn read(code: &str, literals: &mut Vec<Literal>) {
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
            literals
                .push(Literal { value, marker: MARKERS.into_iter().find(|marker| before.ends_with(marker)) });
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

/// The places of a template, each once. Those without a name have their number.
fn places(template: &str) -> BTreeSet<String> {
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

/// The template without the names of its places.
fn nameless(template: &str) -> String {
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

/// Fails with all offences at once.
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
    let texts = literals().into_iter().filter(|literal| literal.marker == Some("text!("));
    let missing = texts.filter(|text| has_words(&text.value) && !known.contains(&text.value));
    check("no Chinese for", missing.map(|text| format!("{:?}", text.value)));
}

#[test]
fn every_entry_is_said_by_the_code() {
    let literals = literals();
    let texts: BTreeSet<&str> = literals
        .iter()
        .filter(|literal| literal.marker.is_some())
        .map(|literal| literal.value.as_str())
        .collect();
    let unsaid = Part::Texts.entries().filter(|(english, _)| !texts.contains(english.as_str()));
    check("no text!(…) says", unsaid.map(|(english, _)| english));
    // An error that holds another one is written in parts, and so is what a field is not.
    let all: Vec<String> = literals.iter().map(|literal| nameless(&literal.value)).collect();
    let is_said = |part: &str| all.iter().any(|literal| literal.contains(part));
    let is_in_parts =
        |english: &str| english.split("; ").flat_map(|part| part.split(" is not ")).all(is_said);
    let errors = Part::Errors.entries().map(|(english, _)| nameless(&english));
    check("nothing says", errors.filter(|english| !is_said(english) && !is_in_parts(english)));
}

#[test]
fn chinese_has_the_places_of_english() {
    let differ = all_entries().filter(|(english, chinese)| {
        // What others say may hold more than is worth showing.
        let is_foreign = Part::Foreign.entries().any(|(foreign, _)| foreign == *english);
        let (wanted, has) = (places(english), places(chinese));
        if is_foreign { !has.is_subset(&wanted) } else { has != wanted }
    });
    check("other places", differ.map(|(english, chinese)| format!("{english:?}: {chinese:?}")));
}

#[test]
fn no_entry_is_there_twice_and_none_is_empty() {
    let mut seen = BTreeMap::new();
    for (english, chinese) in all_entries() {
        assert!(!english.is_empty() && !chinese.is_empty(), "{english:?}: {chinese:?}");
        *seen.entry(english).or_insert(0) += 1;
    }
    check("twice", seen.into_iter().filter(|(_, times)| *times > 1).map(|(english, _)| english));
}
