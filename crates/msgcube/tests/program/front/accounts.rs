//! Accounts and keys that are added and changed at run time.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    front::neighbour::{Answer, Neighbour},
    harness::{
        ADMIN_KEY, AES_KEY, APPID, Program,
        callbacks::{CallbackReply, Text, success},
    },
};

const NEW: &str = "wx00000000000000c3";

fn settings() -> Value {
    json!({"appid": NEW, "secret": "new-secret-of-an-account", "token": "newToken", "encoding_aes_key": AES_KEY})
}

async fn gaps(program: &Program, appid: &str) -> usize {
    let (_, coverage) =
        program.admin_call(Method::GET, &format!("/v1/accounts/{appid}/coverage"), None).await;
    coverage["gaps"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_added_account_counts_at_once_and_after_a_kill_and_does_not_affect_others() {
    let mut program = Program::start("", "");
    let callback = Text::new("o1", 1).safe("newToken", AES_KEY, NEW);
    assert!(matches!(program.receive(NEW, &callback).await, CallbackReply::Reply(404, _)));
    let (status, shown) = program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await;
    assert_eq!(
        (status, &shown["origin"], &shown["callback"]),
        (201, &json!("run time"), &json!(format!("/callback/{NEW}")))
    );
    assert_eq!(program.receive(NEW, &callback).await, success());
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await.0, 409);
    assert_eq!((gaps(&program, APPID).await, gaps(&program, NEW).await), (0, 0));
    let token = program.token(NEW, "new-secret-of-an-account").await;
    assert!(token["access_token"].is_string(), "{token}");
    program.restart("-KILL");
    assert_eq!(program.messages(NEW).await, 1);
    assert_eq!(program.receive(NEW, &callback).await, success());
    assert_eq!(program.messages(NEW).await, 1, "a repeat");
    let stored = program.stored();
    for secret in ["new-secret-of-an-account", "newToken", AES_KEY] {
        assert!(
            !stored.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{secret} is on disk"
        );
    }
    for text in [program.log(), shown.to_string()] {
        assert!(!text.contains("newToken") && !text.contains(AES_KEY), "{text}");
    }
}

#[tokio::test]
async fn removing_an_account_revokes_its_tokens_and_adding_it_again_restores_its_figures() {
    let mut program = Program::start("", "");
    program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await;
    program.receive(NEW, &Text::new("o1", 1).safe("newToken", AES_KEY, NEW)).await;
    let token =
        program.token(NEW, "new-secret-of-an-account").await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/accounts/{NEW}"), None).await.0, 200);
    assert!(matches!(
        program.receive(NEW, &Text::new("o1", 2).safe("newToken", AES_KEY, NEW)).await,
        CallbackReply::Reply(404, _)
    ));
    program.restart("-KILL");
    assert_eq!(program.admin_call(Method::GET, &format!("/v1/accounts/{NEW}"), None).await.0, 404);
    program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await;
    let url = format!("{}/datacube/getupstreammsg?access_token={token}", program.base);
    let answer: Value = program.http.post(url).body("{}").send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errcode"], 40001, "its tokens stay revoked");
    assert_eq!(program.messages(NEW).await, 1);
    for path in [format!("/v1/accounts/{APPID}"), "/v1/accounts/wx-unknown".to_owned()] {
        let (status, answer) = program.admin_call(Method::DELETE, &path, None).await;
        assert!(matches!(status, 404 | 409), "{answer}");
    }
}

#[tokio::test]
async fn settings_change_and_keys_rotate_while_the_previous_keys_still_work() {
    let program = Program::start("", "");
    program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await;
    let path = format!("/v1/accounts/{NEW}");
    let (_, new) = program
        .admin_call(Method::POST, &format!("{path}/rotate"), Some(json!({"what": "encoding_aes_key"})))
        .await;
    let new = new["encoding_aes_key"].as_str().unwrap().to_owned();
    for (id, key) in [(1, AES_KEY), (2, new.as_str())] {
        assert_eq!(program.receive(NEW, &Text::new("o1", id).safe("newToken", key, NEW)).await, success());
    }
    let (status, shown) = program
        .admin_call(
            Method::PATCH,
            &path,
            Some(json!({"certified": false, "encoding_aes_key_previous": null})),
        )
        .await;
    assert_eq!((status, &shown["certified"]), (200, &json!(false)));
    let reply = program.receive(NEW, &Text::new("o1", 3).safe("newToken", AES_KEY, NEW)).await;
    assert!(matches!(reply, CallbackReply::Reply(400, _)), "{reply:?}");
    for (bad, word) in [
        (json!({"tokn": "x"}), "tokn"),
        (json!({"token": ""}), "token"),
        (json!({"token_file": "/etc/passwd"}), "token_file"),
        (json!({"appid": "wx-other"}), "appid"),
        (json!({"relay": {"url": "file:///etc/passwd"}}), "relay.url"),
        (json!({"relay": {"url": program.base}}), "itself"),
        (json!({"encoding_aes_key": "short"}), "encoding_aes_key"),
    ] {
        let (status, answer) = program.admin_call(Method::PATCH, &path, Some(bad)).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(word), "{status} {answer}");
    }
    let (_, shown) = program.admin_call(Method::GET, &path, None).await;
    assert_eq!(shown["certified"], false, "an invalid change changes nothing");
}

