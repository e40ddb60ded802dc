//! A third-party platform, with msgcube in the role of WeChat: what is pushed to the platform, and what survives a kill.

use std::time::Duration;

use reqwest::{Method, Response, Url};
use serde_json::{Value, json};
use wechat::callback::{AccountKeys, KeySettings, Query, open_envelope};

use crate::{
    front::{
        gateway,
        neighbour::{Answer, Neighbour, ReceivedRequest, free_port, until},
    },
    harness::{AES_KEY, APPID, Program, SECRET},
};

const COMPONENT: &str = "wxc0000000000000c1";
const COMPONENT_SECRET: &str = "component-secret";
const COMPONENT_TOKEN: &str = "componentToken";
const COMPONENT_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn component(push_url: &str) -> String {
    format!(
        "[[component]]\nappid = \"{COMPONENT}\"\nsecret = \"{COMPONENT_SECRET}\"\ntoken = \"{COMPONENT_TOKEN}\"\n\
         encoding_aes_key = \"{COMPONENT_KEY}\"\npush_url = \"{push_url}\"\n"
    )
}

fn authorizations() -> String {
    format!("/v1/components/{COMPONENT}/authorizations")
}

/// Checks the signature and the appid of a push, and returns its decrypted content.
fn open_push(seen: &ReceivedRequest) -> String {
    let keys = AccountKeys::new(&KeySettings {
        appid: COMPONENT,
        token: COMPONENT_TOKEN,
        encoding_aes_key: Some(COMPONENT_KEY),
        require_encryption: true,
        ..KeySettings::default()
    });
    let query = Query::parse(seen.target.split_once('?').unwrap().1);
    let envelope = open_envelope(&keys.unwrap(), &query, &seen.body).unwrap();
    String::from_utf8(envelope.message().to_vec()).unwrap()
}

/// The text of an XML element.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{name} in {xml}"));
    let text = rest.split_once(&format!("</{name}>")).unwrap().0;
    text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or(text)
}

/// All pushes of one InfoType.
fn pushes_of(platform: &Neighbour, info_type: &str) -> Vec<String> {
    let pushes = platform.requests();
    let opened = pushes.iter().map(open_push);
    opened.filter(|xml| element(xml, "InfoType") == info_type).collect()
}

impl Program {
    async fn component_call(&self, name: &str, token: &str, body: Value) -> Value {
        let url = format!("{}/cgi-bin/component/{name}?component_access_token={token}", self.base);
        self.http.post(url).body(body.to_string()).send().await.unwrap().json().await.unwrap()
    }

