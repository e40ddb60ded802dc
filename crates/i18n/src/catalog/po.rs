//! Parses the part of gettext's format that we use: `msgid`, `msgstr`, continued lines and comments.

/// English and Chinese of each entry, in the order of the file. Other lines are ignored.
pub fn entries(file: &str) -> impl Iterator<Item = (String, String)> {
    let mut lines = file.lines().peekable();
    std::iter::from_fn(move || {
        let mut next = |keyword: &str| {
            let first = lines.find_map(|line| unquoted(line.strip_prefix(keyword)?))?;
            let further = std::iter::from_fn(|| {
                let line = lines.next_if(|line| line.starts_with('"'))?;
                unquoted(line)
            });
            Some(std::iter::once(first).chain(further).collect::<String>())
        };
        Some((next("msgid ")?, next("msgstr ")?))
    })
}

/// The text in quotes, with its escapes decoded. None if there are no quotes.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = quoted.trim().strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                other => other,
            },
            other => other,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_with_escapes_and_continued_lines() {
        let file = "# Clock\nmsgid \"say \\\"{a}\\\"\"\nmsgstr \"说\\n\"\n\"“{a}”\\\\\"\n\nmsgid \"b\"\nmsgstr \"乙\"\n";
        let expected = [("say \"{a}\"", "说\n“{a}”\\"), ("b", "乙")];
        let entries: Vec<_> = entries(file).collect();
        assert_eq!(entries, expected.map(|(en, zh)| (en.to_owned(), zh.to_owned())));
    }
}
