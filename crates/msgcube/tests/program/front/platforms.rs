//! Two third-party platforms in the role "receive", and accounts of the operator. Messages through one platform never
//! reach an account that does not belong to it.

use reqwest::Method;
use serde_json::{Value, json};
use wechat::callback::seal::Sealed;

use crate::{
    front::{
        neighbour::until,
        platform::{TOKEN, event_of},
    },
    harness::{
        self, AES_KEY, APPID, Program,
        callbacks::{CallbackReply, Text, now_s, success},
    },
};

const FIRST: &str = "wxplatform00000001";
const SECOND: &str = "wxplatform00000002";
const ONE: &str = "wxone0000000000001";
const TWO: &str = "wxtwo0000000000002";
const NOT_OF_PLATFORM: &str = "msgcube_callbacks_total{result=\"refused\",reason=\"not_of_platform\"}";

/// The program with both platforms. `account` are settings of the configured account.
fn program(account: &str) -> Program {
    let platform = |appid: &str| {
        format!(
            "[[component]]\nappid = \"{appid}\"\nsecret = \"platform-secret\"\ntoken = \"{TOKEN}\"\n\
             encoding_aes_key = \"{AES_KEY}\"\nrole = \"receive\"\n"
        )
    };
    Program::start(&(platform(FIRST) + &platform(SECOND)), account)
}

fn assert_refused(reply: &CallbackReply, why: &str) {
    assert!(matches!(reply, CallbackReply::Reply(403, _)), "{why}: {reply:?}");
}

impl Program {
    async fn message_through(&self, platform: &str, appid: &str, to: &str, id: u64) -> CallbackReply {
        let message = Text { to, ..Text::new("o1", id) }.safe(TOKEN, AES_KEY, platform);
        self.push_to(platform, &format!("callback/{appid}"), &message).await
    }

    async fn push_event_of(&self, platform: &str, info_type: &str, appid: &str, at_s: i64) {
        let fields = format!("<AuthorizerAppid>{appid}</AuthorizerAppid>");
        let event = event_of(platform, info_type, at_s, &fields);
        assert_eq!(self.push_to(platform, "events", &event).await, success());
    }

    async fn change_account(&self, appid: &str, settings: Value) {
        let (status, answer) =
            self.admin_call(Method::PATCH, &format!("/v1/accounts/{appid}"), Some(settings)).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn wait_for_coverage(&self) {
        let since_s = now_s();
        until("the seconds before are over", async || now_s() > since_s + 2).await;
    }
}

#[tokio::test]
async fn a_configured_account_takes_messages_through_a_platform_only_if_it_names_the_platform() {
    let mut program = program("original_id = \"gh_own\"");
    program
        .receive(APPID, &Text { to: "gh_own", ..Text::new("o1", 1) }.safe(harness::TOKEN, AES_KEY, APPID))
        .await;
    let runtime = json!({"appid": TWO, "secret": "s", "token": "t", "encoding_aes_key": AES_KEY});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(runtime)).await.0, 201);
    program.wait_for_coverage().await;
    let gaps = (program.gaps(APPID).await, program.gaps(TWO).await);
    // A right ToUserName or an event does not give the account to the platform.
    program.push_event_of(SECOND, "authorized", APPID, now_s()).await;
    program.push_event_of(SECOND, "authorized", TWO, now_s()).await;
    assert_refused(&program.message_through(SECOND, APPID, "gh_own", 2).await, "its own, by its ToUserName");
    assert_refused(&program.message_through(SECOND, APPID, "gh_nobody", 3).await, "its own");
    assert_refused(&program.message_through(SECOND, TWO, "gh_two", 4).await, "added at run time");
    let broken = no_message(SECOND);
    let reply = program.push_to(SECOND, &format!("callback/{APPID}"), &broken).await;
    assert!(matches!(reply, CallbackReply::Reply(400, _)), "{reply:?}");
    program.restart("-KILL");
    assert_refused(&program.message_through(SECOND, TWO, "gh_two", 5).await, "after a restart, too");
    assert_eq!(program.metric(NOT_OF_PLATFORM).await, 1);
    program.wait_for_coverage().await;
    // The restart itself is a gap.
    assert_eq!((program.gaps(APPID).await, program.gaps(TWO).await), (gaps.0 + 1, gaps.1 + 1));
    assert_eq!((program.messages(APPID).await, program.messages(TWO).await), (1, 0));
    assert!(program.log().contains(&format!("components=[\"{SECOND}\"]")), "{}", program.log());
    program.change_account(TWO, json!({"components": [SECOND]})).await;
    program.restart("-KILL");
    assert_eq!(program.message_through(SECOND, TWO, "gh_two", 6).await, success());
    assert_refused(&program.message_through(FIRST, TWO, "gh_two", 7).await, "only that one");
    program.change_account(TWO, json!({"components": null})).await;
    assert_refused(&program.message_through(SECOND, TWO, "gh_two", 8).await, "not named any more");
    assert_eq!(program.messages(TWO).await, 1);
}

