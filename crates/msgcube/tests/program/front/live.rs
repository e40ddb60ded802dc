//! The summary of all accounts, and the stream of today's figures: who sees what, what changes, and what ends it.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    front::neighbour::until,
    harness::{
        ADMIN_KEY, APPID, Program, bulk_line,
        callbacks::{Text, now_s, success},
    },
};

const OTHER: &str = "wx-other";

/// The usual account and another one.
async fn program() -> Program {
    let program = Program::start("", "");
    let other = json!({"appid": OTHER, "secret": "other-secret", "token": "otherToken"});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(other)).await.0, 201);
    program
}

/// A new key with these scopes: its id and its text.
async fn new_key(program: &Program, scopes: &[&str]) -> (String, String) {
    let (status, key) =
        program.admin_call(Method::POST, "/v1/keys", Some(json!({"name": "k", "scopes": scopes}))).await;
    assert_eq!(status, 201, "{key}");
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

pub async fn send_text(program: &Program, msg_id: u64) {
    let text = Text { create_time: now_s(), ..Text::new("o1", msg_id) };
    assert_eq!(program.receive(APPID, &text.usual()).await, success());
}

/// The events of a stream.
pub struct EventReader {
    response: Response,
    unread: String,
}

impl EventReader {
    async fn open(program: &Program, key: &str) -> EventReader {
        let response = program.call(Method::GET, "/v1/live", key, None).await;
        assert_eq!(response.status(), 200);
        EventReader::of(response)
    }

    pub fn of(response: Response) -> EventReader {
        EventReader { response, unread: String::new() }
    }

    /// The data of the next event. None: the server has ended the stream as it should.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((block, _)) = self.unread.split_once("\n\n") {
                let data = block.strip_prefix("data: ").map(|data| serde_json::from_str(data).unwrap());
                let read = block.len() + 2;
                self.unread.drain(..read);
                if data.is_some() {
                    return data;
                }
            }
            let chunk = self.response.chunk().await.expect("the stream is not cut off")?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The accounts of the next event.
    pub async fn accounts(&mut self) -> Vec<Value> {
        let event = self.next().await.expect("an event");
        event["accounts"].as_array().unwrap().clone()
    }
}

