//! The commands of the program, run as users run them: the real binary, its output and its exit status.

mod backup;
mod chinese;
mod conformance;
mod demo;
mod doctor;
mod import;
mod init;
mod manual;
mod restart;
mod scene;
mod send;
mod serve;
mod stats;
mod store;
mod tls;
mod upgrade;

use scene::{APPID, Scene, TestResult};

#[tokio::test]
async fn send_counts_once_in_plain_and_safe_mode_and_a_repeat_does_not_count() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let config = scene.config();
    let send = ["send", "--config", &config, "--base", &server.base, "--msg-id"];
    for (last, expected) in [(&["1"][..], 1), (&["2", "--safe"], 2), (&["2", "--safe"], 2)] {
        // The same time, so that the second message is a repeat.
        let moment = scene.now_s().to_string();
        let args = [&send[..], last, &["--create-time", &moment]].concat();
        let ended = scene.run(&args)?;
        assert_eq!(ended.status, 0, "{ended:?}");
        assert!(ended.out.contains("200 success"), "{ended:?}");
        assert_eq!(server.texts(&scene.day(0)?, &scene.day(1)?).await, expected, "{last:?}");
    }
    Ok(())
}

#[tokio::test]
async fn send_with_a_wrong_token_is_refused_and_says_what_to_do_in_both_languages() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let send = ["send", "--appid", APPID, "--token", "wrongToken", "--base", &server.base];
    let ended = scene.run(&send)?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.out.contains("401") && ended.out.contains("MSGCUBE_CALLBACK_TOKEN"), "{ended:?}");
    let ended = scene.run(&[&send[..], &["--lang", "zh"]].concat())?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.out.contains("签名错误"), "{ended:?}");
    let json = scene.run(&[&send[..], &["--json"]].concat())?;
    let answer: serde_json::Value = serde_json::from_str(&json.out)?;
    assert_eq!((&answer["accepted"], &answer["status"]), (&false.into(), &401.into()), "{json:?}");
    Ok(())
}

#[tokio::test]
async fn query_shows_imported_messages_as_table_json_and_csv() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let lines = scene.write("year.ndjson", &scene::lines(1..=3))?;
    let import =
        ["import", "--server", &server.base, "--appid", APPID, "--admin-key-file", &scene.admin_key()];
    assert_eq!(scene.run(&[&import[..], &[&lines]].concat())?.status, 0);

    let config = scene.config();
    let query = ["query", "month", "--config", &config, "--base", &server.base, "--from", "2025-01"];
    let query = [&query[..], &["--to", "2025-12"]].concat();
    let json = scene.run(&[&query[..], &["--json"]].concat())?;
    assert_eq!(json.status, 0, "{json:?}");
    let answer: serde_json::Value = serde_json::from_str(&json.out)?;
    let expected =
        serde_json::json!([{"ref_date": "2025-03-01", "msg_type": 1, "msg_user": 3, "msg_count": 3}]);
    assert_eq!(answer["list"], expected);

    let csv = scene.run(&[&query[..], &["--csv"]].concat())?;
    assert_eq!(csv.out, "ref_date,msg_type,msg_user,msg_count\r\n2025-03-01,1,3,3\r\n", "{csv:?}");

    let table = scene.run(&query)?;
    assert!(
        table.out.contains("2025-03") && table.out.contains("text") && !table.out.contains('█'),
        "{table:?}"
    );
    let table = scene.run(&[&query[..], &["--lang", "zh"]].concat())?;
    assert!(table.out.contains("文字") && table.out.contains("月份"), "{table:?}");
    Ok(())
}

#[tokio::test]
async fn query_with_a_wrong_secret_names_the_error_code_and_what_to_do() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let query = ["query", "month", "--appid", APPID, "--secret", "wrong", "--base", &server.base];
    let query = [&query[..], &["--from", "2025-01", "--to", "2025-02"]].concat();
    let ended = scene.run(&query)?;
    assert_eq!((ended.status, ended.out.as_str()), (1, ""), "{ended:?}");
    assert!(ended.err.contains("40125") && ended.err.contains("secret"), "{ended:?}");
    let ended = scene.run(&[&query[..], &["--lang", "zh"]].concat())?;
    assert!(ended.err.contains("错误") && ended.err.contains("40125"), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn query_without_a_server_says_what_to_check() -> TestResult<()> {
    let scene = Scene::new()?;
    let closed_port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let base = format!("http://{closed_port}");
    let args = ["query", "month", "--from", "2025-01", "--config", &scene.config(), "--base", &base];
    let ended = scene.run(&args)?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("Check --server"), "{ended:?}");
    Ok(())
}

#[test]
fn a_closed_output_pipe_is_no_error() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let (config, key, base) = (scene.config(), scene.admin_key(), &server.base);
    let record = format!("{}/tests/data/conformance/msgcube.json", env!("CARGO_MANIFEST_DIR"));
    let empty = scene.write("empty", b"")?;
    for args in [
        &["account", "list", "--config", &config, "--server", base][..],
        &["key", "list", "--config", &config, "--server", base],
        &["stats", "--config", &config, "--server", base],
        &["query", "month", "--json", "--from", "2025-01", "--config", &config, "--base", base],
        &["send", "--config", &config, "--base", base],
        &["import", &empty, "--server", base, "--appid", APPID, "--admin-key-file", &key],
        &["conformance", "--replay", &record],
        &["conformance", "--config", &config, "--target", base],
        &["doctor", "--config", &config, "--server", base, "--no-post"],
        &["completions", "bash"],
        &["man", "pages"],
        &["tls", "ca", "--host", "localhost"],
        &["demo", "--once", "--scale", "0.001"],
        &["help"],
    ] {
        let read = scene.run(args)?;
        let unread = scene.run_unread(args, true)?;
        assert!(!read.out.is_empty(), "{args:?} prints: {read:?}");
        assert_eq!(unread.status, read.status, "{args:?}: {unread:?}");
        assert!(!unread.err.contains("pipe"), "{args:?}: {unread:?}");
        assert_eq!(
            scene.run_unread(args, false)?.status,
            read.status,
            "{args:?}, with closed standard error"
        );
    }
    Ok(())
}
