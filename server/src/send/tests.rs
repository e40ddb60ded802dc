//! `send` against servers that answer one thing each.

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::callback::{AccountKeys, KeySettings, Query, open};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const NOW_S: i64 = 1_800_000_000;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: SendArgs,
}

fn args(line: &str) -> SendArgs {
    let words = line.split_whitespace();
    Line::try_parse_from(std::iter::once("send").chain(words)).unwrap_or_else(|error| panic!("{error}")).args
}

fn config(path: &Path, appid: Option<&str>) -> Result<SendKeys, String> {
    if path != Path::new("x") {
        return Err("no such file".to_owned());
    }
    Ok(SendKeys {
        appid: appid.unwrap_or("wx1").to_owned(),
        original_id: Some("gh_1".to_owned()),
        token: Zeroizing::new("token".to_owned()),
        encoding_aes_key: Some(Zeroizing::new(KEY.to_owned())),
        base: Some("http://127.0.0.1:1".to_owned()),
    })
}

async fn ran(line: &str, lang: Lang) -> Result<(bool, String), SendError> {
    let mut out = Vec::new();
    let accepted = run(&args(line), lang, NOW_S, || 7, config, &mut out).await?;
    Ok((accepted, String::from_utf8(out).unwrap()))
}

/// A server that gives one answer and then is gone; its base address.
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
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess", true, "it is counted", "已计入"),
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
        assert!(error.text(Lang::En).starts_with(en), "{error}");
        let is_our_own = !matches!(error, SendError::Config(_));
        assert_eq!(!error.text(Lang::Zh).is_ascii(), is_our_own, "{error}");
    }
}
