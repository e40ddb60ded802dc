//! Calls without a token of ours about time without coverage: WeChat is asked with the real token, and sees nothing else of
//! the original call.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Uri, header},
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    cloud::scene::Scene,
    cloud::signed::{API, ask, data},
};

const NOW_S: i64 = 1_795_513_200;
const REAL: &str = "90_REALreal";

/// Requests that WeChat received: target, content type and body.
type SeenRequests = Arc<Mutex<Vec<(String, Option<String>, Bytes)>>>;

/// A fake WeChat that answers one row to the real token.
async fn wechat() -> (String, SeenRequests) {
    let seen = SeenRequests::default();
    let notes = seen.clone();
    let answer = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
        if uri.path() == "/cgi-bin/stable_token" {
            return format!(r#"{{"access_token":"{REAL}","expires_in":7200}}"#);
        }
        let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
        notes.lock().unwrap().push((uri.to_string(), kind, body));
        r#"{"list":[{"ref_date":"2020-01-01"}]}"#.to_owned()
    };
    let router = Router::new().fallback(async move |uri, headers, body| {
        let json = [(header::CONTENT_TYPE, "application/json; encoding=utf-8")];
        (json, answer(uri, headers, body).await)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, seen)
}

#[tokio::test]
async fn a_cloud_call_about_uncovered_time_is_answered_by_wechat() {
    let (base, seen) = wechat().await;
    let scene = Scene::with(NOW_S, &format!("[upstream]\nbase = \"{base}\"\n")).await;
    let early = data(&[("begin_date", b"\"2020-01-01\""), ("end_date", b"\"2020-01-01\"")]).encode_to_vec();
    let answer = ask(&scene, "wx.openApi", API, &early).await;
    assert_eq!(answer.inner_json(), json!({"list":[{"ref_date":"2020-01-01"}]}));
    let asked = seen.lock().unwrap().clone();
    assert_eq!(asked[0].0, format!("/datacube/getupstreammsgmonth?access_token={REAL}"));
    let body: Value = serde_json::from_slice(&asked[0].2).unwrap();
    assert_eq!(body, json!({"begin_date":"2020-01-01","end_date":"2020-01-01"}));
    assert_ne!(asked[0].1.as_deref(), Some("multipart/form-data; boundary=b"));
}

#[tokio::test]
async fn the_query_of_a_hosted_call_is_not_sent_to_wechat() {
    let (base, seen) = wechat().await;
    let scene = Scene::with(NOW_S, &format!("[upstream]\nbase = \"{base}\"\n")).await;
    let path = "/datacube/getupstreammsgmonth?cloudbase_access_token=secret&from_appid=wx00000000000000a1";
    let answer = scene.hosted(path, "192.0.2.9").await;
    assert_eq!(answer.json(), json!({"list":[{"ref_date":"2020-01-01"}]}));
    assert_eq!(seen.lock().unwrap()[0].0, format!("/datacube/getupstreammsgmonth?access_token={REAL}"));
}

#[tokio::test]
async fn an_unreachable_wechat_is_a_system_error() {
    let scene = Scene::with(NOW_S, "[upstream]\nbase = \"http://127.0.0.1:1\"\n").await;
    let early = data(&[("begin_date", b"\"2020-01-01\""), ("end_date", b"\"2020-01-01\"")]).encode_to_vec();
    let answer = ask(&scene, "wx.openApi", API, &early).await;
    assert_eq!((answer.answer().error_code, scene.refused("no_answer").await), (-604_103, 1));
}
