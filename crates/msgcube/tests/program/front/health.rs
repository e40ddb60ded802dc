//! The health of an account: what happened to its checks and callbacks, and its state.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use wechat::callback::seal::Sealed;

use crate::{
    front::{
        neighbour::{Answer, Neighbour, until},
        platform,
    },
    harness::{
        AES_KEY, APPID, Program, TOKEN,
        callbacks::{CallbackReply, Text, now_s, signed_query, success},
    },
};

const NEW: &str = "wx00000000000000c3";
const NEW_TOKEN: &str = "newToken";
const PLATFORM: &str = "wxplatform00000001";
const BROUGHT: &str = "wxone0000000000001";

fn settings() -> Value {
    json!({"appid": NEW, "name": "Tea House", "secret": "new-secret-of-an-account", "token": NEW_TOKEN, "encoding_aes_key": AES_KEY})
}

fn rejects(reply: &CallbackReply) -> bool {
    matches!(reply, CallbackReply::Reply(400..=499, _))
}

impl Program {
    async fn health(&self, appid: &str) -> Value {
        self.admin_get(&format!("/v1/accounts/{appid}/health")).await
    }

    /// Sends WeChat's check of an address and returns the status.
    pub async fn check_address(&self, path: &str, query: &str) -> u16 {
        self.http.get(format!("{}/{path}?{query}", self.base)).send().await.unwrap().status().as_u16()
    }
}

/// A callback without a message. Its signature is right, so a message is lost.
pub fn broken(token: &str) -> Sealed {
    Sealed { body: "<xml>no message".to_owned(), ..Text::new("o1", 9).plain(token) }
}

#[tokio::test]
async fn the_health_of_a_new_account_follows_it_from_the_first_check_to_its_removal() {
    let program = Program::start("", "");
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await.0, 201);
    let empty = json!({"accepted": 0, "repeat": 0, "aside": 0, "refused": {}, "closed": {}});
    let health = program.health(NEW).await;
    assert_eq!((&health["account"], &health["callbacks"]), (&json!(NEW), &empty));
    assert_eq!(health["name"], "Tea House");
    assert_eq!((&health["last_check"], &health["relay"]), (&Value::Null, &Value::Null));
    assert_eq!((&health["failed_checks"], &health["last_message"]), (&json!([]), &Value::Null));
    assert_eq!(health["state"], "waiting_check", "{health}");

    let path = format!("callback/{NEW}");
    assert_eq!(program.check_address(&path, &format!("{}&echostr=e", signed_query("other"))).await, 401);
    assert_eq!(program.check_address(&path, &signed_query(NEW_TOKEN)).await, 401);
    let health = program.health(NEW).await;
    assert_eq!(health["state"], "waiting_check");
    assert_eq!(health["last_check"]["result"], "refused");
    assert_eq!(program.check_address(&path, &format!("{}&echostr=e", signed_query(NEW_TOKEN))).await, 200);
    let health = program.health(NEW).await;
    assert_eq!(
        (&health["last_check"]["result"], &health["last_check"]["reason"]),
        (&json!("ok"), &Value::Null)
    );
    let failed: Vec<&Value> =
        health["failed_checks"].as_array().unwrap().iter().map(|check| &check["reason"]).collect();
    assert_eq!(failed, ["echostr_missing", "wrong_signature"], "newest first");
    assert_eq!((&health["state"], &health["callbacks"]), (&json!("waiting_message"), &empty));

    let mut old = Text::new("o1", 2);
    old.create_time = 1;
    let text = Text::new("o1", 1);
    for _ in 0..2 {
        assert_eq!(program.receive(NEW, &text.safe(NEW_TOKEN, AES_KEY, NEW)).await, success());
    }
    assert_eq!(program.receive(NEW, &old.safe(NEW_TOKEN, AES_KEY, NEW)).await, success());
    assert!(rejects(&program.receive(NEW, &text.plain("other")).await));
    assert!(rejects(&program.receive("wx-unknown", &text.plain("other")).await));
    let counted = json!({
        "accepted": 1, "repeat": 1, "aside": 1, "refused": {"wrong_signature": 1}, "closed": {},
    });
    let health = program.health(NEW).await;
    assert_eq!((&health["callbacks"], &health["state"]), (&counted, &json!("receiving")), "{health}");
    let last: jiff::Timestamp = health["last_message"].as_str().unwrap().parse().unwrap();
    assert_eq!(last.as_second(), text.create_time);

    let change = Some(json!({"certified": false, "encoding_aes_key_previous": null}));
    assert_eq!(program.admin_call(Method::PATCH, &format!("/v1/accounts/{NEW}"), change).await.0, 200);
    let changed = program.health(NEW).await;
    for field in ["last_check", "failed_checks", "callbacks", "last_message", "state"] {
        assert_eq!(changed[field], health[field], "{field} after a change of settings");
    }

    // Its coverage begins with the second after it was added. Nothing before that is a gap.
    until("refusing", async || {
        assert!(rejects(&program.receive(NEW, &broken(NEW_TOKEN)).await));
        program.health(NEW).await["state"] == "refusing"
    })
    .await;
    assert!(program.health(NEW).await["callbacks"]["refused"]["malformed"].as_u64() >= Some(1));
    assert_eq!(program.health(APPID).await["callbacks"], empty, "another account");

    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/accounts/{NEW}"), None).await.0, 200);
    assert_eq!(program.admin_call(Method::GET, &format!("/v1/accounts/{NEW}/health"), None).await.0, 404);
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await.0, 201);
    let again = program.health(NEW).await;
    assert_eq!((&again["last_check"], &again["callbacks"]), (&Value::Null, &empty), "it starts anew");
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_an_account_and_a_restart_starts_anew() {
    let mut program = Program::start("", "");
    let yesterday = Text { create_time: now_s() - 25 * 3600, ..Text::new("o1", 2) };
    for (text, state) in [(yesterday, "quiet"), (Text::new("o1", 1), "receiving")] {
        assert_eq!(program.receive(APPID, &text.usual()).await, success());
        assert_eq!(program.health(APPID).await["state"], state);
    }
    let path = program.folder().join("msgcube.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{file}quota_per_day = 7\n")).unwrap();
    let (status, reloaded) = program.admin_call(Method::POST, "/v1/reload", None).await;
    assert_eq!(status, 200, "{reloaded}");
    let (_, account) = program.admin_call(Method::GET, &format!("/v1/accounts/{APPID}"), None).await;
    assert_eq!(account["quota_per_day"], 7);
    assert_eq!(program.health(APPID).await["callbacks"]["accepted"], 2);

    let before = now_s();
    program.restart("-KILL");
    let health = program.health(APPID).await;
    assert_eq!(health["callbacks"]["accepted"], 0);
    let since: jiff::Timestamp = health["since"].as_str().unwrap().parse().unwrap();
    assert!(since.as_second() >= before, "{health}");
}

