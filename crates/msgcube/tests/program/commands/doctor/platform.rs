//! `msgcube doctor` with third-party platforms, in both roles. Its test messages must not be passed on.

use wechat::callback::{
    cipher::AesKey,
    seal::{CallbackSigner, Draft, Encryption, Notice, Sealed},
};

use super::{CLOSED_PORT, DoctorOutput, doctor, stub::Stub};
use crate::{
    commands::scene::{Scene, TestResult},
    harness::Program,
};

const PLATFORM: &str = "wxplatform00000001";
const TOKEN: &str = "platformTokenSecret";
const KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const ONE: &str = "wxone0000000000001";
const SUCCESS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsuccess";

fn scene(role: &str, push_url: &str) -> TestResult<Scene> {
    let scene = Scene::new()?;
    scene.append_config(&format!(
        "[[component]]\nappid = \"{PLATFORM}\"\nsecret = \"platform-secret\"\ntoken = \"{TOKEN}\"\n\
         encoding_aes_key = \"{KEY}\"\nrole = \"{role}\"\npush_url = \"{push_url}\"\n"
    ))?;
    Ok(scene)
}

fn run_doctor(scene: &Scene, server: &Program, args: &[&str]) -> TestResult<DoctorOutput> {
    let report = doctor(scene, &server.base, &[&["--appid", PLATFORM], args].concat())?;
    for secret in [TOKEN, KEY, "platform-secret"] {
        assert!(!report.said.to_string().contains(secret), "{:#}", report.said);
    }
    Ok(report)
}

async fn push(server: &Program, path: &str, sealed: Sealed) -> TestResult<String> {
    let url = format!("{}/component/{PLATFORM}/{path}?{}", server.base, sealed.query);
    Ok(crate::harness::client().post(url).body(sealed.body).send().await?.text().await?)
}

async fn push_ticket(server: &Program, create_time: i64) -> TestResult<String> {
    let fields = vec![("ComponentVerifyTicket", "ticket@@@1")];
    let notice = Notice { appid: PLATFORM, create_time, info_type: "component_verify_ticket", fields };
    let envelope = CallbackSigner { token: TOKEN, timestamp: create_time, nonce: "n1" };
    push(server, "events", envelope.notice(&AesKey::parse(KEY)?, [9; 16], &notice)).await
}

async fn push_message(server: &Program, create_time: i64) -> TestResult<String> {
    let fields = vec![("Content", "hi")];
    let draft =
        Draft { to_user: "gh_one", from_user: "o1", create_time, msg_type: "text", fields, msg_id: Some(7) };
    let key = AesKey::parse(KEY)?;
    let encryption = Encryption { key: &key, appid: PLATFORM, random: [9; 16], compatible: false };
    let envelope = CallbackSigner { token: TOKEN, timestamp: create_time, nonce: "n1" };
    push(server, &format!("callback/{ONE}"), envelope.encrypted(&encryption, &draft)).await
}

/// State of the account that the doctor must not change.
async fn figures(scene: &Scene, server: &Program) -> TestResult<String> {
    let query = format!("from=1970-01-01&to={}&period=total&by=type", scene.day(1)?);
    let rows = server.admin_get(&format!("/v1/accounts/{ONE}/stats?{query}")).await["rows"].take();
    let gaps = server.admin_get(&format!("/v1/accounts/{ONE}/coverage")).await["gaps"].take();
    let losses = server.metrics().await;
    let losses = losses.lines().filter(|line| {
        line.starts_with("msgcube_callbacks_total")
            && (line.contains("wrong_to_user") || line.contains("closed"))
    });
    Ok(format!("{rows} {gaps} {:?}", losses.collect::<Vec<_>>()))
}