pub fn appids(accounts: &[Value]) -> Vec<&str> {
    accounts.iter().map(|account| account["account"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_shows_each_change_and_the_summary_shows_the_same() {
    let program = program().await;
    let mut stream = EventReader::open(&program, ADMIN_KEY).await;
    let headers = stream.response.headers();
    assert_eq!(
        (&headers["content-type"], &headers["x-accel-buffering"]),
        (&"text/event-stream".parse().unwrap(), &"no".parse().unwrap())
    );
    let none = json!({"text": 0, "image": 0, "voice": 0, "video": 0, "link": 0});
    let first = stream.accounts().await;
    assert_eq!(appids(&first), [OTHER, APPID]);
    assert!(first.iter().all(|account| account["messages"] == none && account["last_message"].is_null()));
    for sent in 1..=2_u64 {
        send_text(&program, sent).await;
        let changed = stream.accounts().await;
        assert_eq!((appids(&changed), &changed[0]["messages"]["text"]), (vec![APPID], &json!(sent)));
    }
    let summary = program.admin_get("/v1/summary").await;
    let [other, usual] = summary["accounts"].as_array().unwrap().as_slice() else { panic!("{summary}") };
    assert_eq!(
        (&other["account"], &other["today"], &other["last_message"]),
        (&json!(OTHER), &json!(0), &Value::Null)
    );
    assert_eq!((&usual["today"], &usual["month"], &usual["yesterday"]), (&json!(2), &json!(2), &json!(0)));
    assert!(usual["last_message"].as_str().unwrap().ends_with("+08:00"), "{usual}");
    assert!(usual["same_hours"]["until"].as_str().unwrap().ends_with(":00:00+08:00"), "{usual}");
    assert!(!summary.to_string().contains("o1\""), "no openids: {summary}");
}

#[tokio::test]
async fn the_summary_compares_with_the_time_before_also_after_a_kill() {
    let mut program = program().await;
    let now_s = now_s();
    let line = |seconds_ago: i64, msg_id: u64| bulk_line("o2", now_s - seconds_ago, "image", msg_id);
    // Counted by the account's own statistics, so that the end of an hour, a day or a month does not matter.
    let days_ago = [1, 7, 7, 20, 31, 45];
    let lines: String = (1..).zip(days_ago).map(|(msg_id, days)| line(days * 86_400, msg_id)).collect();
    let before = program.admin_get("/v1/summary").await;
    assert_eq!(before["accounts"][1]["last_message"], Value::Null);
    program.bulk(APPID, lines).await;
    for _ in 0..2 {
        let summary = program.admin_get("/v1/summary").await;
        let usual = &summary["accounts"][1];
        let today: jiff::civil::Date = summary["time"].as_str().unwrap()[..10].parse().unwrap();
        let of = async |days: [jiff::civil::Date; 2]| {
            let path = format!("/v1/accounts/{APPID}/stats?from={}&to={}&period=total", days[0], days[1]);
            program.admin_get(&path).await["rows"][0]["messages"].as_u64().unwrap_or_default()
        };
        let yesterday = today.yesterday().unwrap();
        let before_month = today.first_of_month().yesterday().unwrap();
        assert_eq!(usual["yesterday"], of([yesterday, yesterday]).await, "{usual}");
        assert_eq!(usual["month"], of([today.first_of_month(), today]).await, "{usual}");
        let last_month = of([before_month.first_of_month(), before_month]).await;
        assert_eq!(usual["last_month"], last_month, "{usual}");
        assert!(usual["same_hours"]["last_week"].as_u64().unwrap() <= 2, "{usual}");
        program.restart("-KILL");
    }
}

#[tokio::test]
async fn a_key_sees_only_the_accounts_that_it_may_read_and_revoking_it_ends_its_streams() {
    let program = program().await;
    let (id, key) = new_key(&program, &[&format!("read:{APPID}")]).await;
    let (_, write_only) = new_key(&program, &[&format!("write:{APPID}")]).await;
    for (key, shown) in [(&key, vec![APPID]), (&write_only, vec![])] {
        assert_eq!(appids(&EventReader::open(&program, key).await.accounts().await), shown);
        let summary: Value = program.call(Method::GET, "/v1/summary", key, None).await.json().await.unwrap();
        assert_eq!(appids(summary["accounts"].as_array().unwrap()), shown);
    }
    for path in ["/v1/live", "/v1/summary"] {
        assert_eq!(program.call(Method::GET, path, "mk_wrong_key", None).await.status(), 401);
    }
    let mut stream = EventReader::open(&program, &key).await;
    let mut admin = EventReader::open(&program, ADMIN_KEY).await;
    assert_eq!((stream.accounts().await.len(), admin.accounts().await.len()), (1, 2));
    let other = json!({"FromUserName": "o3", "CreateTime": now_s(), "MsgType": "link", "MsgId": 1});
    program.bulk(OTHER, format!("{other}\n")).await;
    assert_eq!(appids(&admin.accounts().await), [OTHER]);
    send_text(&program, 1).await;
    assert_eq!(appids(&stream.accounts().await), [APPID], "nothing of the other account");
    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/keys/{id}"), None).await.0, 200);
    assert_eq!(stream.next().await, None);
    assert_eq!(appids(&admin.accounts().await), [APPID], "other streams go on");
}

#[tokio::test]
async fn a_key_has_eight_streams_and_gets_one_back_when_its_reader_has_gone() {
    let program = program().await;
    let (_, key) = new_key(&program, &["read"]).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(EventReader::open(&program, &key).await);
    }
    let refused = program.call(Method::GET, "/v1/live", &key, None).await;
    assert_eq!(refused.status(), 503);
    let error: Value = refused.json().await.unwrap();
    assert!(error["error"].as_str().unwrap().contains("8 live streams"), "{error}");
    EventReader::open(&program, ADMIN_KEY).await;
    streams.pop();
    until("a stream is free", async || {
        program.call(Method::GET, "/v1/live", &key, None).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_planned_stop_ends_the_streams_and_cuts_nothing_off() {
    let mut program = program().await;
    let mut stream = EventReader::open(&program, ADMIN_KEY).await;
    assert_eq!(stream.accounts().await.len(), 2);
    program.signal("-TERM");
    assert_eq!(stream.next().await, None);
    assert_eq!(program.wait().code(), Some(0));
    let log = program.log();
    assert!(!log.contains("cut off"), "{log}");
}
