//! The relay, section 6 of the contract.

use std::time::Duration;

use reqwest::Method;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use wechat::callback::seal::{CallbackSigner, Draft, Sealed};

use crate::{
    front::neighbour::{Answer, Neighbour, free_port, until},
    harness::{
        APPID, Program, TOKEN,
        callbacks::{CallbackReply, Text, now_s, success},
    },
};

fn start_with_relay_to(bot: &str, more: &str) -> Program {
    Program::start("", &format!("[account.relay]\nurl = \"{bot}/wechat?bot=1\"\n{more}"))
}

#[tokio::test]
async fn the_reply_of_the_bot_is_returned_and_the_bot_gets_the_unchanged_callback() {
    let bot = Neighbour::start(|seen| {
        Answer::new(if seen.body.is_empty() { 500 } else { 203 }, "application/xml", "<xml>reply</xml>")
    })
    .await;
    let program = start_with_relay_to(&bot.base, "");
    for (id, sealed) in [(1, Text::new("o1", 1).usual()), (2, Text::new("o1", 2).plain(TOKEN))] {
        let reply = program.receive(APPID, &sealed).await;
        assert_eq!(reply, CallbackReply::Reply(203, "<xml>reply</xml>".to_owned()));
        let seen = bot.requests().pop().unwrap();
        assert_eq!((seen.method, seen.target), (Method::POST, format!("/wechat?bot=1&{}", sealed.query)));
        assert_eq!(
            (seen.body, &seen.headers["content-type"]),
            (sealed.body.clone().into_bytes(), &"text/xml".parse().unwrap())
        );
        assert_eq!(program.messages(APPID).await, id);
    }
    // A repeat is passed on again but counted once.
    program.receive(APPID, &Text::new("o1", 2).plain(TOKEN)).await;
    assert_eq!((bot.requests().len(), program.messages(APPID).await), (3, 2));
    assert_eq!(program.metric("msgcube_relays_total{result=\"answered\",status=\"2xx\"}").await, 3);
    assert_eq!(program.metric("msgcube_relay_seconds_count").await, 3);
}

#[tokio::test]
async fn an_authenticated_callback_is_passed_on_even_if_it_does_not_count() {
    let bot = Neighbour::start(|_| Answer::new(200, "text/plain", "from the bot")).await;
    let program = start_with_relay_to(&bot.base, "");
    let from_bot = CallbackReply::Reply(200, "from the bot".to_owned());
    let mut old = Text::new("o1", 1);
    old.create_time = 1;
    assert_eq!(program.receive(APPID, &old.usual()).await, from_bot, "quarantined");
    let mut broken = Text::new("o1", 2).plain(TOKEN);
    broken.body = "<xml>no message".to_owned();
    assert_eq!(program.receive(APPID, &broken).await, from_bot, "no message");
    let refused = [
        Text::new("o1", 4).plain("another token"),
        Text::new("o1", 5).safe(TOKEN, crate::harness::AES_KEY, "wx0000000000000fff"),
        {
            let mut sealed = Text::new("o1", 6).plain(TOKEN);
            sealed.body = format!("<!DOCTYPE x []>{}", sealed.body);
            sealed
        },
        {
            let mut sealed = Text::new("o1", 7).plain(TOKEN);
            sealed.body += &" ".repeat(65_536);
            sealed
        },
    ];
    for sealed in refused {
        let reply = program.receive(APPID, &sealed).await;
        assert!(matches!(reply, CallbackReply::Reply(400..=499, _)), "{reply:?}");
    }
    assert_eq!((bot.requests().len(), program.messages(APPID).await), (2, 0));
    let url = format!("{}/callback/{APPID}?signature=0&timestamp=1&nonce=1&echostr=x", program.base);
    assert_eq!(program.http.get(url).send().await.unwrap().status(), 401);
    assert_eq!(bot.requests().len(), 2, "WeChat's check is answered here");
}

