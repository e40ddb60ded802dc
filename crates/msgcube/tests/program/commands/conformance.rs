//! `msgcube conformance` against msgcube, a similar server, and other programs. Also its records, which must hold no
//! secrets.

mod resembling;

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use serde_json::Value;

use crate::{
    commands::scene::{APPID, Ended, Scene, TestResult},
    harness::{Program, SECRET, bulk_line},
};
use resembling::Resembling;

const DIFFERS: i32 = 3;

/// Runs the command. Its output must hold no secret.
fn ask(scene: &Scene, target: &str, more: &[&str]) -> TestResult<Ended> {
    let args = ["conformance", "--target", target, "--appid", APPID];
    let ended = scene.run_with_variable(&[&args[..], more].concat(), "MSGCUBE_SECRET", SECRET)?;
    for hidden in [SECRET, APPID] {
        assert!(!ended.out.contains(hidden) && !ended.err.contains(hidden), "{hidden} in {ended:?}");
    }
    Ok(ended)
}

fn replay(scene: &Scene, file: &str, more: &[&str]) -> TestResult<Ended> {
    scene.run(&[&["conformance", "--replay", file], more].concat())
}

/// The names of the cases with this verdict.
fn case_names(ended: &Ended, verdict: &str) -> TestResult<Vec<String>> {
    let said: Value = serde_json::from_str(&ended.out)?;
    let cases = said["cases"].as_array().ok_or("no cases")?.iter();
    let found = cases.filter(|case| case["verdict"] == verdict);
    Ok(found.map(|case| case["name"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Imports messages of the last seventy days: of two types, two intervals in one hour, and another hour. Yesterday and
/// the day before get conspicuous numbers of users.
async fn feed(scene: &Scene, server: &Program) {
    let line = |user: String, at_s: i64, kind: &str, id: i64| bulk_line(&user, at_s, kind, id.unsigned_abs());
    let now_s = scene.now_s();
    let text =
        |number: i64| line(format!("oUser{number}"), now_s - 86_400 * (1 + number % 2), "text", number);
    let mut lines: String = (0..4_711).map(text).collect();
    let midnight_s = now_s - (now_s + 8 * 3_600).rem_euclid(86_400);
    for day in 1..=70 {
        let (at_s, id) = (midnight_s - day * 86_400 + 3_600, 1_000_000 + day * 10);
        lines += &line("oQuiet".to_owned(), at_s, "voice", id);
        lines += &line("oBusy".to_owned(), at_s, "image", id + 1);
        lines.extend((2..8).map(|n| line("oBusy".to_owned(), at_s + 12 * 3_600, "image", id + n)));
    }
    server.bulk(APPID, lines).await;
}

#[tokio::test]
async fn the_table_in_compatibility_md_is_the_result_for_msgcube() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    let ended = ask(&scene, &server.base, &["--disturb", "--strict", "--markdown"])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../COMPATIBILITY.md");
    let page = std::fs::read_to_string(page)?;
    let (_, after) = page.split_once("<!-- table: conformance -->\n\n").ok_or("the table is marked")?;
    let (table, _) = after.split_once("\n<!-- end -->").ok_or("the end of the table is marked")?;
    assert!(
        table == ended.out,
        "the table in COMPATIBILITY.md is outdated; the text above it says how it is made. The new table:\n{}",
        ended.out
    );
    Ok(())
}

#[tokio::test]
async fn a_replayed_record_gives_the_same_result_as_its_server_and_holds_no_secrets_or_figures()
-> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    let (blank, kept) = (scene.path("blank.json"), scene.path("kept.json"));
    let live = ask(&scene, &server.base, &["--disturb", "--strict", "--record", &blank])?;
    assert_eq!(live.status, 0, "{live:?}");
    assert!(live.out.contains("rows") && live.out.contains("115 same"), "{}", live.out);
    let again = replay(&scene, &blank, &["--strict"])?;
    assert_eq!(again.status, 0, "{again:?}");
    let without_server = |text: &str| text.split_once('\n').map(|(_, table)| table.to_owned());
    assert_eq!(without_server(&live.out), without_server(&again.out));
    assert!(again.out.starts_with("another server  "), "{}", again.out);

    let kept_figures = ask(&scene, &server.base, &["--record", &kept, "--keep-figures"])?;
    assert_eq!(kept_figures.status, 0, "{kept_figures:?}");
    let (blank, kept) = (std::fs::read_to_string(blank)?, std::fs::read_to_string(kept)?);
    let host = server.base.trim_start_matches("http://");
    for text in [&blank, &kept] {
        for hidden in [SECRET, APPID, host, "mc_"] {
            assert!(!text.contains(hidden), "a record contains {hidden}");
        }
    }
    // With the colon and the end of a JSON number: times and request ids may contain the same digits.
    for figure in [":2355,", ":2356}"] {
        assert!(kept.contains(figure) && !blank.contains(figure), "{figure}");
    }
    Ok(())
}

#[test]
fn missing_rows_are_not_reported_as_seen_live_or_in_a_record() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let file = scene.path("empty.json");
    let live = ask(&scene, &server.base, &["--json", "--record", &file])?;
    assert_eq!(live.status, DIFFERS, "{live:?}");
    let unseen = case_names(&live, "prevented")?;
    let is_of_rows = |name: &&String| name.starts_with("getupstreammsg") || name.contains(" ascend, then ");
    assert_eq!((unseen.len(), unseen.iter().filter(is_of_rows).count()), (10, 10), "{unseen:?}");
    assert_eq!(case_names(&live, "differs")?, [""; 0]);
    let same = case_names(&live, "same")?;
    for needs_none in ["getupstreammsg: 7 days", "JSON in chunks", "days without a Monday hold no week"] {
        assert!(same.iter().any(|name| name == needs_none), "{needs_none}");
    }
    let again = replay(&scene, &file, &["--json"])?;
    assert_eq!((again.status, case_names(&again, "prevented")?), (DIFFERS, unseen));
    for (lang, expected) in [
        (
            "en",
            ["10 could not be tested", "no rows came", "Not all of it could be tested.", "`msgcube demo`"],
        ),
        ("zh", ["10 项无法判断", "没有数据行", "未能看到全部结果。", "`msgcube demo`"]),
    ] {
        let shown = replay(&scene, &file, &["--lang", lang])?;
        assert!(expected.iter().all(|words| shown.out.contains(words)), "{expected:?} in {}", shown.out);
        assert!(!shown.out.contains("It agrees with the interface"), "{}", shown.out);
    }
    Ok(())
}

#[test]
fn the_number_of_cases_and_calls_is_announced_first() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let gentle = ask(&scene, &server.base, &["--json"])?;
    let not_asked = case_names(&gentle, "not_asked_disturbs")?.len();
    let said = format!("{} of 115 cases in ", 115 - not_asked);
    assert!(not_asked > 0 && gentle.err.contains(&said), "{said} in {}", gentle.err);
    for expected in ["use up the day's quota", "tokens are asked for", "Nothing else is changed"] {
        assert!(gentle.err.contains(expected), "{expected} in {}", gentle.err);
    }
    let all = ask(&scene, &server.base, &["--json", "--disturb", "--lang", "zh"])?;
    assert!(all.err.contains("115 项中的 115 项") && all.err.contains("消耗当日额度"), "{}", all.err);
    Ok(())
}

