//! Statistics of all accounts: every page size gives the same rows, and a key shows only the accounts it may read.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, APPID, Program};

const KINDS: [&str; 4] = ["text", "image", "location", "event"];

/// Seven accounts with messages on different days. The last two have none.
async fn program() -> Program {
    let program = Program::start("", "");
    for n in 0..7_usize {
        let appid = format!("wx-{n}");
        let settings =
            json!({"appid": appid, "secret": format!("secret-{n}"), "token": format!("token-{n}")});
        assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings)).await.0, 201);
        let line = |day: usize, user: usize| {
            let (kind, second) = (KINDS[(n + day + user) % 4], 1_414_807_200 + day * 86_400 + user);
            let message = json!({"FromUserName": format!("o{user}"), "CreateTime": second, "MsgType": kind, "MsgId": second, "Event": "CLICK", "EventKey": ""});
            format!("{message}\n")
        };
        let days = if n < 5 { 0..(3 * n) } else { 0..0 };
        let text: String = days.flat_map(|day| (0..=n).map(move |user| line(day, user))).collect();
        program.bulk(&appid, text).await;
    }
    program
}

/// All rows, read in pages of `limit` rows.
async fn rows(program: &Program, query: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/stats?{query}&limit={limit}{cursor}");
        let (status, page) = program.admin_call(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{page}");
        let found = page["rows"].as_array().unwrap();
        assert!(found.len() <= limit);
        rows.extend(found.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

#[tokio::test]
async fn every_page_size_gives_the_same_rows_as_each_account_alone() {
    let program = program().await;
    for query in [
        "from=2014-10-01&to=2014-12-31&period=day&by=type",
        "from=2014-11-02&to=2014-11-09&period=week",
        "from=2014-10-01&to=2014-12-31&period=month&by=type",
        "from=2014-11-03&to=2014-11-08&period=total",
        "from=2014-10-01&to=2014-12-31&period=day&by=official",
        "from=2014-10-01&to=2014-12-31&period=day&by=count",
        "from=2014-11-03&to=2014-11-16&period=week&by=count",
        "from=2014-11-02&to=2014-11-09&period=week&new=true",
    ] {
        let mut alone = Vec::new();
        for appid in (0..7).map(|n| format!("wx-{n}")) {
            let (_, answer) =
                program.admin_call(Method::GET, &format!("/v1/accounts/{appid}/stats?{query}"), None).await;
            alone.extend(answer["rows"].as_array().unwrap().iter().map(|row| {
                let mut row = row.clone();
                row["account"] = json!(appid);
                row
            }));
        }
        assert!(alone.len() > 3, "{query}");
        for limit in [1, 2, 3, 7, 10_000] {
            let mut together = rows(&program, query, limit).await;
            for row in &mut together {
                assert_eq!(row.as_object_mut().unwrap().remove("covered"), Some(json!(false)));
                assert_eq!(row.as_object_mut().unwrap().remove("bridged"), Some(json!(0)));
            }
            assert_eq!(together, alone, "{query}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn one_account_and_all_accounts_use_the_same_formats() {
    let program = program().await;
    let days = "from=2014-10-01&to=2014-12-31&period=day&by=type";
    for (format, content_type) in [("csv", "text/csv; charset=utf-8"), ("ndjson", "application/x-ndjson")] {
        let mut texts = Vec::new();
        for path in [format!("/v1/stats?accounts=wx-3&{days}"), format!("/v1/accounts/wx-3/stats?{days}")] {
            let answer = program.call(Method::GET, &format!("{path}&format={format}"), ADMIN_KEY, None).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["content-type"]),
                (200, &content_type.parse().unwrap())
            );
            texts.push(answer.text().await.unwrap());
        }
        assert_eq!(texts[0], texts[1]);
        assert!(texts[0].lines().count() > 9 && texts[0].contains("wx-3"), "{}", texts[0]);
    }
    let (status, answer) =
        program.admin_call(Method::GET, &format!("/v1/accounts/wx-3/stats?{days}&format=xml"), None).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("json, ndjson or csv"), "{answer}");
}

#[tokio::test]
async fn a_key_shows_only_the_accounts_that_it_may_read() {
    let program = program().await;
    let new = json!({"name": "two", "scopes": ["read:wx-2", "read:wx-4"]});
    let (_, key) = program.admin_call(Method::POST, "/v1/keys", Some(new)).await;
    let key = key["key"].as_str().unwrap();
    let days = "from=2014-10-01&to=2014-12-31&period=total";
    let page: Value = program
        .call(Method::GET, &format!("/v1/stats?accounts=*&{days}"), key, None)
        .await
        .json()
        .await
        .unwrap();
    let shown: Vec<&Value> = page["rows"].as_array().unwrap().iter().map(|row| &row["account"]).collect();
    assert_eq!(shown, [&json!("wx-2"), &json!("wx-4")]);
    for appid in [APPID, "wx-3", "wx-there-is-none"] {
        let path = format!("/v1/stats?accounts=wx-2,{appid}&{days}");
        assert_eq!(program.call(Method::GET, &path, key, None).await.status(), 403, "{appid}");
    }
    let write_only = json!({"name": "none", "scopes": ["write:wx-2"]});
    let (_, key) = program.admin_call(Method::POST, "/v1/keys", Some(write_only)).await;
    let key = key["key"].as_str().unwrap();
    let page: Value = program.call(Method::GET, "/v1/stats", key, None).await.json().await.unwrap();
    assert_eq!(page["rows"], json!([]));
}

/// `messages` messages of a user on 2014-11-03. Their ids start at `id`.
fn sent(user: &str, messages: u64, id: u64) -> String {
    let line = |id: u64| {
        let message =
            json!({"FromUserName": user, "CreateTime": 1_414_980_000, "MsgType": "text", "MsgId": id});
        format!("{message}\n")
    };
    (id..id + messages).map(line).collect()
}

#[tokio::test]
async fn a_page_does_not_repeat_rows_if_the_row_of_its_cursor_is_gone() {
    let program = Program::start("", "");
    program.bulk(APPID, [sent("o1", 1, 1), sent("o2", 6, 100), sent("o3", 11, 200)].concat()).await;
    let path = "/v1/stats?from=2014-11-01&to=2014-11-30&period=month&by=count&limit=2";
    let (_, first) = program.admin_call(Method::GET, path, None).await;
    let counts = |page: &Value| -> Vec<Value> {
        page["rows"].as_array().unwrap().iter().map(|row| json!([row["count"], row["users"]])).collect()
    };
    assert_eq!(counts(&first), [json!(["1-5", 1]), json!(["6-10", 1])]);
    program.bulk(APPID, sent("o2", 5, 300)).await;
    let next = format!("{path}&cursor={}", first["next"].as_str().unwrap());
    let (_, second) = program.admin_call(Method::GET, &next, None).await;
    assert_eq!((counts(&second), &second["next"]), (vec![json!(["11+", 2])], &Value::Null));
}
