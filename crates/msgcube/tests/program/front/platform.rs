//! A third-party platform in the role "receive": WeChat pushes to msgcube, which passes everything on to the real platform.

use reqwest::Method;
use serde_json::{Value, json};
use wechat::callback::{
    cipher::{self, AesKey},
    seal::Sealed,
    signature::sign,
};

use crate::{
    front::neighbour::{Answer, Neighbour, free_port, until},
    harness::{
        AES_KEY, APPID, Program,
        callbacks::{CallbackReply, Text, now_s, success, written_day},
    },
};

const PLATFORM: &str = "wxplatform00000001";
pub const TOKEN: &str = "platformToken";
const ONE: &str = "wxone0000000000001";
const TWO: &str = "wxtwo0000000000002";

/// The program with a platform. `more` are settings of the platform, `top` general settings.
fn program(top: &str, more: &str) -> Program {
    let platform = format!(
        "[[component]]\nappid = \"{PLATFORM}\"\nsecret = \"platform-secret\"\ntoken = \"{TOKEN}\"\n\
         encoding_aes_key = \"{AES_KEY}\"\nrole = \"receive\"\n{more}"
    );
    Program::start(&format!("{top}\n{platform}"), "")
}

fn event(info_type: &str, create_time: i64, fields: &str) -> Sealed {
    event_of(PLATFORM, info_type, create_time, fields)
}

/// An event as WeChat sends it.
pub fn event_of(platform: &str, info_type: &str, create_time: i64, fields: &str) -> Sealed {
    let xml = format!(
        "<xml><AppId>{platform}</AppId><CreateTime>{create_time}</CreateTime><InfoType>{info_type}</InfoType>{fields}</xml>"
    );
    let key = AesKey::parse(AES_KEY).unwrap();
    let encrypt = cipher::encrypt(&key, [9; 16], xml.as_bytes(), platform);
    let timestamp = now_s().to_string();
    let signature = sign([TOKEN, &timestamp, "n1", &encrypt].map(str::as_bytes));
    let signature = String::from_utf8_lossy(&signature).into_owned();
    Sealed {
        query: format!("timestamp={timestamp}&nonce=n1&encrypt_type=aes&msg_signature={signature}"),
        body: format!("<xml><AppId>{platform}</AppId><Encrypt>{encrypt}</Encrypt></xml>"),
    }
}

fn named(appid: &str) -> String {
    format!("<AuthorizerAppid>{appid}</AuthorizerAppid>")
}

fn authorized(appid: &str, create_time: i64) -> Sealed {
    event("authorized", create_time, &named(appid))
}

fn unauthorized(appid: &str, create_time: i64) -> Sealed {
    event("unauthorized", create_time, &named(appid))
}

fn ticket(text: &str, create_time: i64) -> Sealed {
    event(
        "component_verify_ticket",
        create_time,
        &format!("<ComponentVerifyTicket>{text}</ComponentVerifyTicket>"),
    )
}

/// A message to the account with this original id.
fn message(to: &str, id: u64) -> Sealed {
    Text { to, ..Text::new("o1", id) }.safe(TOKEN, AES_KEY, PLATFORM)
}

impl Program {
    async fn push(&self, path: &str, sealed: &Sealed) -> CallbackReply {
        self.push_to(PLATFORM, path, sealed).await
    }

    pub async fn push_to(&self, platform: &str, path: &str, sealed: &Sealed) -> CallbackReply {
        self.post_sealed(&format!("component/{platform}/{path}"), sealed).await
    }

    async fn push_event(&self, event: &Sealed) -> CallbackReply {
        self.push("events", event).await
    }

    async fn push_message(&self, appid: &str, message: &Sealed) -> CallbackReply {
        self.push(&format!("callback/{appid}"), message).await
    }

    pub async fn gaps(&self, appid: &str) -> usize {
        self.coverage(appid).await["gaps"].as_array().unwrap().len()
    }