#[test]
fn contributed_records_give_the_same_result_as_when_they_were_made() -> TestResult<()> {
    let scene = Scene::new()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conformance");
    let mut seen = 0;
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let record: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let path = path.display().to_string();
        let ended = replay(&scene, &path, &["--json"])?;
        assert_eq!(ended.err, "", "{path}");
        let differs: Vec<String> = serde_json::from_value(record["differs"].clone())?;
        assert_eq!(case_names(&ended, "differs")?, differs, "{path}");
        let recorded = record["cases"].as_array().map_or(0, Vec::len);
        let judged =
            case_names(&ended, "same")?.len() + case_names(&ended, "prevented")?.len() + differs.len();
        assert_eq!(judged, recorded, "{path}: a case has changed under its name");
        seen += 1;
    }
    assert!(seen > 0, "there is at least msgcube's own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_differences_of_a_similar_server_are_reported() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = Resembling::serve().await?;
    let file = scene.path("wrong.json");
    let json = ["--json", "--disturb", "--record", &file];
    let ended = ask(&scene, &server.base, &json)?;
    assert_eq!(ended.status, DIFFERS, "{ended:?}");
    let differs = case_names(&ended, "differs")?;
    for (name, why) in Resembling::DIFFERENCES {
        assert!(differs.iter().any(|differing| differing == name), "{name}: {why}; {differs:#?}");
    }
    for name in Resembling::AGREEMENTS {
        assert!(case_names(&ended, "same")?.iter().any(|same| same == name), "{name}; {differs:#?}");
    }
    for name in Resembling::PREVENTED {
        assert!(case_names(&ended, "prevented")?.iter().any(|prevented| prevented == name), "{name}");
    }
    let again = replay(&scene, &file, &["--json"])?;
    assert_eq!((again.status, case_names(&again, "differs")?), (DIFFERS, differs));
    // Its answers repeat the request.
    let record = std::fs::read_to_string(&file)?;
    assert!(record.contains("TOKEN-1-") && !record.contains(SECRET) && !record.contains(resembling::TOKEN));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_explained_in_both_languages() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = Resembling::serve().await?;
    let ended = ask(&scene, &server.base, &[])?;
    assert_eq!(ended.status, DIFFERS, "{ended:?}");
    for expected in [
        "✗ getupstreammsg: 8 days (documented)",
        "> POST /datacube/getupstreammsg?access_token=TOKEN-1",
        "→ no errcode, as an integer, where 61501 is expected",
        "→ row 1: msg_user is \"9\"",
        "--disturb",
        "It differs from the interface.",
    ] {
        assert!(ended.out.contains(expected), "{expected}: {}", ended.out);
    }
    let zh = ask(&scene, &server.base, &["--lang", "zh"])?;
    for expected in ["✗ getupstreammsg：8 天 (有文档)", "→ 没有整数 errcode，应为 61501", "与该接口不一致。"]
    {
        assert!(zh.out.contains(expected), "{expected}: {}", zh.out);
    }
    Ok(())
}

