//! Quotas and rids: what is ours is answered here, what is WeChat's goes on; and what a kill leaves of it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    front::{
        gateway::{REAL, program, wechat},
        neighbour::{Answer, Seen, free_port, until},
    },
    harness::{APPID, Program, SECRET},
};

const QUOTA: &str = "/cgi-bin/openapi/quota/get";
const RID: &str = "/cgi-bin/openapi/rid/get";
const MONTH: &str = "/datacube/getupstreammsgmonth";

/// One that says who it is.
fn says_so(seen: &Seen) -> Answer {
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
async fn quotas_of_other_paths_are_wechats_and_those_of_the_seven_are_ours() {
    let upstream = wechat(says_so).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for path in [QUOTA, "/cgi-bin/openapi/quota/clear"] {
        for question in
            [json!({"cgi_path": "/cgi-bin/message/custom/send"}), json!({"cgi_path": "nonsense"}), json!({})]
        {
            let before = upstream.asked(path).len();
            assert_eq!(program.ask(&token, path, question.clone()).await, by_wechat(path));
            let asked = upstream.asked(path).split_off(before);
            assert_eq!(asked[0].target, format!("{path}?access_token={REAL}0"));
            assert_eq!(serde_json::from_slice::<Value>(&asked[0].body).unwrap(), question);
        }
    }
    let before = upstream.seen().len();
    let ours = program.ask(&token, QUOTA, json!({"cgi_path": MONTH})).await;
    assert_eq!((&ours["errcode"], &ours["quota"]["used"]), (&json!(0), &json!(0)), "{ours}");
    assert_eq!(program.ask("unknown", QUOTA, json!({"cgi_path": "/x"})).await["errcode"], 40001);
    let url = format!("{}{QUOTA}?access_token={token}", program.base);
    for body in ["", "[]"] {
        let answer: Value = program.http.post(&url).body(body).send().await.unwrap().json().await.unwrap();
        assert!(matches!(answer["errcode"].as_i64(), Some(44002 | 47001)), "{answer}");
    }
    assert_eq!(upstream.seen().len(), before, "nothing of it went on");
}

#[tokio::test]
async fn a_rid_of_ours_is_answered_here_and_any_other_by_wechat() {
    let upstream = wechat(says_so).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-02", "end_date": "2020-01-01"});
    let rid = rid_of(&program.ask(&token, MONTH, dates).await);
    let shown = program.ask(&token, RID, json!({ "rid": rid })).await;
    assert_eq!(shown["request"]["request_url"], format!("{MONTH}?access_token=***"), "{shown}");
    assert!(upstream.asked(RID).is_empty());
    let now = &rid[..8];
    for other in ["61725984-6126f6f9-040f19c4", &format!("{now}-6126f6f9-040f19c4"), "ffffffff-1-1", "x"] {
        assert_eq!(program.ask(&token, RID, json!({ "rid": other })).await, by_wechat(RID), "{other}");
        let sent: Value = serde_json::from_slice(&upstream.asked(RID).pop().unwrap().body).unwrap();
        assert_eq!(sent["rid"], *other);
    }
    // Of another account's it is known here that it is another's.
    let new = json!({"appid": "wx00000000000000c3", "secret": "third-secret", "token": "thirdToken"});
    assert_eq!(program.own(Method::POST, "/v1/accounts", Some(new)).await.0, 201);
    let third = program.token("wx00000000000000c3", "third-secret").await;
    let before = upstream.asked(RID).len();
    let answer = program.ask(third["access_token"].as_str().unwrap(), RID, json!({ "rid": rid })).await;
    assert_eq!(answer["errcode"], 76003, "{answer}");
    assert_eq!(upstream.asked(RID).len(), before);
}

#[tokio::test]
async fn a_call_on_the_operators_address_is_kept_too_and_no_callback_comes_in_there() {
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
async fn clearing_goes_on_to_wechat_once_ours_is_cleared_and_secrets_of_ours_stay_here() {
    let upstream = wechat(says_so).await;
    let program = Program::start(
        &format!("[upstream]\nbase = \"{}\"\nuncovered = \"counted\"\n", upstream.base),
        "upstream_secret = \"real-secret\"\nquota_per_day = 1",
    );
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-01", "end_date": "2020-01-01"});
    let clear = "/cgi-bin/clear_quota";
    assert_eq!(program.ask(&token, clear, json!({"appid": "wx1"})).await["errcode"], 40013);
    assert!(upstream.asked(clear).is_empty(), "a foreign appid goes nowhere");
    for by_secret in [false, true] {
        assert_eq!(program.ask(&token, MONTH, dates.clone()).await, json!({"list": []}));
        assert_eq!(program.ask(&token, MONTH, dates.clone()).await["errcode"], 45009);
        let before = upstream.asked(clear).len();
        let answer = if by_secret {
            let path = "/cgi-bin/clear_quota/v2";
            program.post(path, &json!({"appid": APPID, "appsecret": SECRET})).await
        } else {
            program.ask(&token, clear, json!({"appid": APPID})).await
        };
        assert_eq!(answer, by_wechat(clear));
        let asked = upstream.asked(clear).split_off(before);
        assert_eq!((asked.len(), &asked[0].target), (1, &format!("{clear}?access_token={REAL}0")));
        assert_eq!(serde_json::from_slice::<Value>(&asked[0].body).unwrap(), json!({"appid": APPID}));
        assert_eq!(asked[0].headers["content-length"], asked[0].body.len().to_string().as_str());
    }
    for _ in 2..10 {
        assert_eq!(program.ask(&token, clear, json!({"appid": APPID})).await, by_wechat(clear));
    }
    let before = upstream.asked(clear).len();
    assert_eq!(program.ask(&token, clear, json!({"appid": APPID})).await["errcode"], 48006);
    let wrong = program.post("/cgi-bin/clear_quota/v2", &json!({"appid": APPID, "appsecret": "x"})).await;
    assert_eq!(wrong["errcode"], 40125);
    // Written in another way it is ours all the same, and its secret goes nowhere.
    let odd = format!("{}/cgi-bin/clear_quota//v2?access_token={token}", program.base);
    let status = program.http.post(odd).json(&json!({"appsecret": SECRET})).send().await.unwrap().status();
    assert_eq!(status, 404);
    assert_eq!(upstream.asked(clear).len(), before);
    for seen in upstream.seen() {
        assert!(!String::from_utf8_lossy(&seen.body).contains(SECRET));
    }
}

#[tokio::test]
async fn a_kill_brings_no_clearing_back_and_a_graceful_end_no_call() {
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
    // Written soon, without anybody waiting: once it is on disk a kill takes nothing back.
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
    // So many in a row that the last ones are not written yet when the end comes.
    for _ in 0..20 {
        program.ask(&token, MONTH, dates.clone()).await;
    }
    program.restart("-TERM");
    let answer = program.ask(&token, QUOTA, json!({"cgi_path": MONTH})).await;
    assert_eq!(answer["quota"]["used"], 23, "{answer}");
}

#[tokio::test]
async fn a_refused_call_is_kept_in_memory_alone_and_the_file_of_former_versions_goes() {
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
    assert!(program.log().contains("refused calls are now kept in memory only"), "{}", program.log());
    let answer = program.ask(&token, RID, json!({ "rid": rid })).await;
    assert_eq!(answer["errcode"], 76001, "{answer}");
    // Neither the call before the restart nor one after it is on disk.
    program.ask(&token, MONTH, json!({"note": "plain-note", "secret": "hidden-one"})).await;
    program.restart("-TERM");
    let stored = program.stored();
    for text in ["plain-note", "hidden-one", &token] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is on disk");
    }
}

#[tokio::test]
async fn a_rid_from_before_a_restart_is_asked_of_wechat() {
    let upstream = wechat(says_so).await;
    let mut program = program(&upstream, "");
    let token = program.access_token().await;
    let dates = json!({"begin_date": "2020-01-02", "end_date": "2020-01-01"});
    let rid = rid_of(&program.ask(&token, MONTH, dates).await);
    program.restart("-TERM");
    assert_eq!(program.ask(&token, RID, json!({ "rid": rid })).await, by_wechat(RID));
    assert_eq!(upstream.asked(RID).len(), 1);
}
