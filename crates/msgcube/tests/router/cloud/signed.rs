//! Calls signed here by the published rules of TC3, with content that no SDK sends.

use axum::{body::Body, http::Request};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use wechat::cloud::message::{CommApiData, KeyValuePair, OpenApiData};

use crate::cloud::scene::{FIRST, ReceivedAnswer, SECRET_ID, SECRET_KEY, Scene};

/// 2026-11-24 in UTC.
const NOW_S: i64 = 1_795_513_200;
pub const API: &str = "officialAccount.datacube.getUpstreamMsgMonth";

fn hexadecimal(bytes: &[u8]) -> String {
    format!("{:x}", bytes::Bytes::copy_from_slice(bytes))
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// A call with these form fields. All of them are signed.
fn call(fields: &[(&str, &[u8])]) -> Request<Body> {
    call_signing(fields.len(), fields)
}

/// A call with these form fields. Only the first `signed` of them are signed.
fn call_signing(signed: usize, fields: &[(&str, &[u8])]) -> Request<Body> {
    let mut body = Vec::new();
    let mut hash = Sha256::new();
    for (at, (name, value)) in fields.iter().enumerate() {
        let kind = if *name == "requestData" { "Content-Type: application/octet-stream\r\n" } else { "" };
        body.extend(format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{kind}\r\n").bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
        if at < signed {
            hash.update(format!("&{}=", name.to_ascii_lowercase()));
            hash.update(value);
            hash.update("\r\n");
        }
    }
    body.extend_from_slice(b"--b--\r\n");
    let names: Vec<String> = fields[..signed].iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let canonical = format!(
        "post\n//h:1/cloud/admin\n\ncontent-type:multipart/form-data\nhost:h:1\n\ncontent-type;host\n{}",
        hexadecimal(&hash.finalize())
    );
    let scope = "2026-11-24/tcb/tc3_request";
    let canonical = hexadecimal(&Sha256::digest(canonical));
    let text = format!("TC3-HMAC-SHA256\n{NOW_S}\n{scope}\n{canonical}");
    let key = format!("TC3{SECRET_KEY}").into_bytes();
    let key = ["2026-11-24", "tcb", "tc3_request"].iter().fold(key, |key, step| hmac_sha256(&key, step));
    let authorization = format!(
        "TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedParams={}, SignedHeaders=content-type;host, Signature={}",
        names.join(";"),
        hexadecimal(&hmac_sha256(&key, &text))
    );
    Request::post("/cloud/admin")
        .header("host", "h:1")
        .header("content-type", "multipart/form-data; boundary=b")
        .header("authorization", authorization)
        .header("x-timestamp", NOW_S)
        .body(Body::from(body))
        .unwrap()
}

pub fn data(pairs: &[(&str, &[u8])]) -> CommApiData {
    let pair = |(key, value): &(&str, &[u8])| KeyValuePair {
        key: (*key).to_owned(),
        value: value.to_vec().into(),
        content_type: String::new(),
    };
    let pairs = pairs.iter().map(pair).collect();
    CommApiData { api_type: 0, openapi_data: Some(OpenApiData { pairs }), appid: FIRST.to_owned() }
}

pub async fn ask(scene: &Scene, action: &str, api: &str, data: &[u8]) -> ReceivedAnswer {
    let fields = [("action", action.as_bytes()), ("apiName", api.as_bytes()), ("requestData", data)];
    scene.send(call(&fields)).await
}

async fn errcode(scene: &Scene, pairs: &[(&str, &[u8])]) -> serde_json::Value {
    ask(scene, "wx.openApi", API, &data(pairs).encode_to_vec()).await.inner_json()["errcode"].clone()
}

#[tokio::test]
async fn parameters_may_be_any_json_and_wrong_ones_get_the_error_of_the_interface() {
    let scene = Scene::at(NOW_S).await;
    let right: [(&str, &[u8]); 3] =
        [("begin_date", b"\"2026-02-01\""), ("end_date", b" \"2026-02-01\" "), ("more", b"{\"a\":[1]}")];
    let answer = ask(&scene, "wx.openApi", API, &data(&right).encode_to_vec()).await;
    assert_eq!(answer.inner_json()["list"][0]["msg_count"], 2);
    assert_eq!(errcode(&scene, &[]).await, 61500);
    assert_eq!(errcode(&scene, &[("begin_date", b"20260201"), ("end_date", b"null")]).await, 61500);
    assert_eq!(
        errcode(&scene, &[("begin_date", b"\"2026-02-03\""), ("end_date", b"\"2026-02-01\"")]).await,
        61501
    );
    let empty = ask(&scene, "wx.openApi", API, b"").await;
    assert_eq!(empty.inner_json()["errcode"], 61500);
}

#[tokio::test]
async fn a_signed_call_without_meaning_is_refused_with_its_reason_and_counted() {
    let scene = Scene::at(NOW_S).await;
    let month = data(&[("begin_date", b"\"2026-02-01\""), ("end_date", b"\"2026-02-01\"")]);
    let good = month.encode_to_vec();
    let inner = CommApiData { api_type: 1, ..month.clone() }.encode_to_vec();
    let no_json = data(&[("begin_date", b"\"2026-02-01\",\"end_date\":\"2026-02-01\"")]).encode_to_vec();
    let mut with_file = month.clone();
    with_file.openapi_data.as_mut().unwrap().pairs[0].content_type = "image/png".to_owned();
    let cases: [(&str, &[u8], &str, &str); 6] = [
        ("wx.openApi", &good[..good.len() - 1], "INVALID_PARAM", "no_message"),
        ("wx.openApi", b"\xff\xff\xff", "INVALID_PARAM", "no_message"),
        ("wx.openApi", &inner, "INVALID_PARAM", "no_message"),
        ("wx.openApi", &no_json, "INVALID_PARAM", "no_json"),
        ("wx.openApi", &with_file.encode_to_vec(), "INVALID_PARAM", "no_json"),
        ("database.queryDocument", &good, "INVALID_ACTION", "unknown_action"),
    ];
    for (action, data, code, reason) in cases {
        let before = scene.refused(reason).await;
        let answer = ask(&scene, action, API, data).await;
        assert_eq!(answer.cloud_error().unwrap().0, code, "{reason}");
        assert_eq!(scene.refused(reason).await, before + 1);
    }
    for api in [
        "officialAccount.datacube.getupstreammsg",
        "datacube.getUpstreamMsg",
        "",
        "officialAccount.datacube.",
    ] {
        assert_eq!(ask(&scene, "wx.openApi", api, &good).await.answer().error_code, -604_100, "{api}");
    }
}

#[tokio::test]
async fn an_environment_of_another_key_and_a_repeated_field_are_refused() {
    let scene = Scene::at(NOW_S).await;
    let good = data(&[("begin_date", b"\"2026-02-01\""), ("end_date", b"\"2026-02-01\"")]).encode_to_vec();
    let mut fields = vec![
        ("action", b"wx.openApi".as_slice()),
        ("apiName", API.as_bytes()),
        ("requestData", good.as_slice()),
        ("envName", b"env-two".as_slice()),
    ];
    let code = scene.send(call(&fields)).await.cloud_error().unwrap().0;
    assert_eq!((code.as_str(), scene.refused("unknown_env").await), ("INVALID_ENV", 1));
    fields[3].1 = b"env-one";
    assert!(scene.send(call(&fields)).await.cloud_error().is_none());
    fields.push(("APINAME", API.as_bytes()));
    let code = scene.send(call(&fields)).await.cloud_error().unwrap().0;
    assert_eq!((code.as_str(), scene.refused("no_form").await), ("INVALID_PARAM", 1));
}

#[tokio::test]
async fn an_unsigned_field_is_never_used() {
    let scene = Scene::at(NOW_S).await;
    let good = data(&[("begin_date", b"\"2026-02-01\""), ("end_date", b"\"2026-02-01\"")]).encode_to_vec();
    let fields = [("action", b"wx.openApi".as_slice()), ("requestData", &good), ("apiName", API.as_bytes())];
    assert!(scene.send(call(&fields)).await.answer().error_code == 0);
    assert_eq!(scene.send(call_signing(2, &fields)).await.answer().error_code, -604_100);
    let code = scene.send(call_signing(1, &fields)).await.cloud_error().unwrap().0;
    assert_eq!((code.as_str(), scene.refused("no_message").await), ("INVALID_PARAM", 1));
    // An unsigned environment is ignored, because anybody could have added it.
    let more = [fields[0], fields[1], fields[2], ("envName", b"env-two".as_slice())];
    assert!(scene.send(call_signing(3, &more)).await.answer().error_code == 0);
}

#[test]
fn no_signed_call_panics_or_shows_figures_of_another_account() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::at(NOW_S));
    let month = data(&[("begin_date", b"\"2026-02-01\""), ("end_date", b"\"2026-02-01\"")]).encode_to_vec();
    proptest!(|(at in any::<prop::sample::Index>(), byte in any::<u8>(), noise in prop::collection::vec(any::<u8>(), 0..64))| {
        let mut altered = month.clone();
        let at = at.index(altered.len());
        altered[at] = byte;
        for data in [altered, noise] {
            let answer = runtime.block_on(ask(&scene, "wx.openApi", API, &data));
            prop_assert_eq!(answer.head.status, 200);
            if answer.cloud_error().is_none() && let Some(list) = answer.inner_json().get("list") {
                prop_assert!(list.as_array().unwrap().iter().all(|row| row["msg_count"].as_u64() < Some(11)));
            }
        }
    });
}
