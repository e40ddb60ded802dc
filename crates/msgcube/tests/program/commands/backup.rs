//! `msgcube backup`, `msgcube restore` and `msgcube verify`: a running server, kills, a full disk, both languages.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    commands::scene::{self, APPID, Scene, TestResult},
    harness::binary,
};

const BACKUP: [&str; 4] = ["backup", "--config", "msgcube.toml", "--server"];

fn files(folder: &Path) -> TestResult<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.insert(path.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_backed_up_and_comes_back_with_every_figure() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve_with(&["--now", "2026-03-10T12:00:00+08:00"])?;
    server.bulk(APPID, scene::lines(1..=500)).await;
    // A server that runs for less than a second covers nothing itself.
    let covers = format!("/v1/accounts/{APPID}/messages?covers=2026-03-09..2026-03-09");
    assert_eq!(server.admin_call(Method::POST, &covers, None).await.0, 200);
    let back_up = [&BACKUP[..], &[&server.base, "kept"]].concat();
    let ended = scene.run(&back_up)?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.contains("backup of 20") && ended.out.contains("data_key_file"), "{ended:?}");
    server.bulk(APPID, scene::lines(501..=700)).await;
    let ended = scene.run(&[&back_up[..], &["--json"]].concat())?;
    let summary: Value = serde_json::from_str(&ended.out)?;
    assert!(summary["new_parts"].as_u64() >= Some(1), "{summary}");
    // What comes after it is not in it.
    server.bulk(APPID, scene::lines(701..=710)).await;
    let refused = scene.run(&["verify", "data"])?;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("is in use"), "{refused:?}");
    let key = fs::read(scene.path("msgcube.key"))?;
    for (name, bytes) in files(scene.path("kept").as_ref())? {
        assert!(!bytes.windows(key.len()).any(|window| window == key), "the data key is in {name}");
    }
    drop(server);
    fs::rename(scene.path("data"), scene.path("lost"))?;
    let ended = scene.run(&["verify", "kept"])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    let ended = scene.run(&["restore", "kept", "--data-dir", "data", "--lang", "zh"])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.contains("已恢复到"), "{ended:?}");
    let ended = scene.run(&["verify", "data", "--json"])?;
    let verified: Value = serde_json::from_str(&ended.out)?;
    assert_eq!((ended.status, &verified["folder"]), (0, &"data_dir".into()), "{ended:?}");
    let again = scene.run(&["restore", "kept", "--data-dir", "data"])?;
    assert_eq!(again.status, 1, "{again:?}");
    assert!(again.err.contains("is not empty"), "{again:?}");
    let server = scene.serve_with(&["--now", "2026-03-12T12:00:00+08:00"])?;
    assert_eq!(server.messages(APPID).await, 700);
    let coverage = server.coverage(APPID).await;
    assert_eq!(coverage["since"], "2026-03-09T00:00:00+08:00", "{coverage}");
    // The whole day between the two servers is in one gap.
    let (from, to) = ("2026-03-11T00:00:00+08:00", "2026-03-12T00:00:00+08:00");
    let holds_day = |gap: &&Value| gap[0].as_str() <= Some(from) && gap[1].as_str() >= Some(to);
    let gap = coverage["gaps"].as_array().and_then(|gaps| gaps.iter().find(holds_day));
    assert_eq!(gap.map(|gap| &gap[2]), Some(&json!("not_running")), "{coverage}");
    Ok(())
}

/// Limits what a command may write into a file, which is how a full disk looks to it.
fn with_files_of(kib: u32, scene: &Scene, args: &[&str]) -> TestResult<std::process::Output> {
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""), "bash"]);
    command.arg(binary()).args(args).current_dir(scene.root()).env_clear();
    Ok(command.output()?)
}

/// Kills a command as soon as `is_reached`, unless it has ended before.
fn kill_when(mut child: Child, is_reached: impl Fn() -> bool) -> TestResult<()> {
    while child.try_wait()?.is_none() && !is_reached() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_or_a_full_disk_leaves_the_former_backup_and_no_half_of_a_data_folder() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    server.bulk(APPID, scene::lines(1..=300)).await;
    let back_up = [&BACKUP[..], &[&server.base, "kept"]].concat();
    assert_eq!(scene.run(&back_up)?.status, 0);
    server.bulk(APPID, scene::lines(301..=20_000)).await;
    let before = files(scene.path("kept").as_ref())?;
    let full = with_files_of(64, &scene, &back_up)?;
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    assert!(String::from_utf8(full.stderr)?.contains("kept/parts/"));
    assert_eq!(files(scene.path("kept").as_ref())?, before);
    let parts = || fs::read_dir(scene.path("kept/parts")).map_or(0, Iterator::count);
    for round in 0..20 {
        // At its very start, or once it has written a new part.
        let before = parts();
        kill_when(scene.start(&back_up)?, || round % 2 == 0 || parts() > before)?;
        let ended = scene.run(&["verify", "kept"])?;
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    // The server may still be sending to one that was killed.
    let mut ended = scene.run(&back_up)?;
    for _ in 0..1000 {
        if ended.status == 0 {
            break;
        }
        assert!(ended.err.contains("another backup is running"), "{ended:?}");
        ended = scene.run(&back_up)?;
    }
    assert_eq!(ended.status, 0, "{ended:?}");
    let restore = ["restore", "kept", "--data-dir", "new"];
    let full = with_files_of(256, &scene, &restore)?;
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let names = || -> TestResult<Vec<String>> {
        let names = fs::read_dir(scene.root())?;
        names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    assert!(!names()?.iter().any(|name| name.starts_with("new")), "{:?}", names()?);
    let unfinished = scene.path("new.restore-unfinished");
    for round in 0..20 {
        let has_begun = || Path::new(&unfinished).join("log").exists();
        kill_when(scene.start(&restore)?, || round % 2 == 0 || has_begun())?;
        assert!(!Path::new(&scene.path("new")).exists() || scene.run(&["verify", "new"])?.status == 0);
        if Path::new(&scene.path("new")).exists() {
            fs::remove_dir_all(scene.path("new"))?;
        }
    }
    assert_eq!(scene.run(&restore)?.status, 0);
    assert_eq!(scene.run(&["verify", "new"])?.status, 0);
    assert!(!Path::new(&unfinished).exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_named_with_its_cost_in_either_language() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    server.bulk(APPID, scene::lines(1..=50)).await;
    drop(server);
    let segment = fs::read_dir(scene.path("data/log"))?.next().ok_or("no log")??.path();
    let mut bytes = fs::read(&segment)?;
    bytes[40] ^= 1;
    fs::write(&segment, bytes)?;
    let ended = scene.run(&["verify", "data"])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.out.contains(".log: the frame at byte 32 is damaged"), "{ended:?}");
    assert!(ended.out.contains("lost with it: messages from frame 0"), "{ended:?}");
    let ended = scene.run(&["verify", "data", "--lang", "zh"])?;
    assert!(ended.out.contains("第 32 字节处的帧已损坏") && ended.out.contains("随之丢失"), "{ended:?}");
    let ended = scene.run(&["verify", "nothing"])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("neither a data folder nor a backup"), "{ended:?}");
    Ok(())
}
