//! `msgcube doctor` on a good installation and on each fault. It must show no secrets, and its test messages must not
//! count.

mod platform;
mod stub;

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    commands::scene::{APPID, Ended, Scene, TestResult},
    harness::{ADMIN_KEY, AES_KEY, Program, SECRET, TOKEN},
};
use stub::Stub;

/// Texts that must never be printed.
const SECRETS: [&str; 5] = [SECRET, TOKEN, ADMIN_KEY, AES_KEY, "relay-key"];
/// Nothing listens here: connecting is refused.
const CLOSED_PORT: &str = "http://127.0.0.1:9";

/// The output of `doctor --json`.
struct DoctorOutput {
    said: Value,
    status: i32,
}

impl DoctorOutput {
    fn of(ended: &Ended) -> TestResult<DoctorOutput> {
        for secret in SECRETS {
            assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret} in {ended:?}");
        }
        let said: Value = serde_json::from_str(&ended.out)?;
        let report = DoctorOutput { said, status: ended.status };
        let has_problems = report.said["problems"] != 0;
        assert_eq!(report.status, i32::from(has_problems), "{}", report.said);
        Ok(report)
    }

    fn find(&self, id: &str) -> Option<&Value> {
        self.said["findings"].as_array()?.iter().find(|finding| finding["id"] == id)
    }

    fn state(&self, id: &str) -> &str {
        self.find(id).and_then(|finding| finding["state"].as_str()).unwrap_or("none")
    }

    #[track_caller]
    fn expect(&self, states: &[(&str, &str)]) {
        for (id, state) in states {
            assert_eq!(self.state(id), *state, "{id} in {:#}", self.said);
            let is_remedied = self.find(id).is_some_and(|finding| finding["remedy"].is_string());
            assert!(is_remedied || !["warning", "problem"].contains(state), "{id} names no remedy");
        }
    }

    /// The finding and what to do about it.
    fn finding_text(&self, id: &str) -> String {
        self.find(id).map(|finding| format!("{} {}", finding["found"], finding["remedy"])).unwrap_or_default()
    }
}

fn doctor(scene: &Scene, server: &str, args: &[&str]) -> TestResult<DoctorOutput> {
    DoctorOutput::of(&scene.run(&[&["doctor", "--json", "--server", server], args].concat())?)
}

/// State that the doctor must not change: figures, gaps, and the metrics of refused and closed callbacks. The metrics are
/// needed because a gap becomes visible some seconds late. A wrong signature or key makes no gap.
async fn figures(scene: &Scene, server: &Program) -> TestResult<(Value, Value, Vec<String>)> {
    let (from, to) = ("2011-01-01".to_owned(), scene.day(1)?);
    let rows = server.stats(APPID, &from, &to).await["rows"].take();
    let metrics = server.metrics().await;
    let is_loss = |line: &&str| {
        let is_bad = line.contains("result=\"refused\"") || line.contains("result=\"closed\"");
        line.starts_with("msgcube_callbacks_total")
            && is_bad
            && !line.contains("wrong_signature")
            && !line.contains("undecryptable")
    };
    let losses: Vec<String> = metrics.lines().filter(is_loss).map(str::to_owned).collect();
    Ok((rows, server.coverage(APPID).await["gaps"].take(), losses))
}

#[tokio::test]
async fn a_good_installation_has_no_problems_and_nothing_is_counted() -> TestResult<()> {
    let (scene, upstream) = (Scene::new()?, Scene::new()?);
    let upstream = upstream.serve()?;
    scene.append_config(&format!("[upstream]\nbase = \"{}\"\n", upstream.base))?;
    let server = scene.serve()?;
    assert_eq!(scene.run(&["send", "--config", &scene.config(), "--base", &server.base])?.status, 0);
    let before = figures(&scene, &server).await?;
    for _ in 0..2 {
        let report = doctor(&scene, &server.base, &[])?;
        assert_eq!((report.status, &report.said["problems"]), (0, &0.into()), "{:#}", report.said);
        report.expect(&[
            ("configuration", "ok"),
            ("data_key", "ok"),
            ("admin_key", "ok"),
            ("ui_origin", "note"),
            ("require_encryption", "warning"),
            ("clock", "ok"),
            ("data_dir", "ok"),
            ("server_alive", "ok"),
            ("server_ready", "ok"),
            ("callback_get", "ok"),
            ("callback_wrong_signature", "ok"),
            ("callback_plain", "ok"),
            ("callback_safe", "ok"),
            ("callback_compatible", "ok"),
            ("real_token", "ok"),
            ("coverage", "ok"),
        ]);
        assert_eq!(report.find("coverage").map(|finding| finding["account"].clone()), Some(APPID.into()));
    }
    assert_eq!(figures(&scene, &server).await?, before);
    let left: Vec<_> = fs::read_dir(scene.path("data"))?.flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("doctor")), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn the_output_exists_in_both_languages_and_no_post_sends_no_test_message() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let args = ["doctor", "--server", &server.base, "--no-post"];
    let english = scene.run(&args)?.out;
    let chinese = scene.run(&[&args[..], &["--lang", "zh"]].concat())?.out;
    assert!(
        english.contains("Configuration\n  ✓ configuration") && english.contains("0 problems, "),
        "{english}"
    );
    assert!(chinese.contains("0 个问题") && chinese.contains("通过微信的地址校验"), "{chinese}");
    assert!(!english.contains("callback_safe") && !english.contains('\x1b'), "{english}");
    Ok(())
}

