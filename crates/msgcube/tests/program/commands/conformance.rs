//! `msgcube conformance`: what it says of msgcube, of a server that only resembles it, and of what is none; its records, and
//! that they hold no secret.

mod resembling;

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use serde_json::Value;

use crate::{
    commands::scene::{APPID, Ended, Outcome, Scene},
    harness::{Program, SECRET, bulk_line},
};
use resembling::Resembling;

const DIFFERS: i32 = 3;

/// Its output, in which no secret may stand.
fn asked(scene: &Scene, target: &str, more: &[&str]) -> Outcome<Ended> {
    let args = ["conformance", "--target", target, "--appid", APPID];
    let ended = scene.run_with_variable(&[&args[..], more].concat(), "MSGCUBE_SECRET", SECRET)?;
    for hidden in [SECRET, APPID] {
        assert!(!ended.out.contains(hidden) && !ended.err.contains(hidden), "{hidden} in {ended:?}");
    }
    Ok(ended)
}

fn replayed(scene: &Scene, file: &str, more: &[&str]) -> Outcome<Ended> {
    scene.run(&[&["conformance", "--replay", file], more].concat())
}

/// The names of the cases with this verdict.
fn names(ended: &Ended, verdict: &str) -> Outcome<Vec<String>> {
    let said: Value = serde_json::from_str(&ended.out)?;
    let cases = said["cases"].as_array().ok_or("no cases")?.iter();
    let found = cases.filter(|case| case["verdict"] == verdict);
    Ok(found.map(|case| case["name"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Messages of yesterday and the day before, by numbers of users that stand out, and of each of the seventy days before
/// today a few more: of two types and two intervals in one hour, and in another hour.
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
async fn the_table_of_compatibility_md_is_what_the_kit_says_of_msgcube() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    let ended = asked(&scene, &server.base, &["--disturb", "--strict", "--markdown"])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../COMPATIBILITY.md");
    let page = std::fs::read_to_string(page)?;
    let (_, after) = page.split_once("<!-- table: conformance -->\n\n").ok_or("the table is marked")?;
    let (table, _) = after.split_once("\n<!-- end -->").ok_or("the table's end is marked")?;
    assert!(
        table == ended.out,
        "COMPATIBILITY.md says above its table how it is made. Now it would be:\n{}",
        ended.out
    );
    Ok(())
}

#[tokio::test]
async fn a_record_is_judged_as_its_server_was_and_holds_no_secret_and_no_figures() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    let (blank, kept) = (scene.path("blank.json"), scene.path("kept.json"));
    let live = asked(&scene, &server.base, &["--disturb", "--strict", "--record", &blank])?;
    assert_eq!(live.status, 0, "{live:?}");
    assert!(live.out.contains("rows") && live.out.contains("115 same"), "{}", live.out);
    let again = replayed(&scene, &blank, &["--strict"])?;
    assert_eq!(again.status, 0, "{again:?}");
    let without_server = |text: &str| text.split_once('\n').map(|(_, table)| table.to_owned());
    assert_eq!(without_server(&live.out), without_server(&again.out));
    assert!(again.out.starts_with("another server  "), "{}", again.out);

    let kept_figures = asked(&scene, &server.base, &["--record", &kept, "--keep-figures"])?;
    assert_eq!(kept_figures.status, 0, "{kept_figures:?}");
    let (blank, kept) = (std::fs::read_to_string(blank)?, std::fs::read_to_string(kept)?);
    let host = server.base.trim_start_matches("http://");
    for text in [&blank, &kept] {
        for hidden in [SECRET, APPID, host, "mc_"] {
            assert!(!text.contains(hidden), "{hidden} stands in a record");
        }
    }
    for figure in ["2355", "2356"] {
        assert!(kept.contains(figure) && !blank.contains(figure), "{figure}");
    }
    Ok(())
}

#[test]
fn rows_that_never_came_are_not_taken_for_seen_live_or_in_a_record() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let file = scene.path("empty.json");
    let live = asked(&scene, &server.base, &["--json", "--record", &file])?;
    assert_eq!(live.status, DIFFERS, "{live:?}");
    let unseen = names(&live, "prevented")?;
    let is_of_rows = |name: &&String| name.starts_with("getupstreammsg") || name.contains(" ascend, then ");
    assert_eq!((unseen.len(), unseen.iter().filter(is_of_rows).count()), (10, 10), "{unseen:?}");
    assert_eq!(names(&live, "differs")?, [""; 0]);
    let same = names(&live, "same")?;
    for needs_none in ["getupstreammsg: 7 days", "JSON in chunks", "days without a Monday hold no week"] {
        assert!(same.iter().any(|name| name == needs_none), "{needs_none}");
    }
    let again = replayed(&scene, &file, &["--json"])?;
    assert_eq!((again.status, names(&again, "prevented")?), (DIFFERS, unseen));
    for (lang, expected) in [
        ("en", ["10 could not be seen", "no row came", "Not all of it could be seen.", "`msgcube demo`"]),
        ("zh", ["10 项无法判断", "没有数据行", "未能看到全部结果。", "`msgcube demo`"]),
    ] {
        let shown = replayed(&scene, &file, &["--lang", lang])?;
        assert!(expected.iter().all(|words| shown.out.contains(words)), "{expected:?} in {}", shown.out);
        assert!(!shown.out.contains("It is the interface"), "{}", shown.out);
    }
    Ok(())
}

#[test]
fn what_it_costs_is_said_beforehand_in_cases_and_in_calls() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let gentle = asked(&scene, &server.base, &["--json"])?;
    let not_asked = names(&gentle, "not_asked_disturbs")?.len();
    let said = format!("{} of 115 cases in ", 115 - not_asked);
    assert!(not_asked > 0 && gentle.err.contains(&said), "{said} in {}", gentle.err);
    for expected in ["use up the day's quota", "tokens are asked for", "Nothing else is changed"] {
        assert!(gentle.err.contains(expected), "{expected} in {}", gentle.err);
    }
    let all = asked(&scene, &server.base, &["--json", "--disturb", "--lang", "zh"])?;
    assert!(all.err.contains("115 项中的 115 项") && all.err.contains("消耗当日额度"), "{}", all.err);
    Ok(())
}

