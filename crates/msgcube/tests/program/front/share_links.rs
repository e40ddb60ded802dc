//! Share links: one account, read only, until they end or are revoked.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    front::sign_in::{Browser, OTHER, add_key, program},
    harness::{ADMIN_KEY, APPID, Program},
};

async fn add(program: &Program, body: Value) -> (u16, Value) {
    program.admin_call(Method::POST, "/v1/share-links", Some(body)).await
}

async fn get(program: &Program, path: &str) -> (u16, String) {
    let answer = program.http.get(format!("{}{path}", program.base)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_link_shows_one_account_until_it_is_revoked_and_its_token_is_nowhere() {
    let mut program = program("");
    let (status, link) = add(&program, json!({ "account": APPID })).await;
    assert_eq!((status, &link["account"], &link["expired"]), (201, &json!(APPID), &json!(false)), "{link}");
    let time = |name: &str| link[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(time("expires") - time("created"), 30 * 24 * 3600);
    let (path, id) = (link["url"].as_str().unwrap().to_owned(), link["id"].as_str().unwrap().to_owned());
    let token = path.strip_prefix("/ui/share/").unwrap().to_owned();
    assert_eq!(add(&program, json!({ "account": OTHER, "expires_in_days": 366 })).await.0, 201);
    program.restart("-TERM");
    let (status, page) = get(&program, &format!("{path}?from=2026-11-01&to=2026-11-02")).await;
    assert!(status == 200 && page.contains(APPID) && !page.contains(OTHER), "{page}");
    for part in ["/ui/keys", "/ui/logout", "csrf"] {
        assert!(!page.contains(part), "{part} is in {page}");
    }
    for other in [format!("/ui/accounts/{APPID}"), "/ui/".to_owned()] {
        assert_eq!(get(&program, &other).await.0, 401, "the link opens nothing else");
    }
    assert_eq!(program.http.post(format!("{}{path}", program.base)).send().await.unwrap().status(), 405);
    let listed = program.admin_get("/v1/share-links").await;
    let listed = listed["share_links"].as_array().unwrap();
    assert!(listed.len() == 2 && listed.iter().any(|link| link["id"] == *id), "{listed:?}");
    assert!(listed.iter().all(|link| link.get("url").is_none()), "{listed:?}");
    let removed = program.admin_call(Method::DELETE, &format!("/v1/share-links/{id}"), None).await;
    assert_eq!(removed, (200, json!({ "removed": id })));
    let (status, revoked) = get(&program, &path).await;
    let (_, no_link) = get(&program, "/ui/share/ms_0_0").await;
    assert_eq!(status, 404);
    assert_eq!(revoked.replace(&token, "ms_0_0"), no_link, "the same as for no link");
    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/share-links/{id}"), None).await.0, 404);
    program.restart("-KILL");
    assert_eq!(get(&program, &path).await.0, 404, "after a kill, too");
    let stored = program.stored();
    assert!(!stored.windows(token.len()).any(|window| window == token.as_bytes()), "the token is on disk");
    assert!(!program.log().contains(&token), "{}", program.log());
}

#[tokio::test]
async fn a_link_ends_at_its_time_and_with_its_account() {
    let mut program = program("");
    let new = json!({"appid": "wx00000000000000c3", "secret": "third-secret", "token": "thirdToken"});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(new.clone())).await.0, 201);
    let (_, link) = add(&program, json!({ "account": new["appid"] })).await;
    let path = link["url"].as_str().unwrap().to_owned();
    assert_eq!(get(&program, &path).await.0, 200);
    program.admin_call(Method::DELETE, "/v1/accounts/wx00000000000000c3", None).await;
    assert_eq!(get(&program, &path).await.0, 404);
    program.admin_call(Method::POST, "/v1/accounts", Some(new)).await;
    assert_eq!(get(&program, &path).await.0, 404, "it does not come back with the account");
    let (_, link) = add(&program, json!({ "account": APPID, "expires_in_days": 1 })).await;
    let path = link["url"].as_str().unwrap().to_owned();
    assert_eq!(get(&program, &path).await.0, 200);
    let end = link["expires"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    for (seconds, status) in [(-60, 200), (0, 404)] {
        let now = (end + jiff::SignedDuration::from_secs(seconds)).to_string();
        program.restart_with("-TERM", &["--now", &now]);
        assert_eq!(get(&program, &path).await.0, status, "{now}");
    }
    assert_eq!(program.admin_get("/v1/share-links").await["share_links"][0]["expired"], true);
}

#[tokio::test]
async fn only_an_admin_makes_links_and_mistakes_are_named() {
    let program =
        program("public_url = \"https://wx.example.com\"\nui_url = \"https://ui.example.com:8443/\"\n");
    let (_, reader) = add_key(&program, &["read"]).await;
    for method in [Method::GET, Method::POST] {
        let answer =
            program.call(method, "/v1/share-links", &reader, Some(json!({ "account": APPID }))).await;
        assert_eq!(answer.status(), 403);
    }
    for (body, wanted, error) in [
        (json!({ "account": "wx-none" }), 404, "account: no account has this appid"),
        (json!({ "account": APPID, "expires_in_days": 0 }), 400, "expires_in_days: 1 to 366"),
        (json!({ "account": APPID, "expires_in_days": 367 }), 400, "expires_in_days: 1 to 366"),
        (json!({ "account": APPID, "days": 3 }), 400, "unknown field `days`"),
    ] {
        let (status, answer) = add(&program, body).await;
        assert!(status == wanted && answer["error"].as_str().unwrap().contains(error), "{answer}");
    }
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    let (status, page) = admin.post("/ui/links", &[("account", APPID), ("days", "7")]).await;
    let url =
        page.split("<code>").find(|part| part.contains("/ui/share/ms_")).unwrap().split('<').next().unwrap();
    assert!(status == 200 && url.starts_with("https://ui.example.com:8443/ui/share/ms_"), "{page}");
    assert_eq!(get(&program, url.trim_start_matches("https://ui.example.com:8443")).await.0, 200);
    let id = program.admin_get("/v1/share-links").await["share_links"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(admin.post("/ui/links/remove", &[("id", &id)]).await.0, 303);
    assert_eq!(program.admin_get("/v1/share-links").await["share_links"], json!([]));
}