    async fn component_token(&self, ticket: &str) -> String {
        let body = json!({
            "component_appid": COMPONENT,
            "component_appsecret": COMPONENT_SECRET,
            "component_verify_ticket": ticket,
        });
        let answer = self.component_call("api_component_token", "", body).await;
        answer["component_access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A component token for the ticket that the admin API shows.
    async fn usual_component_token(&self) -> String {
        let (_, shown) =
            self.admin_call(Method::GET, &format!("/v1/components/{COMPONENT}/ticket"), None).await;
        self.component_token(shown["component_verify_ticket"].as_str().unwrap()).await
    }

    async fn authorize(&self, appid: &str, sets: &[u32]) -> String {
        let body = json!({"appid": appid, "permission_sets": sets});
        let (status, answer) = self.admin_call(Method::POST, &authorizations(), Some(body)).await;
        assert_eq!((status, &answer["expires_in"]), (200, &json!(600)), "{answer}");
        answer["auth_code"].as_str().unwrap().to_owned()
    }

    async fn query_auth(&self, token: &str, code: &str) -> Value {
        let body = json!({"component_appid": COMPONENT, "authorization_code": code});
        self.component_call("api_query_auth", token, body).await
    }

    async fn month(&self, token: &str) -> Value {
        let url = format!("{}/datacube/getupstreammsgmonth?access_token={token}", self.base);
        let body = json!({"begin_date": "2024-11-01", "end_date": "2024-11-01"});
        self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} in {value}"))
        .to_owned()
}

#[tokio::test]
async fn a_platform_works_with_nothing_but_what_is_pushed_to_it() {
    let platform = Neighbour::start(|_| Answer::new(200, "text/plain", "success")).await;
    let program = Program::start(&component(&format!("{}/events?own=1", platform.base)), "");
    until("the first ticket comes", async || !pushes_of(&platform, "component_verify_ticket").is_empty())
        .await;
    let first = &platform.requests()[0];
    assert!(
        first.target.starts_with("/events?own=1&signature=")
            && first.target.contains("&encrypt_type=aes&msg_signature=")
    );
    assert!(!first.target.contains("openid") && first.headers["content-type"] == "text/xml");
    let ticket = &pushes_of(&platform, "component_verify_ticket")[0];
    assert_eq!(element(ticket, "AppId"), COMPONENT);
    let token = program.component_token(element(ticket, "ComponentVerifyTicket")).await;
    let by_hand = program.authorize(APPID, &[1, 2]).await;
    until("the platform is told", async || pushes_of(&platform, "authorized").len() == 1).await;
    let event = pushes_of(&platform, "authorized").remove(0);
    assert_eq!(element(&event, "AuthorizerAppid"), APPID);
    let created: i64 = element(&event, "CreateTime").parse().unwrap();
    let expires: i64 = element(&event, "AuthorizationCodeExpiredTime").parse().unwrap();
    assert_eq!(expires - created, 600);
    let by_event = program.query_auth(&token, element(&event, "AuthorizationCode")).await;
    let by_answer = program.query_auth(&token, &by_hand).await;
    for given in [by_event, by_answer] {
        let token = text(&given, "/authorization_info/authorizer_access_token");
        assert_eq!(program.month(&token).await, json!({"list": []}));
    }
    program.authorize(APPID, &[2, 1]).await;
    program.authorize(APPID, &[1]).await;
    let (status, _) =
        program.admin_call(Method::DELETE, &format!("{}/{APPID}", authorizations()), None).await;
    assert_eq!(status, 200);
    until("the withdrawal comes", async || pushes_of(&platform, "unauthorized").len() == 1).await;
    assert_eq!(
        pushes_of(&platform, "updateauthorized").len(),
        1,
        "a change that changes nothing is not pushed"
    );
    let start = json!({"component_appid": COMPONENT, "component_secret": COMPONENT_SECRET});
    let before = pushes_of(&platform, "component_verify_ticket").len();
    assert_eq!(program.component_call("api_start_push_ticket", "", start).await["errcode"], 0);
    until("a ticket comes at once", async || pushes_of(&platform, "component_verify_ticket").len() > before)
        .await;
    let metric = "msgcube_component_pushes_total{kind=\"authorized\",result=\"kept\"}";
    assert_eq!(program.metric(metric).await, 1);
    assert!(program.metric("msgcube_component_pushes_total{kind=\"event\",result=\"delivered\"}").await >= 3);
}

#[tokio::test]
async fn events_are_pushed_until_the_platform_answers_success_even_after_a_kill() {
    let port = free_port().await;
    let mut program = Program::start(&component(&format!("http://127.0.0.1:{port}/events")), "");
    program.authorize(APPID, &[1]).await;
    program.admin_call(Method::DELETE, &format!("{}/{APPID}", authorizations()), None).await;
    program.restart("-KILL");
    let stored = program.stored();
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("Encrypt") && !holds("queryauthcode@@@") && !holds("refreshtoken@@@"));
    let refusals = std::sync::atomic::AtomicUsize::new(0);
    let platform = Neighbour::at(port, move |_| {
        // An error or an HTML page is not `success`.
        match refusals.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Answer::new(404, "", "success"),
            1 => Answer::new(200, "text/html", "<html>success</html>"),
            _ => Answer::new(200, "", "success\n"),
        }
    })
    .await;
    let told = || {
        platform
            .requests()
            .iter()
            .map(|seen| element(&open_push(seen), "InfoType").to_owned())
            .collect::<Vec<_>>()
    };
    until("both events are told", async || {
        told().iter().any(|kind| kind == "authorized") && told().iter().any(|kind| kind == "unauthorized")
    })
    .await;
    until("nothing waits any more", async || program.metric("msgcube_copies_waiting_bytes").await == 0).await;
}