#[test]
fn records_that_were_sent_in_are_judged_as_when_they_were_made() -> Outcome<()> {
    let scene = Scene::new()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conformance");
    let mut seen = 0;
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let record: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let path = path.display().to_string();
        let ended = replayed(&scene, &path, &["--json"])?;
        assert_eq!(ended.err, "", "{path}");
        let differs: Vec<String> = serde_json::from_value(record["differs"].clone())?;
        assert_eq!(names(&ended, "differs")?, differs, "{path}");
        let recorded = record["cases"].as_array().map_or(0, Vec::len);
        let judged = names(&ended, "same")?.len() + names(&ended, "prevented")?.len() + differs.len();
        assert_eq!(judged, recorded, "{path}: a case has changed under its name");
        seen += 1;
    }
    assert!(seen > 0, "there is at least msgcube's own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_resembles_it_differs_where_it_does_and_nowhere_else() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = Resembling::serve().await?;
    let file = scene.path("wrong.json");
    let json = ["--json", "--disturb", "--record", &file];
    let ended = asked(&scene, &server.base, &json)?;
    assert_eq!(ended.status, DIFFERS, "{ended:?}");
    let differs = names(&ended, "differs")?;
    for (name, why) in Resembling::DIFFERENCES {
        assert!(differs.iter().any(|differing| differing == name), "{name}: {why}; {differs:#?}");
    }
    for name in Resembling::AGREEMENTS {
        assert!(names(&ended, "same")?.iter().any(|same| same == name), "{name}; {differs:#?}");
    }
    for name in Resembling::PREVENTED {
        assert!(names(&ended, "prevented")?.iter().any(|prevented| prevented == name), "{name}");
    }
    let again = replayed(&scene, &file, &["--json"])?;
    assert_eq!((again.status, names(&again, "differs")?), (DIFFERS, differs));
    // It repeats what it was sent.
    let record = std::fs::read_to_string(&file)?;
    assert!(record.contains("TOKEN-1-") && !record.contains(SECRET) && !record.contains(resembling::TOKEN));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_are_explained_in_either_language() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = Resembling::serve().await?;
    let ended = asked(&scene, &server.base, &[])?;
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
    let zh = asked(&scene, &server.base, &["--lang", "zh"])?;
    for expected in ["✗ getupstreammsg：8 天 (有文档)", "→ 没有整数 errcode，应为 61501", "与该接口不一致。"]
    {
        assert!(zh.out.contains(expected), "{expected}: {}", zh.out);
    }
    Ok(())
}

#[tokio::test]
async fn a_token_alone_leaves_out_what_needs_the_secret() -> Outcome<()> {
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
    let left_out = names(&ended, "not_asked_needs_secret")?;
    assert!(left_out.contains(&"stable_token: a wrong secret".to_owned()), "{left_out:?}");
    assert!(names(&ended, "same")?.len() > 90);
    Ok(())
}

