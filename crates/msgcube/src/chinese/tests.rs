//! Everything that is read has Chinese, and nothing that is in the tables is left over.

use std::{collections::BTreeSet, fs, path::Path};

use clap::{Command, CommandFactory as _, Parser as _};
use i18n::Lang;
use unicode_width::UnicodeWidthStr;

use super::{errors, help, text, usage};
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
    let entries: Vec<&str> = help::TEXTS.iter().chain(help::BLOCKS).map(|(english, _)| *english).collect();
    let own: BTreeSet<&str> = entries.iter().copied().collect();
    assert_eq!(own.len(), entries.len(), "an entry is there twice");
    let of_clap = |text: &str| usage::TEXTS.iter().any(|(english, _)| *english == text);
    let missing: Vec<_> =
        texts.iter().filter(|text| !own.contains(text.as_str()) && !of_clap(text)).collect();
    assert!(missing.is_empty(), "no Chinese for {missing:#?}");
    let unused: Vec<_> = own.iter().filter(|english| !texts.contains(**english)).collect();
    assert!(unused.is_empty(), "nothing says {unused:#?}");
}

/// Three English words in a row.
fn is_english(line: &str) -> bool {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words: Vec<&str> = line.split(' ').collect();
    !line.contains("用法：") && words.windows(3).any(|three| three.iter().all(is_word))
}

fn check(said: &str, columns: usize) {
    let shown = usage::in_chinese(said, columns);
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
        |line: &str| usage::typed_lang(&line.split(' ').map(std::ffi::OsString::from).collect::<Vec<_>>());
    assert_eq!(lang("msgcube nosuch --lang zh"), Some(Lang::Zh));
    assert_eq!(lang("msgcube --lang=en query"), Some(Lang::En));
    assert_eq!([lang("msgcube --lang"), lang("msgcube --lang xx"), lang("msgcube -- --lang zh")], [None; 3]);
}

/// Rust as the tables have it: `{}` for what is filled in, one line, no escapes.
fn plain(source: &str) -> String {
    let joined = source.split("\\\n").map(str::trim_start).collect::<String>().replace("\\\"", "\"");
    let mut pieces = joined.split('{');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let is_name =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:?".contains(&byte));
        match piece.split_once('}').filter(|(name, _)| is_name(name)) {
            Some((_, rest)) => text.extend(["{}", rest]),
            None => text.extend(["{", piece]),
        }
    }
    text
}

fn sources(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("chinese") {
            self::sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(plain(&fs::read_to_string(path).unwrap()));
        }
    }
}

#[test]
fn every_error_with_chinese_is_still_said_in_english() {
    let (root, mut said) = (Path::new(env!("CARGO_MANIFEST_DIR")), Vec::new());
    [root.join("src"), root.join("../client/src")].iter().for_each(|folder| sources(folder, &mut said));
    let is_said = |part: &str| said.iter().any(|source| source.contains(part));
    let tables = [errors::START, errors::COMMANDS, errors::OWN];
    let entries = tables.into_iter().flatten().map(|(english, _)| *english);
    // An error that holds another one is written in parts, and so is what a field is not.
    let is_in_parts =
        |english: &str| english.split("; ").flat_map(|part| part.split(" is not ")).all(is_said);
    let stale: Vec<_> = entries.filter(|english| !is_said(english) && !is_in_parts(english)).collect();
    assert!(stale.is_empty(), "nothing says {stale:#?}");
}

/// Files whose errors people see as they are. Others have their Chinese beside them, or speak to machines.
const SHOWN: [&str; 18] = [
    "src/accounts/error.rs",
    "src/api_keys.rs",
    "src/app.rs",
    "src/callback/keys.rs",
    "src/config.rs",
    "src/config/account.rs",
    "src/config/listen.rs",
    "src/data_key.rs",
    "src/import/error.rs",
    "src/import/upload.rs",
    "src/query/dates.rs",
    "src/random.rs",
    "src/server.rs",
    "src/store.rs",
    "src/tls.rs",
    "../client/src/client/error.rs",
    "../client/src/day.rs",
    "../client/src/range.rs",
];

#[test]
fn every_error_that_people_see_has_chinese() {
    let mut missing = Vec::new();
    for file in SHOWN {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        for error in source.split("#[error(").skip(1) {
            let Some(text) = error.trim_start().strip_prefix('"') else { continue };
            let text = plain(text.split('"').next().unwrap());
            let has_words = text.replace("{}", "").bytes().any(|byte| byte.is_ascii_alphabetic());
            missing.extend((has_words && super::known(&text).is_none()).then(|| format!("{file}: {text}")));
        }
    }
    assert!(missing.is_empty(), "no Chinese for {missing:#?}");
}

#[test]
fn causes_are_translated_where_they_stand_and_foreign_texts_stay() {
    assert_eq!(
        text("error: invalid value 'x' for '--pause-ms <MS>': 70000 is not in 0..=60000"),
        "错误：--pause-ms <MS> 的值 x 无效：不在 0..=60000 范围内"
    );
    assert_eq!(
        text(
            "m.toml: account 2: keys: encoding_aes_key: 10 characters instead of 43: copy the EncodingAESKey of the account's server configuration"
        ),
        "m.toml：[[account]] 2：keys：encoding_aes_key：是 10 个字符，应为 43 个：请从公众平台后台的“服务器配置”复制 EncodingAESKey"
    );
    assert_eq!(
        text("m.toml: account 1: secret: secret (or secret_file) is missing, or empty"),
        "m.toml：[[account]] 1：secret：secret（或 secret_file）缺少或为空"
    );
    let hostile = "a: ".repeat(1 << 20);
    assert_eq!(text(&hostile), hostile);
    assert_eq!(text(&hostile[..2_000]), hostile[..2_000]);
    assert_eq!(text("  somebody else's words: {0} {}"), "  somebody else's words: {0} {}");
}
