//! The error messages of the configuration for common mistakes.

use std::path::Path;

use super::*;

const ACCOUNT: &str =
    "[[account]]\nappid = \"wx0123456789abcdef\"\nsecret = \"s3cr3t-value\"\ntoken = \"t0k3n-value\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc/msgcube/msgcube.toml"), |_| None).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_has_the_documented_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8060");
    assert_eq!(config.data_dir, Path::new("/etc/msgcube/data"));
    assert_eq!(config.data_key_file, Path::new("/etc/msgcube/msgcube.key"));
    assert_eq!((config.callback_max_age_s, config.datacube), (3600, Datacube::default()));
}

#[test]
fn unknown_keys_are_named_with_their_line() {
    let error = parse("listen = \"127.0.0.1:1\"\nlissten = 1\n").unwrap_err();
    assert!(error.contains("line 2") && error.contains("lissten"), "{error}");
    let error = parse(&format!("{ACCOUNT}requre_encryption = true\n")).unwrap_err();
    assert!(error.contains("line 5") && error.contains("requre_encryption"), "{error}");
    let error = parse("[[component]]\nappid = \"wx1\"\ntokken = \"t\"\n").unwrap_err();
    assert!(error.contains("line 3") && error.contains("tokken"), "{error}");
}

#[test]
fn a_port_alone_is_named_with_its_line_and_an_address_that_works() {
    for line in ["listen = 8060", "admin_listen = 8060", "listen = \"8060\""] {
        let error = parse(&format!("memory_mib = 64\n{line}\n")).unwrap_err();
        assert!(error.contains("line 2: 8060 is a port alone: write 127.0.0.1:8060"), "{error}");
    }
    assert_eq!(parse("listen = \"localhost:80\"").unwrap().listen.to_string(), "127.0.0.1:80");
}

#[test]
fn a_shared_store_needs_servers_and_plain_names() {
    let table = |lines: &str| format!("[store]\nkind = \"clickhouse\"\n{lines}\n");
    let whole = table(
        "urls = [\"http://10.0.0.1:8123\"]\nstate = \"postgres://u:s3cr3t-value@h/d\"\npassword = \"p-value\"",
    );
    let config = parse(&whole).unwrap();
    assert!(!format!("{config:?}").contains("-value"));
    let store = config.store.unwrap();
    assert_eq!((store.user.as_str(), store.database.as_str(), store.cluster), ("default", "msgcube", None));
    let urls = "urls = [\"http://10.0.0.1:8123\"]";
    let state = "state = \"postgres://h/d\"";
    for (text, wanted) in [
        ("[store]\nkind = \"mysql\"\nurls = []\n".to_owned(), "store.kind: must be \"clickhouse\""),
        (table(state), "line 1: missing field `urls`"),
        (table(&format!("urls = []\n{state}")), "store.urls: must name 1 to 64 servers"),
        (table(&format!("urls = [\"10.0.0.1\"]\n{state}")), "store.urls: "),
        (table(urls), "store.state: store.state (or store.state_file) is missing"),
        (table(&format!("{urls}\nstate = \"mysql://h\"")), "store.state: must begin with postgres://"),
        (table(&format!("{urls}\n{state}\ndatabase = \"a b\"")), "store.database: must be at most 64"),
        (table(&format!("{urls}\n{state}\ncluster = \"\"")), "store.cluster: must be at most 64"),
        (table(&format!("{urls}\n{state}\nshards = 2")), "shards"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let broken = parse(&format!("{ACCOUNT}encoding_aes_key = \"k3y-value\"\n")).unwrap_err();
    let mistyped = parse("[[account]]\nappid = \"wx1\"\nsecret = [\"s3cr3t-value\"]\n").unwrap_err();
    let shown = format!("{:?}", parse(ACCOUNT).unwrap());
    for text in [broken, mistyped, shown] {
        assert!(!text.contains("-value"), "{text}");
    }
}

#[test]
fn too_many_metrics_are_refused_with_the_limit() {
    assert_eq!(parse("").unwrap().metrics_accounts, 100);
    assert_eq!(parse("metrics_accounts = 0").unwrap().metrics_accounts, 0);
    let error = parse("metrics_accounts = 10001").unwrap_err();
    assert!(error.contains("metrics_accounts: must be 0 to 10000"), "{error}");
}

#[test]
fn values_that_cannot_be_are_refused_with_their_place() {
    let twice = format!("{ACCOUNT}{ACCOUNT}");
    let cases = [
        (twice.as_str(), "exists already"),
        ("data_key_file = \"data/key\"", "must not lie in data_dir"),
        ("public_url = \"wx.example.com\"", "public_url: must begin with http:// or https://"),
        ("public_url = \"https://wx.example.com?a=1\"", "public_url: must end before ?"),
        ("ui_url = \"https://Ui.example.com:443/x\"", "without a path: https://ui.example.com"),
        ("ui_url = \"ftp://ui.example.com\"", "ui_url: must begin with"),
        ("proxies = [\"localhost\"]", "proxies: \"localhost\" is no address"),
        ("[datacube]\nnot_ready_before = \"8:00\"", "08:00"),
        ("[datacube]\ndate_profile = \"loose\"", "loose"),
        ("[[account]]\nappid = \"wx1\"\ntoken = \"t\"", "secret"),
        ("[[account]]\nappid = \"\"\ntoken = \"t\"\nsecret = \"s\"", "appid"),
        (
            "[[account]]\nappid = \"a\"\ntoken = \"t\"\nsecret = \"s\"\nrelay.url = \"http://localhost:8060/x\"",
            "itself",
        ),
        ("[[account]]\nappid = \"a\"\ntoken = \"t\"\nsecret = \"s\"\nrelay.url = \"bot:9000\"", "relay.url"),
        ("[upstream]\nbase = \"http://user:pass@host\"", "upstream.base"),
        ("[upstream]\nuncovered = \"never\"", "never"),
        ("[tls]\ncert = \"c\"", "key"),
        (
            "[[component]]\nappid = \"c\"\nsecret = \"s\"",
            "component 1: token: token (or token_file) is missing",
        ),
        (
            "[[component]]\nappid = \"c\"\ntoken = \"t\"\ntoken_file = \"f\"",
            "component 1: token: give either token or token_file, not both",
        ),
        (
            "[[account]]\nappid = \"a\"\ntoken_previous_file = \"no-such-file\"",
            "account 1: token_previous_file: /etc/msgcube/no-such-file: ",
        ),
        ("[[component]]\nappid = \"c\"\npush_url = \"bot:9000\"", "component 1: push_url"),
        ("[[account]]\nappid = \"a b\"\ntoken = \"t\"\nsecret = \"s\"", "printable"),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
