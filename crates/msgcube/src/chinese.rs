//! Shows clap's help and usage errors in Chinese, wrapped to the width of the terminal.

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use i18n::{
    Lang,
    catalog::{self, Part},
    format,
};
use unicode_width::UnicodeWidthStr as _;

/// Longer lines are hard to read.
const COLUMNS_MAX: usize = 100;

/// The language given with `--lang`, even if the rest of the command line is wrong.
pub fn typed_lang(typed: &[OsString]) -> Option<Lang> {
    let words: Vec<&str> =
        typed.iter().map_while(|word| word.to_str().filter(|word| *word != "--")).collect();
    let value = words.iter().enumerate().find_map(|(place, word)| match *word {
        "--lang" => words.get(place + 1).copied(),
        other => other.strip_prefix("--lang="),
    });
    value.and_then(Lang::from_code)
}

/// Prints help or a usage error.
pub fn print_error(error: &clap::Error, columns: Option<usize>) -> ExitCode {
    let text = in_chinese(&error.to_string(), columns.unwrap_or(COLUMNS_MAX));
    // If this fails, there is no other place to report it.
    let _ = if error.use_stderr() {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn in_chinese(english_text: &str, columns: usize) -> String {
    let mut text = english_text.to_owned();
    for (english, chinese) in Part::Help.entries().filter(|(english, _)| english.contains('\n')) {
        text = text.replace(&english, &chinese);
    }
    text.split('\n')
        .map(|line| wrap_last_column(line, columns.min(COLUMNS_MAX)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Wraps the last column of a line; further lines are indented below it.
fn wrap_last_column(line: &str, columns: usize) -> String {
    let (head, text) = line.split_at(line.rfind("  ").map_or(0, |blanks| blanks + 2));
    let text = translate_with_brackets(text);
    let beside = columns.saturating_sub(head.width()).max(20);
    let next_line = format!("\n{}", " ".repeat(head.width()));
    format!("{head}{}", format::wrap(&text, beside).join(&next_line))
}

/// Translates a text and what clap appends in brackets.
fn translate_with_brackets(text: &str) -> String {
    let bracketed = |(text, bracket): (&str, &str)| {
        let bracket = format!("[{bracket}");
        format!("{} {}", translate_with_brackets(text), catalog::known(&bracket).unwrap_or(bracket))
    };
    let brackets = || text.rsplit_once(" [").filter(|_| text.ends_with(']')).map(bracketed);
    catalog::known(text).or_else(brackets).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests;
