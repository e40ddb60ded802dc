//! The gateway, section 7 of the contract.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    front::neighbour::{Answer, Neighbour, ReceivedRequest, free_port},
    harness::{APPID, Program, SECRET},
};

pub const REAL: &str = "90_REALreal";

/// A fake WeChat. `stable_token` gives REAL0, and the next token after each forced refresh. `others` answers all other
/// paths.
pub async fn wechat(others: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static) -> Neighbour {
    let forced = AtomicU64::new(0);
    Neighbour::start(move |seen| {
        if seen.target != "/cgi-bin/stable_token" {
            return others(seen);
        }
        let question: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((&question["appid"], &question["secret"]), (&json!(APPID), &json!("real-secret")));
        let force = u64::from(question["force_refresh"].as_bool().unwrap());
        let number = forced.fetch_add(force, Ordering::SeqCst) + force;
        Answer::json(format!(r#"{{"access_token":"{REAL}{number}","expires_in":7200}}"#))
    })
    .await
}

pub fn program(upstream: &Neighbour, more: &str) -> Program {
    let top = format!("[upstream]\nbase = \"{}\"\n{more}", upstream.base);
    Program::start(&top, "upstream_secret = \"real-secret\"")
}

fn tokens(upstream: &Neighbour) -> (usize, usize) {
    let asked = upstream.requests_to("/cgi-bin/stable_token");
    let forced =
        asked.iter().filter(|seen| String::from_utf8_lossy(&seen.body).contains("\"force_refresh\":true"));
    let forced = forced.count();
    (asked.len() - forced, forced)
}

#[tokio::test]
async fn a_call_is_sent_with_the_real_token_and_its_answer_returns_unchanged() {
    let upstream = wechat(|_| Answer::new(202, "application/json", " {\"menu\":{} }\n")).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let url = format!("{}/cgi-bin/menu/create?type=%E4%B8%AD&access_token={token}&x=+", program.base);
    let request = program.http.put(url).header("Authorization", "Bearer admin-key-of-tests");
    let request =
        request.header("Connection", "keep-alive, X-Hop").header("X-Hop", "1").header("X-Kept", "2");
    let response = request.body("{\"button\": []}").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (202, &"application/json".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), " {\"menu\":{} }\n");
    let seen = upstream.requests_to("/cgi-bin/menu").pop().unwrap();
    assert_eq!(seen.target, format!("/cgi-bin/menu/create?type=%E4%B8%AD&access_token={REAL}0&x=+"));
    assert_eq!((seen.method, seen.body), (Method::PUT, b"{\"button\": []}".to_vec()));
    assert_eq!(seen.headers["host"].to_str().unwrap(), upstream.base.trim_start_matches("http://"));
    for name in ["authorization", "x-hop", "accept-encoding"] {
        assert!(!seen.headers.contains_key(name), "{name} is not passed on");
    }
    assert_eq!(seen.headers["x-kept"], "2");
    for seen in upstream.requests() {
        assert!(
            !format!("{seen:?}{}", String::from_utf8_lossy(&seen.body)).contains(&token),
            "our token is not sent"
        );
    }
}

#[tokio::test]
async fn calls_without_a_valid_token_and_our_own_paths_are_answered_here() {
    let upstream = wechat(|_| Answer::json("{}")).await;
    let program = program(&upstream, "");
    for (query, code) in [
        ("", 41001),
        ("?access_token=", 41001),
        ("?access_token=nonsense", 40001),
        ("?access_token=90_REALreal0", 40001),
    ] {
        let url = format!("{}/cgi-bin/menu/get{query}", program.base);
        let answer: Value = program.http.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errcode"], code, "{query}");
    }
    let token = program.access_token().await;
    for path in [
        "//v1/x",
        "/cgi-bin/%74oken",
        "//datacube/getupstreammsg",
        "/",
        "/v1/x",
        "/callback",
        "/callback/x/y",
        "/component/x",
        "/cloud/admin",
        "/metrics/x",
        "/healthz/x",
        "/debug/x",
        "/openapi.json/x",
    ] {
        let url = format!("{}{path}?access_token={token}", program.base);
        let status = program.http.get(url).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 401 | 404 | 405), "{path}: {status}");
    }
    assert!(upstream.requests().is_empty());
    let url = format!("{}/sns/userinfo?access_token=users-own&openid=o", program.base);
    assert_eq!(program.http.get(url).send().await.unwrap().status(), 200);
    assert_eq!(upstream.requests().pop().unwrap().target, "/sns/userinfo?access_token=users-own&openid=o");
    let before = upstream.requests().len();
    for target in ["/sns/../cgi-bin/menu/get?access_token=x", "/sns/%2e%2e/cgi-bin/menu/get", "/SNS/userinfo"]
    {
        let answer =
            raw(&program, &format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.contains("4000") || answer.contains("4100"), "{target}: {answer}");
    }
    for method in ["TRACE", "CONNECT"] {
        let request = format!(
            "{method} /cgi-bin/x?access_token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        assert!(!raw(&program, &request).await.starts_with("HTTP/1.1 200"), "{method}");
    }
    assert_eq!(upstream.requests().len(), before);
    let without = Program::start("", "");
    let token = without.access_token().await;
    let url = format!("{}/cgi-bin/menu/get?access_token={token}", without.base);
    assert_eq!(without.http.get(url).send().await.unwrap().status(), 404, "without [upstream]");
}

