//! `send` against small servers with fixed answers.

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wechat::callback::{AccountKeys, KeySettings, Query, open, open_platform_message};

use super::*;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const NOW_S: i64 = 1_800_000_000;

#[derive(Parser)]
struct SendCommandLine {
    #[command(flatten)]
    args: SendArgs,
}

fn args(line: &str) -> SendArgs {
    let words = line.split_whitespace();
    SendCommandLine::try_parse_from(std::iter::once("send").chain(words))
        .unwrap_or_else(|error| panic!("{error}"))
        .args
}

/// A configuration by its name. No server answers at its address.
fn config(path: &Path) -> Result<Config, String> {
    let account = |appid: &str| {
        format!(
            "[[account]]\nappid = \"{appid}\"\noriginal_id = \"gh_1\"\nsecret = \"s\"\ntoken = \"token\"\nencoding_aes_key = \"{KEY}\"\n"
        )
    };
    let platform = |appid: &str, role: &str| {
        format!(
            "[[component]]\nappid = \"{appid}\"\nrole = \"{role}\"\nsecret = \"s\"\ntoken = \"platformToken\"\nencoding_aes_key = \"{KEY}\"\n"
        )
    };
    let accounts = match path.to_str() {
        Some("x") => account("wx1"),
        Some("two") => account("wx1") + &account("wx2") + &platform("wxS", "serve"),
        Some("platform") => platform("wxC", "receive"),
        Some("both") => platform("wxC", "receive") + &account("wxA"),
        Some("keyed") => "admin_key = \"k\"\n".to_owned() + &account("wx1"),
        Some("encrypted") => account("wx1") + "require_encryption = true\n",
        Some("empty") => String::new(),
        _ => return Err("no such file".to_owned()),
    };
    Config::parse(&format!("listen = \"127.0.0.1:1\"\n{accounts}"), path, |_| None)
        .map_err(|error| error.to_string())
}

async fn ran(line: &str, lang: Lang) -> Result<(bool, String), SendError> {
    let mut out = Vec::new();
    let accepted = run(&args(line), lang, NOW_S, || 7, config, &mut out).await?;
    Ok((accepted, String::from_utf8(out).unwrap()))
}

/// Starts a server that gives one answer and stops. Returns its base URL.
async fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    base
}