    async fn status(&self, appid: &str) -> Value {
        let (_, shown) = self.admin_call(Method::GET, &format!("/v1/accounts/{appid}"), None).await;
        shown["platforms"][0]["status"].clone()
    }
}

#[tokio::test]
async fn an_account_is_added_by_its_first_message_and_survives_a_kill() {
    let mut program = program("", "");
    let first = message("gh_one", 1);
    assert_eq!(program.push_message(ONE, &first).await, success());
    program.restart("-KILL");
    assert_eq!((program.messages(ONE).await, program.status(ONE).await), (1, json!("pending")));
    assert_eq!(program.push_message(ONE, &first).await, success(), "a repeat");
    assert_eq!(program.push_message(ONE, &message("gh_one", 2)).await, success());
    assert_eq!(program.push_event(&authorized(ONE, now_s())).await, success());
    assert_eq!((program.messages(ONE).await, program.status(ONE).await), (2, json!("authorized")));
    let (_, shown) = program.admin_call(Method::GET, &format!("/v1/accounts/{ONE}"), None).await;
    assert_eq!((&shown["origin"], &shown["secrets"]), (&json!("platform"), &json!([])));
    assert_eq!(shown["platforms"][0]["original_id"], "gh_one");
    assert_eq!(shown["callback"], format!("/component/{PLATFORM}/callback/{ONE}"));
    let (_, listed) = program.admin_call(Method::GET, "/v1/accounts", None).await;
    assert!(listed.to_string().contains("\"status\":\"authorized\""), "{listed}");
    let other = program.receive(ONE, &Text::new("o1", 9).plain("")).await;
    assert!(
        matches!(other, CallbackReply::Reply(404, _)),
        "it has no callback address of its own: {other:?}"
    );
    assert_eq!(program.token(ONE, "anything").await["errcode"], 40125);
}

#[tokio::test]
async fn an_operator_can_give_such_an_account_a_secret_and_its_own_callback() {
    let mut program = program("", "");
    program.push_message(ONE, &message("gh_one", 1)).await;
    let path = format!("/v1/accounts/{ONE}");
    let (status, shown) =
        program.admin_call(Method::PATCH, &path, Some(json!({"secret": "s3cret-of-one"}))).await;
    assert_eq!((status, &shown["secrets"]), (200, &json!(["secret"])), "{shown}");
    let more = json!({"token": "ownToken", "encoding_aes_key": AES_KEY});
    assert_eq!(program.admin_call(Method::PATCH, &path, Some(more)).await.0, 200);
    program.restart("-KILL");
    assert!(program.token(ONE, "s3cret-of-one").await["access_token"].is_string());
    assert_eq!(program.receive(ONE, &Text::new("o1", 2).safe("ownToken", AES_KEY, ONE)).await, success());
    assert_eq!(program.push_message(ONE, &message("gh_one", 3)).await, success());
    assert_eq!(program.messages(ONE).await, 3);
    program.push_event(&authorized(ONE, now_s())).await;
    assert_eq!(
        program.admin_call(Method::DELETE, &path, None).await.0,
        409,
        "it cannot be removed while messages arrive"
    );
    program.push_event(&unauthorized(ONE, now_s() + 1)).await;
    assert_eq!(program.admin_call(Method::DELETE, &path, None).await.0, 200);
    program.restart("-KILL");
    assert_eq!(program.admin_call(Method::GET, &path, None).await.0, 404);
    assert_eq!(program.push_message(ONE, &message("gh_one", 4)).await, success());
    assert_eq!(program.messages(ONE).await, 4, "its figures are kept");
}

