//! `msgcube send` against the real program: it reports a message as counted only if it is counted.

use serde_json::Value;

use crate::{
    commands::scene::{APPID, Ended, Scene, TestResult},
    harness::{Program, TOKEN},
};

const PLATFORM: &str = "wxplatform00000001";
const BROUGHT: &str = "wxbrought000000001";
const TO: &str = "gh_brought";

/// A server with an account and a platform.
fn with_platform(more: &str) -> TestResult<(Scene, Program)> {
    let scene = Scene::new()?;
    scene.append_config(&format!(
        "\n[[component]]\nappid = \"{PLATFORM}\"\nsecret = \"platform-secret\"\ntoken = \"platformToken\"\n\
         encoding_aes_key = \"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\"\nrole = \"receive\"\n{more}"
    ))?;
    let server = scene.serve()?;
    Ok((scene, server))
}

fn send(scene: &Scene, server: &Program, more: &[&str]) -> TestResult<Ended> {
    let (config, key) = (scene.config(), scene.admin_key());
    let args = ["send", "--config", &config, "--base", &server.base, "--admin-key-file", &key];
    scene.run(&[&args[..], more].concat())
}

fn counted_json(ended: &Ended) -> TestResult<Value> {
    Ok(serde_json::from_str::<Value>(&ended.out)?["counted"].clone())
}

#[test]
fn counted_and_uncounted_messages_are_distinguished() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    // More than a day ahead, so it is quarantined.
    let ahead = (scene.now_s() + 10 * 86_400).to_string();
    let ended = send(&scene, &server, &["--msg-id", "7", "--create-time", &ahead])?;
    assert!(ended.out.contains("0 before, 0 after") && ended.out.contains("not counted again"), "{ended:?}");
    let ended = send(&scene, &server, &["--create-time", "5"])?;
    assert!(ended.status == 1 && ended.out.contains("NOT counted"), "{ended:?}");
    let now = scene.now_s().to_string();
    let first = ["--msg-id", "7", "--create-time", &now];
    let ended = send(&scene, &server, &first)?;
    assert!(ended.status == 0 && ended.out.contains("It is counted"), "{ended:?}");
    assert!(ended.out.contains("type text") && ended.out.contains("0 before, 1 after"), "{ended:?}");
    let again = send(&scene, &server, &[&first[..], &["--lang", "zh"]].concat())?;
    assert!(again.status == 0 && again.out.contains("未再次计入"), "{again:?}");
    let json = send(&scene, &server, &["--json", "--type", "image"])?;
    assert_eq!((json.status, counted_json(&json)?), (0, true.into()), "{json:?}");
    Ok(())
}

#[test]
fn without_an_admin_key_it_does_not_claim_that_the_message_counts() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let args = ["send", "--appid", APPID, "--token", TOKEN, "--base", &server.base];
    let ended = scene.run(&args)?;
    assert!(ended.status == 0 && ended.out.contains("200 success"), "{ended:?}");
    assert!(ended.out.contains("does not prove that it is counted"), "{ended:?}");
    let json = scene.run(&[&args[..], &["--json"]].concat())?;
    assert_eq!(counted_json(&json)?, Value::Null, "{json:?}");
    let wrong = scene.write("wrong.key", b"wrong\n")?;
    let ended = scene.run(&[&args[..], &["--admin-key-file", &wrong]].concat())?;
    assert!(ended.status == 0 && ended.out.contains("could not be asked"), "{ended:?}");
    assert!(!ended.out.contains("It is counted"), "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_a_platform_is_never_bound_to_a_made_up_original_id() -> TestResult<()> {
    // This bot answers `success` to everything.
    let bot = axum::Router::new().fallback(|| async { "success" });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let relay = format!("\n[component.relay]\nurl = \"http://{}/$APPID$\"\n", listener.local_addr()?);
    tokio::spawn(IntoFuture::into_future(axum::serve(listener, bot)));
    let (scene, server) = with_platform(&relay)?;
    let through = ["--component", PLATFORM, "--appid", BROUGHT];
    let ended = send(&scene, &server, &through)?;
    assert!(ended.status == 1 && ended.err.contains("--to gh_"), "{ended:?}");
    let ended = send(&scene, &server, &[&through[..], &["--to", TO]].concat())?;
    assert!(ended.status == 0 && ended.out.contains("It is counted"), "{ended:?}");
    // The message is refused, but relayed, and the bot answers `success`.
    let ended = send(&scene, &server, &[&through[..], &["--to", "gh_msgcube"]].concat())?;
    assert!(ended.out.contains("200 success") && ended.out.contains("1 before, 1 after"), "{ended:?}");
    assert!(ended.status == 1 && ended.out.contains("NOT counted"), "{ended:?}");
    let url = format!("{}/component/{PLATFORM}/callback/{BROUGHT}", server.base);
    let by_url =
        ["send", "--token", "platformToken", "--appid", PLATFORM, "--url", &url, "--encoding-aes-key"];
    let by_url =
        [&by_url[..], &["abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "--to", "gh_msgcube"]].concat();
    let ended = scene.run(&by_url)?;
    assert!(ended.status == 0 && !ended.out.contains("It is counted"), "{ended:?}");
    Ok(())
}

#[test]
fn the_error_about_a_missing_account_names_what_is_configured() -> TestResult<()> {
    let scene = Scene::new()?;
    scene.change_config("[[account]]", "[[component]]\nrole = \"receive\"")?;
    let ended = scene.run(&["send", "--config", &scene.config()])?;
    assert!(ended.status == 1 && ended.err.contains(&format!("--component {APPID}")), "{ended:?}");
    for command in ["query", "conformance"] {
        let rest: &[&str] = if command == "query" { &["month", "--from", "2025-01"] } else { &[] };
        let ended = scene.run(&[&[command][..], rest, &["--config", &scene.config()]].concat())?;
        assert!(ended.err.contains("the configuration has no [[account]]"), "{ended:?}");
    }
    Ok(())
}