#[tokio::test]
async fn accounts_of_platforms_stay_in_service_while_the_configuration_file_changes() {
    let mut program = program("");
    assert_eq!(program.message_through(FIRST, ONE, "gh_one", 1).await, success());
    program.wait_for_coverage().await;
    let path = program.folder().join("msgcube.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    let reload = async |program: &Program, text: &str| {
        std::fs::write(&path, text).unwrap();
        let (status, answer) = program.admin_call(Method::POST, "/v1/reload", None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let account = format!(
        "[[account]]\nappid = \"{ONE}\"\nsecret = \"secret-of-one\"\ntoken = \"ownToken\"\nencoding_aes_key = \"{AES_KEY}\"\n"
    );
    let origin = async |program: &Program| {
        program.admin_call(Method::GET, &format!("/v1/accounts/{ONE}"), None).await.1["origin"].clone()
    };
    let gaps = program.gaps(ONE).await;
    // The account is added to the file and removed again. The platform serves it before and after without a gap.
    assert_eq!(reload(&program, &format!("{file}{account}")).await["accounts"]["added"], json!([ONE]));
    let own = Text { to: "gh_one", ..Text::new("o1", 2) }.safe("ownToken", AES_KEY, ONE);
    assert_eq!(program.receive(ONE, &own).await, success());
    assert_eq!(program.message_through(FIRST, ONE, "gh_one", 3).await, success());
    assert_eq!(origin(&program).await, "configuration");
    assert_eq!(reload(&program, &file).await["accounts"]["removed"], json!([ONE]));
    assert_eq!(origin(&program).await, "platform");
    assert_ne!(program.receive(ONE, &own).await, success());
    assert_eq!(program.message_through(FIRST, ONE, "gh_one", 4).await, success());
    // Settings of a platform are reloaded. A new platform needs a restart.
    let changed = file.replacen(TOKEN, "otherToken", 1).replace(SECOND, "wxplatform00000003");
    let answer = reload(&program, &changed).await;
    assert_eq!(answer["settings"], json!([format!("component {FIRST}: token")]));
    let names = ["wxplatform00000002", "wxplatform00000003"].map(|appid| format!("component {appid}"));
    assert_eq!(answer["needs_restart"], json!(names));
    assert_ne!(
        program.message_through(FIRST, ONE, "gh_one", 5).await,
        success(),
        "signed with the previous token"
    );
    let message = Text { to: "gh_one", ..Text::new("o1", 5) }.safe("otherToken", AES_KEY, FIRST);
    assert_eq!(program.push_to(FIRST, &format!("callback/{ONE}"), &message).await, success());
    assert_eq!(program.message_through(SECOND, TWO, "gh_two", 1).await, success());
    program.wait_for_coverage().await;
    assert_eq!(program.gaps(ONE).await, gaps);
    program.restart("-KILL");
    assert_eq!(program.push_to(FIRST, &format!("callback/{ONE}"), &message).await, success());
    assert_eq!(program.messages(ONE).await, 5);
    assert_eq!(
        program.admin_call(Method::GET, &format!("/v1/accounts/{TWO}"), None).await.0,
        404,
        "its platform was removed"
    );
}

/// An authentic callback of a platform that is no message.
fn no_message(platform: &str) -> Sealed {
    event_of(platform, "no message", now_s(), "<ToUserName>gh_own</ToUserName>")
}

#[tokio::test]
async fn an_account_of_one_platform_takes_no_messages_through_another_until_it_has_moved() {
    let mut program = program("");
    assert_eq!(program.message_through(FIRST, ONE, "gh_one", 1).await, success());
    program.wait_for_coverage().await;
    let gaps = program.gaps(ONE).await;
    assert_refused(
        &program.message_through(SECOND, ONE, "gh_one", 2).await,
        "an account of another platform",
    );
    let now_s = now_s();
    program.push_event_of(SECOND, "authorized", ONE, now_s).await;
    assert_refused(
        &program.message_through(SECOND, ONE, "gh_one", 3).await,
        "the first platform has not yet got the event",
    );
    program.wait_for_coverage().await;
    assert_eq!((program.messages(ONE).await, program.gaps(ONE).await), (1, gaps));
    program.push_event_of(FIRST, "unauthorized", ONE, now_s + 1).await;
    program.restart("-KILL");
    assert_eq!(program.message_through(FIRST, ONE, "gh_one", 4).await, success(), "late but counted");
    assert_eq!(program.message_through(SECOND, ONE, "gh_one", 5).await, success(), "it has moved");
    assert_refused(&program.message_through(FIRST, ONE, "gh_one", 6).await, "it left");
    program.restart("-KILL");
    assert_eq!(program.message_through(SECOND, ONE, "gh_one", 7).await, success());
    assert_eq!(program.messages(ONE).await, 4);
    program.change_account(ONE, json!({"components": [FIRST]})).await;
    assert_refused(&program.message_through(SECOND, ONE, "gh_one", 8).await, "the operator says otherwise");
    assert_eq!(program.message_through(FIRST, ONE, "gh_one", 9).await, success());
}

#[tokio::test]
async fn an_operator_can_take_over_an_account_that_a_platform_named_before() {
    let mut program = program("");
    let mine = json!({"appid": ONE, "secret": "s3cret", "token": "t", "encoding_aes_key": AES_KEY});
    assert_eq!(program.message_through(SECOND, ONE, "gh_fake", 1).await, success());
    let (status, shown) = program.admin_call(Method::POST, "/v1/accounts", Some(mine.clone())).await;
    assert_eq!((status, &shown["origin"]), (201, &json!("run time")), "{shown}");
    for _ in 0..2 {
        assert_refused(&program.message_through(SECOND, ONE, "gh_fake", 2).await, "it is the operator's now");
        program.restart("-KILL");
    }
    assert_eq!(program.receive(ONE, &Text::new("o1", 3).safe("t", AES_KEY, ONE)).await, success());
    assert_eq!(program.messages(ONE).await, 2);
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(mine.clone())).await.0, 409, "once");
    // An account that a platform brought is changed, not added.
    program.message_through(SECOND, TWO, "gh_two", 1).await;
    program.push_event_of(SECOND, "authorized", TWO, now_s()).await;
    let (status, _) = program
        .admin_call(Method::POST, "/v1/accounts", Some(json!({"appid": TWO, "secret": "s", "token": "t"})))
        .await;
    assert_eq!(status, 409);
    program.change_account(TWO, json!({"token": "t", "encoding_aes_key": AES_KEY})).await;
    assert_eq!(
        program.message_through(SECOND, TWO, "gh_two", 2).await,
        success(),
        "the platform still works beside its own callback"
    );
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_platform_address_is_accepted() {
    let program = program("");
    let message = Text { to: "gh_one", ..Text::new("o1", 1) }.safe(TOKEN, AES_KEY, FIRST);
    let event = event_of(FIRST, "authorized", now_s(), &format!("<AuthorizerAppid>{ONE}</AuthorizerAppid>"));
    assert_eq!(program.push_to(FIRST, "events/", &event).await, success());
    assert_eq!(program.push_to(FIRST, &format!("callback/{ONE}/"), &message).await, success());
    let query = format!("{}&echostr=e1", Text::new("o1", 1).plain(TOKEN).query);
    let url = format!("{}/component/{FIRST}/callback/{ONE}/?{query}", program.base);
    let answer = program.http.get(url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, "e1".to_owned()));
    assert_eq!(program.messages(ONE).await, 1);
}
