//! No secret or token of ours reaches WeChat, and none of WeChat's reaches a caller. Chunked bodies that fit are sent with
//! a length.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    front::{
        gateway::{REAL, program, raw, wechat},
        neighbour::{Answer, Neighbour, ReceivedRequest},
    },
    harness::{APPID, Program, SECRET},
};

const REAL_SECRET: &str = "real-secret";

/// Whether any request to WeChat contains one of these texts.
fn has_seen(upstream: &Neighbour, texts: &[&str]) -> bool {
    let all = upstream.requests();
    let written = all.iter().map(|seen| format!("{seen:?} {}", String::from_utf8_lossy(&seen.body)));
    written.into_iter().any(|seen| texts.iter().any(|text| seen.contains(text)))
}

async fn code_and_hints(response: Response) -> (i64, bool) {
    let has_hints =
        ["x-msgcube-hint", "x-msgcube-hint-zh"].iter().all(|name| response.headers().contains_key(*name));
    let answer: Value = response.json().await.unwrap();
    (answer["errcode"].as_i64().unwrap_or_default(), has_hints)
}

#[tokio::test]
async fn a_login_with_our_secret_is_sent_with_wechats_secret_and_answered_with_ours() {
    let echo = |seen: &ReceivedRequest| {
        Answer::json(format!("{} {}", seen.target, String::from_utf8_lossy(&seen.body)))
    };
    let upstream = wechat(echo).await;
    let program = program(&upstream, "");
    let queries = [
        format!(
            "/sns/oauth2/access_token?appid={APPID}&secret={SECRET}&code=%E4+1&grant_type=authorization_code"
        ),
        format!("/sns/jscode2session?secret={SECRET}&js_code=c&appid={APPID}"),
    ];
    for target in queries {
        let answer = program.http.get(format!("{}{target}", program.base)).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), format!("{target} "));
        assert_eq!(upstream.requests().pop().unwrap().target, target.replace(SECRET, REAL_SECRET));
    }
    let bodies = [
        format!("appid={APPID}&secret={SECRET}&x=%2f"),
        format!("{{\"x\" : 1.0, \"secret\":\"{SECRET}\", \"appid\":\"{APPID}\"}}"),
    ];
    for body in bodies {
        let url = format!("{}/sns/oauth2/access_token", program.base);
        let answer = program.http.post(url).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), format!("/sns/oauth2/access_token {body}"));
        let seen = upstream.requests().pop().unwrap();
        let expected = body.replace(SECRET, REAL_SECRET);
        assert_eq!(seen.headers["content-length"], expected.len().to_string().as_str());
        assert_eq!(String::from_utf8(seen.body).unwrap(), expected);
    }
    assert!(!has_seen(&upstream, &[SECRET]));
}

