//! Every key of the configuration file, and whether a change of it needs a restart.

use std::{collections::BTreeSet, path::Path};

use toml::{Table, Value};

use super::*;

/// When a change applies, and the name it is reported under.
enum Holds {
    AtOnce(&'static str),
    AtRestart(&'static str),
    /// At once, as a setting of the account.
    Account(&'static str),
}
use Holds::{Account, AtOnce, AtRestart};

const BASE: &str = r#"
[tls]
cert = "c"
key = "k"
[datacube]
[upstream]
[store]
kind = "clickhouse"
urls = ["http://127.0.0.1:9000"]
state = "postgres://h/d"
[[account]]
appid = "wx1"
secret = "s"
token = "t"
encoding_aes_key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
[account.relay]
url = "http://127.0.0.1:9000/"
[[component]]
appid = "wxp"
secret = "s"
token = "t"
encoding_aes_key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
role = "receive"
[component.relay]
url = "http://127.0.0.1:9000/"
[[cloud]]
env = "e"
secret_id = "i"
secret_key = "k"
appids = ["wx1"]
"#;

const OTHER_AES_KEY: &str = "\"0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\"";

/// Table, key and another value. Keys that are not listed are `…_file` keys, which set the same value as the key
/// without `_file`, or tables.
const CASES: &[(&str, &str, &str, Holds)] = &[
    ("", "listen", "\"127.0.0.1:9\"", AtRestart("listen")),
    ("", "admin_listen", "\"127.0.0.1:9\"", AtRestart("admin_listen")),
    ("", "public_url", "\"https://wx.example.com\"", AtOnce("public_url")),
    ("", "ui_url", "\"https://ui.example.com\"", AtOnce("ui_url")),
    ("", "data_dir", "\"other\"", AtRestart("data_dir")),
    ("", "data_key_file", "\"other\"", AtRestart("data_key_file")),
    ("", "memory_mib", "7", AtRestart("memory_mib")),
    ("", "metrics_accounts", "7", AtRestart("metrics_accounts")),
    ("", "proxies", "[\"192.0.2.1\"]", AtRestart("proxies")),
    ("", "admin_key", "\"other\"", AtOnce("admin_key")),
    ("", "callback_max_age_s", "7", AtOnce("callback_max_age_s")),
    ("tls", "cert", "\"other\"", AtOnce("tls.cert")),
    ("tls", "key", "\"other\"", AtOnce("tls.key")),
    ("datacube", "live", "true", AtOnce("datacube.live")),
    ("datacube", "bridge_s", "7", AtOnce("datacube.bridge_s")),
    ("datacube", "date_profile", "\"strict\"", AtOnce("datacube.date_profile")),
    ("datacube", "user_source", "true", AtOnce("datacube.user_source")),
    ("datacube", "not_ready_before", "\"08:00\"", AtOnce("datacube.not_ready_before")),
    ("datacube", "partial", "\"withhold\"", AtOnce("datacube.partial")),
    ("upstream", "base", "\"http://127.0.0.1:9\"", AtOnce("upstream.base")),
    ("upstream", "token_url", "\"http://127.0.0.1:9\"", AtOnce("upstream.token_url")),
    ("upstream", "expose_real_token", "true", AtOnce("upstream.expose_real_token")),
    ("upstream", "uncovered", "\"counted\"", AtOnce("upstream.uncovered")),
    ("store", "urls", "[\"http://127.0.0.1:9\"]", AtRestart("store")),
    ("store", "user", "\"other\"", AtRestart("store")),
    ("store", "password", "\"other\"", AtRestart("store")),
    ("store", "database", "\"other\"", AtRestart("store")),
    ("store", "cluster", "\"other\"", AtRestart("store")),
    ("store", "state", "\"postgres://other/d\"", AtRestart("store")),
    ("account", "name", "\"other\"", Account("name")),
    ("account", "secret", "\"other\"", Account("secret")),
    ("account", "upstream_secret", "\"other\"", Account("upstream_secret")),
    ("account", "original_id", "\"other\"", Account("original_id")),
    ("account", "token", "\"other\"", Account("token")),
    ("account", "token_previous", "\"other\"", Account("token_previous")),
    ("account", "encoding_aes_key", OTHER_AES_KEY, Account("encoding_aes_key")),
    ("account", "encoding_aes_key_previous", OTHER_AES_KEY, Account("encoding_aes_key_previous")),
    ("account", "require_encryption", "true", Account("require_encryption")),
    ("account", "kind", "\"other\"", Account("kind")),
    ("account", "certified", "false", Account("certified")),
    ("account", "quota_per_day", "7", Account("quota_per_day")),
    ("account", "ip_allow", "[\"192.0.2.1\"]", Account("ip_allow")),
    ("account", "secret_frozen", "true", Account("secret_frozen")),
    ("account", "components", "[]", Account("components")),
    ("account.relay", "url", "\"http://127.0.0.1:9\"", Account("relay")),
    ("account.relay", "when_not_durable", "\"refuse\"", Account("relay")),
    ("account.relay", "on_late", "\"success\"", Account("relay")),
    ("account.relay", "listeners", "[\"http://127.0.0.1:9\"]", Account("relay")),
    ("component", "secret", "\"other\"", AtOnce("component wxp: secret")),
    ("component", "token", "\"other\"", AtOnce("component wxp: token")),
    ("component", "token_previous", "\"other\"", AtOnce("component wxp: token_previous")),
    ("component", "encoding_aes_key", OTHER_AES_KEY, AtOnce("component wxp: encoding_aes_key")),
    (
        "component",
        "encoding_aes_key_previous",
        OTHER_AES_KEY,
        AtOnce("component wxp: encoding_aes_key_previous"),
    ),
    ("component", "push_url", "\"http://127.0.0.1:9\"", AtOnce("component wxp: push_url")),
    ("component.relay", "url", "\"http://127.0.0.1:9\"", AtOnce("component wxp: relay")),
    ("component.relay", "when_not_durable", "\"refuse\"", AtOnce("component wxp: relay")),
    ("component.relay", "on_late", "\"success\"", AtOnce("component wxp: relay")),
    ("component.relay", "listeners", "[\"http://127.0.0.1:9\"]", AtOnce("component wxp: relay")),
    ("cloud", "env", "\"other\"", AtOnce("cloud")),
    ("cloud", "secret_id", "\"other\"", AtOnce("cloud")),
    ("cloud", "secret_key", "\"other\"", AtOnce("cloud")),
    ("cloud", "appids", "[\"wx2\"]", AtOnce("cloud")),
    ("cloud", "allow_from", "[\"192.0.2.1\"]", AtOnce("cloud")),
];

/// Tables, and keys that identify an account or a platform. They are tested below.
const BESIDE: &[(&str, &[&str])] = &[
    ("", &["tls", "datacube", "upstream", "store", "account", "component", "cloud"]),
    ("store", &["kind"]),
    ("account", &["appid", "relay"]),
    ("component", &["appid", "role", "relay"]),
];

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("/etc/msgcube/msgcube.toml"), |_| None).unwrap()
}

/// The table of this name in the first element of each list.
fn table<'a>(root: &'a mut Table, name: &str) -> &'a mut Table {
    name.split('.').filter(|part| !part.is_empty()).fold(root, |table, part| match &mut table[part] {
        Value::Array(list) => list[0].as_table_mut().unwrap(),
        value => value.as_table_mut().unwrap(),
    })
}