#[tokio::test]
async fn for_a_receiving_platform_it_reports_whether_tickets_and_messages_arrive() -> TestResult<()> {
    let scene = scene("receive", CLOSED_PORT)?;
    let server = scene.serve()?;
    let report = run_doctor(&scene, &server, &[])?;
    report.expect(&[
        ("settings_in_use", "none"),
        ("callback_get", "ok"),
        ("callback_wrong_signature", "ok"),
        ("event_wrong_signature", "ok"),
        ("event_taken", "ok"),
        ("callback_safe", "skipped"),
        ("push_connect", "problem"),
        ("ticket_received", "warning"),
        ("events_waiting", "ok"),
        ("platform_accounts", "ok"),
        ("appid", "none"),
    ]);
    let url = format!("/component/{PLATFORM}/events");
    assert!(report.finding_text("ticket_received").contains(&url), "{:#}", report.said);
    assert_eq!(report.find("event_taken").map(|finding| finding["component"].clone()), Some(PLATFORM.into()));
    let state = server.admin_get(&format!("/v1/components/{PLATFORM}")).await;
    assert_eq!(state["events"]["waiting"], 0, "test messages are not passed on: {state}");
    assert_eq!(server.admin_get("/v1/accounts").await["accounts"].as_array().map(Vec::len), Some(1));

    let now_s = jiff::Timestamp::now().as_second();
    assert_eq!(push_ticket(&server, now_s - 3 * 3600).await?, "success");
    assert_eq!(push_message(&server, now_s).await?, "success");
    let before = figures(&scene, &server).await?;
    for _ in 0..2 {
        let report = run_doctor(&scene, &server, &[])?;
        report.expect(&[("callback_safe", "ok"), ("ticket_received", "warning"), ("events_waiting", "ok")]);
        assert!(report.finding_text("ticket_received").contains("3 h 0 min"), "{:#}", report.said);
        assert!(report.finding_text("events_waiting").contains("push_url: 1,"), "{:#}", report.said);
        assert!(report.finding_text("platform_accounts").contains("1 pending"), "{:#}", report.said);
    }
    assert_eq!(figures(&scene, &server).await?, before, "nothing is counted");
    let asides = server.admin_get(&format!("/v1/accounts/{ONE}/aside")).await;
    assert_eq!(asides["messages"].as_array().map(Vec::len), Some(1), "quarantined once: {asides}");

    push_ticket(&server, jiff::Timestamp::now().as_second()).await?;
    let report = run_doctor(&scene, &server, &["--no-post"])?;
    report.expect(&[("ticket_received", "ok"), ("event_taken", "none"), ("callback_safe", "none")]);
    Ok(())
}

#[tokio::test]
async fn test_messages_are_not_passed_to_a_platform_behind_a_relay() -> TestResult<()> {
    let scene = scene("receive", "")?;
    let bot = Stub::start(SUCCESS, 0)?;
    scene.append_config(&format!("[component.relay]\nurl = \"{}/$APPID$\"\n", bot.base()))?;
    let server = scene.serve()?;
    assert_eq!(push_message(&server, jiff::Timestamp::now().as_second()).await?, "success");
    let report = run_doctor(&scene, &server, &[])?;
    report.expect(&[
        ("callback_safe", "skipped"),
        ("relay_connect", "ok"),
        ("relay_answer", "ok"),
        ("push_url", "note"),
        ("event_taken", "ok"),
        ("events_waiting", "none"),
    ]);
    Ok(())
}