#[tokio::test]
async fn a_bot_that_answers_late_or_wrongly_shows_and_the_account_still_receives() {
    let bot = Neighbour::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let answer = Answer::new(if body.contains("oBroken") { 500 } else { 200 }, "", "success");
        if body.contains("oLate") { answer.late(Duration::from_secs(600)) } else { answer }
    })
    .await;
    let program = Program::start("", &format!("[account.relay]\nurl = \"{}/wechat\"\n", bot.base));
    let texts =
        [Text::new("o1", 1), Text::new("oBroken", 2), Text::new("oLate", 3)].map(|text| text.plain(TOKEN));
    let replies = tokio::join!(
        program.receive(APPID, &texts[0]),
        program.receive(APPID, &texts[1]),
        program.receive(APPID, &texts[2])
    );
    assert_eq!(replies, (success(), CallbackReply::Reply(500, "success".to_owned()), CallbackReply::Nothing));
    let health = program.health(APPID).await;
    let relay = &health["relay"];
    assert_eq!([&relay["count"], &relay["late"], &relay["failed"]], [&json!(3), &json!(1), &json!(1)]);
    assert!(relay["p50_ms"].as_u64().unwrap() >= 5, "{relay}");
    assert_eq!(relay["p50_ms"], relay["p99_ms"], "one answer was in time");
    assert_eq!(health["callbacks"]["closed"], json!({"relay_late": 1}));
    assert_eq!((&health["callbacks"]["accepted"], &health["state"]), (&json!(3), &json!("receiving")));
}

#[tokio::test]
async fn callbacks_that_come_through_a_platform_belong_to_their_account() {
    let bot = Neighbour::start(|_| Answer::new(200, "", "success")).await;
    let component = format!(
        "[[component]]\nappid = \"{PLATFORM}\"\nsecret = \"platform-secret\"\ntoken = \"{}\"\n\
         encoding_aes_key = \"{AES_KEY}\"\nrole = \"receive\"\n[component.relay]\nurl = \"{}/$APPID$\"\n",
        platform::TOKEN,
        bot.base
    );
    let program = Program::start(&component, "");
    let path = format!("callback/{BROUGHT}");
    let first = Text { to: "gh_one", ..Text::new("o1", 1) };
    let wrong = Text { to: "gh_other", ..Text::new("o1", 2) };
    for (text, status) in [(&first, 200), (&first, 200), (&wrong, 200)] {
        let reply = program.push_to(PLATFORM, &path, &text.safe(platform::TOKEN, AES_KEY, PLATFORM)).await;
        assert!(matches!(reply, CallbackReply::Reply(found, _) if found == status), "{reply:?}");
    }
    let check = format!("component/{PLATFORM}/{path}");
    assert_eq!(program.check_address(&check, &signed_query("other")).await, 401);
    let health = program.health(BROUGHT).await;
    let counted =
        json!({"accepted": 1, "repeat": 1, "aside": 0, "refused": {"wrong_to_user": 1}, "closed": {}});
    assert_eq!((&health["callbacks"], &health["relay"]["count"]), (&counted, &json!(3)), "{health}");
    assert_eq!(health["last_check"]["reason"], "wrong_signature");
}

#[tokio::test]
async fn only_a_key_that_reads_the_account_sees_its_health() {
    let program = Program::start("", "");
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await.0, 201);
    let scopes = Some(json!({"scopes": [format!("read:{APPID}")]}));
    let (_, key) = program.admin_call(Method::POST, "/v1/keys", scopes).await;
    let key = key["key"].as_str().unwrap();
    for (appid, more, expected) in
        [(APPID, "", 200), (NEW, "", 403), ("wx-unknown", "", 403), (APPID, "?from=2026-11-01", 400)]
    {
        let path = format!("/v1/accounts/{appid}/health{more}");
        assert_eq!(program.call(Method::GET, &path, key, None).await.status(), expected, "{path}");
    }
    assert_eq!(program.admin_call(Method::GET, "/v1/accounts/wx-unknown/health", None).await.0, 404);
    let path = format!("/v1/accounts/{APPID}/health");
    assert_eq!(program.call(Method::GET, &path, "no key", None).await.status(), 401);
}
