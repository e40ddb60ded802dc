//! Reloads of the configuration file while the program runs.

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
        callbacks::{CallbackReply, Text, now_s, success},
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

fn is_not_found(reply: &CallbackReply) -> bool {
    matches!(reply, CallbackReply::Reply(404, _))
}

impl Program {
    fn file(&self) -> String {
        std::fs::read_to_string(self.folder().join("msgcube.toml")).unwrap()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder().join("msgcube.toml"), text).unwrap();
    }

    async fn reload(&self) -> (u16, Value) {
        self.admin_call(Method::POST, "/v1/reload", None).await
    }

    /// Writes this file, reloads, and returns what changed.
    async fn reload_with(&self, text: &str) -> Value {
        self.write(text);
        let (status, answer) = self.reload().await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn gaps_of(coverage: &Value) -> usize {
        coverage["gaps"].as_array().unwrap().len()
    }

    /// The errcode of a query with this token.
    async fn query_errcode(&self, token: &str) -> Value {
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
async fn accounts_in_the_file_are_added_changed_and_removed() {
    let program = Program::start("", "");
    let file = program.file();
    assert!(is_not_found(&program.receive(NEW, &message(NEW, 1)).await));
    let answer = program.reload_with(&format!("{file}{}", account(NEW))).await;
    assert_eq!(answer["accounts"], json!({"added": [NEW], "changed": [], "removed": []}));
    assert_eq!((&answer["settings"], &answer["needs_restart"]), (&json!([]), &json!([])));
    assert_eq!(program.receive(NEW, &message(NEW, 1)).await, success());
    let coverage = program.coverage(NEW).await;
    assert!(coverage["since"].is_string() && Program::gaps_of(&coverage) == 0, "{coverage}");
    let token = program.own_token(NEW, &format!("secret-of-{NEW}")).await;
    // Another name, callback token, key and secret.
    let changed = account(NEW).replace("newToken", "otherToken").replace(AES_KEY, OTHER_AES_KEY);
    let changed = changed.replace("secret-of", "other-secret-of") + "name = \"Our Shop\"\n";
    let answer = program.reload_with(&format!("{file}{changed}")).await;
    let keys = json!(["name", "secret", "token", "encoding_aes_key"]);
    assert_eq!(answer["accounts"]["changed"], json!([{"appid": NEW, "keys": keys}]));
    let (_, shown) = program.admin_call(Method::GET, &format!("/v1/accounts/{NEW}"), None).await;
    assert_eq!(shown["name"], "Our Shop");
    assert_ne!(program.receive(NEW, &message(NEW, 2)).await, success(), "signed with the previous token");
    let other = Text::new("o1", 3).safe("otherToken", OTHER_AES_KEY, NEW);
    assert_eq!(program.receive(NEW, &other).await, success());
    assert_eq!(program.token(NEW, &format!("secret-of-{NEW}")).await["errcode"], 40125);
    program.own_token(NEW, &format!("other-secret-of-{NEW}")).await;
    assert_ne!(program.query_errcode(&token).await, 40001, "issued access tokens stay valid");
    // Removed: it takes no callbacks, its tokens are revoked and coverage ends. Its figures stay.
    let answer = program.reload_with(&file).await;
    assert_eq!(answer["accounts"]["removed"], json!([NEW]));
    assert!(is_not_found(&program.receive(NEW, &other).await));
    assert_eq!(program.query_errcode(&token).await, 40001);
    assert_eq!(program.token(NEW, &format!("other-secret-of-{NEW}")).await["errcode"], 40013);
    assert_eq!(program.reload().await.1["accounts"], json!({"added": [], "changed": [], "removed": []}));
    let away_s = now_s();
    until("a second of it is over", async || now_s() > away_s + 1).await;
    program.reload_with(&format!("{file}{}", account(NEW))).await;
    assert_eq!(program.messages(NEW).await, 2);
    assert_eq!(program.query_errcode(&token).await, 40001, "its tokens stay revoked");
    assert_eq!(Program::gaps_of(&program.coverage(NEW).await), 1, "the time out of service");
    assert_eq!(program.receive(NEW, &message(NEW, 4)).await, success());
    let log = program.log();
    assert!(log.contains(RELOADED) && log.contains(&format!("added=\"{NEW}\"")), "{log}");
    assert!(!log.contains("secret-of") && !log.contains("otherToken") && !log.contains(AES_KEY), "{log}");
    assert_eq!(Program::gaps_of(&program.coverage(APPID).await), 0, "the other account is not affected");
}

#[tokio::test]
async fn an_invalid_file_changes_nothing_and_gives_the_same_error_as_a_start() {
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
        assert!(is_not_found(&program.receive(NEW, &message(NEW, 1)).await), "{text}");
    }
    // A valid file, but with a relay to the socket in use.
    program.write(&format!("{added}[account.relay]\nurl = \"http://{address}/x\"\n"));
    let (status, answer) = program.reload().await;
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("itself"), "{answer}");
    // An editor that has emptied the file, and one that has not yet written all of it.
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
    assert!(is_not_found(&program.receive(NEW, &message(NEW, 1)).await));
    program.reload_with(&added).await;
    assert_eq!(program.receive(NEW, &message(NEW, 1)).await, success());
}

