//! Copies of callbacks to listeners, whose answers are not used.

use std::time::Duration;

use crate::{
    front::neighbour::{Answer, Neighbour, free_port, until},
    harness::{
        APPID, Program,
        callbacks::{CallbackReply, Text},
    },
};

#[tokio::test]
async fn a_copy_that_is_always_refused_does_not_delay_others() {
    let bot = Neighbour::start(|_| Answer::new(200, "", "bot")).await;
    let listener = Neighbour::start(|seen| {
        let is_poison = String::from_utf8_lossy(&seen.body).contains("<MsgId>1</MsgId>");
        Answer::new(if is_poison { 500 } else { 200 }, "", "")
    })
    .await;
    let relay =
        format!("[account.relay]\nurl = \"{}\"\nlisteners = [\"{}/copy\"]\n", bot.base, listener.base);
    let program = Program::start("", &relay);
    for id in 1..=60 {
        program.receive(APPID, &Text::new("o1", id).plain(crate::harness::TOKEN)).await;
    }
    let delivered = || {
        listener
            .requests()
            .iter()
            .filter(|seen| !seen.body.windows(10).any(|part| part == b"MsgId>1</M"))
            .count()
    };
    until("all but the refused one are delivered", async || delivered() == 59).await;
}

#[tokio::test]
async fn copies_are_stored_sealed_and_reach_a_listener_that_was_down_even_after_a_kill() {
    let bot = Neighbour::start(|_| Answer::new(200, "", "bot")).await;
    let port = free_port().await;
    let listeners = format!("listeners = [\"http://127.0.0.1:{port}/copy\"]\n");
    let mut program = Program::start("", &format!("[account.relay]\nurl = \"{}\"\n{listeners}", bot.base));
    let sealed: Vec<_> =
        (1..=20).map(|id| Text::new("oListenedTo", id).plain(crate::harness::TOKEN)).collect();
    for one in &sealed {
        assert_eq!(program.receive(APPID, one).await, CallbackReply::Reply(200, "bot".to_owned()));
    }
    assert!(program.metric("msgcube_copies_waiting_bytes").await > 0);
    program.restart("-KILL");
    let stored = program.stored();
    for text in ["hello", "Content"] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is on disk");
    }
    let listener = Neighbour::at(port, |_| Answer::new(404, "", "whatever it says")).await;
    until("all copies are delivered", async || listener.requests().len() >= 20).await;
    let mut bodies: Vec<String> =
        listener.requests().iter().map(|seen| String::from_utf8(seen.body.clone()).unwrap()).collect();
    bodies.sort();
    let mut sent: Vec<String> = sealed.iter().map(|sealed| sealed.body.clone()).collect();
    sent.sort();
    assert_eq!(bodies, sent);
    assert!(listener.requests().iter().all(|seen| seen.target.starts_with("/copy?signature=")));
    until("nothing waits any more", async || program.metric("msgcube_copies_waiting_bytes").await == 0).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(listener.requests().len(), 20, "each copy arrives once");
    assert_eq!(program.messages(APPID).await, 20);
}
