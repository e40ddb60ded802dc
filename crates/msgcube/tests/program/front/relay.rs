//! The relay, section 6 of the contract.

use std::time::Duration;

use reqwest::Method;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use wechat::callback::seal::{Draft, Envelope, Sealed};

use crate::{
    front::neighbour::{Answer, Neighbour, free_port, until},
    harness::{
        APPID, Program, TOKEN,
        callbacks::{Heard, Text, now_s, success},
    },
};

fn behind(bot: &str, more: &str) -> Program {
    Program::start("", &format!("[account.relay]\nurl = \"{bot}/wechat?bot=1\"\n{more}"))
}

#[tokio::test]
async fn the_bots_reply_goes_back_and_the_bot_sees_what_came() {
    let bot = Neighbour::start(|seen| {
        Answer::new(if seen.body.is_empty() { 500 } else { 203 }, "application/xml", "<xml>reply</xml>")
    })
    .await;
    let program = behind(&bot.base, "");
    for (id, sealed) in [(1, Text::new("o1", 1).usual()), (2, Text::new("o1", 2).plain(TOKEN))] {
        let heard = program.receive(APPID, &sealed).await;
        assert_eq!(heard, Heard::Reply(203, "<xml>reply</xml>".to_owned()));
        let seen = bot.seen().pop().unwrap();
        assert_eq!((seen.method, seen.target), (Method::POST, format!("/wechat?bot=1&{}", sealed.query)));
        assert_eq!(
            (seen.body, &seen.headers["content-type"]),
            (sealed.body.clone().into_bytes(), &"text/xml".parse().unwrap())
        );
        assert_eq!(program.messages(APPID).await, id);
    }
    // A repeat is passed on again and counted once.
    program.receive(APPID, &Text::new("o1", 2).plain(TOKEN)).await;
    assert_eq!((bot.seen().len(), program.messages(APPID).await), (3, 2));
    assert_eq!(program.metric("msgcube_relays_total{result=\"answered\",status=\"2xx\"}").await, 3);
    assert_eq!(program.metric("msgcube_relay_seconds_count").await, 3);
}

#[tokio::test]
async fn what_proved_itself_is_passed_on_also_if_it_does_not_count() {
    let bot = Neighbour::start(|_| Answer::new(200, "text/plain", "from the bot")).await;
    let program = behind(&bot.base, "");
    let from_bot = Heard::Reply(200, "from the bot".to_owned());
    let mut old = Text::new("o1", 1);
    old.create_time = 1;
    assert_eq!(program.receive(APPID, &old.usual()).await, from_bot, "kept aside");
    let mut broken = Text::new("o1", 2).plain(TOKEN);
    broken.body = "<xml>no message".to_owned();
    assert_eq!(program.receive(APPID, &broken).await, from_bot, "not a message at all");
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
        let heard = program.receive(APPID, &sealed).await;
        assert!(matches!(heard, Heard::Reply(400..=499, _)), "{heard:?}");
    }
    assert_eq!((bot.seen().len(), program.messages(APPID).await), (2, 0));
    let url = format!("{}/callback/{APPID}?signature=0&timestamp=1&nonce=1&echostr=x", program.base);
    assert_eq!(program.http.get(url).send().await.unwrap().status(), 401);
    assert_eq!(bot.seen().len(), 2, "WeChat's check is answered here");
}

#[tokio::test]
async fn what_a_plain_signature_does_not_vouch_for_reaches_neither_the_bot_nor_listeners() {
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
    // Seen once, long ago; anything can be posted with it.
    let stale = Envelope { token: TOKEN, timestamp: now_s() - 400 * 86_400, nonce: "n" }.plain(&draft);
    let fresh = Text::new("o1", 2).plain(TOKEN);
    for when in ["answer", "refuse"] {
        let more = format!("when_not_durable = \"{when}\"\n{listeners}");
        let open = behind(&bot.base, &more);
        let relay = format!("[account.relay]\nurl = \"{}/wechat\"\n{more}", bot.base);
        let strict = Program::start("", &format!("require_encryption = true\n{relay}"));
        for (program, sealed, remedy) in [
            (&open, &stale, "callback_max_age_s"),
            (&strict, &stale, "require_encryption"),
            (&strict, &fresh, "require_encryption"),
        ] {
            for body in [&*sealed.body, "<xml>no message", ""] {
                let sealed = Sealed { body: body.to_owned(), ..sealed.clone() };
                let Heard::Reply(status, why) = program.receive(APPID, &sealed).await else {
                    panic!("closed: {body}")
                };
                assert_eq!(status, 401, "{why}");
                assert!(why.contains(remedy), "{why}");
            }
        }
        // What goes on afterwards shows that nothing is still on its way.
        assert_eq!(
            strict.receive(APPID, &Text::new("o1", 4).usual()).await,
            Heard::Reply(200, "from the bot".to_owned())
        );
        let (_, coverage) = open.own(Method::GET, &format!("/v1/accounts/{APPID}/coverage"), None).await;
        assert_eq!(coverage["gaps"].as_array().unwrap().len(), 0, "nothing of WeChat's is lost: {coverage}");
    }
    assert!(bot.seen().iter().all(|seen| seen.target.contains("encrypt_type=aes")), "{:?}", bot.seen());
    assert_eq!(bot.seen().len(), 2);
    assert!(listener.seen().iter().all(|seen| seen.target.contains("encrypt_type=aes")));
}

