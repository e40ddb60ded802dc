//! The command line, the notes and a whole query against a small server.

use axum::{Router, routing::post};
use clap::Parser;

use super::*;

#[derive(Parser, Debug)]
struct QueryCommandLine {
    #[command(flatten)]
    query: QueryArgs,
}

fn parsed(line: &str) -> Result<QueryArgs, clap::Error> {
    let words = std::iter::once("query").chain(line.split_whitespace());
    QueryCommandLine::try_parse_from(words).map(|line| line.query)
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn no_config(_: &std::path::Path, _: Option<&str>) -> Result<ConfiguredAccount, String> {
    Err("no configuration here".into())
}

async fn serve(answer: &'static str) -> String {
    let token = || async { r#"{"access_token":"T","expires_in":7200}"# };
    let routes = Router::new().route("/cgi-bin/stable_token", post(token));
    let routes = routes.route("/datacube/{name}", post(move || async move { answer }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(IntoFuture::into_future(axum::serve(listener, routes)));
    base
}

async fn asked(line: &str, answer: &'static str) -> Result<String, QueryError> {
    let args = parsed(&format!("{line} --base {}", serve(answer).await)).unwrap();
    let mut out = Vec::new();
    run(args, Lang::En, 80, day("2026-11-22"), &no_config, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

const ROW: &str = r#"{"list":[{"ref_date":"2026-10-01","msg_type":1,"msg_user":7989,"msg_count":42206}]}"#;

#[tokio::test]
async fn rows_come_as_json_csv_or_a_table() {
    let line = "month --from 2026-10 --to 2026-10 --token T";
    assert_eq!(asked(&format!("{line} --json"), ROW).await.unwrap(), format!("{ROW}\n"));
    let csv = asked(&format!("{line} --csv"), ROW).await.unwrap();
    assert_eq!(csv, "ref_date,msg_type,msg_user,msg_count\r\n2026-10-01,1,7989,42206\r\n");
    let table = asked(line, ROW).await.unwrap();
    assert!(table.contains("2026-10") && table.contains("42206"), "{table}");
}

#[tokio::test]
async fn a_file_with_the_secret_or_a_configuration_gives_the_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "the secret\n").unwrap();
    let line =
        format!("day --from 2026-10-01 --to 2026-10-01 --json --appid wx1 --secret-file {}", file.display());
    assert_eq!(asked(&line, r#"{"list":[]}"#).await.unwrap(), "{\"list\":[]}\n");

    let args = parsed("day --from 2026-10-01 --config msgcube.toml --appid wx1 --json").unwrap();
    let base = serve(r#"{"list":[]}"#).await;
    let read = move |path: &std::path::Path, appid: Option<&str>| {
        assert_eq!((path.to_str(), appid), (Some("msgcube.toml"), Some("wx1")));
        Ok(ConfiguredAccount { appid: "wx1".into(), secret: "the secret".into(), base: Some(base.clone()) })
    };
    let mut out = Vec::new();
    run(args, Lang::En, 80, day("2026-10-02"), &read, &mut out).await.unwrap();
    assert_eq!(out, b"{\"list\":[]}\n");
}

#[tokio::test]
async fn errors_end_with_the_next_step() {
    let refusal = r#"{"errcode":61503,"errmsg":"data not ready, please try later rid: 1-2-3"}"#;
    let line = "day --from 2026-10-01 --token T";
    let error = asked(line, refusal).await.unwrap_err().in_lang(Lang::En);
    assert!(
        error.contains("61503 data not ready, please try later rid: 1-2-3\nYesterday's figures"),
        "{error}"
    );
    let early = asked("day --from 2027 --token T", ROW).await.unwrap_err().in_lang(Lang::En);
    assert_eq!(
        early,
        "Nothing to ask for: --from 2027-01-01 lies after 2026-11-21. Choose an earlier --from."
    );
    let missing = asked("day --from 2026 --config x.toml", ROW).await.unwrap_err().in_lang(Lang::Zh);
    assert_eq!(missing, "no configuration here");
}

#[test]
fn the_command_line_names_all_seven_and_refuses_others() {
    for interface in &INTERFACES {
        let args = parsed(&format!("{} --from 2026", interface.short_name)).unwrap();
        assert_eq!((args.interface, args.from), (interface, day("2026-01-01")));
    }
    for line in ["year --from 2026", "day", "day --from 26", "day --from 2026 --json --csv"] {
        assert!(parsed(line).is_err(), "{line}");
    }
    let args = parsed("day --from 2026 --secret hunter2 --token hunter3").unwrap();
    assert!(!format!("{args:?}").contains("hunter"));
}

#[test]
fn an_empty_answer_says_why_that_may_be() {
    let range = AskedRange { begin: day("2014-11-02"), end: day("2014-11-20"), clipped: false };
    let note = |name, lang| empty_note(Interface::by_short_name(name).unwrap(), range, lang);
    let month = note("month", Lang::En);
    assert!(month.contains("named by its 1st") && month.contains("before 2014-12-01"), "{month}");
    assert!(note("distweek", Lang::Zh).contains("周一"));
    assert!(!note("day", Lang::En).contains("Monday"));
}
