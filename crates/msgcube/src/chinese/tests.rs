//! All help and all usage errors have Chinese, and no help in the catalogue is left over.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _, Parser as _};
use i18n::{
    Lang,
    catalog::{Part, chinese},
    translated,
};
use unicode_width::UnicodeWidthStr;

use crate::args::Cli;

/// The texts of a command, of its arguments and possible values, and of the commands below it.
fn collect(command: &Command, texts: &mut BTreeSet<String>) {
    texts.extend(command.get_about().map(ToString::to_string));
    texts.extend(command.get_after_help().map(ToString::to_string));
    for argument in command.get_arguments() {
        texts.extend(argument.get_help().map(ToString::to_string));
        texts.extend(argument.get_long_help().map(ToString::to_string));
        texts.extend(
            argument
                .get_possible_values()
                .iter()
                .filter_map(|value| value.get_help())
                .map(ToString::to_string),
        );
    }
    command.get_subcommands().for_each(|below| collect(below, texts));
}

#[test]
fn all_help_has_chinese_and_no_chinese_is_left_over() {
    let (mut texts, mut command) = (BTreeSet::new(), Cli::command());
    command.build();
    collect(&command, &mut texts);
    let missing: Vec<_> = texts.iter().filter(|text| chinese(text).is_none()).collect();
    assert!(missing.is_empty(), "no Chinese for {missing:#?}");
    let entries = Part::Help.entries().map(|(english, _)| english);
    let unused: Vec<_> = entries.filter(|english| !texts.contains(english)).collect();
    assert!(unused.is_empty(), "nothing says {unused:#?}");
}

/// Three English words in a row.
fn is_english(line: &str) -> bool {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> = line.split(' ').collect();
    !line.contains("用法：") && words.windows(3).any(|three| three.iter().all(is_word))
}

fn check(said: &str, columns: usize) {
    let shown = super::in_chinese(said, columns);
    let english: Vec<&str> = shown.lines().filter(|line| is_english(line)).collect();
    assert!(english.is_empty(), "{english:#?} in\n{shown}");
    let longest = shown.lines().filter(|line| !line.contains("http")).map(UnicodeWidthStr::width).max();
    assert!(longest <= Some(columns), "{longest:?} columns:\n{shown}");
}

fn check_help(command: &mut Command) {
    check(&command.render_help().to_string(), 80);
    check(&command.render_long_help().to_string(), 80);
    command.get_subcommands_mut().for_each(check_help);
}

#[test]
fn help_is_chinese_throughout_and_fits_a_terminal() {
    let mut command = Cli::command();
    command.build();
    check_help(&mut command);
}

#[test]
fn usage_errors_are_chinese() {
    for line in [
        "",
        "nosuch",
        "qury",
        "key",
        "key nosuch",
        "query month",
        "query mont --from 2026",
        "query month --from 26",
        "query month --from",
        "query month --fro 2026",
        "query month --from 2026 --from 2027",
        "query month more --from 2026",
        "query month --from 2026 --json --csv",
        "query month --from 2026 --json=x",
        "conformance --replay x --target http://a --strict",
        "conformance --keep-figures",
        "serve --now x",
        "serve --listen x",
        "serve --listen 80",
        "serve --listen 127.0.0.1",
        "serve --listen wx.example.com:80",
        "serve --listen http://127.0.0.1:80",
        "demo --listen 127.0.0.1:99999",
        "query month --from 2025-02-30",
        "query month --from 2025-13",
        "demo --accounts 9",
        "demo --accounts x",
        "demo --accounts 999999",
        "demo --scale 0",
        "tls ca --days 0",
        "tls ca --host a:1",
        "import --server http://a --appid a --covers x f",
        "doctor --url x",
        "doctor --url http://a@b",
        "import -x",
        "--lang xx serve",
    ] {
        let said = Cli::try_parse_from(format!("msgcube {line}").trim().split(' ')).err().unwrap();
        check(&said.to_string(), 100);
    }
}

#[test]
fn the_language_is_found_in_a_line_that_is_wrong() {
    let lang =
        |line: &str| super::typed_lang(&line.split(' ').map(std::ffi::OsString::from).collect::<Vec<_>>());
    assert_eq!(lang("msgcube nosuch --lang zh"), Some(Lang::Zh));
    assert_eq!(lang("msgcube --lang=en query"), Some(Lang::En));
    assert_eq!([lang("msgcube --lang"), lang("msgcube --lang xx"), lang("msgcube -- --lang zh")], [None; 3]);
}

#[test]
fn causes_are_translated_where_they_stand_and_foreign_texts_stay() {
    assert_eq!(
        translated(Lang::Zh, "error: invalid value 'x' for '--pause-ms <MS>': 70000 is not in 0..=60000"),
        "错误：--pause-ms <MS> 的值 x 无效：不在 0..=60000 范围内"
    );
    assert_eq!(
        translated(
            Lang::Zh,
            "m.toml: account 2: keys: encoding_aes_key: 10 characters instead of 43: copy the EncodingAESKey of the account's server configuration"
        ),
        "m.toml：[[account]] 2：keys：encoding_aes_key：是 10 个字符，应为 43 个：请从公众平台后台的“服务器配置”复制 EncodingAESKey"
    );
    assert_eq!(
        translated(Lang::Zh, "m.toml: account 1: secret: secret (or secret_file) is missing, or empty"),
        "m.toml：[[account]] 1：secret：secret（或 secret_file）缺少或为空"
    );
}