/// A server that says this to everybody and closes.
fn saying(text: &'static str) -> Outcome<SocketAddr> {
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
fn what_is_no_server_of_the_interface_is_told_apart_with_the_next_step() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let html = saying("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<h1>not here</h1>")?;
    let moved = saying(
        "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/?secret=0123456789abcdef0123456789abcdef\r\n\r\n",
    )?;
    let ssh = saying("SSH-2.0-x\r\n\r\n")?;
    let silent = saying("")?;
    let below = format!("{}/datacube", server.base);
    let encrypted = server.base.replace("http://", "https://");
    for (target, expected, zh) in [
        (format!("http://{nobody}"), ["is refused", "whether the server runs"], "连接被拒绝"),
        ("http://name.invalid".to_owned(), ["leads nowhere", "Check the name"], "无法解析"),
        (
            format!("http://{html}"),
            ["404, text/html: <h1>not here</h1>", "in front of /cgi-bin"],
            "应答的不是该接口",
        ),
        (format!("http://{moved}"), ["301", "redirects to https://elsewhere.example/, which"], "重定向"),
        (format!("http://{ssh}"), ["no HTTP", "give https://"], "不是 HTTP"),
        (format!("http://{silent}"), ["closed without an answer", "give https://"], "连接被关闭"),
        (below, ["404", "in front of /cgi-bin"], "404"),
        (encrypted, ["no TLS", "give http://"], "TLS 握手失败"),
    ] {
        let ended = asked(&scene, &target, &[])?;
        assert_eq!((ended.status, ended.out.as_str()), (1, ""), "{ended:?}");
        assert!(expected.iter().all(|words| ended.err.contains(words)), "{expected:?} in {ended:?}");
        let ended = asked(&scene, &target, &["--lang", "zh"])?;
        assert!(ended.err.contains(zh), "{zh} in {ended:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_goes_away_breaks_it_off_and_what_was_seen_is_shown_and_kept() -> Outcome<()> {
    let scene = Scene::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let target = format!("http://{}", listener.local_addr()?);
    // A token, one answer, and nobody any more.
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
    let ended = asked(&scene, &target, &["--json", "--record", &file])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("is refused"), "{ended:?}");
    assert_eq!(names(&ended, "same")?, ["token: without appid"]);
    assert!(names(&ended, "broken_off")?.len() > 100);
    let again = replayed(&scene, &file, &["--json"])?;
    assert_eq!(names(&again, "same")?, ["token: without appid"]);
    Ok(())
}

#[test]
fn wrong_credentials_and_files_are_named_before_anything_is_asked() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let (base, other) = (server.base.as_str(), scene.write("other", b"{\"format\":2}")?);
    let wrong_file = scene.write("wrong", b"not-the-secret\n")?;
    let here = ["conformance", "--target", base, "--appid", APPID];
    for (args, expected) in [
        (&[&here[..], &["--secret-file", &wrong_file]].concat()[..], "40125 invalid appsecret"),
        (&[&here[..], &["--secret-file", "/nowhere/secret"]].concat(), "/nowhere/secret: "),
        (&here[..], "No credentials"),
        (&["conformance", "--appid", APPID, "--secret-file", &wrong_file], "give --target"),
        (
            &[&here[..], &["--secret-file", &wrong_file, "--record", "/nowhere/r.json"]].concat(),
            "/nowhere/r.json: ",
        ),
        (&[&here[..], &["--secret-file", &wrong_file, "--ca", &other]].concat(), "BEGIN CERTIFICATE"),
        (&["conformance", "--replay", &other], "it has format 2, and this version reads 1"),
        (&["conformance", "--replay", &wrong_file], "it is no record"),
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
async fn a_server_with_a_certificate_of_its_own_is_asked_with_its_authority() -> Outcome<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    feed(&scene, &server).await;
    server.terminate();
    let made = scene.run(&["tls", "ca", "--host", "localhost"])?;
    assert_eq!(made.status, 0, "{made:?}");
    scene.append_top("[tls]\ncert = \"tls/server.pem\"\nkey = \"tls/server.key\"\n")?;
    let server = scene.serve()?;
    let target = server.base.replace("127.0.0.1", "localhost");
    let ended = asked(&scene, &target, &[])?;
    assert!(ended.status == 1 && ended.err.contains("--ca FILE"), "{ended:?}");
    let ended = asked(&scene, &target, &["--ca", &scene.path("tls/ca.pem")])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    Ok(())
}