#[tokio::test]
async fn rotating_our_secret_keeps_wechats_secret_and_works_repeatedly() {
    let upstream = Neighbour::start(|seen| match seen.target.as_str() {
        "/cgi-bin/stable_token"
            if String::from_utf8_lossy(&seen.body).contains("new-secret-of-an-account") =>
        {
            Answer::json(r#"{"access_token":"REAL","expires_in":7200}"#)
        }
        "/cgi-bin/stable_token" => Answer::json(r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#),
        _ => Answer::json("{\"ok\":1}"),
    })
    .await;
    let program = Program::start(&format!("[upstream]\nbase = \"{}\"\n", upstream.base), "");
    program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await;
    let rotate = |what: &'static str| {
        program.admin_call(
            Method::POST,
            "/v1/accounts/wx00000000000000c3/rotate",
            Some(json!({"what": what})),
        )
    };
    let (_, rotated) = rotate("secret").await;
    let token = program.token(NEW, rotated["secret"].as_str().unwrap()).await;
    let url =
        format!("{}/cgi-bin/menu/get?access_token={}", program.base, token["access_token"].as_str().unwrap());
    assert_eq!(program.http.get(url).send().await.unwrap().text().await.unwrap(), "{\"ok\":1}");
    let all = tokio::join!(rotate("token"), rotate("token"), rotate("token"), rotate("token"));
    let tokens =
        [all.0, all.1, all.2, all.3].map(|(_, rotated)| rotated["token"].as_str().unwrap().to_owned());
    let mut accepted = 0;
    for (id, token) in (1..).zip(&tokens) {
        accepted += usize::from(
            program.receive(NEW, &Text::new("o1", id).safe(token, AES_KEY, NEW)).await == success(),
        );
    }
    assert_eq!(accepted, 2, "the newest secret and the previous one");
}

#[tokio::test]
async fn an_appid_of_any_form_has_its_own_figures() {
    let mut program = Program::start("", "");
    for appid in ["wxq", "account/wxq", "upstream/wxq"] {
        let settings =
            json!({"appid": appid, "secret": "s", "token": "newToken", "encoding_aes_key": AES_KEY});
        let (status, shown) = program.admin_call(Method::POST, "/v1/accounts", Some(settings)).await;
        assert_eq!(status, 201, "{shown}");
        let callback = shown["callback"].as_str().unwrap().trim_start_matches("/callback/").to_owned();
        let sealed = Text::new("o1", 1).safe("newToken", AES_KEY, appid);
        assert_eq!(program.receive(&callback, &sealed).await, success(), "{callback}");
    }
    program.restart("-KILL");
    for path in ["wxq", "account%2Fwxq", "upstream%2Fwxq"] {
        assert_eq!(program.messages(path).await, 1, "{path}");
    }
}

#[tokio::test]
async fn an_api_key_allows_exactly_its_scopes_until_it_is_revoked() {
    let mut program = Program::start("", "");
    program.admin_call(Method::POST, "/v1/accounts", Some(settings())).await;
    let mut keys = Vec::new();
    for scope in [format!("read:{APPID}"), "read".to_owned(), format!("write:{APPID}"), "admin".to_owned()] {
        let (status, made) =
            program.admin_call(Method::POST, "/v1/keys", Some(json!({"scopes": [scope]}))).await;
        assert_eq!(status, 201, "{made}");
        keys.push((made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned()));
    }
    program.restart("-KILL");
    let own = format!("/v1/accounts/{APPID}/coverage");
    let other = format!("/v1/accounts/{NEW}/coverage");
    let write = format!("/v1/accounts/{APPID}/messages");
    let cases: [(&Method, &str, [u16; 4]); 6] = [
        (&Method::GET, &own, [200, 200, 403, 200]),
        (&Method::GET, &other, [403, 200, 403, 200]),
        (&Method::POST, &write, [403, 403, 200, 200]),
        (&Method::GET, "/metrics", [403, 200, 403, 200]),
        (&Method::GET, "/v1/keys", [403, 403, 403, 200]),
        (&Method::GET, "/v1/accounts", [200; 4]),
    ];
    for (method, path, expected) in cases {
        for ((_, key), expected) in keys.iter().zip(expected) {
            let status = program.call(method.clone(), path, key, None).await.status().as_u16();
            assert_eq!(status, expected, "{method} {path}");
        }
    }
    let listed = program.call(Method::GET, "/v1/accounts", &keys[0].1, None).await.text().await.unwrap();
    assert!(listed.contains(APPID) && !listed.contains(NEW), "{listed}");
    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/keys/{}", keys[3].0), None).await.0, 200);
    assert_eq!(program.call(Method::GET, "/v1/keys", &keys[3].1, None).await.status(), 401);
    for wrong in ["", "mk_", "mk_x_y", &keys[0].1[..20], ADMIN_KEY.to_uppercase().as_str()] {
        assert_eq!(program.call(Method::GET, &own, wrong, None).await.status(), 401, "{wrong}");
    }
    let stored = program.stored();
    assert!(keys.iter().all(|(_, key)| !stored.windows(key.len()).any(|window| window == key.as_bytes())));
}

#[tokio::test]
async fn a_name_is_shown_and_changed_and_a_hostile_one_is_refused() {
    let mut program = Program::start("", "");
    let mut named = settings();
    named["name"] = json!("商店 <b>\"No. 1\"</b> & Söhne 😀");
    let (status, shown) = program.admin_call(Method::POST, "/v1/accounts", Some(named.clone())).await;
    assert_eq!((status, &shown["name"]), (201, &named["name"]));
    program.restart("-KILL");
    let path = format!("/v1/accounts/{NEW}");
    let (_, listed) = program.admin_call(Method::GET, "/v1/accounts", None).await;
    let names: Vec<&Value> =
        listed["accounts"].as_array().unwrap().iter().map(|account| &account["name"]).collect();
    assert!(names.contains(&&named["name"]) && names.contains(&&json!("")), "{listed}");
    let long = "名".repeat(64);
    let (status, changed) = program.admin_call(Method::PATCH, &path, Some(json!({"name": long}))).await;
    assert_eq!((status, &changed["name"]), (200, &json!(long)));
    let hostile = ["a\nb", "\u{1b}[31mred", "a\u{202e}b", "a\u{2028}b", "\u{0}", "\u{9b}31m", "\u{200f}"];
    for name in hostile.map(str::to_owned).into_iter().chain(["名".repeat(65), "x".repeat(60_000)]) {
        let (status, answer) = program.admin_call(Method::PATCH, &path, Some(json!({"name": name}))).await;
        let error = answer["error"].as_str().unwrap();
        assert!(status == 400 && error.starts_with("name: "), "{name:?}: {status} {error}");
        assert!(error.len() < 200, "{error}");
    }
    assert_eq!(program.admin_call(Method::GET, &path, None).await.1["name"], json!(long));
    let (status, removed) = program.admin_call(Method::PATCH, &path, Some(json!({"name": null}))).await;
    assert_eq!((status, &removed["name"]), (200, &json!("")));
    let new = json!({"name": "one", "scopes": [format!("read:{APPID}")]});
    let (_, key) = program.admin_call(Method::POST, "/v1/keys", Some(new)).await;
    let key = key["key"].as_str().unwrap();
    program.admin_call(Method::PATCH, &path, Some(json!({"name": "only for its own"}))).await;
    let seen = program.call(Method::GET, "/v1/accounts", key, None).await.text().await.unwrap();
    assert!(seen.contains(APPID) && !seen.contains("only for its own"), "{seen}");
}
