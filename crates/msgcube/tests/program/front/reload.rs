//! The configuration file is read again while the program serves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    front::neighbour::{Answer, Neighbour, until},
    harness::{
        ADMIN_KEY, AES_KEY, APPID, Folder, Program, SECRET, TOKEN,
        callbacks::{Heard, Text, now_s, success},
    },
};

const NEW: &str = "wx00000000000000d4";
const THIRD: &str = "wx00000000000000e5";
const OTHER_AES_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const RELOADED: &str = "the configuration was reloaded";

fn account(appid: &str) -> String {
    format!(
        "[[account]]\nappid = \"{appid}\"\nsecret = \"secret-of-{appid}\"\ntoken = \"newToken\"\nencoding_aes_key = \"{AES_KEY}\"\n"
    )
}

fn message(appid: &str, id: u64) -> wechat::callback::seal::Sealed {
    Text::new("o1", id).safe("newToken", AES_KEY, appid)
}

fn gone(heard: &Heard) -> bool {
    matches!(heard, Heard::Reply(404, _))
}

impl Program {
    fn file(&self) -> String {
        std::fs::read_to_string(self.folder().join("msgcube.toml")).unwrap()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder().join("msgcube.toml"), text).unwrap();
    }

    async fn reload(&self) -> (u16, Value) {
        self.own(Method::POST, "/v1/reload", None).await
    }

    /// With this file from now on; what changed.
    async fn reload_with(&self, text: &str) -> Value {
        self.write(text);
        let (status, answer) = self.reload().await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn gaps_of(coverage: &Value) -> usize {
        coverage["gaps"].as_array().unwrap().len()
    }

    /// What a question with this token is answered with.
    async fn asked(&self, token: &str) -> Value {
        let body = json!({"begin_date": "2026-01-01", "end_date": "2026-01-01"});
        let answer = self.ask(token, "/datacube/getupstreammsg", body).await;
        answer.get("errcode").unwrap_or(&Value::Null).clone()
    }

    async fn own_token(&self, appid: &str, secret: &str) -> String {
        let answer = self.token(appid, secret).await;
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test]
async fn accounts_of_the_file_come_change_and_go() {
    let program = Program::start("", "");
    let file = program.file();
    assert!(gone(&program.receive(NEW, &message(NEW, 1)).await));
    let answer = program.reload_with(&format!("{file}{}", account(NEW))).await;
    assert_eq!(answer["accounts"], json!({"added": [NEW], "changed": [], "removed": []}));
    assert_eq!((&answer["settings"], &answer["needs_restart"]), (&json!([]), &json!([])));
    assert_eq!(program.receive(NEW, &message(NEW, 1)).await, success());
    let coverage = program.coverage(NEW).await;
    assert!(coverage["since"].is_string() && Program::gaps_of(&coverage) == 0, "{coverage}");
    let token = program.own_token(NEW, &format!("secret-of-{NEW}")).await;
    // Another callback token, key and secret.
    let changed = account(NEW).replace("newToken", "otherToken").replace(AES_KEY, OTHER_AES_KEY);
    let changed = changed.replace("secret-of", "other-secret-of");
    let answer = program.reload_with(&format!("{file}{changed}")).await;
    let keys = json!(["secret", "token", "encoding_aes_key"]);
    assert_eq!(answer["accounts"]["changed"], json!([{"appid": NEW, "keys": keys}]));
    assert_ne!(program.receive(NEW, &message(NEW, 2)).await, success(), "signed with the former one");
    let other = Text::new("o1", 3).safe("otherToken", OTHER_AES_KEY, NEW);
    assert_eq!(program.receive(NEW, &other).await, success());
    assert_eq!(program.token(NEW, &format!("secret-of-{NEW}")).await["errcode"], 40125);
    program.own_token(NEW, &format!("other-secret-of-{NEW}")).await;
    assert_ne!(program.asked(&token).await, 40001, "tokens that were given out live on");
    // Removed: no callbacks, no tokens, no coverage; its figures stay.
    let answer = program.reload_with(&file).await;
    assert_eq!(answer["accounts"]["removed"], json!([NEW]));
    assert!(gone(&program.receive(NEW, &other).await));
    assert_eq!(program.asked(&token).await, 40001);
    assert_eq!(program.token(NEW, &format!("other-secret-of-{NEW}")).await["errcode"], 40013);
    assert_eq!(program.reload().await.1["accounts"], json!({"added": [], "changed": [], "removed": []}));
    let away_s = now_s();
    until("a second of it is over", async || now_s() > away_s + 1).await;
    program.reload_with(&format!("{file}{}", account(NEW))).await;
    assert_eq!(program.messages(NEW).await, 2);
    assert_eq!(program.asked(&token).await, 40001, "its tokens ended for good");
    assert_eq!(Program::gaps_of(&program.coverage(NEW).await), 1, "the time it was not served");
    assert_eq!(program.receive(NEW, &message(NEW, 4)).await, success());
    let log = program.log();
    assert!(log.contains(RELOADED) && log.contains(&format!("added=\"{NEW}\"")), "{log}");
    assert!(!log.contains("secret-of") && !log.contains("otherToken") && !log.contains(AES_KEY), "{log}");
    assert_eq!(Program::gaps_of(&program.coverage(APPID).await), 0, "the other account is not disturbed");
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_says_what_a_start_says() {
    let program = Program::start("[upstream]\nbase = \"http://127.0.0.1:1\"\n", "");
    let file = program.file();
    let added = format!("{file}{}", account(NEW));
    let address = program.base.trim_start_matches("http://");
    let cases = [
        format!("{added}lissten = 1\n"),
        format!("{added}[[account\n"),
        format!("{added}secret_file = \"no-such-file\"\n"),
        added.replace("encoding_aes_key = \"abc", "encoding_aes_key = \"bc"),
        format!("{added}{}", account(NEW)),
        format!("{added}[account.relay]\nurl = \"relay\"\n"),
        format!("memory_mib = 0\n{added}"),
        format!("[store]\nkind = \"clickhouse\"\n{added}"),
    ];
    for text in cases {
        program.write(&text);
        let (status, answer) = program.reload().await;
        let error = answer["error"].as_str().unwrap().to_owned();
        assert_eq!(status, 422, "{answer}");
        let (_, said) = program.command(&["serve", "--config", "msgcube.toml"]);
        assert!(said.contains(&format!("error: {error}\n")), "{error}: {said}");
        let (is_fine, said) = program.command(&["reload"]);
        assert!(!is_fine && said.contains(&error), "{said}");
        assert!(gone(&program.receive(NEW, &message(NEW, 1)).await), "{text}");
    }
    // Right by itself, and leading to the socket in use.
    program.write(&format!("{added}[account.relay]\nurl = \"http://{address}/x\"\n"));
    let (status, answer) = program.reload().await;
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("itself"), "{answer}");
    // An editor that empties the file first, and one that has not written all of it.
    for text in ["", &format!("listen = \"127.0.0.1:0\"\nadmin_key = \"{ADMIN_KEY}\"\n")] {
        program.write(text);
        let (status, answer) = program.reload().await;
        assert!(status == 422 && answer["error"].as_str().unwrap().contains("being written"), "{answer}");
    }
    std::fs::remove_file(program.folder().join("msgcube.toml")).unwrap();
    assert_eq!(program.reload().await.0, 422);
    program.signal("-HUP");
    until("the log says so", async || program.log().matches("nothing was changed").count() == 13).await;
    assert_eq!(program.receive(APPID, &Text::new("o1", 1).usual()).await, success());
    assert!(gone(&program.receive(NEW, &message(NEW, 1)).await));
    program.reload_with(&added).await;
    assert_eq!(program.receive(NEW, &message(NEW, 1)).await, success());
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_applied_also_by_a_signal() {
    let mut program = Program::start("", "");
    let file = program.file();
    let url = format!("{}/openapi.json", program.base);
    let document = async || program.http.get(&url).send().await.unwrap().text().await.unwrap();
    let document_before = document().await;
    let text = file.replace("127.0.0.1:0", "127.0.0.1:1").replacen(
        "\n\n",
        "\nmemory_mib = 64\n[datacube]\nlive = true\n",
        1,
    );
    assert!(text.contains("memory_mib"), "{text}");
    program.write(&format!("{text}{}[tls]\ncert = \"no\"\nkey = \"no\"\n", account(NEW)));
    program.signal("-HUP");
    let line = "settings=\"listen, memory_mib, tls\"";
    until("the signal is followed", async || program.log().contains(line)).await;
    assert!(program.log().contains("settings=\"datacube.live\""), "{}", program.log());
    assert_eq!(program.receive(NEW, &message(NEW, 1)).await, success());
    let answer = program.reload().await.1;
    assert_eq!(
        answer,
        json!({
            "accounts": {"added": [], "changed": [], "removed": []},
            "settings": [],
            "needs_restart": ["listen", "memory_mib", "tls"],
        })
    );
    assert_ne!(document().await, document_before, "it follows the settings");
    // Asking where the file says now finds nobody, and says how to go on.
    let (is_fine, said) = program.command(&["reload"]);
    assert!(!is_fine && said.contains("name the one in use with --server"), "{said}");
    let (is_fine, said) = program.command(&["reload", "--server", &program.base]);
    assert!(is_fine, "{said}");
    assert_eq!(said, "reloaded\nused only after a restart: listen, memory_mib, tls\n");
    program.write(&file);
    program.restart("-TERM");
}

#[tokio::test]
async fn the_command_says_what_changed_in_both_languages_and_as_json() {
    let program = Program::start("", "");
    let address = program.base.trim_start_matches("http://");
    // As an operator has it: an address that is known.
    let file = program.file();
    let known = file.replace("127.0.0.1:0", address);
    std::fs::write(program.folder().join("known.toml"), &known).unwrap();
    let run = |more: &[&str]| program.command(&[&["reload", "--config", "known.toml"], more].concat());
    assert_eq!(run(&[]), (true, "reloaded; nothing has changed\n".to_owned()));
    program.write(&format!("{file}certified = false\n{}", account(NEW)));
    let (is_fine, said) = run(&["--lang", "zh"]);
    assert!(is_fine, "{said}");
    assert_eq!(said, format!("已重新加载\n新增公众号：{NEW}\n修改的公众号：{APPID} (certified)\n"));
    program.write(&file);
    let (is_fine, said) = run(&["--json"]);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert!(is_fine && answer["accounts"]["removed"] == json!([NEW]), "{said}");
    program.write("[");
    let (is_fine, said) = run(&["--lang", "zh"]);
    assert!(!is_fine && said.contains("第 1 行") && said.contains("422"), "{said}");
    // The admin key changes: until it is reloaded the former one holds.
    program.write(&file.replace(ADMIN_KEY, "another-admin-key"));
    std::fs::write(program.folder().join("known.toml"), known.replace(ADMIN_KEY, "another-admin-key"))
        .unwrap();
    let (is_fine, said) = run(&[]);
    assert!(!is_fine && said.contains("kill -HUP"), "{said}");
    program.signal("-HUP");
    until("the new key holds", async || {
        program.call(Method::GET, "/v1/accounts", "another-admin-key", None).await.status().is_success()
    })
    .await;
    assert_eq!(program.reload().await.0, 401, "the former key");
    assert!(run(&[]).0);
    assert_eq!(program.call(Method::POST, "/v1/reload", "", None).await.status().as_u16(), 401);
}

/// What can be seen from outside of accounts and their tokens.
async fn seen(program: &Program, tokens: &[&str], secrets: &[(&str, &str)]) -> Value {
    let (_, listed) = program.own(Method::GET, "/v1/accounts", None).await;
    let mut accounts = listed["accounts"].clone();
    for account in accounts.as_array_mut().unwrap() {
        account.as_object_mut().unwrap().remove("coverage");
    }
    let (mut answers, mut given, mut callbacks) = (Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        answers.push(program.asked(token).await);
    }
    for (appid, secret) in secrets {
        let answer = program.token(appid, secret).await;
        given.push(json!([answer["errcode"], answer["access_token"]]));
    }
    for appid in [APPID, NEW, THIRD] {
        let heard = program.receive(appid, &message(appid, 9)).await;
        callbacks.push(format!("{heard:?}"));
    }
    json!([accounts, answers, given, callbacks])
}

#[tokio::test]
async fn a_reload_comes_to_the_same_as_a_restart_with_the_same_file() {
    let mut program = Program::start("", "");
    let file = program.file();
    let at_run_time =
        json!({"appid": THIRD, "secret": "run-time", "token": "newToken", "encoding_aes_key": AES_KEY});
    assert_eq!(program.own(Method::POST, "/v1/accounts", Some(at_run_time)).await.0, 201);
    program.reload_with(&format!("{file}{}", account(NEW))).await;
    let of_file = format!("secret-of-{THIRD}");
    let tokens = [
        program.own_token(APPID, SECRET).await,
        program.own_token(NEW, &format!("secret-of-{NEW}")).await,
        program.own_token(THIRD, "run-time").await,
    ];
    let tokens = tokens.each_ref().map(String::as_str);
    let secrets = [(APPID, SECRET), (APPID, "other"), (THIRD, "run-time"), (THIRD, of_file.as_str())];
    let changed = file.replace(SECRET, "other");
    // Changed secret; the file holds of an account that was added at run time, and no longer; settings; all of it back.
    for text in [
        changed.clone(),
        format!("{changed}certified = false\n{}{}", account(THIRD), account(NEW)),
        format!("{changed}ip_allow = [\"192.0.2.1\"]\n"),
        file.replace(TOKEN, "otherToken"),
        file.clone(),
    ] {
        program.reload_with(&text).await;
        let after_reload = seen(&program, &tokens, &secrets).await;
        program.restart("-TERM");
        assert_eq!(seen(&program, &tokens, &secrets).await, after_reload, "{text}");
    }
    assert_eq!(program.messages(THIRD).await, 1, "what was counted stays");
}

#[tokio::test]
async fn wechat_and_bots_are_others_from_then_on_and_kept_tokens_stay() {
    let wechat = |name: &'static str| {
        Neighbour::start(move |seen| match seen.target.as_str() {
            "/cgi-bin/stable_token" => Answer::json(r#"{"access_token":"90_REAL","expires_in":7200}"#),
            _ => Answer::json(format!("{{\"from\":\"{name}\"}}")),
        })
    };
    let (one, two) = (wechat("one").await, wechat("two").await);
    let bots = [
        Neighbour::start(|_| Answer::new(200, "text/xml", "first")).await,
        Neighbour::start(|_| Answer::new(200, "text/xml", "second")).await,
    ];
    let top = format!("[upstream]\nbase = \"{}\"", one.base);
    let relay = format!("[account.relay]\nurl = \"{}/\"\n", bots[0].base);
    let program = Program::start(&top, &relay);
    let file = program.file();
    let token = program.access_token().await;
    let call = async || -> Value {
        let url = format!("{}/cgi-bin/menu/get?access_token={token}", program.base);
        program.http.get(url).send().await.unwrap().json().await.unwrap_or_default()
    };
    assert_eq!(call().await["from"], "one");
    program.reload_with(&format!("callback_max_age_s = 7\n{file}")).await;
    assert_eq!(call().await["from"], "one");
    assert_eq!(one.asked("/cgi-bin/stable_token").len(), 1, "the real token is kept");
    let answer = program.reload_with(&file.replace(&one.base, &two.base)).await;
    assert_eq!(answer["settings"], json!(["callback_max_age_s", "upstream.base"]));
    assert_eq!(call().await["from"], "two");
    assert_eq!(two.asked("/cgi-bin/stable_token").len(), 1, "another WeChat has another token");
    let answer = program.reload_with(&file.replace(&top, "")).await;
    assert_eq!(answer["settings"], json!(["upstream"]));
    assert!(call().await["from"].is_null());
    program.reload_with(&file).await;
    assert_eq!(call().await["from"], "one");
    // The bot.
    assert_eq!(
        program.receive(APPID, &Text::new("o1", 1).usual()).await,
        Heard::Reply(200, "first".to_owned())
    );
    let answer = program.reload_with(&file.replace(&bots[0].base, &bots[1].base)).await;
    assert_eq!(answer["accounts"]["changed"], json!([{"appid": APPID, "keys": ["relay"]}]));
    assert_eq!(
        program.receive(APPID, &Text::new("o1", 2).usual()).await,
        Heard::Reply(200, "second".to_owned())
    );
    program.reload_with(&file.replace(&relay, "")).await;
    assert_eq!(program.receive(APPID, &Text::new("o1", 3).usual()).await, success());
    assert_eq!(program.messages(APPID).await, 3);
}

#[tokio::test]
async fn a_platforms_tickets_go_where_the_file_says_now() {
    let taker = || Neighbour::start(|_| Answer::new(200, "text/plain", "success"));
    let (one, two) = (taker().await, taker().await);
    let platform = format!(
        "[[component]]\nappid = \"wxplatform00000001\"\nsecret = \"platform-secret\"\ntoken = \"platformToken\"\n\
         encoding_aes_key = \"{AES_KEY}\"\n"
    );
    let program = Program::start(&platform, "");
    let file = program.file();
    let with =
        |target: &Neighbour| file.replace(&platform, &format!("{platform}push_url = \"{}/\"\n", target.base));
    let answer = program.reload_with(&with(&one)).await;
    assert_eq!(answer["settings"], json!(["component wxplatform00000001: push_url"]));
    until("the first is told", async || !one.seen().is_empty()).await;
    program.reload_with(&with(&two)).await;
    until("the second is told", async || !two.seen().is_empty()).await;
    let told = one.seen().len();
    program.reload_with(&format!("callback_max_age_s = 7\n{}", with(&two))).await;
    program.reload_with(&file).await;
    assert_eq!((one.seen().len(), two.seen().len()), (told, 1), "only a change of the platform is one");
}

/// Callbacks one after the other, on a connection of their own each or on one that is kept, until told; how many.
async fn feed(program: &Program, user: String, ids: &AtomicU64, is_kept: bool, is_over: &AtomicBool) {
    let idle = usize::from(is_kept);
    let http = Client::builder().no_proxy().pool_max_idle_per_host(idle).build().unwrap();
    while !is_over.load(Ordering::Relaxed) {
        let sealed = Text::new(&user, ids.fetch_add(1, Ordering::Relaxed)).usual();
        let url = format!("{}/callback/{APPID}?{}", program.base, sealed.query);
        let answer = http.post(url).body(sealed.body).send().await.expect("every callback is answered");
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, "success".to_owned()));
    }
}

