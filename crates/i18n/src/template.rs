//! Templates: texts with a placeholder `{name}` for each value, as in `format!`.

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePiece {
    /// Text that is shown unchanged.
    Literal(String),
    /// The placeholder of a value. One without a name has its number as its name.
    Placeholder(String),
}

/// Splits a template. Two literals never follow each other. The format of a value, such as `:?`, is ignored.
pub fn pieces(template: &str) -> Vec<TemplatePiece> {
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
                pieces.push(TemplatePiece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(TemplatePiece::Placeholder(name(place, &mut unnamed)));
            rest = behind;
        } else {
            literal += brace;
        }
    }
    literal += rest;
    if !literal.is_empty() {
        pieces.push(TemplatePiece::Literal(literal));
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

/// Fills a template with values. A placeholder without a value stays unchanged.
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    // Most texts have no placeholder.
    if !template.contains(['{', '}']) {
        return template.to_owned();
    }
    let shown = |piece| match piece {
        TemplatePiece::Literal(literal) => literal,
        TemplatePiece::Placeholder(name) => value(&name).unwrap_or_else(|| format!("{{{name}}}")),
    };
    pieces(template).into_iter().map(shown).collect()
}

/// Whether a template has placeholders. The macro calls it at compile time.
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

    fn literal(text: &str) -> TemplatePiece {
        TemplatePiece::Literal(text.to_owned())
    }

    fn place(name: &str) -> TemplatePiece {
        TemplatePiece::Placeholder(name.to_owned())
    }

    #[test]
    fn templates_are_read_as_the_compiler_reads_them() {
        assert_eq!(pieces("{a}: {b:?}!"), [place("a"), literal(": "), place("b"), literal("!")]);
        assert_eq!(pieces("{} of {}"), [place("0"), literal(" of "), place("1")]);
        assert_eq!(pieces("{{\"a\": {value}}}"), [literal("{\"a\": "), place("value"), literal("}")]);
        assert_eq!(pieces(""), []);
        // Single braces, which do not compile in `format!`, are literals.
        assert_eq!(pieces("a } b { c"), [literal("a } b { c")]);
    }

    #[test]
    fn values_are_filled_in_by_name() {
        let value = |name: &str| (name == "a").then(|| "{b}".to_owned());
        assert_eq!(fill("{a} {b} {{a}}", value), "{b} {b} {a}");
    }

    #[test]
    fn doubled_braces_need_no_value() {
        assert_eq!(["{{a}}", "{a}", "{", "a"].map(has_placeholder), [false, true, true, false]);
    }
}
