//! Help and usage errors as clap says them, in Chinese, for the width of the terminal.

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use i18n::{
    Lang,
    catalog::{self, Part},
    format,
};
use unicode_width::UnicodeWidthStr as _;

/// Longer lines are hard to read.
const COLUMNS_MAX: usize = 100;

/// The language that was typed, whatever else is wrong with the rest.
pub fn typed_lang(typed: &[OsString]) -> Option<Lang> {
    let words: Vec<&str> =
        typed.iter().map_while(|word| word.to_str().filter(|word| *word != "--")).collect();
    let value = words.iter().enumerate().find_map(|(place, word)| match *word {
        "--lang" => words.get(place + 1).copied(),
        other => other.strip_prefix("--lang="),
    });
    value.and_then(Lang::of_code)
}

/// Shows help, or what is wrong with the command line.
pub fn show(said: &clap::Error, columns: Option<usize>) -> ExitCode {
    let text = in_chinese(&said.to_string(), columns.unwrap_or(COLUMNS_MAX));
    // Nobody is left to tell if this fails.
    let _ = if said.use_stderr() {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    u8::try_from(said.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn in_chinese(said: &str, columns: usize) -> String {
    let mut text = said.to_owned();
    for (english, chinese) in Part::Help.entries().filter(|(english, _)| english.contains('\n')) {
        text = text.replace(&english, &chinese);
    }
    text.split('\n').map(|line| laid_out(line, columns.min(COLUMNS_MAX))).collect::<Vec<_>>().join("\n")
}

/// A line of which the last column is text, which goes on below itself.
fn laid_out(line: &str, columns: usize) -> String {
    let (head, text) = line.split_at(line.rfind("  ").map_or(0, |blanks| blanks + 2));
    let text = described(text);
    let beside = columns.saturating_sub(head.width()).max(20);
    let next_line = format!("\n{}", " ".repeat(head.width()));
    format!("{head}{}", format::wrap(&text, beside).join(&next_line))
}

/// A text, with what clap puts in brackets behind it.
fn described(text: &str) -> String {
    let bracketed = |(text, bracket): (&str, &str)| {
        let bracket = format!("[{bracket}");
        format!("{} {}", described(text), catalog::known(&bracket).unwrap_or(bracket))
    };
    let brackets = || text.rsplit_once(" [").filter(|_| text.ends_with(']')).map(bracketed);
    catalog::known(text).or_else(brackets).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests;