#[tokio::test]
async fn with_only_a_token_the_cases_that_need_the_secret_are_left_out() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    let args = ["conformance", "--json", "--target", &server.base];
    let wrong = scene.run_with_variable(&args, "MSGCUBE_ACCESS_TOKEN", "of-nobody")?;
    assert_eq!((wrong.status, wrong.out.as_str()), (1, ""), "{wrong:?}");
    assert!(wrong.err.contains("40001") && !wrong.err.contains("of-nobody"), "{wrong:?}");

    let body = format!(r#"{{"grant_type":"client_credential","appid":"{APPID}","secret":"{SECRET}"}}"#);
    let url = format!("{}/cgi-bin/stable_token", server.base);
    let answer = crate::harness::client().post(url).body(body).send().await?.bytes().await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let token = answer["access_token"].as_str().ok_or("no token")?;
    let ended = scene.run_with_variable(&args, "MSGCUBE_ACCESS_TOKEN", token)?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!ended.out.contains(token) && !ended.err.contains(token));
    let left_out = case_names(&ended, "not_asked_needs_secret")?;
    assert!(left_out.contains(&"stable_token: a wrong secret".to_owned()), "{left_out:?}");
    assert!(case_names(&ended, "same")?.len() > 90);
    Ok(())
}

/// A server that sends this text to every client and closes the connection.
fn server_that_sends(text: &'static str) -> TestResult<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = stream.write_all(text.as_bytes());
        }
    });
    Ok(address)
}

#[test]
fn a_server_without_the_interfaces_is_recognised_and_the_error_says_what_to_do() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let closed_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let html =
        server_that_sends("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<h1>not here</h1>")?;
    let moved = server_that_sends(
        "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/?secret=0123456789abcdef0123456789abcdef\r\n\r\n",
    )?;
    let ssh = server_that_sends("SSH-2.0-x\r\n\r\n")?;
    let silent = server_that_sends("")?;
    let below = format!("{}/datacube", server.base);
    let encrypted = server.base.replace("http://", "https://");
    for (target, expected, zh) in [
        (format!("http://{closed_port}"), ["is refused", "whether the server runs"], "连接被拒绝"),
        ("http://name.invalid".to_owned(), ["cannot be resolved", "Check the name"], "无法解析"),
        (
            format!("http://{html}"),
            ["404, text/html: <h1>not here</h1>", "in front of /cgi-bin"],
            "应答的不是该接口",
        ),
        (format!("http://{moved}"), ["301", "redirects to https://elsewhere.example/, which"], "重定向"),
        (format!("http://{ssh}"), ["not HTTP", "give https://"], "不是 HTTP"),
        (format!("http://{silent}"), ["closed without an answer", "give https://"], "连接被关闭"),
        (below, ["404", "in front of /cgi-bin"], "404"),
        (encrypted, ["no TLS", "give http://"], "TLS 握手失败"),
    ] {
        let ended = ask(&scene, &target, &[])?;
        assert_eq!((ended.status, ended.out.as_str()), (1, ""), "{ended:?}");
        assert!(expected.iter().all(|words| ended.err.contains(words)), "{expected:?} in {ended:?}");
        let ended = ask(&scene, &target, &["--lang", "zh"])?;
        assert!(ended.err.contains(zh), "{zh} in {ended:?}");
    }
    Ok(())
}