#[tokio::test]
async fn the_account_of_a_message_is_decided_by_the_message_and_not_by_the_address() {
    let mut program = program("", "");
    program.push_message(ONE, &message("gh_one", 1)).await;
    let refused = |reply: CallbackReply| assert!(matches!(reply, CallbackReply::Reply(403, _)), "{reply:?}");
    refused(program.push_message(TWO, &message("gh_one", 1)).await);
    assert_eq!(program.admin_call(Method::GET, &format!("/v1/accounts/{TWO}"), None).await.0, 404);
    program.push_message(TWO, &message("gh_two", 1)).await;
    program.restart("-KILL");
    let restarted_s = now_s();
    until("both are covered again", async || now_s() > restarted_s + 2).await;
    let (one, two) = (program.gaps(ONE).await, program.gaps(TWO).await);
    refused(program.push_message(TWO, &message("gh_one", 2)).await);
    refused(program.push_message(ONE, &message("gh_other", 3)).await);
    assert_eq!((program.messages(ONE).await, program.messages(TWO).await), (1, 1));
    until("what may be its own and was refused is a gap", async || program.gaps(ONE).await > one).await;
    assert_eq!(program.gaps(TWO).await, two, "a message of another account is no gap of this one");
    // The settings of an operator are decisive.
    let told = json!({"original_id": "gh_other"});
    assert_eq!(program.admin_call(Method::PATCH, &format!("/v1/accounts/{ONE}"), Some(told)).await.0, 200);
    assert_eq!(program.push_message(ONE, &message("gh_other", 4)).await, success());
    refused(program.push_message(ONE, &message("gh_one", 5)).await);
    for appid in ["wx%20x", "wx%00", PLATFORM, &"x".repeat(129)] {
        assert!(
            matches!(program.push_message(appid, &message("gh_x", 1)).await, CallbackReply::Reply(404, _)),
            "{appid}"
        );
    }
    let plain = Text::new("o1", 6).plain(TOKEN);
    assert!(
        matches!(program.push_message(ONE, &plain).await, CallbackReply::Reply(400, _)),
        "plain callbacks are refused"
    );
    let foreign = Text::new("o1", 6).safe(TOKEN, AES_KEY, ONE);
    refused(program.push_message(ONE, &foreign).await);
}

#[tokio::test]
async fn the_latest_event_is_decisive_and_replayed_messages_count_once() {
    let mut program = program("", "");
    let now_s = now_s();
    let first = authorized(ONE, now_s - 100);
    program.push_event(&first).await;
    program.push_event(&unauthorized(ONE, now_s - 50)).await;
    assert_eq!(program.push_event(&first).await, success());
    assert_eq!(program.status(ONE).await, "unauthorized");
    program.restart("-KILL");
    assert_eq!(program.push_event(&first).await, success());
    assert_eq!(program.status(ONE).await, "unauthorized");
    assert_eq!(program.push_message(ONE, &message("gh_one", 1)).await, success(), "late but counted");
    assert_eq!(program.messages(ONE).await, 1);
    program.push_event(&ticket("ticket@@@2", now_s - 10)).await;
    program.push_event(&ticket("ticket@@@1", now_s - 700)).await;
    program.restart("-KILL");
    let path = format!("/v1/components/{PLATFORM}/ticket");
    let (_, shown) = program.admin_call(Method::GET, &path, None).await;
    assert_eq!(shown, json!({"component_verify_ticket": "ticket@@@2"}));
    assert_eq!(program.push_event(&ticket("ticket@@@2", now_s - 10)).await, success());
    assert_eq!(program.metric("msgcube_callbacks_total{result=\"event\",reason=\"replayed\"}").await, 1);
    let stored = program.stored();
    for text in ["ticket@@@2", "gh_one"] {
        assert!(!stored.windows(text.len()).any(|part| part == text.as_bytes()), "{text} is on disk");
    }
    program.push_event(&authorized(ONE, now_s)).await;
    assert_eq!(program.status(ONE).await, "authorized");
}

