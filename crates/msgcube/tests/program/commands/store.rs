//! The commands of a shared store when its servers are not there, or there is none: they say what to do, and show no
//! secret.

use serde_json::Value;

use crate::commands::scene::{Ended, Scene, TestResult};

/// Nothing listens here: connecting is refused. The passwords must never be printed.
const STORE: &str = r#"[store]
kind = "clickhouse"
urls = ["http://127.0.0.1:9"]
user = "msgcube"
password = "hushOfClickHouse"
state = "postgres://msgcube:hushOfPostgres@127.0.0.1:9/decisions"
"#;
const NOT_BUILT_IN: &str = "--features clickhouse";
const IS_BUILT_IN: bool = cfg!(feature = "clickhouse");

fn shared() -> TestResult<Scene> {
    let scene = Scene::new()?;
    scene.append_config(STORE)?;
    Ok(scene)
}

/// Runs a command. It must fail and show no password.
fn failing(scene: &Scene, args: &[&str]) -> TestResult<Ended> {
    let ended = scene.run(args)?;
    assert_eq!(ended.status, 1, "{ended:?}");
    let shown = format!("{}{}", ended.out, ended.err);
    assert!(!shown.contains("hush"), "{shown}");
    Ok(ended)
}

fn findings<'a>(said: &'a Value, id: &'a str) -> impl Iterator<Item = &'a Value> {
    said["findings"].as_array().into_iter().flatten().filter(move |finding| finding["id"] == id)
}

#[test]
fn without_a_shared_store_there_is_nothing_to_prepare() -> TestResult<()> {
    let scene = Scene::new()?;
    for args in [&["store", "init"][..], &["store", "check"], &["store", "check", "--json"]] {
        let ended = failing(&scene, args)?;
        assert!(ended.err.contains("msgcube.toml has no [store]"), "{ended:?}");
        assert!(ended.err.contains("docs/scaling.md") && ended.out.is_empty(), "{ended:?}");
    }
    let chinese = failing(&scene, &["store", "init", "--lang", "zh"])?;
    assert!(chinese.err.contains("msgcube.toml 中没有 [store]"), "{chinese:?}");
    Ok(())
}

#[test]
fn servers_that_cannot_be_reached_are_named_without_passwords() -> TestResult<()> {
    let scene = shared()?;
    let ended = failing(&scene, &["store", "init"])?;
    let expected = if IS_BUILT_IN { "PostgreSQL at 127.0.0.1:9/decisions" } else { NOT_BUILT_IN };
    assert!(ended.err.contains(expected), "{ended:?}");

    let ended = failing(&scene, &["serve"])?;
    let expected = if IS_BUILT_IN { "127.0.0.1:9" } else { NOT_BUILT_IN };
    assert!(ended.err.contains(expected), "{ended:?}");
    assert!(!ended.err.contains("disk of data_dir"), "{ended:?}");
    assert!(ended.err.contains("[store] names no cluster"), "{ended:?}");

    let ended = failing(&scene, &["store", "check", "--json"])?;
    let said: Value = serde_json::from_str(&ended.out)?;
    if !IS_BUILT_IN {
        assert!(said["findings"][0]["found"].to_string().contains(NOT_BUILT_IN), "{said:#}");
        return Ok(());
    }
    for (id, place) in [("clickhouse", "http://127.0.0.1:9"), ("postgresql", "127.0.0.1:9/decisions")] {
        let is_named = |finding: &Value| finding["found"].to_string().contains(place);
        let bad = findings(&said, id).find(|finding| finding["state"] == "problem");
        assert!(bad.is_some_and(is_named), "{id}: {said:#}");
    }
    assert_eq!(findings(&said, "replication").next().ok_or("no finding")?["state"], "warning", "{said:#}");
    let ended = failing(&scene, &["store", "check", "--lang", "zh"])?;
    assert!(ended.out.contains("连不上 PostgreSQL"), "{ended:?}");
    Ok(())
}

#[test]
fn the_doctor_looks_at_the_servers_and_not_at_the_data_folder() -> TestResult<()> {
    let scene = shared()?;
    let ended = failing(&scene, &["doctor", "--json"])?;
    let said: Value = serde_json::from_str(&ended.out)?;
    for id in ["data_dir", "disk_space", "disk_sync"] {
        assert!(findings(&said, id).next().is_none(), "{id}: {said:#}");
    }
    let id = if IS_BUILT_IN { "postgresql" } else { "store" };
    assert_eq!(findings(&said, id).next().ok_or("no finding")?["state"], "problem", "{said:#}");
    assert_eq!(findings(&said, "data_key").next().ok_or("no finding")?["state"], "warning", "{said:#}");
    Ok(())
}

#[test]
fn the_data_folder_of_a_process_with_servers_has_nothing_to_verify() -> TestResult<()> {
    let scene = Scene::new()?;
    std::fs::create_dir(scene.path("data"))?;
    scene.write("data/process", b"0123456789abcdef")?;
    let ended = failing(&scene, &["verify", "data"])?;
    assert!(ended.err.contains("store check") && ended.err.contains("ClickHouse"), "{ended:?}");
    Ok(())
}
