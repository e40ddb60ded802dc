//! `msgcube backup`, `msgcube restore` and `msgcube verify`: a running server, kills, a full disk, both languages.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

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
    let server = scene.serve()?;
    server.bulk(APPID, scene::lines(1..=500)).await;
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
    let server = scene.serve()?;
    assert_eq!(server.messages(APPID).await, 700);
    let coverage = server.coverage(APPID).await;
    // There is no gap if both starts were in the same second.
    let gaps = coverage["gaps"].as_array().cloned().unwrap_or_default();
    assert!(gaps.iter().all(|gap| gap[2] == "not_running"), "{coverage}");
    Ok(())
}

/// Limits what a command may write into a file, which is how a full disk looks to it.
fn with_files_of(kib: u32, scene: &Scene, args: &[&str]) -> TestResult<std::process::Output> {
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""), "bash"]);
    command.arg(binary()).args(args).current_dir(scene.root()).env_clear();
    Ok(command.output()?)
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
    for _ in 0..20 {
        // Wherever it is by then: what is right does not depend on that.
        let mut child = scene.start(&back_up)?;
        let is_over = child.try_wait()?.is_some();
        child.kill()?;
        child.wait()?;
        let ended = scene.run(&["verify", "kept"])?;
        assert!(is_over || ended.status == 0, "{ended:?}");
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
    for _ in 0..20 {
        let mut child = scene.start(&restore)?;
        child.kill()?;
        child.wait()?;
        assert!(!Path::new(&scene.path("new")).exists() || scene.run(&["verify", "new"])?.status == 0);
        if Path::new(&scene.path("new")).exists() {
            fs::remove_dir_all(scene.path("new"))?;
        }
    }
    assert_eq!(scene.run(&restore)?.status, 0);
    assert_eq!(scene.run(&["verify", "new"])?.status, 0);
    assert!(!Path::new(&scene.path("new.restore-unfinished")).exists());
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
