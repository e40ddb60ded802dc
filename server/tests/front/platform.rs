//! A third-party platform whose pushes come here (role "receive"), between WeChat and the platform that was there before.

use msgcube::callback::{
    cipher::{self, AesKey},
    seal::Sealed,
    signature::sign,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    callbacks::{Heard, Text, now_s, success},
    neighbour::{Answer, Neighbour, free_port, until},
    program::{AES_KEY, APPID, Program},
};

const PLATFORM: &str = "wxplatform00000001";
const TOKEN: &str = "platformToken";
const ONE: &str = "wxone0000000000001";
const TWO: &str = "wxtwo0000000000002";

/// The program with a platform: `more` is of the platform, `top` of all.
fn program(top: &str, more: &str) -> Program {
    let platform = format!(
        "[[component]]\nappid = \"{PLATFORM}\"\nsecret = \"platform-secret\"\ntoken = \"{TOKEN}\"\n\
         encoding_aes_key = \"{AES_KEY}\"\nrole = \"receive\"\n{more}"
    );
    Program::start(&format!("{top}\n{platform}"), "")
}

/// An event as WeChat sends it.
fn event(info_type: &str, create_time: i64, fields: &str) -> Sealed {
    let xml = format!(
        "<xml><AppId>{PLATFORM}</AppId><CreateTime>{create_time}</CreateTime><InfoType>{info_type}</InfoType>{fields}</xml>"
    );
    let key = AesKey::parse(AES_KEY).unwrap();
    let encrypt = cipher::encrypt(&key, [9; 16], xml.as_bytes(), PLATFORM);
    let timestamp = now_s().to_string();
    let signature = sign([TOKEN, &timestamp, "n1", &encrypt].map(str::as_bytes));
    let signature = String::from_utf8_lossy(&signature).into_owned();
    Sealed {
        query: format!("timestamp={timestamp}&nonce=n1&encrypt_type=aes&msg_signature={signature}"),
        body: format!("<xml><AppId>{PLATFORM}</AppId><Encrypt>{encrypt}</Encrypt></xml>"),
    }
}

fn authorized(appid: &str, create_time: i64) -> Sealed {
    event("authorized", create_time, &format!("<AuthorizerAppid>{appid}</AuthorizerAppid>"))
}

fn unauthorized(appid: &str, create_time: i64) -> Sealed {
    event("unauthorized", create_time, &format!("<AuthorizerAppid>{appid}</AuthorizerAppid>"))
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
    async fn push(&self, path: &str, sealed: &Sealed) -> Heard {
        let url = format!("{}/component/{PLATFORM}/{path}?{}", self.base, sealed.query);
        let request = self.http.post(url).header("Content-Type", "text/xml").body(sealed.body.clone());
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                response.text().await.map_or(Heard::Nothing, |text| Heard::Reply(status, text))
            }
            Err(_) => Heard::Nothing,
        }
    }

    async fn tell(&self, event: &Sealed) -> Heard {
        self.push("events", event).await
    }

    async fn bring(&self, appid: &str, message: &Sealed) -> Heard {
        self.push(&format!("callback/{appid}"), message).await
    }

    async fn status(&self, appid: &str) -> Value {
        let (_, shown) = self.own(Method::GET, &format!("/v1/accounts/{appid}"), None).await;
        shown["platforms"][0]["status"].clone()
    }
}

#[tokio::test]
async fn an_account_appears_with_its_first_message_and_outlives_a_kill() {
    let mut program = program("", "");
    assert_eq!(program.bring(ONE, &message("gh_one", 1)).await, success());
    program.restart("-KILL");
    assert_eq!((program.messages(ONE).await, program.status(ONE).await), (1, json!("pending")));
    assert_eq!(program.bring(ONE, &message("gh_one", 1)).await, success(), "a repeat");
    assert_eq!(program.bring(ONE, &message("gh_one", 2)).await, success());
    assert_eq!(program.tell(&authorized(ONE, now_s())).await, success());
    assert_eq!((program.messages(ONE).await, program.status(ONE).await), (2, json!("authorized")));
    let (_, shown) = program.own(Method::GET, &format!("/v1/accounts/{ONE}"), None).await;
    assert_eq!((&shown["origin"], &shown["secrets"]), (&json!("platform"), &json!([])));
    assert_eq!(shown["platforms"][0]["original_id"], "gh_one");
    assert_eq!(shown["callback"], format!("/component/{PLATFORM}/callback/{ONE}"));
    let (_, listed) = program.own(Method::GET, "/v1/accounts", None).await;
    assert!(listed.to_string().contains("\"status\":\"authorized\""), "{listed}");
    let other = program.receive(ONE, &Text::new("o1", 9).plain("")).await;
    assert!(matches!(other, Heard::Reply(404, _)), "it has no address of its own: {other:?}");
    assert_eq!(program.token(ONE, "anything").await["errcode"], 40125);
}