#[tokio::test]
async fn a_token_or_key_that_differs_from_the_running_server_is_found_without_making_a_gap() -> TestResult<()>
{
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let before = figures(&scene, &server).await?;
    scene.change_config("\"callbackTokenOne\"", "\"anotherToken\"")?;
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[("callback_get", "problem"), ("callback_safe", "none")]);
    assert!(report.finding_text("callback_get").contains("401"), "{:#}", report.said);
    scene.change_config("\"anotherToken\"", "\"callbackTokenOne\"")?;

    scene.change_config("abcdefghij", "jihgfedcba")?;
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[
        ("callback_get", "ok"),
        ("callback_safe", "problem"),
        ("callback_compatible", "problem"),
    ]);
    assert!(report.finding_text("callback_safe").contains("encoding_aes_key"), "{:#}", report.said);
    scene.change_config("jihgfedcba", "abcdefghij")?;

    scene.append_config("require_encryption = true\noriginal_id = \"gh_other\"\n")?;
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[("settings_in_use", "problem"), ("callback_get", "ok"), ("callback_post", "skipped")]);
    assert!(report.finding_text("settings_in_use").contains("original_id"), "{:#}", report.said);
    assert_eq!(figures(&scene, &server).await?, before);
    Ok(())
}

#[test]
fn a_server_that_is_down_and_an_invalid_configuration_are_problems() -> TestResult<()> {
    let scene = Scene::new()?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("server_alive", "problem"), ("callback_get", "skipped"), ("data_key", "note")]);
    assert!(report.finding_text("server_alive").contains("msgcube serve"), "{:#}", report.said);

    scene.change_config("listen", "lissten")?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("configuration", "problem")]);
    assert_eq!(report.said["findings"].as_array().map(Vec::len), Some(1), "{:#}", report.said);
    assert!(report.finding_text("configuration").contains("lissten"), "{:#}", report.said);
    Ok(())
}

#[test]
fn secrets_and_data_keys_that_other_users_can_read_are_named() -> TestResult<()> {
    let scene = Scene::new()?;
    let set_mode = |name: &str, mode| fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode));
    set_mode("", 0o700)?;
    doctor(&scene, CLOSED_PORT, &[])?.expect(&[("secret_files", "ok")]);
    set_mode("", 0o755)?;
    set_mode("msgcube.toml", 0o640)?;
    set_mode("admin.key", 0o600)?;
    doctor(&scene, CLOSED_PORT, &[])?.expect(&[("secret_files", "ok")]);
    set_mode("admin.key", 0o644)?;
    scene.write("msgcube.key", &[7; 32])?;
    set_mode("msgcube.key", 0o644)?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("secret_files", "warning"), ("data_key", "problem")]);
    let words = report.finding_text("secret_files");
    assert!(words.contains("admin.key") && words.contains("chmod") && !words.contains("toml"), "{words}");
    set_mode("msgcube.key", 0o600)?;
    doctor(&scene, CLOSED_PORT, &[])?.expect(&[("data_key", "ok")]);
    scene.write("msgcube.key", &[7; 31])?;
    doctor(&scene, CLOSED_PORT, &[])?.expect(&[("data_key", "problem")]);
    Ok(())
}