#[tokio::test]
async fn events_from_before_the_removal_of_an_account_do_not_bring_it_back() {
    let behind = Neighbour::start(|_| Answer::new(200, "text/plain", "success")).await;
    let mut program = program("", &format!("push_url = \"{}/events\"\n", behind.base));
    let path = format!("/v1/accounts/{ONE}");
    let (first, taken_back) = (authorized(ONE, now_s() - 60), unauthorized(ONE, now_s() - 30));
    program.push_event(&first).await;
    program.push_message(ONE, &message("gh_one", 1)).await;
    program.push_event(&taken_back).await;
    assert_eq!(program.admin_call(Method::DELETE, &path, None).await.0, 200);
    for kill in [false, true] {
        if kill {
            program.restart("-KILL");
        }
        for old in [&first, &taken_back, &event("updateauthorized", now_s() - 40, &named(ONE))] {
            assert_eq!(program.push_event(old).await, success());
            assert_eq!(program.admin_call(Method::GET, &path, None).await.0, 404);
        }
        let metric = "msgcube_callbacks_total{result=\"event\",reason=\"before_removal\"}";
        assert_eq!(program.metric(metric).await, 3);
    }
    // A push that was being sent at the kill is sent again.
    until("all of them went on", async || behind.requests_to("/events").len() >= 8).await;
    // A message brings the account back without a known state. Earlier events still do not count.
    assert_eq!(program.push_message(ONE, &message("gh_one", 2)).await, success());
    program.restart("-KILL");
    program.push_event(&first).await;
    assert_eq!((program.messages(ONE).await, program.status(ONE).await), (2, json!("pending")));
    program.push_event(&authorized(ONE, now_s() + 1)).await;
    program.restart("-KILL");
    assert_eq!(program.status(ONE).await, "authorized");
}

#[tokio::test]
async fn every_event_is_passed_on_unchanged_even_if_the_platform_is_down_or_msgcube_is_killed() {
    let port = free_port().await;
    let mut program = program("", &format!("push_url = \"http://127.0.0.1:{port}/events?k=1\"\n"));
    let now_s = now_s();
    let events = [
        ticket("ticket@@@1", now_s),
        authorized(ONE, now_s),
        event("other", now_s, ""),
        authorized(ONE, now_s),
    ];
    for event in &events {
        assert_eq!(program.push_event(event).await, success());
    }
    program.restart("-KILL");
    let platform = Neighbour::at(port, |_| Answer::new(200, "", "success")).await;
    until("all events are there", async || platform.requests().len() == 4).await;
    for (seen, sent) in platform.requests().iter().zip(&events) {
        assert_eq!(
            (&seen.target, &seen.body),
            (&format!("/events?k=1&{}", sent.query), &sent.body.clone().into())
        );
        assert_eq!(seen.headers["content-type"], "text/xml");
    }
    let mut wrong = ticket("ticket@@@2", now_s);
    wrong.query = wrong.query.replace("msg_signature=", "msg_signature=0");
    assert!(matches!(program.push_event(&wrong).await, CallbackReply::Reply(401, _)));
    let reply = program.receive(APPID, &Text::new("o1", 1).usual()).await;
    assert_eq!((reply, platform.requests().len()), (success(), 4));
}

#[tokio::test]
async fn callbacks_of_all_accounts_are_passed_to_one_server_with_the_appid_in_the_path() {
    let platform = Neighbour::start(|_| Answer::new(200, "text/xml", "<xml>reply</xml>")).await;
    let listener = Neighbour::start(|_| Answer::new(200, "", "")).await;
    let relay = format!(
        "[component.relay]\nurl = \"{}/$APPID$/msg?a=$APPID$\"\nlisteners = [\"{}/copy/$APPID$\"]\n",
        platform.base, listener.base
    );
    let program = program("", &relay);
    let from_platform = CallbackReply::Reply(200, "<xml>reply</xml>".to_owned());
    let sent = message("gh_one", 1);
    assert_eq!(program.push_message(ONE, &sent).await, from_platform);
    assert_eq!(program.push_message("wx%2Fodd", &message("gh_odd", 1)).await, from_platform);
    assert_eq!(
        program.push_message(TWO, &message("gh_one", 2)).await,
        from_platform,
        "refused but passed on"
    );
    let seen = platform.requests();
    assert_eq!(seen[0].target, format!("/{ONE}/msg?a={ONE}&{}", sent.query));
    assert!(seen[1].target.starts_with("/wx%2Fodd/msg?a=wx%2Fodd&"), "{}", seen[1].target);
    assert_eq!((program.messages(ONE).await, program.messages("wx%2Fodd").await), (1, 1));
    until("the listener has its copies", async || listener.requests().len() == 3).await;
    let copied = listener.requests().iter().any(|seen| seen.target.starts_with(&format!("/copy/{ONE}?")));
    assert!(copied, "{:?}", listener.requests());
}