#[tokio::test]
async fn a_secret_or_token_of_ours_in_the_wrong_place_is_refused_with_a_hint_and_never_sent() {
    let upstream = wechat(|_| Answer::json("{}")).await;
    let more = "[[component]]\nappid = \"wxPlatform\"\nsecret = \"platform-secret\"\ntoken = \"t\"\nrole = \"receive\"\n";
    let more = format!("{more}encoding_aes_key = \"{}\"\n", "k".repeat(43));
    let program = program(&upstream, &more);
    let token = program.access_token().await;
    let encoded: Vec<_> = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let encoded = encoded.concat();
    let escaped: Vec<_> = SECRET.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let escaped = escaped.concat();
    let menu = format!("/cgi-bin/menu/get?access_token={token}");
    let known = format!("/cgi-bin/openapi/quota/get?access_token={token}");
    for (target, body, code) in [
        (format!("/sns/userinfo?access_token={token}&openid=o"), String::new(), 40001),
        (format!("/sns/userinfo?access_token={encoded}&openid=o"), String::new(), 40001),
        (format!("/sns/x/{token}"), String::new(), 40001),
        (format!("{menu}&copy={token}"), String::new(), 40001),
        (format!("{menu}&state={SECRET}"), String::new(), 40125),
        (menu.clone(), format!("a=1&token={encoded}"), 40001),
        (menu.clone(), format!("{{\"a\":[\"{escaped}\"]}}"), 40125),
        (format!("/sns/oauth2/access_token?secret={SECRET}"), String::new(), 40125),
        (format!("/sns/oauth2/access_token?appid=wxOther&secret={SECRET}"), String::new(), 40125),
        (known.clone(), format!("{{\"cgi_path\":\"/x\",\"token\":\"{token}\"}}"), 40001),
        (
            known.replace("openapi/quota/get", "clear_quota"),
            format!("{{\"appid\":\"{APPID}\",\"x\":\"{SECRET}\"}}"),
            40125,
        ),
        (known.replace("quota/get", "rid/get"), format!("{{\"rid\":\"{token}\"}}"), 40001),
        (
            "/cgi-bin/component/api_component_token".to_owned(),
            json!({"component_appid": "wxPlatform", "x": token}).to_string(),
            40001,
        ),
        (
            "/cgi-bin/component/api_component_token".to_owned(),
            json!({"component_appid": "wxPlatform", "x": SECRET}).to_string(),
            40125,
        ),
        (
            format!("/datacube/getupstreammsgmonth?access_token={token}&x={SECRET}"),
            json!({"begin_date": "2020-01-01", "end_date": "2020-01-01"}).to_string(),
            40125,
        ),
    ] {
        let response =
            program.http.post(format!("{}{target}", program.base)).body(body.clone()).send().await.unwrap();
        assert_eq!(code_and_hints(response).await, (code, true), "{target} {body}");
    }
    let with_cookie =
        program.http.get(format!("{}{menu}", program.base)).header("cookie", format!("a={token}"));
    assert_eq!(code_and_hints(with_cookie.send().await.unwrap()).await, (40001, true));
    assert!(upstream.requests_to("/sns").is_empty() && upstream.requests_to("/cgi-bin/menu").is_empty());
    assert!(!has_seen(&upstream, &[&token, &encoded, SECRET, &escaped]));
}