#[tokio::test]
async fn a_body_that_a_plain_signature_does_not_prove_reaches_no_bot_and_no_listener() {
    let bot = Neighbour::start(|_| Answer::new(200, "text/plain", "from the bot")).await;
    let listener = Neighbour::start(|_| Answer::new(200, "", "")).await;
    let listeners = format!("listeners = [\"{}/copy\"]\n", listener.base);
    let draft = Draft {
        to_user: "gh",
        from_user: "o1",
        create_time: now_s(),
        msg_type: "text",
        fields: vec![],
        msg_id: Some(3),
    };
    // An old query that somebody recorded. Any body can be posted with it.
    let stale = CallbackSigner { token: TOKEN, timestamp: now_s() - 400 * 86_400, nonce: "n" }.plain(&draft);
    let fresh = Text::new("o1", 2).plain(TOKEN);
    for when in ["answer", "refuse"] {
        let more = format!("when_not_durable = \"{when}\"\n{listeners}");
        let open = start_with_relay_to(&bot.base, &more);
        let relay = format!("[account.relay]\nurl = \"{}/wechat\"\n{more}", bot.base);
        let strict = Program::start("", &format!("require_encryption = true\n{relay}"));
        for (program, sealed, remedy) in [
            (&open, &stale, "callback_max_age_s"),
            (&strict, &stale, "require_encryption"),
            (&strict, &fresh, "require_encryption"),
        ] {
            for body in [&*sealed.body, "<xml>no message", ""] {
                let sealed = Sealed { body: body.to_owned(), ..sealed.clone() };
                let CallbackReply::Reply(status, why) = program.receive(APPID, &sealed).await else {
                    panic!("closed: {body}")
                };
                assert_eq!(status, 401, "{why}");
                assert!(why.contains(remedy), "{why}");
            }
        }
        // A later callback arrives, so no earlier one is still being sent.
        assert_eq!(
            strict.receive(APPID, &Text::new("o1", 4).usual()).await,
            CallbackReply::Reply(200, "from the bot".to_owned())
        );
        let (_, coverage) =
            open.admin_call(Method::GET, &format!("/v1/accounts/{APPID}/coverage"), None).await;
        assert_eq!(coverage["gaps"].as_array().unwrap().len(), 0, "no message of WeChat is lost: {coverage}");
    }
    assert!(
        bot.requests().iter().all(|seen| seen.target.contains("encrypt_type=aes")),
        "{:?}",
        bot.requests()
    );
    assert_eq!(bot.requests().len(), 2);
    assert!(listener.requests().iter().all(|seen| seen.target.contains("encrypt_type=aes")));
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_callback_address_is_accepted() {
    let program = Program::start("", "");
    for (id, slash) in [(1, ""), (2, "/")] {
        let path = format!("callback/{APPID}{slash}");
        assert_eq!(program.post_sealed(&path, &Text::new("o1", id).usual()).await, success(), "{path}");
        let query = format!("{}&echostr=e{id}", Text::new("o1", id).plain(TOKEN).query);
        let url = format!("{}/{path}?{query}", program.base);
        let answer = program.http.get(url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, format!("e{id}")));
    }
    assert_eq!(program.messages(APPID).await, 2);
    let further = program.post_sealed(&format!("callback/{APPID}//"), &Text::new("o1", 3).usual()).await;
    assert!(matches!(further, CallbackReply::Reply(404, _)), "{further:?}");
}

#[tokio::test]
async fn if_the_bot_is_too_late_the_connection_is_closed_or_success_is_sent_and_the_message_counts() {
    let late = |_: &crate::front::neighbour::ReceivedRequest| {
        Answer::new(200, "", "late").late(Duration::from_secs(600))
    };
    let bot = Neighbour::start(late).await;
    let closes = start_with_relay_to(&bot.base, "");
    let answers = start_with_relay_to(&bot.base, "on_late = \"success\"\n");
    let (text, other) = (Text::new("o1", 1).usual(), Text::new("o1", 1).usual());
    let reply = tokio::join!(closes.receive(APPID, &text), answers.receive(APPID, &other));
    assert_eq!(reply, (CallbackReply::Nothing, success()));
    assert_eq!((closes.messages(APPID).await, answers.messages(APPID).await), (1, 1));
    assert_eq!(closes.metric("msgcube_relays_total{result=\"late\",status=\"\"}").await, 1);
    let (_, coverage) = closes.admin_call(Method::GET, &format!("/v1/accounts/{APPID}/coverage"), None).await;
    assert_eq!(
        coverage["gaps"].as_array().unwrap().len(),
        0,
        "the message counts, so there is no gap: {coverage}"
    );
}

