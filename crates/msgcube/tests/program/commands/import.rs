//! `msgcube import`: all file formats, resuming after a kill, and refused lines.

use std::io::Write as _;

use crate::{
    commands::scene::{self, APPID, Scene, TestResult},
    harness::Program,
};

/// First and last day of the test messages.
const DAYS: (&str, &str) = ("2025-03-01", "2025-03-31");
/// Enough for several chunks.
const LINES: u64 = 300_000;

async fn count_texts(server: &Program) -> u64 {
    server.texts(DAYS.0, DAYS.1).await
}

fn import<'a>(server: &'a Program, key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["import", "--server", &server.base, "--appid", APPID, "--admin-key-file", key], more].concat()
}

#[tokio::test]
async fn plain_gzip_zstd_and_standard_input_give_the_same_and_nothing_counts_twice() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let key = scene.admin_key();
    let plain = scene.write("a.ndjson", &scene::lines(1..=10))?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&scene::lines(6..=20))?;
    let gzip = scene.write("b.ndjson.gz", &gzip.finish()?)?;
    let zstd = scene.write("c.ndjson.zst", &zstd::encode_all(&scene::lines(16..=30)[..], 1)?)?;

    let ended = scene.run(&import(&server, &key, &[&plain, &gzip, &zstd]))?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.starts_with("30 accepted, 10 known before, 0 rejected"), "{ended:?}");
    let ended =
        scene.run_with_input(&import(&server, &key, &["-", "--lang", "zh"]), &scene::lines(21..=35))?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.starts_with("新增 5 条，已有 10 条，拒绝 0 条"), "{ended:?}");
    assert_eq!(count_texts(&server).await, 35);
    Ok(())
}

#[tokio::test]
async fn refused_lines_are_named_and_give_status_3_while_good_lines_count() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let key = scene.admin_key();
    let mut lines = scene::lines(1..=2);
    lines.extend_from_slice(b"\n{\"FromUserName\":\"o\"}\nno JSON\n");
    lines.extend_from_slice(&scene::lines(3..=3));
    let file = scene.write("bad.ndjson", &lines)?;
    let covers = ["--covers", "2025-03-01..2025-03-31"];
    let ended = scene.run(&import(&server, &key, &[&[&*file][..], &covers].concat()))?;
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(
        ended.out.starts_with("3 accepted, 0 known before, 2 rejected\nCoverage not claimed"),
        "{ended:?}"
    );
    assert!(ended.err.contains("bad.ndjson:4: ") && ended.err.contains("bad.ndjson:5: "), "{ended:?}");
    assert_eq!(count_texts(&server).await, 3);
    Ok(())
}

#[tokio::test]
async fn after_a_kill_it_resumes_and_counts_everything_once() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let key = scene.admin_key();
    let file = scene.write("long.ndjson", &scene::lines(1..=LINES))?;
    let args = import(&server, &key, &[&file, "--json"]);
    let mut first = scene.start(&args)?;
    let progress = format!("{file}.msgcube-import");
    let done_at_the_kill = loop {
        let done = std::fs::read(&progress).map_or(0, |text| lines_done(&text));
        if done >= 60_000 {
            first.kill()?;
            first.wait()?;
            break lines_done(&std::fs::read(&progress)?);
        }
        assert!(first.try_wait()?.is_none(), "the import ended before it was killed");
        tokio::task::yield_now().await;
    };
    assert!(done_at_the_kill < LINES, "nothing was left to do");

    let ended = scene.run(&args)?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.err.contains(&format!("continuing at line {}", done_at_the_kill + 1)), "{ended:?}");
    let totals: serde_json::Value = serde_json::from_str(&ended.out)?;
    let total = |name: &str| totals[name].as_u64().unwrap_or(0);
    assert_eq!((total("accepted") + total("duplicate"), total("rejected")), (LINES, 0), "{ended:?}");
    assert!(total("duplicate") < done_at_the_kill, "what was done is not sent again: {ended:?}");
    assert_eq!(count_texts(&server).await, LINES);
    assert!(!std::path::Path::new(&progress).exists(), "nothing is left behind");
    Ok(())
}

