//! `msgcube serve`: how it ends, and why it does not start.

use crate::{
    commands::scene::{APPID, Scene, TestResult},
    harness::local_http,
};

#[tokio::test]
async fn sigterm_ends_it_with_status_0_and_messages_survive() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let config = scene.config();
    assert_eq!(scene.run(&["send", "--config", &config, "--base", &server.base])?.status, 0);
    assert_eq!(server.terminate(), Some(0));
    let server = scene.serve()?;
    assert_eq!(server.texts(&scene.day(0)?, &scene.day(1)?).await, 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives_and_the_connection_stays_open() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let client = local_http().pool_max_idle_per_host(1).build()?;
    let body = "x".repeat(4 << 20);
    for _ in 0..10 {
        let url = format!("{}/datacube/getupstreammsg?access_token=unknown", server.base);
        let answer = client.post(url).body(body.clone()).send().await?.text().await?;
        assert!(answer.starts_with("{\"errcode\":40001,"), "{answer}");
        let url = format!("{}/v1/accounts/{APPID}/messages", server.base);
        let answer = client.post(url).body(body.clone()).send().await?;
        assert_eq!(answer.status(), 401);
    }
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_does_not_start_and_the_first_one_continues() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let ended = scene.run(&["serve", "--config", &scene.config()])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("in use by another msgcube"), "{ended:?}");
    let config = scene.config();
    assert_eq!(scene.run(&["send", "--config", &config, "--base", &server.base])?.status, 0);
    assert_eq!(server.texts(&scene.day(0)?, &scene.day(1)?).await, 1);
    Ok(())
}

#[test]
fn the_error_about_a_port_in_use_says_what_to_do() -> TestResult<()> {
    let scene = Scene::new()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let ended = scene.run(&["serve", "--config", &scene.config(), "--listen", &address])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains(&address) && ended.err.contains("--listen"), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_data_key_stops_the_start_until_the_operator_accepts_a_new_one() -> TestResult<()> {
    let scene = Scene::new()?;
    let config = scene.config();
    let server = scene.serve()?;
    assert_eq!(scene.run(&["send", "--config", &config, "--base", &server.base])?.status, 0);
    assert_eq!(server.terminate(), Some(0));
    let key = scene.path("msgcube.key");
    std::fs::remove_file(&key)?;
    for (lang, words) in [("en", "Restore it from its backup"), ("zh", "请从备份恢复")] {
        let ended = scene.run(&["--lang", lang, "serve", "--config", &config])?;
        assert_eq!(ended.status, 1, "{ended:?}");
        let named = [words, "--accept-new-data-key", &key];
        assert!(named.iter().all(|word| ended.err.contains(word)), "{ended:?}");
        assert!(!std::path::Path::new(&key).exists(), "no new key is made");
    }
    let server = scene.serve_with(&["--accept-new-data-key"])?;
    assert_eq!(server.terminate(), Some(0));
    let server = scene.serve()?;
    assert_eq!(server.texts(&scene.day(0)?, &scene.day(1)?).await, 1);
    assert_eq!(server.terminate(), Some(0));
    std::fs::remove_dir_all(scene.path("data/log"))?;
    for (lang, words) in [("en", "whole log folder"), ("zh", "整个 log 目录")] {
        let ended = scene.run(&["--lang", lang, "serve", "--config", &config])?;
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.err.contains(words) && ended.err.contains("touch "), "{ended:?}");
    }
    Ok(())
}

#[test]
fn an_unknown_setting_is_named() -> TestResult<()> {
    let scene = Scene::new()?;
    for (line, wanted) in [
        ("lsten = \"127.0.0.1:1\"\n", &["lsten"][..]),
        ("[store]\nkind = \"mysql\"\nurls = []\n", &["store.kind", "clickhouse"]),
    ] {
        let text = format!("admin_key = \"k\"\n{line}");
        let file = scene.write("other.toml", text.as_bytes())?;
        let ended = scene.run(&["serve", "--config", &file])?;
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(wanted.iter().all(|word| ended.err.contains(word)), "{ended:?}");
    }
    let ended = scene.run(&["serve", "--config", "no-such-file.toml"])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("no-such-file.toml"), "{ended:?}");
    Ok(())
}