#[tokio::test]
async fn settings_that_need_a_restart_are_named_and_the_others_are_applied_also_by_sighup() {
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
    assert_ne!(document().await, document_before, "the document follows the settings");
    // The command uses the address in the file, where nothing listens yet. Its error says what to do.
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
    // A fixed address, as operators use.
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
    // The previous admin key is valid until the reload.
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
    assert_eq!(program.reload().await.0, 401, "the previous key");
    assert!(run(&[]).0);
    assert_eq!(program.call(Method::POST, "/v1/reload", "", None).await.status().as_u16(), 401);
}

/// The state of accounts and tokens, as the HTTP interfaces show it.
async fn visible_state(program: &Program, tokens: &[&str], secrets: &[(&str, &str)]) -> Value {
    let (_, listed) = program.admin_call(Method::GET, "/v1/accounts", None).await;
    let mut accounts = listed["accounts"].clone();
    for account in accounts.as_array_mut().unwrap() {
        account.as_object_mut().unwrap().remove("coverage");
    }
    let (mut answers, mut given, mut callbacks) = (Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        answers.push(program.query_errcode(token).await);
    }
    for (appid, secret) in secrets {
        let answer = program.token(appid, secret).await;
        given.push(json!([answer["errcode"], answer["access_token"]]));
    }
    for appid in [APPID, NEW, THIRD] {
        let reply = program.receive(appid, &message(appid, 9)).await;
        callbacks.push(format!("{reply:?}"));
    }
    json!([accounts, answers, given, callbacks])
}

#[tokio::test]
async fn a_reload_has_the_same_result_as_a_restart_with_the_same_file() {
    let mut program = Program::start("", "");
    let file = program.file();
    let at_run_time =
        json!({"appid": THIRD, "secret": "run-time", "token": "newToken", "encoding_aes_key": AES_KEY});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(at_run_time)).await.0, 201);
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
    // A changed secret, an account of run time added to the file and removed again, other settings, the first file again.
    for text in [
        changed.clone(),
        format!("{changed}certified = false\n{}{}", account(THIRD), account(NEW)),
        format!("{changed}ip_allow = [\"192.0.2.1\"]\n"),
        file.replace(TOKEN, "otherToken"),
        file.clone(),
    ] {
        program.reload_with(&text).await;
        let after_reload = visible_state(&program, &tokens, &secrets).await;
        program.restart("-TERM");
        assert_eq!(visible_state(&program, &tokens, &secrets).await, after_reload, "{text}");
    }
    assert_eq!(program.messages(THIRD).await, 1, "its figures stay");
}

