//! Standard output and standard error of the commands. A closed pipe (such as with `head`) is not an error: the command
//! runs to its end and keeps its exit status. Control characters from foreign texts do not reach the terminal.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
    io::{self, ErrorKind, IsTerminal as _, Stdout, Write},
};

use serde::Serialize;

/// Parameters of the colour sequences that reports use; `0` ends a colour. No other control sequence reaches a terminal.
const COLOURS: [&str; 8] = ["1", "2", "31", "32", "33", "36", "1;31", "0"];

/// Standard output.
#[derive(Debug)]
pub struct Screen(Stdout);

impl Default for Screen {
    fn default() -> Screen {
        Screen(io::stdout())
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ignore_broken_pipe(self.0.write_all(&escaped_bytes(bytes))).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        ignore_broken_pipe(self.0.flush())
    }
}

/// Prints a line on standard error.
pub fn print_note(text: impl Display) {
    // If this fails, there is no other place to report it.
    let _ = writeln!(io::stderr(), "{}", escaped(&text.to_string()));
}

/// Prints a result as one JSON object or as text.
pub fn print_result(
    out: &mut dyn Write,
    json: bool,
    result: &impl Serialize,
    text: impl FnOnce() -> String,
) -> io::Result<()> {
    let text = if json { serde_json::to_string(result)? } else { text() };
    writeln!(out, "{text}")
}

/// Asks a yes-or-no question on the terminal. Without a terminal the answer is no.
pub fn agrees(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let _ = write!(io::stderr(), "{} [y/N] ", escaped(question));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok_and(|_| is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes", "是"].contains(&answer.trim().to_lowercase().as_str())
}

/// Makes a foreign text safe to show. Control characters and characters that change the writing direction become JSON
/// escapes such as `\u001b`. Line breaks and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        // CR LF is a line break of CSV and HTTP.
        let ends_line = c == '\r' && characters.peek() == Some(&'\n');
        if is_unsafe(c) && !ends_line {
            // All of them are below U+10000. Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Makes a foreign text safe for a cell of a table. Line breaks and tabs are escaped, too.
pub fn escaped_cell(text: &str) -> String {
    escaped(text).replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

/// A foreign text, made safe, in a colour.
pub fn painted(colour: &str, text: &str) -> String {
    format!("\x1b[{colour}m{}\x1b[0m", escaped(text))
}

fn is_unsafe(c: char) -> bool {
    i18n::format::disturbs(c) && !matches!(c, '\n' | '\t')
}

/// Escapes the bytes of a text for the terminal. JSON keeps its meaning, because such characters occur only in its
/// strings.
fn escaped_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Cow::Owned(escaped_lossy(bytes)) };
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(bytes);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut parts = text.split('\x1b');
    shown.push_str(&escaped(parts.next().unwrap_or_default()));
    for part in parts {
        let is_ours = |colour: &&&str| {
            part.strip_prefix('[')
                .and_then(|rest| rest.strip_prefix(**colour))
                .is_some_and(|rest| rest.starts_with('m'))
        };
        shown.push_str(if COLOURS.iter().any(|colour| is_ours(&colour)) { "\x1b" } else { "\\u001b" });
        shown.push_str(&escaped(part));
    }
    Cow::Owned(shown.into_bytes())
}

/// Escapes the parts that are UTF-8. The rest, such as half of a character at the end, stays.
fn escaped_lossy(bytes: &[u8]) -> Vec<u8> {
    let chunks = bytes.utf8_chunks();
    chunks
        .flat_map(|chunk| [escaped_bytes(chunk.valid().as_bytes()).into_owned(), chunk.invalid().to_vec()])
        .flatten()
        .collect()
}

fn ignore_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> String {
        String::from_utf8(escaped_bytes(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn control_characters_of_others_are_written_out() {
        assert_eq!(seen("gh_\x1b[2J\r\x07\u{9b}31m\u{7f}"), "gh_\\u001b[2J\\u000d\\u0007\\u009b31m\\u007f");
        assert_eq!(seen("a\u{202e}b\u{2066}"), "a\\u202eb\\u2066");
        assert_eq!(seen("one\ttwo\r\n公众号 ✓"), "one\ttwo\r\n公众号 ✓");
        assert_eq!(escaped_cell("a\nb\r\n\x1b"), "a\\nb\\r\\n\\u001b");
    }

    #[test]
    fn colours_of_reports_stay_and_no_other_sequence_does() {
        let line = format!("{} {}", painted("32", "✓"), painted("1;31", "\x1b[31mred"));
        assert_eq!(seen(&line), "\x1b[32m✓\x1b[0m \x1b[1;31m\\u001b[31mred\x1b[0m");
        for other in ["\x1b[8m", "\x1b[32;8m", "\x1b[2J", "\x1b]0;title", "\x1b", "\x1bc"] {
            assert!(!seen(other).contains('\x1b'), "{other:?}");
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "name": "a\x1b[2J\u{9b}\u{7f}\u{202e}\n\t公" });
        let text = seen(&value.to_string());
        assert!(!text.contains(is_unsafe), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn only_a_plain_yes_agrees() {
        assert!(["y\n", " YES\r\n", "是"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "no", "yesterday"].into_iter().any(is_yes));
    }

    #[test]
    fn half_a_character_stays_for_the_other_half() {
        let text = "x\x1b公";
        let bytes = text.as_bytes();
        for cut in 0..bytes.len() {
            let joined = [escaped_bytes(&bytes[..cut]), escaped_bytes(&bytes[cut..])].concat();
            assert_eq!(String::from_utf8(joined).unwrap(), "x\\u001b公");
        }
    }
}
