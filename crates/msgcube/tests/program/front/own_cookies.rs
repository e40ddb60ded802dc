//! Cookies of the pages, and pages of WeChat, when both have the same address.

use crate::{
    front::{
        gateway::{program, wechat},
        neighbour::{Answer, Neighbour, until},
    },
    harness::{APPID, Program, callbacks::Text},
};

#[tokio::test]
async fn our_cookies_reach_no_other_server_and_no_other_server_sets_them() {
    let upstream = wechat(|_| Answer {
        headers: vec![
            ("set-cookie", "msgcube_session=stolen; Path=/ui"),
            ("set-cookie", "theirs=1; Path=/"),
            ("set-cookie", "msgcube_lang=zh"),
        ],
        ..Answer::json("{}")
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for path in ["/cgi-bin/menu/get", "/sns/userinfo"] {
        let url = format!("{}{path}?access_token={token}", program.base);
        let url = if path.starts_with("/sns") { url.replace(&token, "users-own") } else { url };
        let request = program.http.get(url).header("Cookie", "a=1; msgcube_session=secret; b=2");
        let request = request.header("Referer", format!("{}/ui/share/ms_1_2", program.base));
        let answer = request.send().await.unwrap();
        let set: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert_eq!(set, ["theirs=1; Path=/"], "{path}");
        let seen = upstream.requests_to(path).pop().unwrap();
        assert_eq!(seen.headers["cookie"], "a=1; b=2", "{path}");
        assert!(!format!("{seen:?}").contains("/ui/share"), "{seen:?}");
    }
}

#[tokio::test]
async fn our_cookies_reach_no_bot_and_no_listener() {
    let bot = Neighbour::start(|_| Answer::new(200, "text/plain", "success")).await;
    let relay = format!("[account.relay]\nurl = \"{0}/bot\"\nlisteners = [\"{0}/copy\"]\n", bot.base);
    let program = Program::start("", &relay);
    let callback = Text::new("o1", 1).usual();
    let url = format!("{}/callback/{APPID}?{}", program.base, callback.query);
    let request =
        program.http.post(url).header("Cookie", "msgcube_session=secret").body(callback.body.clone());
    assert_eq!(request.send().await.unwrap().status(), 200);
    until("bot and listener have it", async || bot.requests().len() >= 2).await;
    for seen in bot.requests() {
        assert!(!format!("{seen:?}").contains("msgcube_session"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_page_of_wechats_is_sandboxed_and_our_pages_are_never_asked_there() {
    let upstream = wechat(|seen| {
        let kind = if seen.target.contains("json") { "application/json" } else { "text/html; charset=utf-8" };
        Answer {
            headers: vec![("content-security-policy", "sandbox allow-scripts allow-same-origin allow-forms")],
            ..Answer::new(200, kind, "<script>fetch('/ui/keys')</script>")
        }
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for (path, expected) in [("/cgi-bin/page", 2), ("/cgi-bin/json", 1)] {
        let answer =
            program.http.get(format!("{}{path}?access_token={token}", program.base)).send().await.unwrap();
        let policies: Vec<_> = answer.headers().get_all("content-security-policy").iter().collect();
        assert_eq!(policies.len(), expected, "{path}: {policies:?}");
        assert!(expected == 1 || policies[1] == "sandbox", "{policies:?}");
    }
    let before = upstream.requests().len();
    for path in ["/ui", "/ui/", "/ui/x/y", "/UI/login", "//ui/login", "/x/..%2fui/login", "/%75i/login"] {
        let request = program.http.get(format!("{}{path}?access_token={token}", program.base));
        let status = request.header("Accept", "text/html").send().await.unwrap().status().as_u16();
        assert!(matches!(status, 303 | 401 | 404), "{path}: {status}");
    }
    let request = program.http.get(&program.base).header("Accept", "text/html");
    assert_eq!(request.send().await.unwrap().headers()["location"], "/ui/");
    assert_eq!(upstream.requests().len(), before, "nothing was passed on");
}
