//! Quotas and request ids: ours are answered here, WeChat's are passed on. Also what survives a kill.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    front::{
        gateway::{REAL, program, wechat},
        neighbour::{Answer, ReceivedRequest, free_port, until},
    },
    harness::{APPID, Program, SECRET},
};

const QUOTA: &str = "/cgi-bin/openapi/quota/get";
const RID: &str = "/cgi-bin/openapi/rid/get";
const MONTH: &str = "/datacube/getupstreammsgmonth";

/// Answers with a text that names WeChat and the path.
fn answer_as_wechat(seen: &ReceivedRequest) -> Answer {
    let path = seen.target.split('?').next().unwrap_or_default();
    Answer::json(json!({"errcode": 0, "by": "WeChat", "path": path}).to_string())
}

fn by_wechat(path: &str) -> Value {
    json!({"errcode": 0, "by": "WeChat", "path": path})
}

fn rid_of(answer: &Value) -> String {
    answer["errmsg"].as_str().unwrap().split("rid: ").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn quotas_of_the_seven_interfaces_are_answered_here_and_others_by_wechat() {
    let upstream = wechat(answer_as_wechat).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for path in [QUOTA, "/cgi-bin/openapi/quota/clear"] {
        for question in
            [json!({"cgi_path": "/cgi-bin/message/custom/send"}), json!({"cgi_path": "nonsense"}), json!({})]
        {
            let before = upstream.requests_to(path).len();
            assert_eq!(program.ask(&token, path, question.clone()).await, by_wechat(path));
            let asked = upstream.requests_to(path).split_off(before);
            assert_eq!(asked[0].target, format!("{path}?access_token={REAL}0"));
            assert_eq!(serde_json::from_slice::<Value>(&asked[0].body).unwrap(), question);
        }
    }
    let before = upstream.requests().len();
    let ours = program.ask(&token, QUOTA, json!({"cgi_path": MONTH})).await;
    assert_eq!((&ours["errcode"], &ours["quota"]["used"]), (&json!(0), &json!(0)), "{ours}");
    assert_eq!(program.ask("unknown", QUOTA, json!({"cgi_path": "/x"})).await["errcode"], 40001);
    let url = format!("{}{QUOTA}?access_token={token}", program.base);
    for body in ["", "[]"] {
        let answer: Value = program.http.post(&url).body(body).send().await.unwrap().json().await.unwrap();
        assert!(matches!(answer["errcode"].as_i64(), Some(44002 | 47001)), "{answer}");
    }
    assert_eq!(upstream.requests().len(), before, "nothing was sent to WeChat");
}

#[tokio::test]
async fn our_request_ids_are_answered_here_and_others_by_wechat() {
    let upstream = wechat(answer_as_wechat).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-02", "end_date": "2020-01-01"});
    let rid = rid_of(&program.ask(&token, MONTH, dates).await);
    let shown = program.ask(&token, RID, json!({ "rid": rid })).await;
    assert_eq!(shown["request"]["request_url"], format!("{MONTH}?access_token=***"), "{shown}");
    assert!(upstream.requests_to(RID).is_empty());
    let now = &rid[..8];
    for other in ["61725984-6126f6f9-040f19c4", &format!("{now}-6126f6f9-040f19c4"), "ffffffff-1-1", "x"] {
        assert_eq!(program.ask(&token, RID, json!({ "rid": other })).await, by_wechat(RID), "{other}");
        let sent: Value = serde_json::from_slice(&upstream.requests_to(RID).pop().unwrap().body).unwrap();
        assert_eq!(sent["rid"], *other);
    }
    // A request id of another account is refused.
    let new = json!({"appid": "wx00000000000000c3", "secret": "third-secret", "token": "thirdToken"});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(new)).await.0, 201);
    let third = program.token("wx00000000000000c3", "third-secret").await;
    let before = upstream.requests_to(RID).len();
    let answer = program.ask(third["access_token"].as_str().unwrap(), RID, json!({ "rid": rid })).await;
    assert_eq!(answer["errcode"], 76003, "{answer}");
    assert_eq!(upstream.requests_to(RID).len(), before);
}

