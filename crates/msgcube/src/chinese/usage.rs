//! Help and usage errors as clap says them, in Chinese, for the width of the terminal.

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use i18n::{Lang, words};
use unicode_width::UnicodeWidthStr as _;

use super::{Texts, help, known};

/// Longer lines are hard to read.
const COLUMNS_MAX: usize = 100;

/// Clap's own words, and why our arguments refuse a value.
#[rustfmt::skip]
pub(super) static TEXTS: Texts = &[
    ("Usage: {}", "用法：{0}"),
    ("Usage: {} [OPTIONS]", "用法：{0} [选项]"),
    ("Usage: {} [OPTIONS] {}", "用法：{0} [选项] {1}"),
    ("<COMMAND>", "<命令>"),
    ("Commands:", "命令："),
    ("Arguments:", "参数："),
    ("Options:", "选项："),
    ("Possible values:", "可选值："),
    ("- {}: {}", "- {0}: {1}"),
    ("[possible values: {}]", "[可选值：{0}]"),
    ("[default: {}]", "[默认：{0}]"),
    ("[env: {}]", "[环境变量：{0}]"),
    ("Print help (see a summary with '-h')", "显示帮助（-h 显示摘要）"),
    ("Print help (see more with '--help')", "显示帮助（--help 更详细）"),
    ("Print help", "显示帮助"),
    ("Print version", "显示版本"),
    ("Print this message or the help of the given subcommand(s)", "显示本帮助或某个命令的帮助"),
    ("error: {}", "错误：{0}"),
    ("tip: {}", "提示：{0}"),
    ("For more information, try '{}'.", "详细说明见 {0}。"),
    ("unexpected argument '{}' found", "不认识的参数 {0}"),
    ("unrecognized subcommand '{}'", "没有 {0} 这个命令"),
    ("'{}' requires a subcommand but one was not provided", "{0} 之后须写命令"),
    ("[subcommands: {}]", "[命令：{0}]"),
    ("the following required arguments were not provided:", "缺少以下参数："),
    ("a value is required for '{}' but none was supplied", "{0} 需要一个值"),
    ("invalid value '{}' for '{}'", "{1} 的值 {0} 无效"),
    ("invalid value '{}' for '{}': {}", "{1} 的值 {0} 无效：{2}"),
    ("unexpected value '{}' for '{}' found; no more were expected", "{1} 不能再有值 {0}"),
    ("{} values required for '{}' but {} were provided", "{1} 需要 {0} 个值，给出了 {2} 个"),
    ("{} values required for '{}' but {} was provided", "{1} 需要 {0} 个值，给出了 {2} 个"),
    ("{} values required by '{}'; only {} were provided", "{1} 至少需要 {0} 个值，只给出了 {2} 个"),
    ("{} values required by '{}'; only {} was provided", "{1} 至少需要 {0} 个值，只给出了 {2} 个"),
    ("equal sign is needed when assigning values to '{}'", "给 {0} 赋值须用等号"),
    ("the argument '{}' cannot be used multiple times", "{0} 只能写一次"),
    ("the argument '{}' cannot be used with '{}'", "{0} 不能与 {1} 同时使用"),
    ("the argument '{}' cannot be used with:", "{0} 不能与以下参数同时使用："),
    ("the argument '{}' cannot be used with one or more of the other specified arguments", "{0} 不能与其他某些参数同时使用"),
    ("invalid UTF-8 was detected in one or more arguments", "参数中有无效的 UTF-8"),
    ("a similar argument exists: '{}'", "相近的参数：{0}"),
    ("some similar arguments exist: {}", "相近的参数：{0}"),
    ("a similar subcommand exists: '{}'", "相近的命令：{0}"),
    ("some similar subcommands exist: {}", "相近的命令：{0}"),
    ("a similar value exists: '{}'", "相近的值：{0}"),
    ("some similar values exist: {}", "相近的值：{0}"),
    ("to pass '{}' as a value, use '{}'", "若要把 {0} 当作值，请写 {1}"),
    ("'{}' exists", "有 {0}"),
    ("subcommand '{}' exists; to use it, remove the '--' before it", "有 {0} 命令；要使用它，请去掉前面的 --"),
    ("write it like 2014-12-01T00:00:00+08:00", "写法如 2014-12-01T00:00:00+08:00"),
    ("write YYYY, YYYY-MM or YYYY-MM-DD, such as 2026, 2026-10 or 2026-10-31", "写作 YYYY、YYYY-MM 或 YYYY-MM-DD，如 2026、2026-10、2026-10-31"),
    ("invalid digit found in string", "不是整数"),
    ("invalid float literal", "不是数字"),
    ("cannot parse integer from empty string", "不是整数"),
    ("number too large to fit in target type", "数值太大"),
    ("number too small to fit in target type", "数值太小"),
    ("{} is not in {}", "不在 {1} 范围内"),
    ("a number from {} to {} is wanted", "须为 {0} 到 {1} 的数"),
    ("write two days, such as 2025-01-01..2025-12-31", "写两个日期，如 2025-01-01..2025-12-31"),
    ("write a DNS name such as api.weixin.qq.com, or an IP address; no port, no wildcard", "写域名（如 api.weixin.qq.com）或 IP 地址；不带端口，不用通配符"),
    ("must begin with http:// or https:// and a host", "须以 http:// 或 https:// 加主机名开头"),
    ("must not hold a user name or password", "不能含用户名或密码"),
    ("must end before #", "不能含 # 及其后的部分"),
    ("must end before ?", "不能含 ? 及其后的部分"),
    ("is no address: {}", "不是地址：{0}"),
    ("there is no such month: write 01 to 12, such as 2026-10", "没有这个月：月份为 01 到 12，如 2026-10"),
    ("there is no such day: that month ends on {}", "没有这一天：该月的最后一天是 {0}"),
];

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

pub(super) fn in_chinese(said: &str, columns: usize) -> String {
    let mut text = said.to_owned();
    for (english, chinese) in help::BLOCKS {
        text = text.replace(english, chinese);
    }
    text.split('\n').map(|line| laid_out(line, columns.min(COLUMNS_MAX))).collect::<Vec<_>>().join("\n")
}

/// A line of which the last column is text, which goes on below itself.
fn laid_out(line: &str, columns: usize) -> String {
    let (head, text) = line.split_at(line.rfind("  ").map_or(0, |blanks| blanks + 2));
    let text = described(text);
    let beside = columns.saturating_sub(head.width()).max(20);
    let next_line = format!("\n{}", " ".repeat(head.width()));
    format!("{head}{}", words::wrap(&text, beside).join(&next_line))
}

/// A text, with what clap puts in brackets behind it.
fn described(text: &str) -> String {
    let bracketed = |(text, bracket): (&str, &str)| {
        let bracket = format!("[{bracket}");
        format!("{} {}", described(text), known(&bracket).unwrap_or(bracket))
    };
    let brackets = || text.rsplit_once(" [").filter(|_| text.ends_with(']')).map(bracketed);
    known(text).or_else(brackets).unwrap_or_else(|| text.to_owned())
}