#[test]
fn an_expired_certificate_and_the_key_of_another_certificate_are_problems() -> TestResult<()> {
    let scene = Scene::new()?;
    scene.append_top("tls = { cert = \"own.pem\", key = \"own.key\" }\n")?;
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()])?;
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    scene.write("own.pem", params.self_signed(&key)?.pem().as_bytes())?;
    scene.write("own.key", key.serialize_pem().as_bytes())?;
    let server = scene.serve()?;
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[("tls_files", "problem"), ("server_alive", "ok"), ("callback_safe", "ok")]);
    assert!(report.finding_text("tls_files").contains("expired"), "{:#}", report.said);

    scene.write("own.key", rcgen::KeyPair::generate()?.serialize_pem().as_bytes())?;
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[("tls_files", "problem")]);
    assert!(report.finding_text("tls_files").contains("do not serve together"), "{:#}", report.said);
    Ok(())
}

#[test]
fn the_public_address_is_checked_with_its_certificate() -> TestResult<()> {
    let scene = Scene::new()?;
    assert_eq!(scene.run(&["tls", "ca", "--host", "localhost", "--days", "60"])?.status, 0);
    scene.append_top("tls = { cert = \"tls/server.pem\", key = \"tls/server.key\" }\n")?;
    let server = scene.serve()?;
    let url = server.base.replace("127.0.0.1", "localhost");
    let report = doctor(&scene, &server.base, &["--url", &url])?;
    report.expect(&[("tls_files", "ok"), ("url_certificate", "problem"), ("callback_get", "problem")]);
    assert!(report.finding_text("callback_get").contains("not trusted"), "{:#}", report.said);

    let args = ["doctor", "--json", "--server", &server.base, "--url", &url];
    let report =
        DoctorOutput::of(&scene.run_with_variable(&args, "SSL_CERT_FILE", &scene.path("tls/ca.pem"))?)?;
    report.expect(&[
        ("url_certificate", "ok"),
        ("url_port", "warning"),
        ("callback_get", "ok"),
        ("callback_safe", "ok"),
    ]);
    Ok(())
}

#[test]
fn problems_of_proxies_before_the_server_are_distinguished() -> TestResult<()> {
    let scene = Scene::new()?;
    let moved =
        "HTTP/1.1 301 Moved\r\nlocation: https://other.example/x?token=1\r\ncontent-length: 0\r\n\r\n";
    for (answer, expected) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nnginx", "proxy does not pass"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        (moved, "follows no redirect"),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "encoding_aes_key"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "502"),
        ("", "without an answer"),
    ] {
        let stub = Stub::start(answer, 0)?;
        let report = doctor(&scene, CLOSED_PORT, &["--url", stub.base()])?;
        report.expect(&[("callback_get", "problem")]);
        let words = report.finding_text("callback_get");
        assert!(words.contains(expected), "{expected}: {words}");
        assert!(!words.contains("token=1"), "{words}");
    }
    for (url, expected) in [(CLOSED_PORT, "refused"), ("http://nobody.invalid", "cannot be resolved")] {
        let report = doctor(&scene, CLOSED_PORT, &["--url", url])?;
        assert!(report.finding_text("callback_get").contains(expected), "{:#}", report.said);
    }
    Ok(())
}

#[test]
fn a_bot_that_is_down_or_slow_is_named() -> TestResult<()> {
    let scene = Scene::new()?;
    scene.append_config("[account.relay]\nurl = \"http://127.0.0.1:9/relay-key?k=relay-key\"\n")?;
    let server = scene.serve()?;
    let report = doctor(&scene, &server.base, &["--no-post"])?;
    report.expect(&[("relay_connect", "problem"), ("relay_answer", "none"), ("callback_get", "ok")]);
    drop(server);

    let slow = Stub::start("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", 4_200)?;
    scene.change_config("http://127.0.0.1:9/", &format!("{}/", slow.base()))?;
    let server = scene.serve()?;
    let report = doctor(&scene, &server.base, &["--no-post"])?;
    report.expect(&[("relay_connect", "ok"), ("relay_answer", "warning")]);
    drop(server);

    let quick = Stub::start("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nreply", 0)?;
    scene.change_config(slow.base(), quick.base())?;
    let server = scene.serve()?;
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[("relay_connect", "ok"), ("relay_answer", "ok"), ("callback_plain", "ok")]);
    assert!(report.finding_text("callback_plain").contains("including the bot"), "{:#}", report.said);
    Ok(())
}

