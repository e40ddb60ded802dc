//! Plain calls of Cloud Hosting: which callers need no token, and which accounts they may read.

use datacube::INTERFACES;

use crate::cloud::scene::Scene;

const NOW_S: i64 = 1_795_513_200;
const MONTH: &str = "/datacube/getupstreammsgmonth";

#[tokio::test]
async fn an_allowed_address_needs_no_token() {
    let scene = Scene::at(NOW_S).await;
    for query in ["", "?cloudbase_access_token=any", "?from_appid=wx00000000000000a1"] {
        let answer = scene.hosted(&format!("{MONTH}{query}"), "192.0.2.9").await;
        assert_eq!(answer.json()["list"][0]["msg_count"], 2, "{query}");
        assert!(answer.head.headers.contains_key("x-openapi-seqid"));
    }
    let other = scene.hosted(&format!("{MONTH}?from_appid=wx00000000000000b2"), "::ffff:192.0.2.9").await;
    assert_eq!(other.json()["list"][0]["msg_count"], 12);
    for interface in &INTERFACES {
        let answer = scene.hosted(&interface.path(), "192.0.2.9").await;
        assert!(answer.json().get("list").is_some(), "{}", interface.name);
    }
}

#[tokio::test]
async fn an_account_of_another_cloud_or_of_none_cannot_be_read() {
    let scene = Scene::at(NOW_S).await;
    // An account of the other cloud, an unknown one, and an allowed one that is not in service.
    for appid in ["wx00000000000000c3", "wx", "", "wx00000000000000d4"] {
        let answer = scene.hosted(&format!("{MONTH}?from_appid={appid}"), "192.0.2.9").await;
        assert_eq!(answer.json()["errcode"], 48001, "{appid}");
        assert!(!answer.head.headers.contains_key("x-openapi-seqid"));
    }
    let answer = scene.hosted(&format!("{MONTH}?from_appid=wx00000000000000c3"), "2001:db8::7").await;
    assert!(answer.json().get("list").is_some());
}

#[tokio::test]
async fn any_other_address_needs_a_token_whatever_headers_it_sends() {
    let scene = Scene::at(NOW_S).await;
    for query in ["", "?cloudbase_access_token=any", "?from_appid=wx00000000000000a1"] {
        let answer = scene.hosted(&format!("{MONTH}{query}"), "192.0.3.9").await;
        assert_eq!(answer.json()["errcode"], 41001, "{query}");
        let hint = answer.head.headers["x-msgcube-hint"].to_str().unwrap();
        assert!(hint.contains("allow_from") && hint.contains("192.0.3.9"), "{hint}");
    }
}

#[tokio::test]
async fn a_token_decides_from_every_address_and_other_paths_always_need_one() {
    let scene = Scene::at(NOW_S).await;
    let answer = scene.hosted(&format!("{MONTH}?access_token=wrong&from_appid=x"), "192.0.2.9").await;
    assert_eq!(answer.json()["errcode"], 40001);
    let answer = scene.hosted(&format!("{MONTH}?access_token="), "192.0.2.9").await;
    assert_eq!(answer.json()["errcode"], 41001, "an empty one is a mistake, not none");
    let answer = scene.hosted("/cgi-bin/user/get", "192.0.2.9").await;
    assert_eq!(answer.head.status, 404);
}