#[test]
fn if_the_server_goes_down_the_results_so_far_are_shown_and_recorded() -> TestResult<()> {
    let scene = Scene::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let target = format!("http://{}", listener.local_addr()?);
    // The server gives a token and one answer, then it is down.
    std::thread::spawn(move || {
        for body in [
            r#"{"access_token":"T0000000","expires_in":7200}"#,
            r#"{"errcode":41002,"errmsg":"appid missing"}"#,
        ] {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes());
        }
    });
    let file = scene.path("half.json");
    let ended = ask(&scene, &target, &["--json", "--record", &file])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("is refused"), "{ended:?}");
    assert_eq!(case_names(&ended, "same")?, ["token: without appid"]);
    assert!(case_names(&ended, "broken_off")?.len() > 100);
    let again = replay(&scene, &file, &["--json"])?;
    assert_eq!(case_names(&again, "same")?, ["token: without appid"]);
    Ok(())
}

#[test]
fn wrong_credentials_and_files_are_reported_before_the_first_case() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let (base, other) = (server.base.as_str(), scene.write("other", b"{\"format\":2}")?);
    let wrong_file = scene.write("wrong", b"not-the-secret\n")?;
    let here = ["conformance", "--target", base, "--appid", APPID];
    for (args, expected) in [
        (&[&here[..], &["--secret-file", &wrong_file]].concat()[..], "40125 invalid appsecret"),
        (&[&here[..], &["--secret-file", "/nowhere/secret"]].concat(), "/nowhere/secret: "),
        (&here[..], "No credentials"),
        (&["conformance", "--appid", APPID, "--secret-file", &wrong_file], "give --server"),
        (
            &[&here[..], &["--secret-file", &wrong_file, "--record", "/nowhere/r.json"]].concat(),
            "/nowhere/r.json: ",
        ),
        (&[&here[..], &["--secret-file", &wrong_file, "--ca", &other]].concat(), "BEGIN CERTIFICATE"),
        (&["conformance", "--replay", &other], "it has format 2, and this version reads 1"),
        (&["conformance", "--replay", &wrong_file], "it is not a record"),
    ] {
        let ended = scene.run(args)?;
        assert_eq!((ended.status, ended.out.as_str()), (1, ""), "{ended:?}");
        assert!(ended.err.contains(expected), "{expected} in {ended:?}");
        assert!(!ended.err.contains("not-the-secret"), "{ended:?}");
    }
    for args in
        [&["--replay", "x", "--target", base][..], &["--target", "127.0.0.1:80"], &["--json", "--markdown"]]
    {
        assert_eq!(scene.run(&[&["conformance"], args].concat())?.status, 2, "{args:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_with_a_private_certificate_is_reached_with_its_authority() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    server.terminate();
    let made = scene.run(&["tls", "ca", "--host", "localhost"])?;
    assert_eq!(made.status, 0, "{made:?}");
    scene.append_top("[tls]\ncert = \"tls/server.pem\"\nkey = \"tls/server.key\"\n")?;
    let server = scene.serve()?;
    let target = server.base.replace("127.0.0.1", "localhost");
    let ended = ask(&scene, &target, &[])?;
    assert!(ended.status == 1 && ended.err.contains("--ca FILE"), "{ended:?}");
    let ended = ask(&scene, &target, &["--ca", &scene.path("tls/ca.pem")])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    Ok(())
}