#[test]
fn error_codes_of_wechat_are_explained() -> TestResult<()> {
    let scene = Scene::new()?;
    let upstream = Scene::new()?.serve()?;
    scene
        .append_config(&format!("upstream_secret = \"wrong\"\n[upstream]\nbase = \"{}\"\n", upstream.base))?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("real_token", "problem"), ("clock", "ok")]);
    assert!(report.finding_text("real_token").contains("40125"), "{:#}", report.said);

    let said = r#"{"errcode":40164,"errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 1"}"#;
    let date = "date: Wed, 01 Jan 2025 00:00:00 GMT";
    let answer = format!("HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: {}\r\n\r\n{said}", said.len());
    let stub = Stub::start(&answer, 0)?;
    scene.change_config(&upstream.base, stub.base())?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("real_token", "problem"), ("clock", "problem")]);
    assert!(
        report.finding_text("real_token").contains("enter 203.0.113.7 in the whitelist"),
        "{:#}",
        report.said
    );

    scene.change_config(stub.base(), CLOSED_PORT)?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("real_token", "problem"), ("clock", "skipped")]);
    Ok(())
}

#[test]
fn pages_at_the_address_of_the_gateway_are_advised_against() -> TestResult<()> {
    for (top, state) in [
        ("memory_mib = 64", "note"),
        ("public_url = \"https://wx.example.com\"", "note"),
        ("public_url = \"https://a.example\"\nui_url = \"https://A.example:443\"", "note"),
        ("public_url = \"https://a.example\"\nui_url = \"https://b.example\"", "none"),
        ("admin_listen = \"127.0.0.1:9\"", "none"),
    ] {
        let scene = Scene::new()?;
        scene.append_top(top)?;
        assert_eq!(doctor(&scene, CLOSED_PORT, &[])?.state("ui_origin"), "none", "without [upstream]");
        scene.append_config(&format!("[upstream]\nbase = \"{CLOSED_PORT}\"\n"))?;
        let report = doctor(&scene, CLOSED_PORT, &[])?;
        assert_eq!(report.state("ui_origin"), state, "{top}");
        assert_eq!(report.finding_text("ui_origin").contains("admin_listen"), state == "note", "{top}");
    }
    Ok(())
}

#[tokio::test]
async fn a_gap_of_today_is_a_warning_and_the_doctor_makes_no_gaps() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let since: jiff::Timestamp = server.coverage(APPID).await["since"].as_str().ok_or("no since")?.parse()?;
    let mut tries = 0;
    while jiff::Timestamp::now().as_second() <= since.as_second() {
        tries += 1;
        assert!(tries < 1000, "covered only from {since} on");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // A right signature but an unknown receiver: the refusal makes a gap.
    let ended = scene.run(&["send", "--config", &scene.config(), "--base", &server.base, "--from", ""])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    let mut tries = 0;
    while server.coverage(APPID).await["gaps"] == serde_json::json!([]) {
        tries += 1;
        assert!(tries < 2000, "the loss was not noted");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let before = figures(&scene, &server).await?;
    assert_eq!(before.2.len(), 1, "the one that was refused: {:?}", before.2);
    let report = doctor(&scene, &server.base, &[])?;
    report.expect(&[("coverage", "warning"), ("callback_safe", "ok")]);
    assert!(report.finding_text("coverage").contains("gaps: 1"), "{:#}", report.said);
    assert_eq!(figures(&scene, &server).await?, before);
    Ok(())
}

#[test]
fn the_coverage_of_an_account_added_at_run_time_is_shown() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let key = scene.admin_key();
    let refused =
        scene.run(&["account", "--server", &server.base, "--admin-key-file", &key, "add", "wxadded"])?;
    assert!(refused.status == 1 && refused.err.contains("--yes"), "{refused:?}");
    doctor(&scene, &server.base, &["--appid", "wxadded"])?.expect(&[("appid", "problem")]);
    let added = scene.run(&[
        "account",
        "--server",
        &server.base,
        "--admin-key-file",
        &scene.admin_key(),
        "add",
        "wxadded",
        "--yes",
    ])?;
    assert_eq!(added.status, 0, "{added:?}");
    let report = doctor(&scene, &server.base, &["--appid", "wxadded"])?;
    report.expect(&[
        ("server_accounts", "note"),
        ("coverage", "ok"),
        ("callback_get", "none"),
        ("appid", "none"),
    ]);
    assert_eq!(report.find("coverage").map(|finding| finding["account"].clone()), Some("wxadded".into()));
    doctor(&scene, &server.base, &["--appid", "wxnobody"])?.expect(&[("appid", "problem")]);
    Ok(())
}