#[tokio::test]
async fn a_slash_behind_a_callback_address_changes_nothing() {
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
    assert!(matches!(further, Heard::Reply(404, _)), "{further:?}");
}

#[tokio::test]
async fn a_late_bot_closes_the_connection_or_is_answered_for_and_the_message_counts() {
    let late =
        |_: &crate::front::neighbour::Seen| Answer::new(200, "", "late").late(Duration::from_secs(600));
    let bot = Neighbour::start(late).await;
    let closes = behind(&bot.base, "");
    let answers = behind(&bot.base, "on_late = \"success\"\n");
    let (text, other) = (Text::new("o1", 1).usual(), Text::new("o1", 1).usual());
    let heard = tokio::join!(closes.receive(APPID, &text), answers.receive(APPID, &other));
    assert_eq!(heard, (Heard::Nothing, success()));
    assert_eq!((closes.messages(APPID).await, answers.messages(APPID).await), (1, 1));
    assert_eq!(closes.metric("msgcube_relays_total{result=\"late\",status=\"\"}").await, 1);
    let (_, coverage) = closes.own(Method::GET, &format!("/v1/accounts/{APPID}/coverage"), None).await;
    assert_eq!(coverage["gaps"].as_array().unwrap().len(), 0, "it counts, so nothing is missing: {coverage}");
}

#[tokio::test]
async fn a_bot_that_is_not_there_is_tried_until_it_is() {
    let port = free_port().await;
    let program = behind(&format!("http://127.0.0.1:{port}"), "");
    let sealed = Text::new("o1", 1).usual();
    let receive = program.receive(APPID, &sealed);
    let start_bot = async {
        until("a try failed", async || program.log().contains("could not be passed on")).await;
        Neighbour::at(port, |_| Answer::new(200, "", "here now")).await
    };
    let (heard, bot) = tokio::join!(receive, start_bot);
    assert_eq!(heard, Heard::Reply(200, "here now".to_owned()));
    assert_eq!(bot.seen().len(), 1);
}

#[tokio::test]
async fn a_bot_that_stays_away_or_talks_nonsense_ends_in_success() {
    let nonsense = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nonsense.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = nonsense.accept().await {
            let _ = stream.write_all(b"SSH-2.0-bot\r\n\r\n").await;
        }
    });
    let nobody = free_port().await;
    let away = behind(&format!("http://127.0.0.1:{nobody}"), "");
    let odd = behind(&format!("http://127.0.0.1:{port}"), "");
    let (one, other) = (Text::new("o1", 1).usual(), Text::new("o1", 1).usual());
    let heard = tokio::join!(away.receive(APPID, &one), odd.receive(APPID, &other));
    assert_eq!(heard, (success(), success()));
    assert_eq!((away.messages(APPID).await, odd.messages(APPID).await), (1, 1));
    assert_eq!(away.metric("msgcube_relays_total{result=\"unreachable\",status=\"\"}").await, 1);
}

#[tokio::test]
async fn a_callback_on_a_used_connection_has_its_whole_time() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bot = Neighbour::start(|_| Answer::new(200, "", "bot")).await;
    let program = behind(&bot.base, "");
    let address = program.base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 4096];
    // Answered before its body, whose end comes later.
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
async fn a_relay_that_leads_back_by_a_name_ends_at_once() {
    let port = free_port().await;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let url = format!("http://{}:{port}/callback/{APPID}", name.trim());
    let relay = format!("[account.relay]\nurl = \"{url}\"\n");
    let program = Program::start("", &relay.replace("FREE", "x"));
    // It listens elsewhere, so a wire leads there.
    let address = program.base.trim_start_matches("http://").to_owned();
    let Ok(wire) = TcpListener::bind((name.trim(), port.number)).await else { return };
    tokio::spawn(async move {
        while let Ok((mut from, _)) = wire.accept().await {
            let mut to = tokio::net::TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let heard = program.receive(APPID, &Text::new("o1", 1).usual()).await;
    assert!(matches!(&heard, Heard::Reply(508, text) if text.contains("itself")), "{heard:?}");
    assert_eq!(program.messages(APPID).await, 1);
}

#[tokio::test]
async fn no_redirect_is_followed_and_a_reply_beyond_all_measure_is_not_passed_back() {
    let elsewhere = Neighbour::start(|_| Answer::new(200, "", "never asked")).await;
    let bot = Neighbour::start(|seen| {
        if seen.target.contains("big") {
            return Answer::new(200, "", vec![b'x'; (1 << 20) + 1]);
        }
        Answer::new(302, "text/html", "moved")
    })
    .await;
    let program = behind(&bot.base, "");
    assert_eq!(
        program.receive(APPID, &Text::new("o1", 1).usual()).await,
        Heard::Reply(302, "moved".to_owned())
    );
    let mut big = Text::new("o1", 2).usual();
    big.query += "&big=1";
    assert_eq!(program.receive(APPID, &big).await, Heard::Nothing);
    assert_eq!((program.messages(APPID).await, elsewhere.seen().len()), (2, 0));
}