fn lines_done(progress: &[u8]) -> u64 {
    let kept = serde_json::from_slice::<serde_json::Value>(progress).unwrap_or_default();
    kept["lines_done"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn coverage_is_claimed_only_if_every_line_was_accepted() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let key = scene.admin_key();
    let file = scene.write("a.ndjson", &scene::lines(1..=2))?;
    let ended = scene.run(&import(&server, &key, &[&file, "--covers", "2025-03-01..2025-03-31"]))?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.contains("Coverage claimed."), "{ended:?}");
    let coverage = server.stats(APPID, DAYS.0, DAYS.1).await["coverage"].clone();
    assert_eq!(coverage["since"], "2025-03-01T00:00:00+08:00", "{coverage}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_an_unknown_account_or_no_server_stops_it_and_it_says_what_to_do() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let file = scene.write("a.ndjson", &scene::lines(1..=2))?;
    let wrong = scene.write("wrong.key", b"not the key")?;
    let ended = scene.run(&import(&server, &wrong, &[&file]))?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("401") && ended.err.contains("Check the admin key."), "{ended:?}");
    let key = scene.admin_key();
    let other = ["import", "--server", &server.base, "--appid", "wxunknown", "--admin-key-file", &key, &file];
    let ended = scene.run(&other)?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("404") && ended.err.contains("/v1/accounts"), "{ended:?}");
    let closed_port = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let gone = [
        "import",
        "--server",
        &closed_port,
        "--appid",
        APPID,
        "--admin-key-file",
        &key,
        "--retry-for-s",
        "0",
    ];
    let ended = scene.run(&[&gone[..], &[&file]].concat())?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("no answer from the server"), "{ended:?}");
    Ok(())
}

/// The same messages as XML, with a byte order mark and one malformed callback.
fn marked_xml() -> Vec<u8> {
    let callback = |id: u64| {
        format!(
            "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\n<FromUserName><![CDATA[o1]]></FromUserName>\n\
             <CreateTime>1740800000</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n\
             <Content><![CDATA[</xml>\n<xml>\n{{}}]]></Content>\n<MsgId>{id}</MsgId>\n</xml>"
        )
    };
    let json =
        |id: u64| format!(r#"{{"FromUserName":"o1","CreateTime":1740800000,"MsgType":"text","MsgId":{id}}}"#);
    format!(
        "\u{feff}{}\n{}{}\n<xml>no end\n{}\n{}\n",
        callback(1),
        callback(2).replace('\n', ""),
        callback(3),
        callback(4),
        json(5)
    )
    .into_bytes()
}

#[tokio::test]
async fn xml_with_a_byte_order_mark_is_read_from_file_gzip_zstd_standard_input_and_post() -> TestResult<()> {
    let text = marked_xml();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text)?;
    let gzip = gzip.finish()?;
    let zstd = zstd::encode_all(&text[..], 1)?;
    for (name, bytes) in [("plain", Some(&text)), ("gzip", Some(&gzip)), ("zstd", Some(&zstd)), ("-", None)] {
        let scene = Scene::new()?;
        let server = scene.serve()?;
        let key = scene.admin_key();
        let ended = match bytes {
            Some(bytes) => {
                let file = scene.write(name, bytes)?;
                scene.run(&import(&server, &key, &[&file, "--json"]))?
            }
            None => scene.run_with_input(&import(&server, &key, &["-", "--json"]), &text)?,
        };
        assert_eq!(ended.status, 3, "{name}: {ended:?}");
        let said: serde_json::Value = serde_json::from_str(&ended.out)?;
        assert_eq!((&said["accepted"], &said["rejected"]), (&5.into(), &1.into()), "{name}: {ended:?}");
        let (line, error) = (&said["errors"][0]["line"], &said["errors"][0]["error"]);
        assert_eq!((line, error), (&19.into(), &"an XML document without </xml>".into()), "{name}");

        let posted = server.bulk(APPID, text.clone()).await;
        assert_eq!((&posted["duplicate"], &posted["accepted"]), (&5.into(), &0.into()), "{name}: {posted}");
        assert_eq!(&posted["errors"], &serde_json::json!([{ "line": 19, "error": error }]), "{name}");
    }
    Ok(())
}

#[test]
fn a_configuration_is_enough_and_the_error_about_a_missing_file_gives_an_example() -> TestResult<()> {
    let scene = Scene::new()?;
    let ended = scene.run(&["import", "nothing.ndjson", "--config", &scene.config(), "--lang", "zh"])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("没有这个文件：") && ended.err.contains("nothing.ndjson"), "{ended:?}");
    assert!(ended.err.contains("`msgcube import messages.ndjson --config msgcube.toml`"), "{ended:?}");
    Ok(())
}