/// Sends these bytes and returns the answer.
pub async fn raw(program: &Program, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = program.base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_real_token_is_in_no_header() {
    let upstream = wechat(|seen| {
        let token = seen.target.split("access_token=").nth(1).unwrap_or("none");
        Answer {
            location: Some(format!("https://elsewhere/?access_token={token}")),
            ..Answer::new(302, "", "")
        }
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let url = format!("{}/cgi-bin/media/get?access_token={token}", program.base);
    let response = program
        .http
        .get(url)
        .header("Referer", format!("http://page/?access_token={token}"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["location"], format!("https://elsewhere/?access_token={token}"));
    assert!(!upstream.requests().iter().any(|seen| seen.headers.contains_key("referer")));
}

#[tokio::test]
async fn the_real_token_is_in_no_text_of_any_length_and_media_pass_unchanged() {
    let length = 200_000;
    let upstream = wechat(move |seen| {
        let content_type = if seen.target.contains("media") { "image/png" } else { "application/json" };
        let filling = "x".repeat(length);
        Answer::new(200, content_type, format!("{{\"before\":\"{filling}\",\"asked\":\"{}\"}}", seen.target))
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for (path, shown) in [("/cgi-bin/rid", token.clone()), ("/cgi-bin/media/get", format!("{REAL}0"))] {
        let url = format!("{}{path}?access_token={token}", program.base);
        let text = program.http.get(url).send().await.unwrap().text().await.unwrap();
        assert!(text.len() > length, "{path}: {}", text.len());
        assert!(text.ends_with(&format!("{path}?access_token={shown}\"}}")), "{path}: {}", &text[length..]);
    }
}

#[tokio::test]
async fn a_refused_token_is_refreshed_by_force_once_and_the_call_is_repeated_once() {
    let refuse = |seen: &ReceivedRequest| {
        if seen.target.contains("REALreal0") {
            return Answer::json(r#"{"errcode":40001,"errmsg":"invalid credential"}"#);
        }
        Answer::json(format!("{} bytes", seen.body.len()))
    };
    let upstream = wechat(refuse).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let url = format!("{}/cgi-bin/message/custom/send?access_token={token}", program.base);
    let answer = program.http.post(&url).body("hello").send().await.unwrap().text().await.unwrap();
    assert_eq!((answer.as_str(), tokens(&upstream)), ("5 bytes", (2, 1)));
    assert_eq!(upstream.requests_to("/cgi-bin/message").len(), 2);
    // After a restart the token and the time of the forced refresh are still known.
    let mut program = program;
    program.restart("-TERM");
    let url = format!("{}/cgi-bin/message/custom/send?access_token={token}", program.base);
    let answer = program.http.post(&url).body("hello").send().await.unwrap().text().await.unwrap();
    assert_eq!((answer.as_str(), tokens(&upstream)), ("5 bytes", (2, 1)));
    let stored = program.stored();
    for text in [REAL, "real-secret", SECRET] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is on disk");
    }
    assert!(!program.log().contains(REAL));
}

#[tokio::test]
async fn repeated_refusals_go_to_the_caller_and_force_one_refresh_in_30_seconds() {
    let upstream = wechat(|_| Answer::json(r#"{"errcode":42001,"errmsg":"expired"}"#)).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let url = format!("{}/cgi-bin/menu/get?access_token={token}", program.base);
    for _ in 0..20 {
        let answer: Value = program.http.get(&url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errcode"], 42001);
    }
    let (normal, forced) = tokens(&upstream);
    assert_eq!(forced, 1);
    assert!(normal < 12, "{normal} questions for 20 calls");
    assert!(upstream.requests_to("/cgi-bin/menu").len() <= 22);
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_sent_once() {
    let upstream = wechat(|_| Answer::json(r#"{"errcode":40014,"errmsg":"invalid access_token"}"#)).await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    let url = format!("{}/cgi-bin/media/upload?access_token={token}", program.base);
    for (bytes, times) in [((1 << 20) + 1, 1), (1 << 20, 2)] {
        let before = upstream.requests_to("/cgi-bin/media").len();
        let answer: Value =
            program.http.post(&url).body(vec![7; bytes]).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errcode"], 40014);
        let asked = upstream.requests_to("/cgi-bin/media");
        // The second size falls into the pause between forced refreshes. It is also sent once.
        assert!(
            asked.len() - before <= times && asked.iter().skip(before).all(|seen| seen.body.len() == bytes)
        );
    }
}

#[tokio::test]
async fn a_thousand_callers_share_one_token_request_and_its_failure() {
    let upstream = wechat(|_| Answer::json("{\"ok\":1}")).await;
    let program = Arc::new(program(&upstream, ""));
    let token = program.access_token().await;
    let url = format!("{}/cgi-bin/menu/get?access_token={token}", program.base);
    let calls = (0..1000).map(|_| {
        let (program, url) = (program.clone(), url.clone());
        tokio::spawn(async move { program.http.get(&url).send().await.unwrap().text().await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), "{\"ok\":1}");
    }
    assert_eq!(tokens(&upstream), (1, 0));
}

#[tokio::test]
async fn errors_of_wechat_are_passed_on_and_an_unreachable_wechat_gives_502_and_a_log_line() {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let upstream = Neighbour::start(move |seen| {
        *count.lock().unwrap() += 1;
        match seen.target.as_str() {
            "/cgi-bin/stable_token" => {
                Answer::json(r#"{"errcode":40164,"errmsg":"invalid ip 1.2.3.4, not in whitelist rid: x"}"#)
            }
            _ => Answer::json("{}"),
        }
    })
    .await;
    let refused = program(&upstream, "");
    let token = refused.access_token().await;
    let url = format!("{}/cgi-bin/menu/get?access_token={token}", refused.base);
    let answer = refused.http.get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, r#"{"errcode":40164,"errmsg":"invalid ip 1.2.3.4, not in whitelist rid: x"}"#);
    let closed_port = free_port().await;
    let server = format!("token_url = \"http://127.0.0.1:{closed_port}/tokens\"\n");
    let no_server = program(&upstream, &server);
    let url = format!("{}/cgi-bin/menu/get?access_token={}", no_server.base, no_server.access_token().await);
    let response = no_server.http.get(url).send().await.unwrap();
    let (status, heads) = (response.status(), format!("{:?}", response.headers()));
    let body = response.text().await.unwrap();
    assert!(status == 502 && body.contains(r#""errcode":-1"#), "{status} {body}");
    assert!(!format!("{heads}{body}").contains("127.0.0.1"), "{heads} {body}");
    let top = format!("[upstream]\nbase = \"http://127.0.0.1:{closed_port}\"\n");
    let lost = Program::start(&top, "");
    let token = lost.access_token().await;
    let url = format!("{}/cgi-bin/menu/get?access_token={token}", lost.base);
    let response = lost.http.get(url).send().await.unwrap();
    assert_eq!(response.status(), 502);
    let heads = format!("{:?}", response.headers());
    let body = response.text().await.unwrap();
    assert!(body.starts_with(r#"{"errcode":-1,"errmsg":"system error rid: "#), "{body}");
    assert!(heads.contains("x-msgcube-hint-zh"), "{heads}");
    for inner in ["127.0.0.1", "refused", "os error"] {
        assert!(!format!("{heads}{body}").contains(inner), "{inner}: {heads} {body}");
    }
    assert!(lost.log().contains("WeChat cannot be reached"), "{}", lost.log());
}

#[tokio::test]
async fn queries_about_time_without_coverage_are_answered_by_wechat() {
    let upstream = wechat(|_| Answer::json(r#"{"list":[{"ref_date":"2020-01-01"}]}"#)).await;
    for (more, is_passed) in [("", true), ("uncovered = \"counted\"\n", false)] {
        let program = program(&upstream, more);
        let token = program.access_token().await;
        let ask = async |dates: &str| {
            let url = format!("{}/datacube/getupstreammsgmonth?access_token={token}", program.base);
            let response = program.http.post(url).body(dates.to_owned()).send().await.unwrap();
            let hint = response.headers().get("x-msgcube-hint").map(|hint| hint.to_str().unwrap().to_owned());
            (response.text().await.unwrap(), hint)
        };
        let before = upstream.requests_to("/datacube").len();
        let (body, hint) = ask(r#"{"begin_date": "2020-01-01", "end_date": "2020-01-05"}"#).await;
        assert_eq!(body.contains("ref_date"), is_passed, "{body}");
        assert_eq!(hint.as_deref() == Some("answered by WeChat"), is_passed, "{hint:?}");
        let asked = upstream.requests_to("/datacube").split_off(before);
        if is_passed {
            let body = br#"{"begin_date": "2020-01-01", "end_date": "2020-01-05"}"#.to_vec();
            assert_eq!(
                (&asked[0].target, &asked[0].body),
                (&format!("/datacube/getupstreammsgmonth?access_token={REAL}0"), &body)
            );
        }
        let (body, _) = ask(r#"{"begin_date":"2020-01-01","end_date":"2020-03-01"}"#).await;
        assert!(body.contains("61501"), "an invalid request is answered here: {body}");
        let covers = format!("/v1/accounts/{APPID}/messages?covers=2020-01-05..2020-01-06");
        assert_eq!(program.admin_call(Method::POST, &covers, None).await.0, 200);
        let (body, _) = ask(r#"{"begin_date": "2020-01-01", "end_date": "2020-01-01"}"#).await;
        assert_eq!(body, r#"{"list":[]}"#, "one day of that month is covered");
        assert_eq!(upstream.requests_to("/datacube").len(), before + usize::from(is_passed));
    }
}

#[tokio::test]
async fn the_real_token_is_given_out_only_if_configured_and_never_accepted_from_callers() {
    let upstream = wechat(|seen| Answer::json(format!("{{\"request_url\":\"{}\"}}", seen.target))).await;
    let exposing = program(&upstream, "expose_real_token = true\n");
    let url =
        format!("{}/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={SECRET}", exposing.base);
    let answer: Value = exposing.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["access_token"], format!("{REAL}0"));
    assert!((7190..=7200).contains(&answer["expires_in"].as_i64().unwrap()), "{answer}");
    assert_eq!(exposing.token(APPID, SECRET).await["access_token"], format!("{REAL}0"));
    assert_eq!(exposing.token(APPID, "wrong").await["errcode"], 40125);
    for path in ["cgi-bin/menu/get", "datacube/getupstreammsg"] {
        let url = format!("{}/{path}?access_token={REAL}0", exposing.base);
        let answer = exposing.http.post(url).body("{}").send().await.unwrap().text().await.unwrap();
        assert!(!answer.contains("40001"), "{path}: {answer}");
    }
    assert_eq!(tokens(&upstream), (1, 0));
    let hiding = program(&upstream, "");
    let token = hiding.access_token().await;
    let url = format!("{}/cgi-bin/openapi/rid/get?access_token={token}", hiding.base);
    let body = r#"{"rid":"61725984-6126f6f9-040f19c4"}"#;
    let answer = hiding.http.post(url).body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, format!("{{\"request_url\":\"/cgi-bin/openapi/rid/get?access_token={token}\"}}"));
}

#[tokio::test]
async fn a_token_server_replaces_wechat_for_tokens() {
    let upstream = Neighbour::start(|seen| Answer::json(format!("{{\"saw\":\"{}\"}}", seen.target))).await;
    for takes_post in [true, false] {
        let server = Neighbour::start(move |seen| match (seen.method == Method::POST, takes_post) {
            (true, false) => Answer::new(405, "text/plain", "no"),
            (_, true) => Answer::json(r#"{"access_token":"FROM-server","expires_in":7200}"#),
            (false, false) => {
                Answer::json(r#"{"access_token":"FROM-server","expires_in":7000.0,"errcode":"0"}"#)
            }
        })
        .await;
        let program = program(&upstream, &format!("token_url = \"{}/wx?k=1\"\n", server.base));
        let token = program.access_token().await;
        let url = format!("{}/cgi-bin/menu/get?access_token={token}", program.base);
        let answer = program.http.get(url).send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("access_token=") && !answer.contains("FROM"), "{answer}");
        assert!(upstream.requests().pop().unwrap().target.ends_with("access_token=FROM-server"));
        let seen = server.requests();
        if !takes_post {
            assert_eq!(seen[1].target, format!("/wx?k=1&appid={APPID}"));
            assert!(seen[1].body.is_empty(), "the secret is not in a URL");
        }
    }
    assert!(upstream.requests_to("/cgi-bin/stable_token").is_empty());
}
