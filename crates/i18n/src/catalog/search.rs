//! Translates complete English texts: help and usage errors of the command line's parser, errors of libraries, of the
//! system and of the server that a command calls. Finds the values of a template by the words around them.

use std::sync::LazyLock;

use super::Part;
use crate::template::{self, TemplatePiece};

/// Longest line that is translated. Longer lines come from other servers; each colon in them would be one recursive call.
const LINE_BYTES_MAX: usize = 2048;

/// An English template to match texts against.
struct Pattern {
    pieces: Vec<TemplatePiece>,
    chinese: String,
    /// Bytes of the literal at the beginning, then of all literals. The largest match is used: a template that matches only
    /// later in the text matches a cause, which has its own entry.
    closeness: (usize, usize),
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    // Help texts are not templates, so their braces are escaped.
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

fn literal(piece: &TemplatePiece) -> Option<&str> {
    match piece {
        TemplatePiece::Literal(literal) => Some(literal),
        TemplatePiece::Placeholder(_) => None,
    }
}

/// Translates a text line by line. Unknown lines stay unchanged.
pub fn translate(english: &str) -> String {
    english.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn line(english: &str) -> String {
    let text = english.trim_start();
    let indent = &english[..english.len() - text.len()];
    known(text).map_or_else(|| english.to_owned(), |chinese| format!("{indent}{chinese}"))
}

/// Translates a line, or the causes in it. None if nothing of it is known.
pub fn known(english: &str) -> Option<String> {
    if english.len() > LINE_BYTES_MAX {
        return None;
    }
    let fits = PATTERNS.iter().filter_map(|pattern| Some((pattern, values(&pattern.pieces, english)?)));
    if let Some((pattern, values)) = fits.max_by_key(|(pattern, _)| pattern.closeness) {
        return Some(template::fill(&pattern.chinese, |place| {
            let (_, value) = values.iter().find(|(name, _)| *name == place)?;
            Some(known_or_unchanged(value))
        }));
    }
    after_place(english).or_else(|| parts(english))
}

/// Translates `place: cause` if the cause is known.
fn after_place(english: &str) -> Option<String> {
    let (place, cause) = english.split_once(": ")?;
    known(cause).map(|cause| format!("{}：{cause}", known_or_unchanged(place)))
}

/// Translates `first; second` if the first part is known.
fn parts(english: &str) -> Option<String> {
    let (first, rest) = english.split_once("; ")?;
    known(first).map(|first| format!("{first}；{}", known_or_unchanged(rest)))
}

fn known_or_unchanged(english: &str) -> String {
    known(english).unwrap_or_else(|| english.to_owned())
}

/// Name and value of each placeholder of a template. None if the text does not match the template.
fn values<'a>(pieces: &'a [TemplatePiece], text: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let (mut values, mut rest, mut open) = (Vec::new(), text, None);
    for (number, piece) in pieces.iter().enumerate() {
        match (piece, open.take()) {
            (TemplatePiece::Literal(literal), None) => rest = rest.strip_prefix(literal.as_str())?,
            (TemplatePiece::Literal(literal), Some(name)) => {
                let is_last = number + 1 == pieces.len();
                let (value, behind) = if is_last {
                    (rest.strip_suffix(literal.as_str())?, "")
                } else {
                    rest.split_once(literal.as_str())?
                };
                values.push((name, value));
                rest = behind;
            }
            // Nothing separates the two values.
            (TemplatePiece::Placeholder(_), Some(_)) => return None,
            (TemplatePiece::Placeholder(name), None) => open = Some(name.as_str()),
        }
    }
    match open {
        Some(name) => values.push((name, rest)),
        None if !rest.is_empty() => return None,
        None => {}
    }
    // The first value holds a place, such as a file, in front of a cause. `after_place` splits them.
    let begins_with_place = matches!(pieces.first(), Some(TemplatePiece::Placeholder(_)));
    let is_ambiguous = begins_with_place && values.first().is_some_and(|(_, value)| value.contains(": "));
    Some(values).filter(|_| !is_ambiguous)
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
    fn values_are_the_text_between_the_literals() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found("{a} of {b}", "1 of 2"), Some(vec![pair("a", "1"), pair("b", "2")]));
        assert_eq!(found("at {a}.", "at a.b."), Some(vec![pair("a", "a.b")]));
        assert_eq!(found("same", "same"), Some(Vec::new()));
        assert_eq!(found("same", "same and more"), None);
        assert_eq!(found("{a} of {b}", "file: 1 of 2"), None);
    }

    #[test]
    fn unknown_and_hostile_texts_stay_unchanged() {
        let hostile = "a: ".repeat(1 << 20);
        assert_eq!(translate(&hostile), hostile);
        assert_eq!(translate(&hostile[..2_000]), hostile[..2_000]);
        assert_eq!(translate("  somebody else's words: {0} {}"), "  somebody else's words: {0} {}");
    }
}
