//! The client against a small real server that counts its requests.
#![allow(clippy::unwrap_used)] // clippy does not know that these functions belong to tests

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use datacube::{Day, ErrorCode, Interface};
use msgcube_client::{Client, ClientBuilder, ClientError};
use serde_json::{Value, json};

/// What the server answers, and the requests it saw.
#[derive(Default)]
struct FakeWechat {
    /// The valid token is `T` followed by this number.
    generation: usize,
    /// The datacube refuses the valid token until a forced refresh.
    refuse_until_forced: bool,
    /// The datacube refuses every token.
    refuse_always: bool,
    /// Number of calls that are first answered with error -1.
    system_errors: usize,
    /// Status and body of the next answers, last first. Without one, an answer has one row.
    scripted: Vec<(u16, String)>,
    /// `stable_token` answers with this error.
    token_error: Option<String>,
    token_calls: usize,
    forced_calls: usize,
    asked: Vec<(String, String, String)>,
}

type Shared = Arc<Mutex<FakeWechat>>;

async fn stable_token(State(wechat): State<Shared>, body: String) -> String {
    let mut wechat = wechat.lock().unwrap();
    let request: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&request["appid"], &request["secret"]), (&json!("wx1"), &json!("the secret")));
    wechat.token_calls += 1;
    if request["force_refresh"] == json!(true) {
        wechat.forced_calls += 1;
        wechat.generation += 1;
        wechat.refuse_until_forced = false;
    }
    let token = json!({"access_token": format!("T{}", wechat.generation), "expires_in": 7200}).to_string();
    wechat.token_error.clone().unwrap_or(token)
}

async fn datacube(
    State(wechat): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut wechat = wechat.lock().unwrap();
    assert_eq!(headers["content-type"], "application/json");
    let dates: Value = serde_json::from_str(&body).unwrap();
    let (begin, end) = (dates["begin_date"].as_str().unwrap(), dates["end_date"].as_str().unwrap());
    wechat.asked.push((name, begin.to_owned(), end.to_owned()));
    let good = query.unwrap() == format!("access_token=T{}", wechat.generation);
    if !good || wechat.refuse_until_forced || wechat.refuse_always {
        return json!({"errcode": 42001, "errmsg": "access_token expired rid: 1-2-3"})
            .to_string()
            .into_response();
    }
    if wechat.system_errors > 0 {
        wechat.system_errors -= 1;
        return json!({"errcode": -1, "errmsg": "system error"}).to_string().into_response();
    }
    let row =
        json!({"list": [{"ref_date": begin, "msg_type": 1, "msg_user": 2, "msg_count": 3}]}).to_string();
    let (status, text) = wechat.scripted.pop().unwrap_or((200, row));
    let hints = [("x-msgcube-hint", "ask for one day"), ("x-msgcube-hint-zh", "%E4%B8%80%E5%A4%A9")];
    (StatusCode::from_u16(status).unwrap(), hints, text).into_response()
}

/// Starts the server. Returns its state and its base URL.
async fn serve(wechat: FakeWechat) -> (Shared, String) {
    let shared = Arc::new(Mutex::new(wechat));
    let routes = Router::new().route("/cgi-bin/stable_token", post(stable_token));
    let routes = routes.route("/datacube/{name}", post(datacube)).with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, routes).into_future());
    (shared, base)
}

fn client(base: &str) -> Client {
    build(Client::builder("wx1", "the secret"), base)
}

fn build(builder: ClientBuilder, base: &str) -> Client {
    builder.base(base).retry_delay(Duration::ZERO).build().unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn daily_interface() -> &'static Interface {
    Interface::by_short_name("day").unwrap()
}

async fn one_call(client: &Client) -> Result<usize, ClientError> {
    let answer = client.window(daily_interface(), day("2026-10-01"), day("2026-10-07")).await?;
    Ok(answer.rows.len())
}

