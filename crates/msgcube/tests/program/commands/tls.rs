//! `msgcube tls ca`: makes the four files, uses them again, and never leaves half of them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use crate::commands::scene::{Scene, TestResult};

const FILES: [(&str, u32); 4] =
    [("ca.key", 0o600), ("ca.pem", 0o644), ("server.key", 0o600), ("server.pem", 0o644)];

/// Runs the command with `--json` and returns its output.
fn make(scene: &Scene, args: &[&str]) -> TestResult<Value> {
    let ended = scene.run(&[&["tls", "ca", "--json"], args].concat())?;
    assert_eq!(ended.status, 0, "{ended:?}");
    Ok(serde_json::from_str(&ended.out)?)
}

fn file_contents(folder: &str) -> TestResult<Vec<String>> {
    FILES.iter().map(|(name, _)| Ok(fs::read_to_string(Path::new(folder).join(name))?)).collect()
}

#[test]
fn four_files_are_made_and_the_authority_is_reused() -> TestResult<()> {
    let scene = Scene::new()?;
    let folder = scene.path("tls");
    let first = make(&scene, &[])?;
    assert_eq!((&first["renewed"], &first["hosts"][0]), (&false.into(), &"api.weixin.qq.com".into()));
    let names: Vec<_> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name())).collect::<TestResult<_>>()?;
    assert_eq!(names.len(), FILES.len(), "no other file is left: {names:?}");
    for (name, mode) in FILES {
        assert_eq!(fs::metadata(Path::new(&folder).join(name))?.permissions().mode() & 0o777, mode, "{name}");
    }
    let before = file_contents(&folder)?;
    assert_eq!(before[3].matches("BEGIN CERTIFICATE").count(), 2, "the certificate and its issuer");
    assert!(before[0].ends_with(before[3].split_inclusive("END CERTIFICATE-----\n").last().unwrap_or("?")));

    let again = make(&scene, &["--days", "30"])?;
    assert_eq!((&again["renewed"], &again["ca_until"]), (&true.into(), &first["ca_until"]));
    let after = file_contents(&folder)?;
    assert_eq!(before[..3], after[..3]);
    assert_ne!(before[3], after[3]);
    Ok(())
}

#[test]
fn hosts_outside_the_authority_are_named_and_nothing_is_overwritten() -> TestResult<()> {
    let scene = Scene::new()?;
    let folder = scene.path("own");
    make(&scene, &["--dir", &folder, "--host", "a.example", "--host", "10.0.0.1"])?;
    make(&scene, &["--dir", &folder, "--host", "10.0.0.1"])?;
    let before = file_contents(&folder)?;
    let asked = ["tls", "ca", "--dir", &folder, "--host", "a.example", "--host", "b.example"];
    let ended = scene.run(&asked)?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("cannot sign for b.example: ") && ended.err.contains("--dir"), "{ended:?}");
    let ended = scene.run(&[&asked[..], &["--lang", "zh"]].concat())?;
    assert!(ended.err.contains("不能为 b.example 签发"), "{ended:?}");
    assert_eq!(file_contents(&folder)?, before);
    Ok(())
}

#[test]
fn the_error_about_a_missing_or_wrong_key_says_what_to_do() -> TestResult<()> {
    let scene = Scene::new()?;
    let folder = scene.path("tls");
    make(&scene, &[])?;
    let ca_key = Path::new(&folder).join("ca.key");
    let kept = fs::read(&ca_key)?;
    fs::remove_file(&ca_key)?;
    let ended = scene.run(&["tls", "ca"])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("ca.key is missing: put it back"), "{ended:?}");

    fs::copy(Path::new(&folder).join("server.key"), &ca_key)?;
    let ended = scene.run(&["tls", "ca"])?;
    assert!(ended.err.contains("ca.pem does not belong to ca.key"), "{ended:?}");

    fs::write(&ca_key, "no key")?;
    let ended = scene.run(&["tls", "ca"])?;
    assert!(ended.err.contains("ca.key is not a private key"), "{ended:?}");

    fs::write(&ca_key, kept)?;
    make(&scene, &[])?;

    let other = scene.path("other");
    make(&scene, &["--dir", &other])?;
    fs::copy(Path::new(&other).join("ca.pem"), Path::new(&folder).join("ca.pem"))?;
    let ended = scene.run(&["tls", "ca"])?;
    assert!(ended.err.contains("ca.pem does not belong to ca.key"), "{ended:?}");
    Ok(())
}

#[test]
fn a_certificate_never_outlives_its_authority() -> TestResult<()> {
    let scene = Scene::new()?;
    make(&scene, &[])?;
    // Ten years have at least two leap days.
    make(&scene, &["--days", "3650"])?;
    let ended = scene.run(&["tls", "ca", "--days", "3651"])?;
    assert_eq!(ended.status, 2, "{ended:?}");
    Ok(())
}

#[test]
fn the_output_names_every_file_and_the_next_steps_in_both_languages() -> TestResult<()> {
    let scene = Scene::new()?;
    let english = scene.run(&["tls", "ca"])?.out;
    let chinese = scene.run(&["tls", "ca", "--lang", "zh"])?.out;
    for text in [&english, &chinese] {
        for (name, _) in FILES {
            assert!(text.contains(&format!("/tls/{name}\n")), "{text}");
        }
        for word in ["[tls]", "update-ca-certificates", "NODE_EXTRA_CA_CERTS=", "keytool", "/etc/hosts"] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
    assert!(english.contains("keep it offline") && chinese.contains("离线保存"));
    Ok(())
}

#[test]
fn an_invalid_host_is_refused() -> TestResult<()> {
    let scene = Scene::new()?;
    let ended = scene.run(&["tls", "ca", "--host", "https://api.weixin.qq.com"])?;
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.err.contains("no port, no wildcard"), "{ended:?}");
    Ok(())
}