fn with(name: &str, key: &str, value: &str) -> String {
    let mut root: Table = BASE.parse().unwrap();
    let value: Table = format!("value = {value}").parse().unwrap();
    table(&mut root, name).insert(key.to_owned(), value["value"].clone());
    root.to_string()
}

/// The keys that a table accepts, taken from the error for an unknown one.
fn known_keys(name: &str) -> BTreeSet<String> {
    let text = with(name, "no_such_key", "1");
    let error =
        Config::parse(&text, Path::new("/etc/msgcube/msgcube.toml"), |_| None).unwrap_err().to_string();
    let (_, list) = error.split_once("expected").expect("it lists what it knows");
    list.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

#[test]
fn a_change_of_each_key_holds_at_once_or_is_said_to_need_a_restart() {
    let base = config(BASE);
    for (name, key, value, holds) in CASES {
        let (_, found) = base.reloaded(config(&with(name, key, value)));
        let mut expected = Difference::default();
        match holds {
            AtOnce(name) => expected.settings.push((*name).to_owned()),
            AtRestart(name) => expected.needs_restart.push((*name).to_owned()),
            Account(key) => expected
                .accounts
                .changed
                .push(ChangedAccount { appid: "wx1".to_owned(), keys: vec![(*key).to_owned()] }),
        }
        assert_eq!(found, expected, "{name} {key}");
    }
}

#[test]
fn no_key_is_left_out() {
    let tables: BTreeSet<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    for name in tables {
        let beside = BESIDE.iter().filter(|(table, _)| *table == name).flat_map(|(_, keys)| keys.iter());
        let named = CASES.iter().filter(|(table, ..)| *table == name).map(|(_, key, ..)| key);
        let mut left: BTreeSet<String> = known_keys(name);
        for key in beside.chain(named) {
            assert!(left.remove(*key), "{name} {key} is no key");
            left.remove(&format!("{key}_file"));
        }
        assert!(left.is_empty(), "when does a change of these hold? {name} {left:?}");
    }
}

#[test]
fn what_needs_a_restart_keeps_its_value_and_everything_else_is_taken() {
    let base = config(BASE);
    let other = with("", "listen", "\"127.0.0.1:9\"").replace("role = \"receive\"", "role = \"serve\"");
    let mut other: Table = other.parse().unwrap();
    table(&mut other, "component").remove("relay");
    for name in ["tls", "upstream"] {
        other.remove(name);
    }
    table(&mut other, "account").insert("appid".to_owned(), "wx2".into());
    other.insert("callback_max_age_s".to_owned(), 7.into());
    let (served, found) = base.reloaded(config(&other.to_string()));
    assert_eq!(found.needs_restart, ["listen", "tls", "component wxp: role"]);
    assert_eq!(found.settings, ["callback_max_age_s", "upstream"]);
    assert_eq!(
        (&found.accounts.added[..], &found.accounts.removed[..]),
        (&["wx2".to_owned()][..], &["wx1".to_owned()][..])
    );
    assert_eq!((served.listen, &served.tls, served.callback_max_age_s), (base.listen, &base.tls, 7));
    assert!(served.upstream.is_none() && served.components[0].role == base.components[0].role);
    assert_eq!(served.accounts[0].appid, "wx2");
    // The same again: it is reported again, since the file still differs.
    let (again, found) = served.reloaded(config(&other.to_string()));
    assert_eq!(found.needs_restart, ["listen", "tls", "component wxp: role"]);
    assert!(found.settings.is_empty() && found.accounts == AccountsChanged::default());
    assert_eq!(again.tls, base.tls);
}

#[test]
fn which_platforms_there_are_changes_by_a_restart() {
    let base = config(BASE);
    let (served, found) = base.reloaded(config(&BASE.replace("\"wxp\"", "\"wxq\"")));
    assert_eq!(found.needs_restart, ["component wxp", "component wxq"]);
    assert_eq!(served.components[0].appid, "wxp");
    assert!(base.reloaded(config(BASE)).1.is_empty());
    let (served, found) = config("").reloaded(config(BASE));
    assert_eq!(found.needs_restart, ["tls", "store", "component wxp"]);
    assert_eq!(found.settings, ["upstream", "cloud"]);
    assert!(
        served.tls.is_none()
            && served.store.is_none()
            && served.components.is_empty()
            && served.upstream.is_some()
    );
}

#[test]
fn the_pages_name_what_needs_a_restart() {
    let pages = [
        (include_str!("../../../../../docs/operations.md"), "**By a restart only**"),
        (include_str!("../../../../../docs/operations.zh.md"), "**重启后才生效**"),
    ];
    for (page, mark) in pages {
        let (_, rest) = page.split_once(mark).expect("it says so");
        let named: Vec<&str> = rest.lines().next().unwrap().split('`').skip(1).step_by(2).collect();
        let keys = CASES.iter().filter_map(|case| match case.3 {
            AtRestart(name) => Some(name),
            AtOnce(_) | Account(_) => None,
        });
        let all: Vec<&str> = keys.chain(["tls", "component", "role"]).collect();
        assert_eq!(named.iter().collect::<BTreeSet<_>>(), all.iter().collect::<BTreeSet<_>>());
    }
}
