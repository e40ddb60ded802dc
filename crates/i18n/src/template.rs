//! Templates: text with `{name}` for each value, as `format!` writes them.

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is shown.
    Literal(String),
    /// The place of a value. Places without a name have their number.
    Place(String),
}

/// The pieces of a template, no two of them literals side by side. How a value is formatted (`{name:?}`) is left out.
pub fn pieces(template: &str) -> Vec<Piece> {
    let (mut pieces, mut literal, mut unnamed) = (Vec::new(), String::new(), 0);
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        literal += &rest[..at];
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            literal += brace;
            rest = behind;
        } else if let Some((place, behind)) = rest.split_once('}').filter(|_| brace == "{") {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Place(name(place, &mut unnamed)));
            rest = behind;
        } else {
            literal += brace;
        }
    }
    literal += rest;
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

fn name(place: &str, unnamed: &mut usize) -> String {
    let name = place.split(':').next().unwrap_or_default();
    if !name.is_empty() {
        return name.to_owned();
    }
    *unnamed += 1;
    (*unnamed - 1).to_string()
}

/// The template with its values. A place without a value stays as it is written.
pub fn filled(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    // Most texts have no value.
    if !template.contains(['{', '}']) {
        return template.to_owned();
    }
    let shown = |piece| match piece {
        Piece::Literal(literal) => literal,
        Piece::Place(name) => value(&name).unwrap_or_else(|| format!("{{{name}}}")),
    };
    pieces(template).into_iter().map(shown).collect()
}

/// Whether a template needs values. For the macro, while it compiles.
pub const fn has_placeholder(template: &str) -> bool {
    let bytes = template.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'{' {
            if at + 1 == bytes.len() || bytes[at + 1] != b'{' {
                return true;
            }
            at += 1;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Piece {
        Piece::Literal(text.to_owned())
    }

    fn place(name: &str) -> Piece {
        Piece::Place(name.to_owned())
    }

    #[test]
    fn templates_are_read_as_the_compiler_reads_them() {
        assert_eq!(pieces("{a}: {b:?}!"), [place("a"), literal(": "), place("b"), literal("!")]);
        assert_eq!(pieces("{} of {}"), [place("0"), literal(" of "), place("1")]);
        assert_eq!(pieces("{{\"a\": {value}}}"), [literal("{\"a\": "), place("value"), literal("}")]);
        assert_eq!(pieces(""), []);
        // What no compiler takes stays as it is.
        assert_eq!(pieces("a } b { c"), [literal("a } b { c")]);
    }

    #[test]
    fn values_are_filled_in_by_name() {
        let value = |name: &str| (name == "a").then(|| "{b}".to_owned());
        assert_eq!(filled("{a} {b} {{a}}", value), "{b} {b} {a}");
    }

    #[test]
    fn doubled_braces_need_no_value() {
        assert_eq!(["{{a}}", "{a}", "{", "a"].map(has_placeholder), [false, true, true, false]);
    }
}