#[tokio::test]
async fn a_reload_changes_wechats_address_and_the_bots_and_keeps_stored_tokens() {
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
    assert_eq!(one.requests_to("/cgi-bin/stable_token").len(), 1, "the real token is kept");
    let answer = program.reload_with(&file.replace(&one.base, &two.base)).await;
    assert_eq!(answer["settings"], json!(["callback_max_age_s", "upstream.base"]));
    assert_eq!(call().await["from"], "two");
    assert_eq!(two.requests_to("/cgi-bin/stable_token").len(), 1, "another upstream needs its own token");
    let answer = program.reload_with(&file.replace(&top, "")).await;
    assert_eq!(answer["settings"], json!(["upstream"]));
    assert!(call().await["from"].is_null());
    program.reload_with(&file).await;
    assert_eq!(call().await["from"], "one");
    // Now the bot.
    assert_eq!(
        program.receive(APPID, &Text::new("o1", 1).usual()).await,
        CallbackReply::Reply(200, "first".to_owned())
    );
    let answer = program.reload_with(&file.replace(&bots[0].base, &bots[1].base)).await;
    assert_eq!(answer["accounts"]["changed"], json!([{"appid": APPID, "keys": ["relay"]}]));
    assert_eq!(
        program.receive(APPID, &Text::new("o1", 2).usual()).await,
        CallbackReply::Reply(200, "second".to_owned())
    );
    program.reload_with(&file.replace(&relay, "")).await;
    assert_eq!(program.receive(APPID, &Text::new("o1", 3).usual()).await, success());
    assert_eq!(program.messages(APPID).await, 3);
}

#[tokio::test]
async fn tickets_of_a_platform_go_to_the_reloaded_push_url() {
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
    until("the first is told", async || !one.requests().is_empty()).await;
    program.reload_with(&with(&two)).await;
    until("the second is told", async || !two.requests().is_empty()).await;
    let told = one.requests().len();
    program.reload_with(&format!("callback_max_age_s = 7\n{}", with(&two))).await;
    program.reload_with(&file).await;
    assert_eq!(
        (one.requests().len(), two.requests().len()),
        (told, 1),
        "only a changed push_url sends a ticket at once"
    );
}

/// Sends callbacks one after the other until `is_over`, on new connections or on one kept connection.
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
async fn reloads_under_load_lose_no_callback_and_count_each_once() {
    let program = Arc::new(Program::start("", ""));
    let file = program.file();
    // Each of these files accepts the callbacks, with the current or the previous key.
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
    // The accounts that were added and removed are left out.
    program.reload_with(&file).await;
    assert_eq!(program.messages(APPID).await, ids.load(Ordering::Relaxed) - 1);
    let after = program.coverage(APPID).await;
    assert_eq!((&after["since"], Program::gaps_of(&after)), (&before["since"], 0), "{after}");
    assert!(program.log().matches(RELOADED).count() >= 9, "{}", program.log());
}

#[tokio::test]
async fn sighup_never_ends_the_program_even_while_it_starts_or_stops() {
    let folder = Folder::new("", "");
    let command = folder.command(&["serve", "--config", "msgcube.toml"]);
    let child = folder.logged(command).unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let log = || folder.log();
    // The first log line comes before the data is opened.
    while !log().contains("plain callbacks are taken") {
        std::thread::yield_now();
    }
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    let mut program = Program::listening(&folder, child).unwrap();
    let address = program.base.trim_start_matches("http://");
    until("what came before is followed", async || log().contains(RELOADED)).await;
    // An unfinished request delays the end of the program.
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
    until("it ends", async || log().contains("shutting down: finishing")).await;
    program.signal("-HUP");
    program.signal("-HUP");
    std::io::Write::write_all(&mut held, b"\n\n\n\n\n").unwrap();
    assert!(program.wait().success(), "{}", log());
}
