//! Metrics by account: which accounts have their own, and what is counted for them.

use reqwest::Method;
use serde_json::json;

use crate::{
    front::neighbour::{Answer, Neighbour, until},
    harness::{
        AES_KEY, APPID, Program, TOKEN,
        callbacks::{Text, now_s, success},
    },
};

const FIRST: &str = "wx00000000000000c9";
const SECOND: &str = "wx00000000000000b1";

async fn add(program: &Program, appid: &str) {
    let settings =
        json!({"appid": appid, "secret": "a-secret", "token": "newToken", "encoding_aes_key": AES_KEY});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings)).await.0, 201);
}

async fn send(program: &Program, appid: &str, id: u64) {
    let callback = Text::new("o1", id).safe("newToken", AES_KEY, appid);
    assert_eq!(program.receive(appid, &callback).await, success());
}

async fn messages(program: &Program, account: &str) -> u64 {
    program.metric(&format!("msgcube_account_messages_total{{account=\"{account}\"}}")).await
}

async fn callbacks(program: &Program, result: &str) -> u64 {
    let labels = format!("{{account=\"{APPID}\",result=\"{result}\"}}");
    program.metric(&format!("msgcube_account_callbacks_total{labels}")).await
}

#[tokio::test]
async fn the_file_comes_first_then_who_was_added_first_and_after_a_restart_the_order_of_appids() {
    let mut program = Program::start("metrics_accounts = 2\n", "");
    add(&program, FIRST).await;
    add(&program, SECOND).await;
    program.receive("wxunknown", &Text::new("o1", 1).usual()).await;
    program.receive(APPID, &Text::new("o1", 1).usual()).await;
    send(&program, FIRST, 1).await;
    send(&program, SECOND, 1).await;
    send(&program, SECOND, 2).await;
    for (account, expected) in [(APPID, 1), (FIRST, 1), ("other", 2)] {
        assert_eq!(messages(&program, account).await, expected, "{account}");
    }
    let text = program.metrics().await;
    assert!(!text.contains(SECOND) && !text.contains("wxunknown"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);

    program.restart("-TERM");
    send(&program, FIRST, 2).await;
    send(&program, SECOND, 3).await;
    assert_eq!((messages(&program, SECOND).await, messages(&program, "other").await), (1, 1));
    assert!(!program.metrics().await.contains(FIRST));

    // A place that is free goes to the next account that is added.
    for appid in [SECOND, FIRST] {
        assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/accounts/{appid}"), None).await.0, 200);
    }
    assert!(!program.metrics().await.contains(SECOND));
    add(&program, FIRST).await;
    send(&program, FIRST, 3).await;
    assert_eq!(messages(&program, FIRST).await, 1);
}

#[tokio::test]
async fn what_happens_to_callbacks_is_counted_for_their_account() {
    let bot = Neighbour::start(|_| Answer::new(200, "text/plain", "success")).await;
    let program = Program::start("", &format!("[account.relay]\nurl = \"{}/\"\n", bot.base));
    let covered = format!("msgcube_account_covered{{account=\"{APPID}\"}}");
    let last = format!("msgcube_account_last_message_timestamp_seconds{{account=\"{APPID}\"}}");
    assert_eq!((program.metric(&covered).await, program.metric(&last).await), (1, 0));
    let begun_s = now_s();
    program.receive(APPID, &Text::new("o1", 1).usual()).await;
    program.receive(APPID, &Text::new("o1", 1).usual()).await;
    program.receive(APPID, &Text::new("o1", 2).plain("another token")).await;
    let mut broken = Text::new("o1", 3).plain(TOKEN);
    broken.body = "<xml>no message".to_owned();
    program.receive(APPID, &broken).await;
    let mut old = Text::new("o1", 4);
    old.create_time = 1;
    program.receive(APPID, &old.usual()).await;
    for result in ["counted", "repeat", "unproven", "refused", "aside"] {
        assert_eq!(callbacks(&program, result).await, 1, "{result}");
    }
    let repeats = format!("msgcube_account_repeats_total{{account=\"{APPID}\"}}");
    assert_eq!((messages(&program, APPID).await, program.metric(&repeats).await), (1, 1));
    let answered = format!("msgcube_account_relays_total{{account=\"{APPID}\",result=\"answered\"}}");
    assert_eq!(program.metric(&answered).await, 4, "all but the unproven one");
    let last_s = i64::try_from(program.metric(&last).await).unwrap();
    assert!((begun_s..=now_s()).contains(&last_s), "{last_s}");
    let gaps = format!("msgcube_account_gaps{{account=\"{APPID}\"}}");
    // In the first second nothing is covered yet, so nothing can become a gap.
    let another_gap = async || {
        program.receive(APPID, &broken).await;
        program.metric(&gaps).await > 0
    };
    until("the gap is recorded", another_gap).await;
    assert_eq!(program.metric(&covered).await, 0);
    assert_eq!(program.metric("msgcube_durable").await, 1);
}