#[tokio::test]
async fn connecting_to_a_bot_that_is_down_is_retried_until_it_is_up() {
    let port = free_port().await;
    let program = start_with_relay_to(&format!("http://127.0.0.1:{port}"), "");
    let sealed = Text::new("o1", 1).usual();
    let receive = program.receive(APPID, &sealed);
    let start_bot = async {
        until("a try failed", async || program.log().contains("could not be passed on")).await;
        Neighbour::at(port, |_| Answer::new(200, "", "here now")).await
    };
    let (reply, bot) = tokio::join!(receive, start_bot);
    assert_eq!(reply, CallbackReply::Reply(200, "here now".to_owned()));
    assert_eq!(bot.requests().len(), 1);
}

#[tokio::test]
async fn a_bot_that_stays_down_or_answers_nonsense_ends_in_success() {
    let nonsense = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nonsense.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = nonsense.accept().await {
            let _ = stream.write_all(b"SSH-2.0-bot\r\n\r\n").await;
        }
    });
    let closed_port = free_port().await;
    let away = start_with_relay_to(&format!("http://127.0.0.1:{closed_port}"), "");
    let odd = start_with_relay_to(&format!("http://127.0.0.1:{port}"), "");
    let (one, other) = (Text::new("o1", 1).usual(), Text::new("o1", 1).usual());
    let reply = tokio::join!(away.receive(APPID, &one), odd.receive(APPID, &other));
    assert_eq!(reply, (success(), success()));
    assert_eq!((away.messages(APPID).await, odd.messages(APPID).await), (1, 1));
    assert_eq!(away.metric("msgcube_relays_total{result=\"unreachable\",status=\"\"}").await, 1);
}

#[tokio::test]
async fn a_callback_on_a_reused_connection_has_its_full_time() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bot = Neighbour::start(|_| Answer::new(200, "", "bot")).await;
    let program = start_with_relay_to(&bot.base, "");
    let address = program.base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 4096];
    // This request is answered before its body ends.
    stream
        .write_all(b"POST /datacube/getupstreammsg HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
        .await
        .unwrap();
    let length = stream.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).contains("41001"));
    stream.write_all(b"56789\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let sealed = Text::new("o1", 1).usual();
    let head = format!(
        "POST /callback/{APPID}?{} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        sealed.query,
        sealed.body.len()
    );
    stream.write_all((head + &sealed.body).as_bytes()).await.unwrap();
    let length = stream.read(&mut answer).await.unwrap();
    assert!(
        String::from_utf8_lossy(&answer[..length]).ends_with("bot"),
        "{}",
        String::from_utf8_lossy(&answer[..length])
    );
}

#[tokio::test]
async fn a_relay_that_leads_back_to_msgcube_by_a_host_name_ends_at_once() {
    let port = free_port().await;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let url = format!("http://{}:{port}/callback/{APPID}", name.trim());
    let relay = format!("[account.relay]\nurl = \"{url}\"\n");
    let program = Program::start("", &relay.replace("FREE", "x"));
    // msgcube listens on another port, so this forwards there.
    let address = program.base.trim_start_matches("http://").to_owned();
    let Ok(wire) = TcpListener::bind((name.trim(), port.number)).await else { return };
    tokio::spawn(async move {
        while let Ok((mut from, _)) = wire.accept().await {
            let mut to = tokio::net::TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let reply = program.receive(APPID, &Text::new("o1", 1).usual()).await;
    assert!(matches!(&reply, CallbackReply::Reply(508, text) if text.contains("itself")), "{reply:?}");
    assert_eq!(program.messages(APPID).await, 1);
}

#[tokio::test]
async fn redirects_are_not_followed_and_replies_that_are_too_large_are_not_returned() {
    let elsewhere = Neighbour::start(|_| Answer::new(200, "", "never asked")).await;
    let bot = Neighbour::start(|seen| {
        if seen.target.contains("big") {
            return Answer::new(200, "", vec![b'x'; (1 << 20) + 1]);
        }
        Answer::new(302, "text/html", "moved")
    })
    .await;
    let program = start_with_relay_to(&bot.base, "");
    assert_eq!(
        program.receive(APPID, &Text::new("o1", 1).usual()).await,
        CallbackReply::Reply(302, "moved".to_owned())
    );
    let mut big = Text::new("o1", 2).usual();
    big.query += "&big=1";
    assert_eq!(program.receive(APPID, &big).await, CallbackReply::Nothing);
    assert_eq!((program.messages(APPID).await, elsewhere.requests().len()), (2, 0));
}
