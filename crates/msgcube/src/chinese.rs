//! The program's English texts in Chinese, found by the English text as gettext does, so that whatever makes a text need
//! not know of languages: help, usage errors, errors of commands and of the server that they ask.

mod errors;
mod help;
mod usage;

pub use usage::{show, typed_lang};

use i18n::Lang;

/// English and Chinese. `{}` in English is any text, shown where `{0}`, `{1}` … stand in Chinese.
type Texts = &'static [(&'static str, &'static str)];

/// Longer lines are not ours. They come from whatever server answers, and each colon in them is a call.
const LINE_BYTES_MAX: usize = 2048;

static TABLES: &[Texts] =
    &[help::TEXTS, help::BLOCKS, usage::TEXTS, errors::START, errors::COMMANDS, errors::OWN, errors::FOREIGN];

/// An error in the language of the terminal.
pub fn error(lang: Lang, english: &str) -> String {
    match lang {
        Lang::En => english.to_owned(),
        Lang::Zh => text(english),
    }
}

/// Line by line what is known in Chinese; the rest, such as causes that a library gives, as it is.
fn text(english: &str) -> String {
    english.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn line(english: &str) -> String {
    let text = english.trim_start();
    let indent = &english[..english.len() - text.len()];
    known(text).map_or_else(|| english.to_owned(), |chinese| format!("{indent}{chinese}"))
}

/// The text, or the cause behind the places in front of it. None: nothing of it is known.
fn known(english: &str) -> Option<String> {
    if english.len() > LINE_BYTES_MAX {
        return None;
    }
    let entries = TABLES.iter().copied().flatten();
    let fits = entries.filter_map(|(pattern, chinese)| Some((pattern, chinese, captured(pattern, english)?)));
    if let Some((_, chinese, captures)) = fits.max_by_key(|(pattern, ..)| closeness(pattern)) {
        return Some(filled(chinese, &captures.into_iter().map(known_or_same).collect::<Vec<_>>()));
    }
    let (place, cause) = english.split_once(": ")?;
    known(cause).map(|cause| format!("{}：{cause}", known_or_same(place)))
}

/// What begins like the text comes first: inside it stand causes, which have entries of their own.
fn closeness(pattern: &str) -> (usize, usize) {
    (pattern.find("{}").unwrap_or(pattern.len()), pattern.replace("{}", "").len())
}

fn known_or_same(english: &str) -> String {
    known(english).unwrap_or_else(|| english.to_owned())
}

/// What stands for each `{}` of the pattern, if the text fits it.
fn captured<'text>(pattern: &str, text: &'text str) -> Option<Vec<&'text str>> {
    let Some((first, patterns)) = pattern.split_once("{}") else {
        return (pattern == text).then(Vec::new);
    };
    let mut rest = text.strip_prefix(first)?;
    let (between, last) = patterns.rsplit_once("{}").unzip();
    let mut captures = Vec::new();
    for literal in between.iter().flat_map(|between: &&str| between.split("{}")) {
        let (capture, behind) = rest.split_once(literal)?;
        captures.push(capture);
        rest = behind;
    }
    captures.push(rest.strip_suffix(last.unwrap_or(patterns))?);
    // In front stands a place, such as a file, which has to be split off first.
    let is_deep = first.is_empty() && captures[0].contains(": ");
    Some(captures).filter(|_| !is_deep)
}

fn filled(chinese: &str, captures: &[String]) -> String {
    let mut pieces = chinese.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let numbered = piece.split_once('}').and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
        match numbered.and_then(|(number, rest): (usize, _)| Some((captures.get(number)?, rest))) {
            Some((capture, rest)) => text.extend([capture.as_str(), rest]),
            None => text.extend(["{", piece]),
        }
    }
    text
}

#[cfg(test)]
mod tests;