#[tokio::test]
async fn an_operator_gives_such_an_account_a_secret_and_a_callback_of_its_own() {
    let mut program = program("", "");
    program.bring(ONE, &message("gh_one", 1)).await;
    let path = format!("/v1/accounts/{ONE}");
    let (status, shown) = program.own(Method::PATCH, &path, Some(json!({"secret": "s3cret-of-one"}))).await;
    assert_eq!((status, &shown["secrets"]), (200, &json!(["secret"])), "{shown}");
    let more = json!({"token": "ownToken", "encoding_aes_key": AES_KEY});
    assert_eq!(program.own(Method::PATCH, &path, Some(more)).await.0, 200);
    program.restart("-KILL");
    assert!(program.token(ONE, "s3cret-of-one").await["access_token"].is_string());
    assert_eq!(program.receive(ONE, &Text::new("o1", 2).safe("ownToken", AES_KEY, ONE)).await, success());
    assert_eq!(program.bring(ONE, &message("gh_one", 3)).await, success());
    assert_eq!(program.messages(ONE).await, 3);
    program.tell(&authorized(ONE, now_s())).await;
    assert_eq!(program.own(Method::DELETE, &path, None).await.0, 409, "its messages go on coming");
    program.tell(&unauthorized(ONE, now_s() + 1)).await;
    assert_eq!(program.own(Method::DELETE, &path, None).await.0, 200);
    program.restart("-KILL");
    assert_eq!(program.own(Method::GET, &path, None).await.0, 404);
    assert_eq!(program.bring(ONE, &message("gh_one", 4)).await, success());
    assert_eq!(program.messages(ONE).await, 4, "its figures were kept");
}

#[tokio::test]
async fn whose_a_message_is_stands_in_it_and_not_in_its_address() {
    let mut program = program("", "");
    program.bring(ONE, &message("gh_one", 1)).await;
    let refused = |heard: Heard| assert!(matches!(heard, Heard::Reply(403, _)), "{heard:?}");
    refused(program.bring(TWO, &message("gh_one", 1)).await);
    assert_eq!(program.own(Method::GET, &format!("/v1/accounts/{TWO}"), None).await.0, 404);
    program.bring(TWO, &message("gh_two", 1)).await;
    program.restart("-KILL");
    refused(program.bring(TWO, &message("gh_one", 2)).await);
    refused(program.bring(ONE, &message("gh_other", 3)).await);
    assert_eq!((program.messages(ONE).await, program.messages(TWO).await), (1, 1));
    let (_, coverage) = program.own(Method::GET, &format!("/v1/accounts/{TWO}/coverage"), None).await;
    assert_eq!(coverage["gaps"].as_array().unwrap().len(), 1, "only the restart: {coverage}");
    // What an operator says holds.
    let told = json!({"original_id": "gh_other"});
    assert_eq!(program.own(Method::PATCH, &format!("/v1/accounts/{ONE}"), Some(told)).await.0, 200);
    assert_eq!(program.bring(ONE, &message("gh_other", 4)).await, success());
    refused(program.bring(ONE, &message("gh_one", 5)).await);
    for appid in ["wx%20x", "wx%00", PLATFORM, &"x".repeat(129)] {
        assert!(matches!(program.bring(appid, &message("gh_x", 1)).await, Heard::Reply(404, _)), "{appid}");
    }
    let plain = Text::new("o1", 6).plain(TOKEN);
    assert!(matches!(program.bring(ONE, &plain).await, Heard::Reply(400, _)), "nothing plain");
    let foreign = Text::new("o1", 6).safe(TOKEN, AES_KEY, ONE);
    refused(program.bring(ONE, &foreign).await);
}