#[test]
fn platform_settings_that_the_running_server_does_not_use_are_named() -> TestResult<()> {
    let scene = scene("receive", "")?;
    let server = scene.serve()?;
    scene.change_config(TOKEN, "anotherToken")?;
    let report = run_doctor(&scene, &server, &[])?;
    report.expect(&[("callback_get", "problem"), ("event_taken", "none")]);
    assert!(report.finding_text("callback_get").contains("401"), "{:#}", report.said);
    scene.change_config("anotherToken", TOKEN)?;

    scene.change_config(KEY, &KEY.replace("0123", "3210"))?;
    let report = run_doctor(&scene, &server, &[])?;
    report.expect(&[("callback_get", "ok"), ("event_wrong_signature", "ok"), ("event_taken", "problem")]);
    assert!(report.finding_text("event_taken").contains("encoding_aes_key"), "{:#}", report.said);

    scene.change_config("\"receive\"", "\"serve\"")?;
    let report = run_doctor(&scene, &server, &[])?;
    report.expect(&[("settings_in_use", "problem"), ("consent_page", "problem")]);
    assert!(report.finding_text("settings_in_use").contains("role"), "{:#}", report.said);

    scene.change_config(PLATFORM, "wxplatform00000002")?;
    let report = doctor(&scene, &server.base, &["--appid", "wxplatform00000002"])?;
    report.expect(&[("settings_in_use", "problem"), ("consent_page", "problem")]);
    assert!(report.finding_text("consent_page").contains("does not know"), "{:#}", report.said);
    doctor(&scene, CLOSED_PORT, &[])?.expect(&[("platform_state", "skipped")]);
    Ok(())
}

/// Polls until the state of the tickets of the platform fulfils the condition.
async fn until(server: &Program, is_so: impl Fn(&serde_json::Value) -> bool) -> TestResult<()> {
    for _ in 0..2000 {
        if is_so(&server.admin_get(&format!("/v1/components/{PLATFORM}")).await["ticket"]) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err("it never became so".into())
}

#[tokio::test]
async fn for_an_issued_platform_it_reports_whether_tickets_are_accepted() -> TestResult<()> {
    let (platform, broken) =
        (Stub::start(SUCCESS, 0)?, Stub::start("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", 0)?);
    let scene = scene("serve", &format!("{}/events?key=relay-key", platform.base()))?;
    let server = scene.serve()?;
    until(&server, |ticket| ticket["time"].is_string()).await?;
    let report = run_doctor(&scene, &server, &[])?;
    assert_eq!(report.said["problems"], 0, "{:#}", report.said);
    report.expect(&[
        ("push_connect", "ok"),
        ("push_answer", "ok"),
        ("ticket_pushed", "ok"),
        ("consent_page", "ok"),
        ("events_waiting", "ok"),
        ("platform_accounts", "ok"),
        ("callback_get", "none"),
    ]);
    let chinese = scene.run(&["doctor", "--server", &server.base, "--lang", "zh"])?.out;
    assert!(
        chinese.contains(&format!("第三方平台 {PLATFORM}")) && chinese.contains("收下 ticket"),
        "{chinese}"
    );
    let report = run_doctor(&scene, &server, &["--url", broken.base()])?;
    report.expect(&[("consent_page", "problem"), ("ticket_pushed", "ok")]);
    drop(server);

    scene.change_config(platform.base(), broken.base())?;
    let server = scene.serve()?;
    until(&server, |ticket| ticket["error"].is_string()).await?;
    let report = run_doctor(&scene, &server, &[])?;
    report.expect(&[("push_connect", "ok"), ("push_answer", "ok"), ("ticket_pushed", "problem")]);
    assert!(report.finding_text("ticket_pushed").contains("404"), "{:#}", report.said);
    Ok(())
}

#[test]
fn platform_secrets_that_other_users_can_read_are_named() -> TestResult<()> {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let scene = scene("serve", "")?;
    scene.write("platform.secret", b"platform-secret")?;
    scene.change_config("secret = \"platform-secret\"", "secret_file = \"platform.secret\"")?;
    let set_mode = |name: &str, mode| fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode));
    set_mode("", 0o755)?;
    set_mode("msgcube.toml", 0o600)?;
    set_mode("admin.key", 0o600)?;
    set_mode("platform.secret", 0o644)?;
    let report = doctor(&scene, CLOSED_PORT, &[])?;
    report.expect(&[("secret_files", "warning")]);
    assert!(report.finding_text("secret_files").contains("platform.secret"), "{:#}", report.said);
    Ok(())
}