#[tokio::test]
async fn under_load_every_callback_is_answered_and_counted_once() {
    let program = Arc::new(Program::start("", ""));
    let file = program.file();
    // All of them take what is sent, with the present key or the former one.
    let files = [
        format!("callback_max_age_s = 7\n{file}{}", account(NEW)),
        file.replace(AES_KEY, OTHER_AES_KEY).replace(TOKEN, "otherToken")
            + &format!("encoding_aes_key_previous = \"{AES_KEY}\"\ntoken_previous = \"{TOKEN}\"\n"),
        format!("{file}certified = false\n"),
        "[".to_owned(),
        String::new(),
        file.clone(),
    ];
    let (ids, is_over) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let feeders: Vec<_> = (0..6)
        .map(|number| {
            let (program, ids, is_over) = (program.clone(), ids.clone(), is_over.clone());
            let feed =
                async move { feed(&program, format!("o{number}"), &ids, number % 2 == 0, &is_over).await };
            tokio::spawn(feed)
        })
        .collect();
    let before = program.coverage(APPID).await;
    for (round, text) in files.iter().cycle().take(18).enumerate() {
        let sent = ids.load(Ordering::Relaxed);
        program.write(text);
        program.signal("-HUP");
        if round % 2 == 0 {
            program.reload().await;
        }
        until("messages go on", async || ids.load(Ordering::Relaxed) > sent + 12).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for feeder in feeders {
        feeder.await.unwrap();
    }
    // Without the accounts that came and went.
    program.reload_with(&file).await;
    assert_eq!(program.messages(APPID).await, ids.load(Ordering::Relaxed) - 1);
    let after = program.coverage(APPID).await;
    assert_eq!((&after["since"], Program::gaps_of(&after)), (&before["since"], 0), "{after}");
    assert!(program.log().matches(RELOADED).count() >= 9, "{}", program.log());
}

#[tokio::test]
async fn a_signal_ends_nothing_neither_before_it_listens_nor_while_it_ends() {
    let folder = Folder::new("", "");
    let command = folder.command(&["serve", "--config", "msgcube.toml"]);
    let child = folder.logged(command).unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let log = || folder.log();
    // The first it says, before it opens its data.
    while !log().contains("plain callbacks are taken") {
        std::thread::yield_now();
    }
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    let mut program = Program::listening(&folder, child).unwrap();
    let address = program.base.trim_start_matches("http://");
    until("what came before is followed", async || log().contains(RELOADED)).await;
    // A request that is not at its end keeps it ending.
    let mut held = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/accounts/{APPID}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\nContent-Length: 5\r\n\r\n"
    );
    std::io::Write::write_all(&mut held, head.as_bytes()).unwrap();
    until("the request is known", async || {
        let url = format!("http://{address}/healthz");
        Client::builder().no_proxy().build().unwrap().get(url).send().await.is_ok()
    })
    .await;
    program.signal("-TERM");
    until("it ends", async || log().contains("ending: answering")).await;
    program.signal("-HUP");
    program.signal("-HUP");
    std::io::Write::write_all(&mut held, b"\n\n\n\n\n").unwrap();
    assert!(program.wait().success(), "{}", log());
}