#[tokio::test]
async fn what_was_decided_later_holds_and_replays_are_counted() {
    let mut program = program("", "");
    let now_s = now_s();
    let first = authorized(ONE, now_s - 100);
    program.tell(&first).await;
    program.tell(&unauthorized(ONE, now_s - 50)).await;
    assert_eq!(program.tell(&first).await, success());
    assert_eq!(program.status(ONE).await, "unauthorized");
    program.restart("-KILL");
    assert_eq!(program.tell(&first).await, success());
    assert_eq!(program.status(ONE).await, "unauthorized");
    assert_eq!(program.bring(ONE, &message("gh_one", 1)).await, success(), "late, and counted");
    assert_eq!(program.messages(ONE).await, 1);
    program.tell(&ticket("ticket@@@2", now_s - 10)).await;
    program.tell(&ticket("ticket@@@1", now_s - 700)).await;
    program.restart("-KILL");
    let path = format!("/v1/components/{PLATFORM}/ticket");
    let (_, shown) = program.own(Method::GET, &path, None).await;
    assert_eq!(shown, json!({"component_verify_ticket": "ticket@@@2"}));
    assert_eq!(program.tell(&ticket("ticket@@@2", now_s - 10)).await, success());
    assert_eq!(program.metric("msgcube_callbacks_total{result=\"event\",reason=\"replayed\"}").await, 1);
    let stored = program.stored();
    for text in ["ticket@@@2", "gh_one"] {
        assert!(!stored.windows(text.len()).any(|part| part == text.as_bytes()), "{text} is on disk");
    }
    program.tell(&authorized(ONE, now_s)).await;
    assert_eq!(program.status(ONE).await, "authorized");
}

#[tokio::test]
async fn every_event_goes_on_unchanged_also_while_the_platform_is_away_and_over_a_kill() {
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
        assert_eq!(program.tell(event).await, success());
    }
    program.restart("-KILL");
    let platform = Neighbour::at(port, |_| Answer::new(200, "", "success")).await;
    until("all events are there", async || platform.seen().len() == 4).await;
    for (seen, sent) in platform.seen().iter().zip(&events) {
        assert_eq!(
            (&seen.target, &seen.body),
            (&format!("/events?k=1&{}", sent.query), &sent.body.clone().into())
        );
        assert_eq!(seen.headers["content-type"], "text/xml");
    }
    let mut wrong = ticket("ticket@@@2", now_s);
    wrong.query = wrong.query.replace("msg_signature=", "msg_signature=0");
    assert!(matches!(program.tell(&wrong).await, Heard::Reply(401, _)));
    let heard = program.receive(APPID, &Text::new("o1", 1).usual()).await;
    assert_eq!((heard, platform.seen().len()), (success(), 4));
}

#[tokio::test]
async fn callbacks_of_all_accounts_go_on_to_one_server_by_appid() {
    let platform = Neighbour::start(|_| Answer::new(200, "text/xml", "<xml>reply</xml>")).await;
    let listener = Neighbour::start(|_| Answer::new(200, "", "")).await;
    let relay = format!(
        "[component.relay]\nurl = \"{}/$APPID$/msg?a=$APPID$\"\nlisteners = [\"{}/copy/$APPID$\"]\n",
        platform.base, listener.base
    );
    let program = program("", &relay);
    let from_platform = Heard::Reply(200, "<xml>reply</xml>".to_owned());
    let sent = message("gh_one", 1);
    assert_eq!(program.bring(ONE, &sent).await, from_platform);
    assert_eq!(program.bring("wx%2Fodd", &message("gh_odd", 1)).await, from_platform);
    assert_eq!(program.bring(TWO, &message("gh_one", 2)).await, from_platform, "refused, and passed on");
    let seen = platform.seen();
    assert_eq!(seen[0].target, format!("/{ONE}/msg?a={ONE}&{}", sent.query));
    assert!(seen[1].target.starts_with("/wx%2Fodd/msg?a=wx%2Fodd&"), "{}", seen[1].target);
    assert_eq!((program.messages(ONE).await, program.messages("wx%2Fodd").await), (1, 1));
    until("the listener has its copies", async || listener.seen().len() == 3).await;
    let copied = listener.seen().iter().any(|seen| seen.target.starts_with(&format!("/copy/{ONE}?")));
    assert!(copied, "{:?}", listener.seen());
}
