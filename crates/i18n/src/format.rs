//! Formats sizes, times and foreign texts for people.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{Text, text};

/// Longest part of another program's answer that is shown.
const QUOTE_CHARACTERS_MAX: usize = 160;

/// A short time: `350 us`, `1.4 ms`, `48 ms`, `1.2 s`.
pub fn time(time: Duration) -> String {
    let us = time.as_micros();
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// A longer time: `90 s`, `12 min`, `5 h 20 min`, `63 days`.
pub fn span(seconds: i64) -> Text {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => text!("{seconds} s", seconds),
        120..7_200 => text!("{minutes} min", minutes),
        7_200..172_800 => text!("{hours} h {minutes} min", hours, minutes = minutes % 60),
        _ => text!("{days} days", days),
    }
}

/// A size: `512 KiB`, `1.4 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut whole, mut unit) = (bytes, 0);
    while whole >= 1 << 20 && unit + 1 < UNITS.len() {
        (whole, unit) = (whole >> 10, unit + 1);
    }
    let tenths = whole * 10 / 1024;
    let name = UNITS[unit];
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", tenths / 10)
    }
}

/// The beginning of another program's answer, on one line and without control characters.
pub fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= QUOTE_CHARACTERS_MAX {
        return line;
    }
    line.chars().take(QUOTE_CHARACTERS_MAX).chain(['…']).collect()
}

/// Whether a character of a foreign text changes how the text around it is shown: a control character, a line break, or
/// one that changes the writing direction.
pub fn disturbs(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || matches!(c, '\u{2028}' | '\u{2029}') || c.is_control()
}

/// Splits a text into lines of at most `columns` columns, at blanks and between Chinese characters. A longer word is not
/// split.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for piece in pieces(text) {
        if !line.is_empty() && line.width() + piece.trim_end().width() > columns {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line += &piece;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The parts that are not split: words with the blank after them, and Chinese characters with the punctuation after them.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut ends): (Vec<String>, bool) = (Vec::new(), true);
    for c in text.chars() {
        let is_wide = c.width() == Some(2);
        let stays = "，。：；、）".contains(c);
        match pieces.last_mut() {
            Some(piece) if stays || !(ends || is_wide) => piece.push(c),
            _ => pieces.push(c.to_string()),
        }
        ends = c == ' ' || (is_wide && c != '（');
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_units() {
        assert_eq!(
            [25, 1_400, 48_500, 1_230_000].map(|us| time(Duration::from_micros(us))),
            ["25 us", "1.4 ms", "48 ms", "1.2 s"]
        );
        assert_eq!([100 << 10, 1_500 << 20, 80 << 30].map(size), ["100 KiB", "1.4 GiB", "80 GiB"]);
        assert_eq!(
            [90, 600, 19_200, 864_000].map(|s| span(s).english()),
            ["90 s", "10 min", "5 h 20 min", "10 days"]
        );
        assert_eq!(span(600).chinese(), "10 分钟");
    }

    #[test]
    fn lines_break_at_blanks_and_between_chinese_characters() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("see https://long.example/path now", 8), ["see", "https://long.example/path", "now"]);
        assert_eq!(wrap("请检查（见日志），再试", 14), ["请检查（见日", "志），再试"]);
        assert_eq!(wrap("whole", usize::MAX), ["whole"]);
    }

    #[test]
    fn a_quote_is_one_line_and_bounded() {
        assert_eq!(quote(b"<html>\r\n\t not\x1b[31m found"), "<html> not [31m found");
        assert_eq!(quote(&b"x".repeat(1_000)).chars().count(), QUOTE_CHARACTERS_MAX + 1);
    }
}