/// Starts a server that gives these answers, one for each connection. Returns its base URL and the beginning of each
/// request.
async fn answering(answers: Vec<String>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (heard, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for body in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            heard.send(String::from_utf8_lossy(&request[..length.min(40)]).into_owned()).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    (base, requests)
}

fn figures(messages: u64) -> String {
    format!(
        r#"{{"rows":[{{"type":"text","messages":{messages}}},{{"type":"image","messages":{}}}]}}"#,
        messages * 7
    )
}

#[tokio::test]
async fn only_one_message_more_is_known_to_be_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k\n").unwrap();
    for (after, counted, is_well, said) in [
        (3, serde_json::json!(false), false, "It is NOT counted"),
        (4, serde_json::json!(true), true, "It is counted"),
        (5, serde_json::Value::Null, true, "Other messages came"),
        (0, serde_json::Value::Null, true, "Other messages came"),
    ] {
        for json in ["", "--json"] {
            let shown = r#"{"require_encryption":false}"#.to_owned();
            let (base, _requests) =
                answering(vec![shown, figures(3), "success".to_owned(), figures(after)]).await;
            let line = format!("--config x --base {base} --admin-key-file {} {json}", key.display());
            let (ran_well, printed) = ran(&line, Lang::En).await.unwrap();
            assert_eq!(ran_well, is_well, "{printed}");
            match serde_json::from_str::<serde_json::Value>(&printed) {
                Ok(object) => assert_eq!(object["counted"], counted, "{printed}"),
                Err(_) => assert!(
                    printed.contains(said) && printed.contains(&format!("3 before, {after} after")),
                    "{printed}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn the_figures_are_asked_of_the_server_that_gets_the_callback() {
    let (base, mut requests) = answering(vec![figures(3), "success".to_owned(), figures(4)]).await;
    let (_, printed) = ran(&format!("--config keyed --safe --base {base}"), Lang::En).await.unwrap();
    for beginning in ["GET /v1/accounts/wx1/stats?", "POST /callback/wx1?", "GET /v1/accounts/wx1/stats?"] {
        assert!(requests.recv().await.unwrap().starts_with(beginning));
    }
    assert!(printed.contains(&base) && printed.contains("3 before, 4 after"), "{printed}");
}

#[test]
fn the_configurations_admin_key_goes_to_its_own_server_and_this_machine_only() {
    let config = config(Path::new("keyed")).unwrap();
    let asked = |line: &str| {
        let args = args(&format!("--config keyed {line}"));
        let target = CallbackTarget::find(&args, Some(&config)).unwrap();
        let figures = figures::find(&args, Some(&config), &target, NOW_S).unwrap();
        figures.map(|figures| figures.server())
    };
    assert_eq!(asked("").as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(asked("--base http://127.0.0.1:1/").as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(asked("--base http://localhost:9").as_deref(), Some("http://localhost:9"));
    assert_eq!(asked("--url http://[::1]:9/callback/wx1").as_deref(), Some("http://[::1]:9"));
    for elsewhere in ["--base https://wx.example.com", "--url http://192.0.2.1/callback/wx1"] {
        assert_eq!(asked(elsewhere), None, "{elsewhere}");
    }
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k\n").unwrap();
    let given = format!("--base https://wx.example.com --admin-key-file {}", key.display());
    assert_eq!(asked(&given).as_deref(), Some("https://wx.example.com"));
}

#[tokio::test]
async fn a_plain_callback_that_would_make_a_gap_is_sent_only_if_forced() {
    for lang in [Lang::En, Lang::Zh] {
        let error = ran("--config encrypted", lang).await.unwrap_err();
        let text = error.in_lang(lang);
        assert!(text.contains("require_encryption") && text.contains("--force"), "{text}");
    }
    let (base, mut requests) = answering(vec!["success".to_owned(), "success".to_owned()]).await;
    for allowed in ["--force", "--safe"] {
        ran(&format!("--config encrypted --base {base} {allowed}"), Lang::En).await.unwrap();
        assert!(requests.recv().await.unwrap().starts_with("POST /callback/wx1?"));
    }
    // An account added at run time is in no configuration, so the server is asked.
    let (base, mut requests) = answering(vec![r#"{"require_encryption":true}"#.to_owned()]).await;
    let error = ran(&format!("--config keyed --base {base}"), Lang::En).await.unwrap_err();
    assert!(matches!(error, SendError::RequiresEncryption), "{error}");
    assert!(requests.recv().await.unwrap().starts_with("GET /v1/accounts/wx1 "));
}

#[tokio::test]
async fn what_is_sent_opens_with_the_same_keys() {
    let settings = KeySettings {
        appid: "wx1",
        original_id: Some("gh_1"),
        token: "token",
        encoding_aes_key: Some(KEY),
        ..KeySettings::default()
    };
    let keys = AccountKeys::new(&settings).unwrap();
    for kind in Kind::ALL {
        for mode in ["", "--safe"] {
            let line = format!("--config x --dry-run --json --from u --type {} {mode}", kind.name());
            let (_, printed) = ran(&line, Lang::En).await.unwrap();
            let request: serde_json::Value = serde_json::from_str(&printed).unwrap();
            let (address, query) = request["url"].as_str().unwrap().split_once('?').unwrap();
            assert_eq!(address, "http://127.0.0.1:1/callback/wx1");
            let body = request["body"].as_str().unwrap().as_bytes();
            let message = open(&keys, &Query::parse(query), body, NOW_S, Some(1)).unwrap();
            assert_eq!((message.kind(), message.create_time, &*message.user), (kind, NOW_S, "u"));
        }
    }
}

#[tokio::test]
async fn a_dry_run_prints_a_command_that_a_shell_understands() {
    let line =
        "--config x --dry-run --text it's --create-time -5 --msg-id 18446744073709551615 --url http://h/c";
    let (accepted, printed) = ran(line, Lang::En).await.unwrap();
    assert!(accepted && printed.starts_with("curl -sS -H 'Content-Type: text/xml' --data-binary '<xml>"));
    assert!(
        printed.contains(r"<![CDATA[it'\''s]]>") && printed.contains(" 'http://h/c?signature="),
        "{printed}"
    );
    assert!(
        printed.contains("<CreateTime>-5<") && printed.contains("<MsgId>18446744073709551615<"),
        "{printed}"
    );
}

#[tokio::test]
async fn each_answer_is_explained_with_its_next_step() {
    for (answer, accepted, en, zh) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess",
            true,
            "does not prove that it is counted",
            "不能证明消息已计入",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<xml>", true, "relay target", "转发目标"),
        ("HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nwho", false, "MSGCUBE_CALLBACK_TOKEN", "签名错误"),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false, "check the appid", "检查 appid"),
        ("HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nold", false, "not counted", "不计入"),
        ("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", false, "see its log", "查看日志"),
        ("", false, "No answer", "没有回复"),
    ] {
        for (lang, meaning) in [(Lang::En, en), (Lang::Zh, zh)] {
            let line = format!("--config x --base {}/", server(answer).await);
            let (was_accepted, printed) = ran(&line, lang).await.unwrap();
            assert_eq!(was_accepted, accepted, "{printed}");
            assert!(printed.contains(meaning) && printed.contains("(0 ms)"), "{printed}");
        }
    }
}

/// Opens the message of a dry run with the platform's keys. Returns the address and `ToUserName`.
async fn opened_through(line: &str) -> (String, String) {
    let (_, printed) = ran(&format!("{line} --dry-run --json"), Lang::En).await.unwrap();
    let request: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let (address, query) = request["url"].as_str().unwrap().split_once('?').unwrap();
    let settings = KeySettings {
        appid: "wxC",
        token: "platformToken",
        encoding_aes_key: Some(KEY),
        require_encryption: true,
        ..KeySettings::default()
    };
    let keys = AccountKeys::new(&settings).unwrap();
    let body = request["body"].as_str().unwrap().as_bytes();
    let (_, to_user) = open_platform_message(&keys, &Query::parse(query), body).unwrap();
    (address.to_owned(), to_user.into())
}

#[tokio::test]
async fn an_account_of_a_platform_is_sent_to_with_the_platforms_keys_and_its_own_name() {
    let address = "http://127.0.0.1:1/component/wxC/callback/wxA";
    for (line, base) in [
        ("--config platform --component wxC --appid wxA --to gh_7", None),
        ("--config platform --url http://h/p/component/wxC/callback/wxA --to gh_7", Some("http://h/p")),
        ("--token platformToken --component wxC --appid wxA --to gh_7 --encoding-aes-key", None),
        (
            "--token platformToken --url http://h/component/wxC/callback/wxA --appid wxC --to gh_7 --safe --encoding-aes-key",
            Some("http://h"),
        ),
    ] {
        let line = if line.ends_with("key") {
            format!("{line} {KEY} --base http://127.0.0.1:1")
        } else {
            line.to_owned()
        };
        let line = if line.contains("--url") { line.replace("--base http://127.0.0.1:1", "") } else { line };
        let expected = base.map_or(address.to_owned(), |base| format!("{base}/component/wxC/callback/wxA"));
        assert_eq!(opened_through(&line).await, (expected, "gh_7".to_owned()), "{line}");
    }
    let of_operator = opened_through("--config both --component wxC --appid wxA").await;
    assert_eq!(of_operator, (address.to_owned(), "gh_1".to_owned()), "original_id of the configuration");
}

#[tokio::test]
async fn nothing_is_made_up_for_an_account_of_a_platform() {
    for line in [
        "--config platform --component wxC --appid wxA",
        "--config platform --dry-run --url http://h/component/wxC/callback/wxA",
        "--token t --safe --url http://h/component/wxC/callback/wxA --appid wxC",
    ] {
        let error = ran(&format!("{line} --encoding-aes-key {KEY}"), Lang::En).await.unwrap_err();
        assert!(matches!(error, SendError::NoToUser), "{line}: {error}");
        for (lang, words) in
            [(Lang::En, ["--to gh_", "first ToUserName"]), (Lang::Zh, ["--to gh_", "第一个 ToUserName"])]
        {
            assert!(words.iter().all(|word| error.in_lang(lang).contains(word)), "{}", error.in_lang(lang));
        }
    }
}

#[tokio::test]
async fn what_the_configuration_has_instead_is_named() {
    for (line, en) in [
        ("--config two", "say which account with --appid; the configuration has the accounts wx1, wx2"),
        ("--config platform", "the configuration has the platform wxC, for whose accounts: --component wxC"),
        ("--config empty", "the configuration has neither an [[account]] nor a [[component]]"),
        ("--config both --appid wxB", "no account wxB; it has the accounts wxA; the platform wxC"),
        (
            "--config two --component wxS --appid wxA",
            "no platform wxS with role = \"receive\"; it has the accounts",
        ),
        ("--config platform --component wxC --to gh_7", "no account: pass --appid"),
    ] {
        let error = ran(line, Lang::En).await.unwrap_err();
        assert!(error.in_lang(Lang::En).contains(en), "{error}");
        assert!(!error.in_lang(Lang::Zh).is_ascii(), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_such() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (accepted, printed) = ran(&format!("--config x --base http://{gone}"), Lang::En).await.unwrap();
    assert!(!accepted && printed.contains("msgcube serve"), "{printed}");
    let line = format!("--config x --json --base http://{gone}");
    let answer: serde_json::Value = serde_json::from_str(&ran(&line, Lang::Zh).await.unwrap().1).unwrap();
    assert_eq!((&answer["accepted"], &answer["status"]), (&false.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn what_is_missing_is_named_in_both_languages() {
    for (line, en) in [
        ("--appid wx1", "no token"),
        ("--config other", "no such file"),
        ("--token t", "no account"),
        ("--token t --appid wx1 --safe", "--safe needs a key"),
        ("--token t --appid wx1 --safe --encoding-aes-key abc", "encoding_aes_key: 3 characters"),
    ] {
        let error = ran(line, Lang::En).await.unwrap_err();
        assert!(error.in_lang(Lang::En).starts_with(en), "{error}");
        let is_our_own = !matches!(error, SendError::Config(_));
        assert_eq!(!error.in_lang(Lang::Zh).is_ascii(), is_our_own, "{error}");
    }
}