/// A fake WeChat that answers the calls of a platform.
async fn wechat() -> Neighbour {
    Neighbour::start(|seen| match seen.target.split('?').next().unwrap() {
        "/cgi-bin/component/api_component_token" => {
            Answer::json(r#"{"component_access_token":"COMPONENT","expires_in":7200}"#)
        }
        "/cgi-bin/component/api_query_auth" => Answer::json(format!(
            r#"{{"authorization_info":{{"authorizer_appid":"{ONE}","authorizer_access_token":"ONE1","expires_in":7200,"func_info":[]}}}}"#
        )),
        "/cgi-bin/component/api_authorizer_token" => Answer::new(
            200,
            "text/plain",
            r#"{"authorizer_access_token":"TWO1","expires_in":"7200","authorizer_refresh_token":"r"}"#,
        ),
        "/cgi-bin/refused" => Answer::json(r#"{"errcode":40001,"errmsg":"invalid credential"}"#),
        _ => Answer::json("{\"ok\":1}"),
    })
    .await
}

impl Program {
    async fn wechats_component_call(&self, name: &str, more: Value) -> Value {
        let mut body = json!({ "component_appid": PLATFORM });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let url = format!("{}/cgi-bin/component/{name}", self.base);
        // Some SDKs send no content type.
        self.http.post(url).body(body.to_string()).send().await.unwrap().json().await.unwrap()
    }

    async fn post_text(&self, target: &str, body: &'static str) -> Value {
        let url = format!("{}{target}", self.base);
        self.http.post(url).body(body).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn calls_of_a_platform_are_passed_on_and_its_tokens_are_still_known_after_a_kill() {
    let upstream = wechat().await;
    let mut program = program(&format!("[upstream]\nbase = \"{}\"\n", upstream.base), "");
    let call = "api_component_token?x=%2B";
    let given = program.wechats_component_call(call, json!({"component_appsecret": "s"})).await;
    assert_eq!(given["component_access_token"], "COMPONENT");
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(seen.target, "/cgi-bin/component/api_component_token?x=%2B");
    let asked: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(asked, json!({"component_appid": PLATFORM, "component_appsecret": "s"}));
    program.push_message(ONE, &message("gh_one", 1)).await;
    let query_auth = "api_query_auth?component_access_token=COMPONENT";
    program.wechats_component_call(query_auth, json!({"authorization_code": "c"})).await;
    assert_eq!(program.status(ONE).await, "authorized", "WeChat gave out a token for it");
    let authorizer_token = "api_authorizer_token?component_access_token=COMPONENT";
    program.wechats_component_call(authorizer_token, json!({"authorizer_appid": TWO})).await;
    program.restart("-KILL");
    let fetched = upstream.requests_to("/cgi-bin/stable_token").len();
    for (target, passes) in [
        ("/cgi-bin/menu/get?access_token=ONE1", true),
        ("/cgi-bin/menu/get?access_token=TWO1", true),
        ("/wxa/gettemplatelist?access_token=COMPONENT", true),
        ("/wxa/x?component_access_token=COMPONENT", true),
        ("/cgi-bin/openapi/quota/get?access_token=COMPONENT", true),
        ("/cgi-bin/openapi/quota/get?access_token=TWO1", true),
        ("/cgi-bin/menu/get?access_token=ONE2", false),
        ("/cgi-bin/menu/get?access_token=nonsense&component_access_token=COMPONENT", false),
    ] {
        let before = upstream.requests().len();
        let answer = program.post_text(target, "{}").await;
        assert_eq!(answer == json!({"ok": 1}), passes, "{target}: {answer}");
        let seen = upstream.requests();
        assert_eq!(seen.len() - before, usize::from(passes), "{target}");
        assert!(!passes || seen.last().unwrap().target == target, "unchanged: {target}");
    }
    let refused = program.post_text("/cgi-bin/refused?access_token=ONE1", "{}").await;
    assert_eq!(refused["errcode"], 40001, "the refusal goes to the caller");
    assert_eq!(upstream.requests_to("/cgi-bin/stable_token").len(), fetched, "no new token is requested");
    assert_eq!(upstream.requests_to("/cgi-bin/refused").len(), 1, "the call is not repeated");
    // A call without component_appid.
    let form = "/cgi-bin/component/fastregisterweapp?action=create&component_access_token=COMPONENT";
    assert_eq!(program.post_text(form, "{\"name\":\"x\"}").await, json!({"ok": 1}));
    let stored = program.stored();
    for token in ["COMPONENT", "ONE1", "TWO1"] {
        assert!(!stored.windows(token.len()).any(|part| part == token.as_bytes()), "{token} is on disk");
    }
}

#[tokio::test]
async fn an_authorizer_token_reads_its_account_and_a_platform_token_reads_none() {
    let upstream = wechat().await;
    let program =
        program(&format!("[upstream]\nbase = \"{}\"\n[datacube]\nlive = true\n", upstream.base), "");
    program.push_message(ONE, &message("gh_one", 1)).await;
    program.wechats_component_call("api_component_token", json!({})).await;
    program.wechats_component_call("api_query_auth", json!({})).await;
    let authorizer_token = "api_authorizer_token?access_token=COMPONENT";
    program.wechats_component_call(authorizer_token, json!({"authorizer_appid": TWO})).await;
    let today = written_day();
    let claim = format!("/v1/accounts/{ONE}/messages?covers={today}..{today}");
    assert_eq!(program.admin_call(Method::POST, &claim, None).await.0, 200);
    let ask = async |token: &str, day: &str| -> Value {
        let url = format!("{}/datacube/getupstreammsg?access_token={token}", program.base);
        let body = json!({"begin_date": day, "end_date": day});
        program.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(ask("ONE1", &today).await["list"][0]["msg_count"], 1);
    assert_eq!(ask("COMPONENT", &today).await["errcode"], 61015);
    assert_eq!(ask("TWO1", &today).await["errcode"], 40001, "an unknown account");
    assert_eq!(ask("ONE1", "2020-02-02").await, json!({"ok": 1}), "not covered, so WeChat answers");
    let seen = upstream.requests_to("/datacube/").pop().unwrap();
    assert_eq!(seen.target, "/datacube/getupstreammsg?access_token=ONE1", "with the caller's own token");
}

#[tokio::test]
async fn naming_an_account_in_a_call_of_another_platform_gives_no_access_to_it() {
    let upstream = wechat().await;
    let program =
        program(&format!("[upstream]\nbase = \"{}\"\n[datacube]\nlive = true\n", upstream.base), "");
    program.push_message(ONE, &message("gh_one", 1)).await;
    program.push_message(TWO, &message("gh_two", 2)).await;
    // This platform token did not come from api_component_token through msgcube.
    let call = "api_authorizer_token?component_access_token=FOREIGN";
    let answer = program.wechats_component_call(call, json!({"authorizer_appid": TWO})).await;
    assert_eq!(answer["errcode"], 40001);
    let twice = r#"{"component_appid":"wxevil","authorizer_appid":"wxevil2","Component_Appid":"PLATFORM"}"#;
    let twice = twice.replace("PLATFORM", PLATFORM).replace("Component_Appid", "component_appid");
    for call in ["api_component_token", "api_query_auth", "api_authorizer_token"] {
        let url = format!("{}/cgi-bin/component/{call}?component_access_token=COMPONENT", program.base);
        let answer = program.http.post(url).body(twice.clone()).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["errcode"], 47001, "{call}");
    }
    assert_eq!(upstream.requests().len(), 0, "nothing was sent to WeChat");
    assert_eq!(program.status(TWO).await, "pending");
    // A token of ours is never sent to WeChat, in any field.
    let own = program.access_token().await;
    let call = format!("api_query_auth?component_access_token=COMPONENT&x={own}");
    assert_eq!(program.wechats_component_call(&call, json!({})).await["errcode"], 40001);
    program.wechats_component_call("api_component_token", json!({})).await;
    let target = format!("/cgi-bin/menu/get?access_token=COMPONENT&access_token={own}");
    assert_eq!(program.post_text(&target, "{}").await["errcode"], 40001);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn an_account_that_revoked_its_authorization_can_no_longer_be_read() {
    let upstream = wechat().await;
    let top = format!("[upstream]\nbase = \"{}\"\nuncovered = \"counted\"\n", upstream.base);
    let program = program(&top, "");
    program.push_message(ONE, &message("gh_one", 1)).await;
    program.wechats_component_call("api_component_token", json!({})).await;
    program.wechats_component_call("api_query_auth", json!({})).await;
    let ask = async || {
        program
            .post_text(
                "/datacube/getupstreammsg?access_token=ONE1",
                r#"{"begin_date":"2020-02-02","end_date":"2020-02-02"}"#,
            )
            .await
    };
    assert_eq!(ask().await, json!({"list": []}));
    // Our clock may differ from WeChat's. A later event of WeChat is decisive.
    let reply = program
        .push_event(&event(
            "unauthorized",
            1_500_000_000,
            &format!("<AuthorizerAppid>{ONE}</AuthorizerAppid>"),
        ))
        .await;
    assert_eq!((reply, program.status(ONE).await), (success(), json!("unauthorized")));
    assert_eq!(ask().await["errcode"], 61003);
    let url = format!("{}/datacube/getupstreammsg?access_token=ONE1", program.base);
    let by_get: Value = program.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(by_get["errcode"], 43002, "the method comes first");
    // After a removal and a new message, the account is not authorized until WeChat gives out a token again.
    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/accounts/{ONE}"), None).await.0, 200);
    assert_eq!(program.push_message(ONE, &message("gh_one", 2)).await, success());
    assert_eq!((ask().await["errcode"].clone(), program.status(ONE).await), (json!(61003), json!("pending")));
    program.wechats_component_call("api_query_auth", json!({})).await;
    assert_eq!((ask().await, program.status(ONE).await), (json!({"list": []}), json!("authorized")));
}

#[tokio::test]
async fn a_platform_call_without_an_upstream_gives_an_error_that_names_the_setting() {
    let program = program("", "");
    let answer = program.wechats_component_call("api_component_token", json!({})).await;
    assert!(answer["error"].as_str().unwrap().contains("[upstream]"), "{answer}");
}

/// The first messages of five thousand accounts arrive at the same time. Each becomes an account with one message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_accounts_that_appear_at_once_all_survive_a_kill() {
    let mut program = program("", "");
    let accounts: usize = 5000;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started = std::time::Instant::now();
    let sender = async || loop {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if number >= accounts {
            return;
        }
        let reply =
            program.push_message(&format!("wxmany{number}"), &message(&format!("gh_{number}"), 1)).await;
        assert_eq!(reply, success(), "{number}");
    };
    let senders: Vec<_> = (0..16).map(|_| sender()).collect();
    let mut senders: Vec<_> = senders.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        senders.retain_mut(|sender| sender.as_mut().poll(context).is_pending());
        if senders.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    drop(senders);
    println!("{accounts} accounts in {:?}", started.elapsed());
    program.restart("-KILL");
    let (_, listed) = program.admin_call(Method::GET, "/v1/accounts", None).await;
    assert_eq!(listed["accounts"].as_array().unwrap().len(), accounts + 1);
    assert_eq!(listed.to_string().matches("\"pending\"").count(), accounts);
    for number in (0..accounts).step_by(501) {
        assert_eq!(program.messages(&format!("wxmany{number}")).await, 1, "{number}");
    }
}
