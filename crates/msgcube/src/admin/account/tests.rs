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