fn error_code(outcome: Result<usize, ClientError>) -> i32 {
    outcome.unwrap_err().wechat_error().unwrap().code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_refresh_an_expired_token_once() {
    let (wechat, base) = serve(FakeWechat::default()).await;
    let client = client(&base);
    assert_eq!(one_call(&client).await.unwrap(), 1);
    wechat.lock().unwrap().generation += 1;

    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let client = client.clone();
        callers.spawn(async move { one_call(&client).await });
    }
    while let Some(outcome) = callers.join_next().await {
        assert_eq!(outcome.unwrap().unwrap(), 1);
    }
    let wechat = wechat.lock().unwrap();
    assert_eq!((wechat.token_calls, wechat.forced_calls), (2, 0));
    assert!(wechat.asked.len() <= 2001, "each caller asks at most twice: {}", wechat.asked.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_wait_for_the_first_token_share_one_request() {
    let (wechat, base) = serve(FakeWechat::default()).await;
    let client = client(&base);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        callers.spawn(async move { one_call(&client).await });
    }
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(wechat.lock().unwrap().token_calls, 1);
}

#[tokio::test]
async fn a_refused_token_that_is_returned_again_is_replaced_by_a_forced_refresh() {
    let (wechat, base) = serve(FakeWechat { refuse_until_forced: true, ..FakeWechat::default() }).await;
    assert_eq!(one_call(&client(&base)).await.unwrap(), 1);
    let wechat = wechat.lock().unwrap();
    // the first token, the same token again, the forced one
    assert_eq!((wechat.token_calls, wechat.forced_calls, wechat.asked.len()), (3, 1, 2));
}

#[tokio::test]
async fn a_second_refusal_goes_to_the_caller_without_a_second_forced_refresh() {
    let (wechat, base) = serve(FakeWechat { refuse_always: true, ..FakeWechat::default() }).await;
    let client = client(&base);
    assert_eq!(error_code(one_call(&client).await), 42001);
    assert_eq!(wechat.lock().unwrap().asked.len(), 2);
    assert_eq!(error_code(one_call(&client).await), 42001);
    assert_eq!(wechat.lock().unwrap().forced_calls, 1);
}

#[tokio::test]
async fn a_fixed_token_is_never_replaced() {
    let (wechat, base) = serve(FakeWechat::default()).await;
    assert_eq!(one_call(&build(Client::with_token("T0"), &base)).await.unwrap(), 1);
    assert_eq!(error_code(one_call(&build(Client::with_token("old"), &base)).await), 42001);
    let wechat = wechat.lock().unwrap();
    assert_eq!((wechat.token_calls, wechat.asked.len()), (0, 2));
}

#[tokio::test]
async fn a_failed_token_request_fails_the_call_and_the_next_one_tries_again() {
    let error = json!({"errcode": 40125, "errmsg": "invalid appsecret rid: 1-2-3"}).to_string();
    let (wechat, base) = serve(FakeWechat { token_error: Some(error), ..FakeWechat::default() }).await;
    let client = client(&base);
    let refused = one_call(&client).await.unwrap_err();
    assert_eq!(refused.wechat_error().unwrap().known(), Some(ErrorCode::INVALID_APPSECRET));
    assert_eq!(refused.to_string(), "stable_token: 40125 invalid appsecret rid: 1-2-3");
    wechat.lock().unwrap().token_error = None;
    assert_eq!(one_call(&client).await.unwrap(), 1);
}

#[tokio::test]
async fn system_error_is_tried_three_times() {
    let (wechat, base) = serve(FakeWechat { system_errors: 2, ..FakeWechat::default() }).await;
    assert_eq!(one_call(&client(&base)).await.unwrap(), 1);
    assert_eq!(wechat.lock().unwrap().asked.len(), 3);
    wechat.lock().unwrap().system_errors = 9;
    assert_eq!(error_code(one_call(&client(&base)).await), -1);
    let wechat = wechat.lock().unwrap();
    assert_eq!((wechat.system_errors, wechat.asked.len()), (6, 6));
}

#[tokio::test]
async fn a_long_range_is_split_into_allowed_windows_and_the_rows_are_joined() {
    let (wechat, base) = serve(FakeWechat::default()).await;
    let (begin, end) = (day("2026-01-01"), day("2026-10-31"));
    let month = Interface::by_short_name("month").unwrap();
    let mut seen = Vec::new();
    let rows = client(&base)
        .rows_with_progress(month, begin, end, |window| {
            seen.push((window.done, window.total, window.answer.hint.is_some()));
        })
        .await
        .unwrap();
    assert_eq!(rows.iter().map(|row| row.ref_date.ymd().1).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert_eq!(seen, (1..=10).map(|done| (done, 10, true)).collect::<Vec<_>>());
    let asked = wechat.lock().unwrap().asked[9].clone();
    assert_eq!(asked, ("getupstreammsgmonth".into(), "2026-10-01".into(), "2026-10-01".into()));
    let backwards = client(&base).rows(month, end, begin).await;
    assert!(matches!(backwards, Err(ClientError::Range(_))));
}

#[tokio::test]
async fn errors_about_malformed_answers_name_the_call_and_the_position() {
    let (wechat, base) = serve(FakeWechat::default()).await;
    let client = client(&base);
    let long = format!(r#"{{"list":[{}]}}"#, " ".repeat(9 << 20));
    for (status, body, expected) in [
        (200, "{}", "getupstreammsg: malformed answer: missing field `list` at line 1 column 2"),
        (
            200,
            r#"{"list":[{"ref_date":"2026-10-01","msg_user":1.5}]}"#,
            "list[0]: invalid type: floating point `1.5`",
        ),
        (200, "<html>", "expected value at line 1 column 1"),
        (200, &long, "over 8388608 bytes"),
        (502, "Bad Gateway", "getupstreammsg: HTTP status 502"),
        (302, "", "HTTP status 302"),
    ] {
        wechat.lock().unwrap().scripted.push((status, body.to_owned()));
        let error = one_call(&client).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn the_hint_of_a_refusal_is_passed_through_in_both_languages() {
    let (wechat, base) = serve(FakeWechat::default()).await;
    let refusal = json!({"errcode": 61501, "errmsg": "date range error rid: 1-2-3"}).to_string();
    wechat.lock().unwrap().scripted.push((200, refusal));
    let error = one_call(&client(&base)).await.unwrap_err();
    let hint = error.wechat_error().unwrap().hint.clone().unwrap();
    assert_eq!((hint.english.as_str(), hint.chinese.as_deref()), ("ask for one day", Some("一天")));
    assert_eq!(error.to_string(), "getupstreammsg: 61501 date range error rid: 1-2-3 (ask for one day)");
}

#[tokio::test]
async fn errors_and_debug_output_never_show_the_token_or_the_secret() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = build(Client::with_token("confidential"), &base);
    let error = one_call(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::Transport { .. }));
    for text in [
        format!("{error} {error:?}"),
        format!("{client:?}"),
        format!("{:?}", Client::builder("wx1", "confidential")),
    ] {
        assert!(!text.contains("confidential"), "{text}");
    }
}
