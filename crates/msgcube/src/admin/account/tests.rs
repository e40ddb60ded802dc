//! Tests of the account commands.

use super::*;

#[test]
fn a_setting_is_json_where_it_can_be_and_a_number_only_where_one_belongs() {
    let cases = [
        ("certified=false", json!(false)),
        ("quota_per_day=1000", json!(1000)),
        ("ip_allow=[\"192.0.2.0/24\"]", json!(["192.0.2.0/24"])),
        ("secret=1234567890", json!("1234567890")),
        ("original_id=", Value::Null),
        ("kind=service", json!("service")),
        ("name=Our Shop", json!("Our Shop")),
        ("name=2026", json!("2026")),
        ("name=true", json!("true")),
        ("name=\"We\" \u{1f600}", json!("\"We\" \u{1f600}")),
        ("name=", Value::Null),
    ];
    for (text, value) in cases {
        assert_eq!(parse_setting(text).unwrap().1, value, "{text}");
    }
}

#[derive(clap::Parser)]
struct AddCommandLine {
    #[command(flatten)]
    args: AddArgs,
}

#[test]
fn an_appid_of_another_form_is_added_only_if_somebody_says_so() {
    use clap::Parser as _;
    let args = |line: &str| AddCommandLine::try_parse_from(line.split(' ')).unwrap().args;
    let (nobody, somebody) = (|_: &str| false, |appid: &str| appid == "foo");
    for lang in [Lang::En, Lang::Zh] {
        let error = args("add foo").check_appid(&nobody).unwrap_err().in_lang(lang);
        assert!(error.contains("foo") && error.contains("--yes"), "{error}");
        assert!(unusual_appid_question("foo", lang).contains("foo"));
    }
    args("add foo").check_appid(&somebody).unwrap();
    args("add foo --yes").check_appid(&nobody).unwrap();
    args("add wx0123456789abcdef").check_appid(&nobody).unwrap();
}

#[test]
fn limits_are_shown() {
    let mut answer = json!({"quota_per_day": 0, "ip_allow": [], "secret_frozen": false});
    let text = account_text(&answer, Lang::En, 80);
    assert!(text.contains("no limit") && text.contains("any address"), "{text}");
    answer = json!({"quota_per_day": 7, "ip_allow": ["192.0.2.0/24", "::1"], "secret_frozen": true});
    let text = account_text(&answer, Lang::Zh, 80);
    assert!(text.contains('7') && text.contains("192.0.2.0/24, ::1") && text.contains('是'), "{text}");
}

#[test]
fn the_list_shows_names_and_stays_within_the_columns() {
    use unicode_width::UnicodeWidthStr as _;
    let account = |appid: &str, name: &str| {
        let coverage = json!({"since": "2026-11-01T08:00:00+08:00", "gaps": [[]], "bridged": []});
        json!({"appid": appid, "name": name, "coverage": coverage})
    };
    let long = "商店".repeat(32);
    let answer = json!({"accounts": [
        account("wx0123456789abcdef", "Our Shop"),
        account("wx00000000000000a1", &long),
        account("wx00000000000000b2", &"x".repeat(64)),
        account("wx00000000000000c3", "\u{1b}[31mred\u{202e}"),
        account("wx00000000000000d4", ""),
    ]});
    for lang in [Lang::En, Lang::Zh] {
        let table = accounts_table(&answer, lang, 80);
        assert!(table.lines().all(|line| line.width() <= 80), "{table}");
        assert!(table.contains("Our Shop") && table.contains("wx00000000000000d4"), "{table}");
        assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}'), "{table}");
        let shown = account_text(&answer["accounts"][1], lang, 80);
        assert!(shown.lines().all(|line| line.width() <= 80) && shown.contains("商店"), "{shown}");
    }
}