#[tokio::test]
async fn the_secret_of_an_account_is_kept_from_wechat_until_the_account_is_removed() {
    let upstream = wechat(|_| Answer::json("{\"openid\":\"o\"}")).await;
    let program = program(&upstream, "");
    let (appid, own, real) =
        ("wx00000000000000a2", "own-secret-of-the-second-account", "wechats-secret-of-the-second");
    let settings = json!({"appid": appid, "secret": own, "upstream_secret": real, "token": "second"});
    assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(settings)).await.0, 201);
    let url = format!("{}/sns/jscode2session?appid={appid}&secret={own}", program.base);
    program.http.get(&url).send().await.unwrap();
    assert!(upstream.requests().pop().unwrap().target.ends_with(real) && !has_seen(&upstream, &[own]));
    let path = format!("/v1/accounts/{appid}");
    assert_eq!(program.admin_call(Method::PATCH, &path, Some(json!({"upstream_secret": own}))).await.0, 200);
    program.http.get(&url).send().await.unwrap();
    assert!(
        upstream.requests().pop().unwrap().target.ends_with(own),
        "the text is no secret of ours any more"
    );
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_real_token_is_in_no_answer_and_answers_that_cannot_be_searched_are_refused() {
    let answers: [(&str, &'static str, Option<&'static str>); 12] = [
        ("xml", "application/xml", None),
        ("js", "application/javascript; charset=utf-8", None),
        ("svg", "image/svg+xml", None),
        ("html", "text/html", None),
        ("none", "", None),
        ("gz", "application/json", Some("gzip")),
        ("zlib", "text/plain", Some("deflate")),
        ("nogz", "", Some("gzip")),
        ("br", "application/json", Some("br")),
        ("broken", "application/json", Some("gzip")),
        ("image", "image/png", None),
        ("gzimage", "image/png", Some("gzip")),
    ];
    let upstream = wechat(move |seen| {
        let (name, kind, encoding) =
            *answers.iter().find(|(name, ..)| seen.target.contains(&format!("/{name}?"))).unwrap();
        let length = if seen.target.contains("long") { 200_000 } else { 10 };
        let text = format!("{}{}", "x".repeat(length), seen.target);
        let body = match name {
            "gz" | "nogz" | "gzimage" => gzip(&text),
            "zlib" => zlib(&text),
            _ => text.into_bytes(),
        };
        Answer { encoding, ..Answer::new(200, kind, body) }
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for (name, kind, _) in answers {
        for more in ["short", "long"] {
            let url = format!("{}/{name}?access_token={token}&{more}", program.base);
            let response = program.http.get(url).send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let bytes = response.bytes().await.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            // A browser may take anything else for a page.
            let is_none = ["application/json", "text/plain", "image/png"].contains(&kind);
            assert_eq!(headers.get("content-security-policy").is_some(), !is_none, "{name}");
            match name {
                "br" => {
                    assert!(status == 502 && text.contains("\"errcode\":-1"), "{status} {text}");
                    assert!(headers["x-msgcube-hint"].to_str().unwrap().contains("compress"), "{headers:?}");
                }
                "broken" => assert!(status == 502 || bytes.is_empty(), "{status} {text}"),
                "image" => assert!(text.ends_with(&format!("/image?access_token={REAL}0&{more}")), "{text}"),
                "gzimage" => assert_eq!(headers["content-encoding"], "gzip"),
                _ => {
                    assert!(
                        text.ends_with(&format!("x/{name}?access_token={token}&{more}")),
                        "{name}: {status} {text}"
                    );
                    assert!(!headers.contains_key("content-encoding"), "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_recognised_in_a_compressed_answer_and_partial_text_is_refused() {
    let upstream = wechat(|seen| match (seen.target.contains("REALreal0"), seen.target.contains("/piece")) {
        (true, false) => {
            let refusal = gzip(r#"{"errcode":40001,"errmsg":"invalid credential"}"#);
            Answer { encoding: Some("gzip"), ..Answer::json(refusal) }
        }
        (_, true) => {
            Answer::new(206, if seen.target.contains("image") { "image/png" } else { "text/plain" }, "90_R")
        }
        _ => Answer::json("{\"ok\":1}"),
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for (path, status) in [("/piece/text", 502), ("/piece/image", 206), ("/cgi-bin/x", 200)] {
        let response =
            program.http.get(format!("{}{path}?access_token={token}", program.base)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    assert_eq!(upstream.requests_to("/cgi-bin/x").len(), 2, "sent once more with a new token");
}

async fn in_chunks(program: &Program, target: &str, bytes: usize) -> String {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let half = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "y".repeat(bytes));
    raw(program, &format!("{head}{}{}0\r\n\r\n", half(bytes / 2), half(bytes - bytes / 2))).await
}

#[tokio::test]
async fn a_chunked_body_is_sent_with_a_length_if_it_fits_and_otherwise_wechats_412_gets_a_hint() {
    let upstream = wechat(|seen| {
        let is_chunked = seen.headers.contains_key("transfer-encoding");
        Answer::new(if is_chunked { 412 } else { 200 }, "text/plain", format!("{} bytes", seen.body.len()))
    })
    .await;
    let program = program(&upstream, "");
    let token = program.access_token().await;
    for path in [format!("/cgi-bin/media/upload?access_token={token}"), "/sns/x".to_owned()] {
        for bytes in [2, 64 << 10, (64 << 10) + 1, 1 << 20] {
            let answer = in_chunks(&program, &path, bytes).await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("{bytes} bytes")),
                "{answer}"
            );
            let seen = upstream.requests().pop().unwrap();
            assert_eq!(seen.headers["content-length"], bytes.to_string().as_str());
        }
        let answer = in_chunks(&program, &path, (1 << 20) + 1).await;
        assert!(answer.starts_with("HTTP/1.1 412") && answer.ends_with("1048577 bytes"), "{answer}");
        assert!(answer.contains("x-msgcube-hint: ") && answer.contains("x-msgcube-hint-zh: "), "{answer}");
    }
    let secret = format!("secret={SECRET}");
    let head = "POST /sns/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (first, second) = secret.split_at(20);
    let answer =
        raw(&program, &format!("{head}14\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len())).await;
    assert!(answer.contains("40125") && !has_seen(&upstream, &[SECRET]), "split into two chunks: {answer}");
}