#[tokio::test]
async fn the_admin_address_records_calls_and_takes_no_callbacks() {
    let port = free_port().await;
    let admin = format!("127.0.0.1:{port}");
    let program = Program::start(&format!("admin_listen = \"{admin}\"\n"), "");
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-02", "end_date": "2020-01-01"});
    let url = format!("http://{admin}{MONTH}?access_token={token}");
    let refused: Value = program.http.post(url).json(&dates).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["errcode"], 61501, "{refused}");
    let shown = program.ask(&token, RID, json!({ "rid": rid_of(&refused) })).await;
    assert_eq!(shown["request"]["request_url"], format!("{MONTH}?access_token=***"), "{shown}");
    let callback = format!("http://{admin}/callback/{APPID}");
    assert_eq!(program.http.post(callback).body("<xml/>").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn clearing_a_quota_also_clears_wechats_and_never_sends_our_secrets() {
    let upstream = wechat(answer_as_wechat).await;
    let program = Program::start(
        &format!("[upstream]\nbase = \"{}\"\nuncovered = \"counted\"\n", upstream.base),
        "upstream_secret = \"real-secret\"\nquota_per_day = 1",
    );
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-01", "end_date": "2020-01-01"});
    let clear = "/cgi-bin/clear_quota";
    assert_eq!(program.ask(&token, clear, json!({"appid": "wx1"})).await["errcode"], 40013);
    assert!(upstream.requests_to(clear).is_empty(), "a call with the appid of another account is not sent");
    for by_secret in [false, true] {
        assert_eq!(program.ask(&token, MONTH, dates.clone()).await, json!({"list": []}));
        assert_eq!(program.ask(&token, MONTH, dates.clone()).await["errcode"], 45009);
        let before = upstream.requests_to(clear).len();
        let answer = if by_secret {
            let path = "/cgi-bin/clear_quota/v2";
            program.post(path, &json!({"appid": APPID, "appsecret": SECRET})).await
        } else {
            program.ask(&token, clear, json!({"appid": APPID})).await
        };
        assert_eq!(answer, by_wechat(clear));
        let asked = upstream.requests_to(clear).split_off(before);
        assert_eq!((asked.len(), &asked[0].target), (1, &format!("{clear}?access_token={REAL}0")));
        assert_eq!(serde_json::from_slice::<Value>(&asked[0].body).unwrap(), json!({"appid": APPID}));
        assert_eq!(asked[0].headers["content-length"], asked[0].body.len().to_string().as_str());
    }
    for _ in 2..10 {
        assert_eq!(program.ask(&token, clear, json!({"appid": APPID})).await, by_wechat(clear));
    }
    let before = upstream.requests_to(clear).len();
    assert_eq!(program.ask(&token, clear, json!({"appid": APPID})).await["errcode"], 48006);
    let wrong = program.post("/cgi-bin/clear_quota/v2", &json!({"appid": APPID, "appsecret": "x"})).await;
    assert_eq!(wrong["errcode"], 40125);
    // The path in another spelling is still ours, and the secret is not sent.
    let odd = format!("{}/cgi-bin/clear_quota//v2?access_token={token}", program.base);
    let status = program.http.post(odd).json(&json!({"appsecret": SECRET})).send().await.unwrap().status();
    assert_eq!(status, 404);
    assert_eq!(upstream.requests_to(clear).len(), before);
    for seen in upstream.requests() {
        assert!(!String::from_utf8_lossy(&seen.body).contains(SECRET));
    }
}

#[tokio::test]
async fn a_clearing_survives_a_kill_and_every_call_a_graceful_end() {
    let mut program = Program::start("", "quota_per_day = 1000");
    let token = program.access_token().await;
    for _ in 0..10 {
        let answer = program.ask(&token, "/cgi-bin/clear_quota", json!({"appid": APPID})).await;
        assert_eq!(answer["errcode"], 0, "{answer}");
    }
    let dates = json!({"begin_date": "2020-01-01", "end_date": "2020-01-01"});
    for _ in 0..3 {
        program.ask(&token, MONTH, dates.clone()).await;
    }
    // Calls are written in the background. What is on disk survives a kill.
    let on_disk = |program: &Program| {
        let stored = program.stored();
        let written = br#""used":{"getupstreammsgmonth":3}"#;
        stored.windows(written.len()).any(|window| window == written)
    };
    until("the calls are on disk", async || on_disk(&program)).await;
    program.restart("-KILL");
    let answer = program.ask(&token, "/cgi-bin/clear_quota", json!({"appid": APPID})).await;
    assert_eq!(answer["errcode"], 48006, "{answer}");
    let answer = program.ask(&token, QUOTA, json!({"cgi_path": MONTH})).await;
    assert_eq!(answer["quota"]["used"], 3, "{answer}");
    // So many calls that the last ones are not yet written when the program ends.
    for _ in 0..20 {
        program.ask(&token, MONTH, dates.clone()).await;
    }
    program.restart("-TERM");
    let answer = program.ask(&token, QUOTA, json!({"cgi_path": MONTH})).await;
    assert_eq!(answer["quota"]["used"], 23, "{answer}");
}

#[tokio::test]
async fn refused_calls_are_kept_only_in_memory_and_the_file_of_older_versions_is_deleted() {
    let mut program = Program::start("", "");
    let token = program.access_token().await;
    let file = program.folder().join("data/refused.redb");
    std::fs::write(&file, "sealed by a former version").unwrap();
    let refused = program.ask(&token, MONTH, json!({"note": "plain-note", "secret": "hidden-one"})).await;
    let rid = rid_of(&refused);
    let shown = program.ask(&token, RID, json!({ "rid": rid })).await;
    assert!(shown.to_string().contains("plain-note"), "{shown}");
    assert!(!shown.to_string().contains("hidden-one"), "{shown}");
    program.restart("-TERM");
    assert!(!file.exists());
    assert!(program.log().contains("removed the error log of an earlier version"), "{}", program.log());
    let answer = program.ask(&token, RID, json!({ "rid": rid })).await;
    assert_eq!(answer["errcode"], 76001, "{answer}");
    // The calls before and after the restart are not on disk.
    program.ask(&token, MONTH, json!({"note": "plain-note", "secret": "hidden-one"})).await;
    program.restart("-TERM");
    let stored = program.stored();
    for text in ["plain-note", "hidden-one", &token] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is on disk");
    }
}

#[tokio::test]
async fn a_request_id_from_before_a_restart_is_looked_up_at_wechat() {
    let upstream = wechat(answer_as_wechat).await;
    let mut program = program(&upstream, "");
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-02", "end_date": "2020-01-01"});
    let rid = rid_of(&program.ask(&token, MONTH, dates).await);
    program.restart("-TERM");
    assert_eq!(program.ask(&token, RID, json!({ "rid": rid })).await, by_wechat(RID));
    assert_eq!(upstream.requests_to(RID).len(), 1);
}