#[tokio::test]
async fn an_event_that_does_not_fit_the_outbox_is_pushed_once_after_the_next_start() {
    let platform = Neighbour::start(|_| Answer::new(200, "text/plain", "success")).await;
    let mut program = Program::start(&component(&format!("{}/events", platform.base)), "");
    // A folder with this name prevents the file of the outbox.
    let in_the_way = program.folder().join("data/copies.redb");
    std::fs::create_dir(&in_the_way).unwrap();
    program.authorize(APPID, &[1]).await;
    assert_eq!(pushes_of(&platform, "authorized").len(), 0);
    let stored = program.stored();
    assert!(!stored.windows(15).any(|window| window == b"queryauthcode@@"), "a code is on disk");
    std::fs::remove_dir(&in_the_way).unwrap();
    program.restart("-KILL");
    until("the event is told", async || pushes_of(&platform, "authorized").len() == 1).await;
    until("nothing waits any more", async || program.metric("msgcube_copies_waiting_bytes").await == 0).await;
    program.restart("-TERM");
    program.authorize(APPID, &[1, 2]).await;
    until("another event is told", async || pushes_of(&platform, "updateauthorized").len() == 1).await;
    assert_eq!(pushes_of(&platform, "authorized").len(), 1);
}

#[tokio::test]
async fn of_many_concurrent_uses_of_a_code_one_succeeds_and_a_kill_changes_nothing() {
    let mut program = Program::start(&component(""), "");
    let token = program.usual_component_token().await;
    let code = program.authorize(APPID, &[1]).await;
    let uses = (0..16).map(|_| program.query_auth(&token, &code));
    let mut answers = Vec::new();
    let mut running: Vec<_> = uses.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        running.retain_mut(|use_| match use_.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    drop(running);
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.get("errcode").is_none());
    assert_eq!((won.len(), lost.len()), (1, 15));
    assert!(lost.iter().all(|answer| answer["errcode"] == 61010), "{lost:?}");
    let account = text(won[0], "/authorization_info/authorizer_access_token");
    let refresh = text(won[0], "/authorization_info/authorizer_refresh_token");
    program.restart("-KILL");
    assert_eq!(program.query_auth(&token, &code).await["errcode"], 61010);
    assert_eq!(program.month(&account).await, json!({"list": []}));
    let body =
        json!({"component_appid": COMPONENT, "authorizer_appid": APPID, "authorizer_refresh_token": refresh});
    let next = program.component_call("api_authorizer_token", &token, body.clone()).await;
    program.restart("-KILL");
    // The client tries again, as if the answer had been lost.
    let again = program.component_call("api_authorizer_token", &token, body).await;
    assert_eq!(again["authorizer_refresh_token"], next["authorizer_refresh_token"]);
    assert_ne!(again["authorizer_refresh_token"], json!(refresh));
    let stored = program.stored();
    let next = text(&next, "/authorizer_refresh_token");
    for secret in [&refresh, &next, &account, &token, &code] {
        let bare = secret.rsplit("@@@").next().unwrap();
        assert!(!stored.windows(bare.len()).any(|window| window == bare.as_bytes()), "on disk: {secret}");
    }
}

#[tokio::test]
async fn removing_an_account_removes_its_authorizations() {
    let platform = Neighbour::start(|_| Answer::new(200, "", "success")).await;
    let mut program = Program::start(&component(&format!("{}/events", platform.base)), "");
    let new = "wx00000000000000c3";
    let settings = json!({"appid": new, "secret": "s", "token": "t", "encoding_aes_key": AES_KEY});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings.clone())).await.0, 201);
    let token = program.usual_component_token().await;
    let code = program.authorize(new, &[1]).await;
    let given = program.query_auth(&token, &code).await;
    let account = text(&given, "/authorization_info/authorizer_access_token");
    let left = program.authorize(new, &[1]).await;
    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/accounts/{new}"), None).await.0, 200);
    until("the platform is told", async || pushes_of(&platform, "unauthorized").len() == 1).await;
    assert_eq!(program.month(&account).await["errcode"], 40001);
    assert_eq!(program.query_auth(&token, &left).await["errcode"], 61003);
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings)).await.0, 201);
    program.restart("-TERM");
    let (_, listed) = program.admin_call(Method::GET, &authorizations(), None).await;
    assert_eq!(listed, json!({"total": 0, "authorizations": []}));
    let body = json!({
        "component_appid": COMPONENT,
        "authorizer_appid": new,
        "authorizer_refresh_token": text(&given, "/authorization_info/authorizer_refresh_token"),
    });
    let answer = program.component_call("api_authorizer_token", &token, body).await;
    assert_eq!(answer["errcode"], 61003);
}

