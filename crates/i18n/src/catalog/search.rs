//! Chinese for English texts that come as a whole: help and usage errors as the command line's parser says them, errors
//! of libraries, of the system, and of the server that a command asks. Their values are found by the words around them.

use std::sync::LazyLock;

use super::Part;
use crate::template::{self, Piece};

/// Longer lines are not ours. They come from whatever server answers, and each colon in them is a call.
const LINE_BYTES_MAX: usize = 2048;

/// An English template, as it is searched for.
struct Pattern {
    pieces: Vec<Piece>,
    chinese: String,
    /// What begins like the text comes first: inside it stand causes, which have entries of their own.
    closeness: (usize, usize),
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    // Help is no template: its braces are to be read.
    let doubled = |text: String| text.replace('{', "{{").replace('}', "}}");
    let help = Part::Help.entries().map(|(english, chinese)| (doubled(english), doubled(chinese)));
    let templates = [Part::Foreign, Part::Errors].into_iter().flat_map(Part::entries);
    help.chain(templates).map(|(english, chinese)| Pattern::new(&english, chinese)).collect()
});

impl Pattern {
    fn new(english: &str, chinese: String) -> Pattern {
        let pieces = template::pieces(english);
        let literals = pieces.iter().filter_map(literal);
        let length = literals.map(str::len).sum();
        let begin =
            if pieces.len() == 1 { length } else { pieces.first().and_then(literal).map_or(0, str::len) };
        Pattern { pieces, chinese, closeness: (begin, length) }
    }
}

fn literal(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Literal(literal) => Some(literal),
        Piece::Place(_) => None,
    }
}

/// Line by line what is known in Chinese; the rest as it is.
pub fn text(english: &str) -> String {
    english.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn line(english: &str) -> String {
    let text = english.trim_start();
    let indent = &english[..english.len() - text.len()];
    known(text).map_or_else(|| english.to_owned(), |chinese| format!("{indent}{chinese}"))
}

/// The text, or the cause behind the places in front of it. None: nothing of it is known.
pub fn known(english: &str) -> Option<String> {
    if english.len() > LINE_BYTES_MAX {
        return None;
    }
    let fits = PATTERNS.iter().filter_map(|pattern| Some((pattern, values(&pattern.pieces, english)?)));
    if let Some((pattern, values)) = fits.max_by_key(|(pattern, _)| pattern.closeness) {
        return Some(template::filled(&pattern.chinese, |place| {
            let (_, value) = values.iter().find(|(name, _)| *name == place)?;
            Some(known_or_same(value))
        }));
    }
    behind_place(english).or_else(|| parts(english))
}

/// `place: cause`, of which the cause is known.
fn behind_place(english: &str) -> Option<String> {
    let (place, cause) = english.split_once(": ")?;
    known(cause).map(|cause| format!("{}：{cause}", known_or_same(place)))
}

/// `one; another`, of which the first is known.
fn parts(english: &str) -> Option<String> {
    let (first, rest) = english.split_once("; ")?;
    known(first).map(|first| format!("{first}；{}", known_or_same(rest)))
}

fn known_or_same(english: &str) -> String {
    known(english).unwrap_or_else(|| english.to_owned())
}

/// Name and value of each place of a template, if the text fits it.
fn values<'a>(pieces: &'a [Piece], text: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let (mut values, mut rest, mut open) = (Vec::new(), text, None);
    for (number, piece) in pieces.iter().enumerate() {
        match (piece, open.take()) {
            (Piece::Literal(literal), None) => rest = rest.strip_prefix(literal.as_str())?,
            (Piece::Literal(literal), Some(name)) => {
                let is_last = number + 1 == pieces.len();
                let (value, behind) = if is_last {
                    (rest.strip_suffix(literal.as_str())?, "")
                } else {
                    rest.split_once(literal.as_str())?
                };
                values.push((name, value));
                rest = behind;
            }
            // Nothing says where the first of two values ends.
            (Piece::Place(_), Some(_)) => return None,
            (Piece::Place(name), None) => open = Some(name.as_str()),
        }
    }
    match open {
        Some(name) => values.push((name, rest)),
        None if !rest.is_empty() => return None,
        None => {}
    }
    // In front stands a place, such as a file, which has to be split off first.
    let begins_with_place = matches!(pieces.first(), Some(Piece::Place(_)));
    let is_deep = begins_with_place && values.first().is_some_and(|(_, value)| value.contains(": "));
    Some(values).filter(|_| !is_deep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(template: &str, text: &str) -> Option<Vec<(String, String)>> {
        let pieces = template::pieces(template);
        let values = values(&pieces, text)?;
        Some(values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn values_are_found_by_the_words_around_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found("{a} of {b}", "1 of 2"), Some(vec![pair("a", "1"), pair("b", "2")]));
        assert_eq!(found("at {a}.", "at a.b."), Some(vec![pair("a", "a.b")]));
        assert_eq!(found("same", "same"), Some(Vec::new()));
        assert_eq!(found("same", "same and more"), None);
        assert_eq!(found("{a} of {b}", "file: 1 of 2"), None);
    }

    #[test]
    fn foreign_and_hostile_texts_stay() {
        let hostile = "a: ".repeat(1 << 20);
        assert_eq!(text(&hostile), hostile);
        assert_eq!(text(&hostile[..2_000]), hostile[..2_000]);
        assert_eq!(text("  somebody else's words: {0} {}"), "  somebody else's words: {0} {}");
    }
}