/// Sends the form of the page with what an operator enters.
async fn send_form(program: &Program, page: &str, entered: &[(&str, &str)]) -> Response {
    let hidden = page.split("<input type=\"hidden\" name=\"").skip(1).map(|input| {
        let (name, rest) = input.split_once("\" value=\"").unwrap();
        (name, rest.split_once('"').unwrap().0.replace("&amp;", "&"))
    });
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(hidden).extend_pairs(entered);
    let request = program.http.post(format!("{}/cgi-bin/componentloginpage", program.base));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.finish());
    request.timeout(Duration::from_secs(200)).send().await.unwrap()
}

#[tokio::test]
async fn the_page_leads_from_a_pre_auth_code_to_tokens() {
    let platform = Neighbour::start(|_| Answer::new(200, "", "success")).await;
    let program = Program::start(&component(&format!("{}/events", platform.base)), "");
    let token = program.usual_component_token().await;
    let pre =
        program.component_call("api_create_preauthcode", &token, json!({"component_appid": COMPONENT})).await;
    let pre = text(&pre, "/pre_auth_code");
    let back = format!("{}/back?state=a%26b&lang=fr#part", platform.base);
    let values = [
        ("component_appid", COMPONENT),
        ("pre_auth_code", &pre),
        ("redirect_uri", &back),
        ("auth_type", "1"),
    ];
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(values).finish();
    let url = format!("{}/cgi-bin/componentloginpage?{query}", program.base);
    let page = program.http.get(url).send().await.unwrap().text().await.unwrap();
    let wrong = [("appid", APPID), ("secret", "wrong"), ("permission_set", "1"), ("permission_set", "7")];
    let refused = send_form(&program, &page, &wrong).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    let right = [("appid", APPID), ("secret", SECRET), ("permission_set", "1"), ("permission_set", "7")];
    let approved = send_form(&program, &page, &right).await;
    assert_eq!(approved.status(), 303);
    let target = Url::parse(approved.headers()["location"].to_str().unwrap()).unwrap();
    assert!(
        target.as_str().starts_with(&format!("{}/back?state=a%26b&lang=fr&auth_code=", platform.base)),
        "{target}"
    );
    assert_eq!(target.fragment(), Some("part"));
    let value = |wanted: &str| target.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
    assert_eq!(value("expires_in"), "600");
    let given = program.query_auth(&token, &value("auth_code")).await;
    assert_eq!(text(&given, "/authorization_info/authorizer_appid"), APPID);
    until("the platform is told", async || pushes_of(&platform, "authorized").len() == 1).await;
    assert_eq!(element(&pushes_of(&platform, "authorized")[0], "PreAuthCode"), pre);
    assert_eq!(send_form(&program, &page, &right).await.status(), 400, "the pre-auth code was used");
    assert!(!program.log().contains(SECRET) && !program.log().contains(&pre));
}

#[tokio::test]
async fn calls_of_a_platform_are_answered_here_and_never_sent_to_wechat() {
    let upstream = gateway::wechat(|_| Answer::json("{\"errcode\":0}")).await;
    let top = format!("[upstream]\nbase = \"{}\"\n{}", upstream.base, component(""));
    let program = Program::start(&top, "upstream_secret = \"real-secret\"");
    let component_token = program.usual_component_token().await;
    let code = program.authorize(APPID, &[1, 15]).await;
    let given = program.query_auth(&component_token, &code).await;
    let token = text(&given, "/authorization_info/authorizer_access_token");
    for (token, errcode) in [(token, 61007), (component_token, 61015)] {
        let url = format!("{}/cgi-bin/menu/delete?access_token={token}", program.base);
        let answer: Value = program.http.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errcode"], errcode, "{answer}");
    }
    // These calls also act only on our own data: the real token would allow more than the account authorized.
    let token = text(&given, "/authorization_info/authorizer_access_token");
    for (call, body, errcode) in [
        ("openapi/quota/get", json!({"cgi_path": "/cgi-bin/menu/get"}), 61007),
        ("openapi/rid/get", json!({"rid": "61725984-6126f6f9-040f19c4"}), 61007),
        ("clear_quota", json!({"appid": APPID}), 0),
    ] {
        let url = format!("{}/cgi-bin/{call}?access_token={token}", program.base);
        let answer: Value = program.http.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errcode"], errcode, "{call}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 0);
}
