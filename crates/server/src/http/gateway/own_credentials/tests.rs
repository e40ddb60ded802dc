//! Tests that no credential of ours leaves, in any place and any encoding, and that everything else passes unchanged.

use std::{net::SocketAddr, sync::Arc};

use axum::http::Request;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use storage::{
    store::{Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};

use super::*;
use crate::{
    auth::access_token::{Endpoint, Holder},
    config::Config,
    http::connection::Peer,
};

const OWN: &str = "0123456789abcdef0123456789abcdef";
const REAL: &str = "fedcba9876543210fedcba9876543210";
const SHORT: &str = "short+secret";
const SHORT_REAL: &str = "real-of-short";
const SHARED: &str = "known-to-wechat-known-to-wechat-";
const PLATFORM: &str = "platforms-own-secret-of-32-bytes";
const ODD: &str = "odd/letters\"in\\one&secret=of%ours";
const PATHS: [&str; 7] = [
    "/sns/userinfo",
    "/sns/oauth2/access_token",
    "/cgi-bin/menu/get",
    "/cgi-bin/clear_quota",
    "/cgi-bin/openapi/quota/get",
    "/datacube/getupstreammsg",
    "/cgi-bin/component/api_get_authorizer_info",
];
const PLACES: [&str; 12] = [
    "path",
    "query",
    "query name",
    "twice",
    "method",
    "header",
    "form",
    "form name",
    "json",
    "json name",
    "nested",
    "parts",
];

struct TestApp {
    app: Arc<App>,
    writer: Writer,
    _folder: tempfile::TempDir,
    tokens: Vec<String>,
}

async fn test() -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let account = |appid: &str, secret: &str, more: &str| {
        format!("[[account]]\nappid = '{appid}'\nsecret = '{secret}'\ntoken = 't'\n{more}\n")
    };
    let text = [
        "[upstream]\nbase = 'http://127.0.0.1:9/below'\n".to_owned(),
        account("wxOwn", OWN, &format!("upstream_secret = '{REAL}'")),
        account("wxShort", SHORT, &format!("upstream_secret = '{SHORT_REAL}'")),
        account("wxOdd", ODD, "upstream_secret = 'real&odd\"'"),
        account("wxShared", SHARED, ""),
        account("wxSame", "same-on-both-sides-of-it", "upstream_secret = 'same-on-both-sides-of-it'"),
        account("wxFrozen", "frozen-secret-of-ours", "upstream_secret = 'x'\nsecret_frozen = true"),
        account("wxBound", "secret-of-one-network", "upstream_secret = 'y'\nip_allow = ['10.0.0.0/8']"),
        format!(
            "[[component]]\nappid = 'wxPlatform'\nsecret = '{PLATFORM}'\ntoken = 't'\nencoding_aes_key = '{}'\n",
            "a".repeat(43)
        ),
    ];
    let config = Config::parse(&text.concat(), &folder.path().join("msgcube.toml"), |_| None).unwrap();
    let key = DataKey::load_or_create(&config.data_key_file).unwrap();
    let (app, writer) =
        App::start_with(config, Clock::real(), Store::Memory(Memory::default()), key).unwrap();
    let mut tokens = Vec::new();
    for holder in [
        Holder::account("wxOwn", Endpoint::Token),
        Holder::account("wxOwn", Endpoint::Token),
        Holder::account("wxShort", Endpoint::Stable),
        Holder::component("wxPlatform"),
        Holder::authorizer("wxOwn", "wxPlatform"),
    ] {
        tokens
            .push(app.tokens.issue(holder, Vec::new(), &app.ingest, &app.clock).await.unwrap().access_token);
    }
    TestApp { app, writer, _folder: folder, tokens }
}

impl TestApp {
    async fn end(self) {
        tokio::task::spawn_blocking(|| self.writer.stop()).await.unwrap();
    }

    /// The head and body that WeChat would get. None if the call is refused or is no valid request.
    fn sent(&self, call: &TestCall) -> Option<(String, Vec<u8>)> {
        let mut request = Request::builder().method(call.method.as_str()).uri(&call.target);
        for (name, value) in &call.headers {
            request = request.header(*name, value.as_str());
        }
        let (mut parts, ()) = request.body(()).ok()?.into_parts();
        parts.extensions.insert(Peer("127.0.0.1:1".parse::<SocketAddr>().unwrap()));
        let mut body = Bytes::from(call.body.clone());
        head::clean(&mut parts.headers);
        check_and_swap(&self.app, &mut parts, Some(&mut body), call.has_token).ok()?;
        let real = call.has_token.then(|| Secret::new("REAL-token"));
        let upstream = self.app.upstream().unwrap();
        let request = head::request(&parts, &upstream, real.as_ref(), Body::empty()).unwrap();
        let head = format!("{} {}\n{:?}", request.method(), request.uri(), request.headers());
        Some((head, body.to_vec()))
    }
}

#[derive(Clone, Debug, Default)]
struct TestCall {
    method: String,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    has_token: bool,
}

/// One layer of encoding. The bits of the mask choose the characters.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Percent(u64),
    PercentLower(u64),
    Json(u64),
}

impl Layer {
    fn write(self, text: &str) -> String {
        let (Layer::Percent(mask) | Layer::PercentLower(mask) | Layer::Json(mask)) = self;
        let write = |(at, byte): (usize, u8)| match self {
            // Other characters are always encoded, so that escapes stay intact.
            _ if mask >> (at % 64) & 1 == 0 && byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            Layer::Percent(_) => format!("%{byte:02X}"),
            Layer::PercentLower(_) => format!("%{byte:02x}"),
            Layer::Json(_) => format!("\\u{:04x}", u32::from(byte)),
        };
        text.bytes().enumerate().map(write).collect()
    }
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let layer = prop_oneof![
        any::<u64>().prop_map(Layer::Percent),
        any::<u64>().prop_map(Layer::PercentLower),
        any::<u64>().prop_map(Layer::Json),
        Just(Layer::Percent(u64::MAX)),
        Just(Layer::Json(0)),
    ];
    vec(layer, 0..=3)
}

fn call(
    path: &str,
    place: &str,
    text: &str,
    times: usize,
    has_token: bool,
    token: &str,
    appid: Option<&str>,
) -> TestCall {
    let mut query =
        if has_token { format!("access_token={token}&a=b") } else { "access_token=users&a=b".to_owned() };
    if let Some(appid) = appid {
        query = format!("{query}&appid={appid}");
    }
    let mut path = path.to_owned();
    let mut call = TestCall { method: "POST".to_owned(), has_token, ..TestCall::default() };
    let name = ["secret", "appsecret", "access%5Ftoken", "copy"][text.len() % 4];
    for _ in 0..times {
        match place {
            "path" => path = format!("{path}/{text}"),
            "query" => query = format!("{query}&{name}={text}"),
            "query name" => query = format!("x{text}&{query}"),
            "twice" => {
                query = format!("access_token={token}&{query}&access_token={text}&a=1;access_token={text}");
            }
            "method" => call.method = text.to_owned(),
            "header" => call
                .headers
                .push((["cookie", "x-original-uri", "x-any"][text.len() % 3], format!("a={text}; b"))),
            "form" => call.body.extend(format!("{name}={text}&b=c&").into_bytes()),
            "form name" => call.body.extend(format!("b={text}=c&{text}").into_bytes()),
            "json" => call.body = format!("{{\"{name}\":\"{text}\",\"{name}\" : \"{text}\"}}").into_bytes(),
            "json name" => call.body = format!("{{\"{text}\":1}}").into_bytes(),
            "nested" => call.body = format!("{{\"a\":[1,{{\"b\":\"x {text} y\"}}]}}").into_bytes(),
            _ => call.body.extend(
                format!("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{text}\r\n--x--")
                    .into_bytes(),
            ),
        }
    }
    call.target = format!("{path}?{query}");
    call
}

/// Decodes all escapes, again and again.
fn fully_decoded(text: &[u8]) -> String {
    let mut text: String = text.iter().map(|byte| char::from(*byte)).collect();
    loop {
        let mut next = String::new();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            let (digits, length) =
                if rest.starts_with('%') { (rest.get(1..3), 3) } else { (rest.get(2..6), 6) };
            let is_escape = rest.starts_with('%') || rest.starts_with("\\u");
            let code = digits.filter(|_| is_escape).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let (meant, length) = match code.and_then(char::from_u32) {
                Some(meant) => (meant, length),
                None => (character, character.len_utf8()),
            };
            next.push(meant);
            rest = &rest[length..];
        }
        if next == text {
            return text;
        }
        text = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_ours_leaves_wherever_it_stands_and_however_it_is_written() {
    let test = test().await;
    let own = [OWN, PLATFORM, "frozen-secret-of-ours", "secret-of-one-network"].map(str::to_owned);
    let ours: Vec<String> = test.tokens.iter().cloned().chain(own).collect();
    let appids = [None, Some("wxOwn"), Some("wxShared"), Some("wxFrozen"), Some("wxBound"), Some("wxNobody")];
    let strategy = (
        (select(PATHS.to_vec()), select(PLACES.to_vec()), select(ours.clone()), layers()),
        (1..=3_usize, any::<bool>(), select(appids.to_vec())),
    );
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) });
    let sent = std::cell::Cell::new(0);
    let checked = runner.run(&strategy, |((path, place, text, layers), (times, has_token, appid))| {
        let written = layers.iter().fold(text, |text, layer| layer.write(&text));
        let call = call(path, place, &written, times, has_token, &test.tokens[0], appid);
        if let Some((head, body)) = test.sent(&call) {
            sent.set(sent.get() + 1);
            let all = fully_decoded(head.as_bytes()) + "\n" + &fully_decoded(&body);
            for text in &ours {
                prop_assert!(!all.contains(text.as_str()), "{text} leaves: {head} {body:?} of {call:?}");
            }
        }
        Ok(())
    });
    test.end().await;
    checked.unwrap();
    assert!(sent.get() > 0, "some are replaced, or were never sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_passes_untouched() {
    let test = test().await;
    let strategy = (select(PATHS.to_vec()), "[ -~]{0,80}", any::<bool>());
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) });
    let checked = runner.run(&strategy, |(path, text, has_token)| {
        let query: String =
            text.chars().filter(|c| c.is_ascii_alphanumeric() || "%&=+;,/?".contains(*c)).collect();
        let target = format!("{path}?{query}&appid=wxOwn&secret={SHARED}");
        let call = TestCall {
            method: "POST".to_owned(),
            target: target.clone(),
            body: text.clone().into_bytes(),
            has_token,
            ..TestCall::default()
        };
        let (head, body) = test.sent(&call).expect("not ours");
        prop_assert_eq!(body, text.into_bytes());
        prop_assert!(head.contains(&format!("http://127.0.0.1:9/below{target}\n")), "{}", head);
        Ok(())
    });
    for (target, body) in [
        (format!("/sns/x?appid=wxShared&secret={SHARED}"), String::new()),
        ("/sns/x?appid=wxSame&secret=same-on-both-sides-of-it".to_owned(), String::new()),
        (format!("/sns/x?appid=wxOwn&secret={REAL}"), format!("{{\"secret\":\"{REAL}\"}}")),
        (
            "/sns/x?appid=wxOwn&secret=wrong".to_owned(),
            "mc_not-a-token-but-as-long-as-a-token-of-ours-is-x".to_owned(),
        ),
        ("/sns/x?note=another-short+secret-here".to_owned(), String::new()),
    ] {
        let call = TestCall {
            method: "GET".to_owned(),
            target: target.clone(),
            body: body.clone().into_bytes(),
            ..TestCall::default()
        };
        let (head, sent) = test.sent(&call).unwrap();
        assert!(head.contains(&target) && sent == body.into_bytes(), "{head}");
    }
    test.end().await;
    checked.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_its_place_gives_way_to_wechats_and_elsewhere_stops_the_call() {
    let test = test().await;
    let short = SHORT.replace('+', "%2B");
    let odd = percent_encoding::utf8_percent_encode(ODD, msgcube_client::http::UNRESERVED).to_string();
    let odd_json = Value::from(ODD).to_string();
    for (target, body, expected) in [
        (
            format!("appid=wxOwn&secret={OWN}&code=%e4+"),
            String::new(),
            Some((format!("appid=wxOwn&secret={REAL}&code=%e4+"), String::new())),
        ),
        (
            format!("secret=%30{}&&appid=wxOwn&secret={OWN}", &OWN[1..]),
            String::new(),
            Some((format!("secret={REAL}&&appid=wxOwn&secret={REAL}"), String::new())),
        ),
        (
            format!("appid=wxShort&secret={short}"),
            String::new(),
            Some((format!("appid=wxShort&secret={SHORT_REAL}"), String::new())),
        ),
        (
            format!("appid=wxOdd&secret={odd}"),
            String::new(),
            Some(("appid=wxOdd&secret=real%26odd%22".to_owned(), String::new())),
        ),
        (
            "a".to_owned(),
            format!("appid=wxOwn&secret={OWN}&b"),
            Some(("a".to_owned(), format!("appid=wxOwn&secret={REAL}&b"))),
        ),
        (
            "appid=wxOwn".to_owned(),
            format!("appsecret={OWN}"),
            Some(("appid=wxOwn".to_owned(), format!("appsecret={REAL}"))),
        ),
        (
            "a".to_owned(),
            format!(" {{ \"appid\":\"wxOdd\",\"x\":1.50,\"secret\" : {odd_json}}}\n"),
            Some((
                "a".to_owned(),
                " { \"appid\":\"wxOdd\",\"x\":1.50,\"secret\" : \"real&odd\\\"\"}\n".to_owned(),
            )),
        ),
        (format!("secret={OWN}"), String::new(), None),
        (format!("appid=wxShared&secret={OWN}"), String::new(), None),
        (format!("appid=wxOwn&secret={OWN}&appid=wxShared"), String::new(), None),
        (format!("appid=wxOwn&secret={OWN}&state={OWN}"), String::new(), None),
        (format!("appid=wxOwn&sign={OWN}"), String::new(), None),
        (format!("appid=wxOwn&secret={PLATFORM}"), String::new(), None),
        (format!("appid=wxShort&state={short}"), String::new(), None),
        ("a".to_owned(), "{\"a\":[{\"b\":\"short\\u002bsecret\"}]}".to_owned(), None),
        ("appid=wxFrozen&secret=frozen-secret-of-ours".to_owned(), String::new(), None),
        ("appid=wxBound&secret=secret-of-one-network".to_owned(), String::new(), None),
        ("a".to_owned(), format!("{{\"appid\":\"wxOwn\",\"in\":{{\"secret\":\"{OWN}\"}}}}"), None),
    ] {
        let call = TestCall {
            method: "POST".to_owned(),
            target: format!("/sns/x?{target}"),
            body: body.into_bytes(),
            ..TestCall::default()
        };
        let sent = test.sent(&call).map(|(head, body)| {
            let query = head.split(['?', '\n']).nth(1).unwrap().to_owned();
            (query, String::from_utf8(body).unwrap())
        });
        assert_eq!(sent, expected, "{call:?}");
        let elsewhere = TestCall { target: format!("/cgi-bin/x?{target}"), ..call };
        assert_eq!(test.sent(&elsewhere), None, "not replaced elsewhere: {elsewhere:?}");
    }
    test.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_repeat_the_address_are_left_out_and_others_stop_the_call() {
    let test = test().await;
    let token = &test.tokens[0];
    let with = |name: &'static str| TestCall {
        method: "GET".to_owned(),
        target: format!("/cgi-bin/x?access_token={token}"),
        headers: vec![(name, format!("/cgi-bin/x?access_token={token}")), ("x-kept", "1".to_owned())],
        has_token: true,
        ..TestCall::default()
    };
    for name in ADDRESS_HEADERS {
        let (head, _) = test.sent(&with(name)).unwrap();
        assert!(!head.contains(name) && head.contains("x-kept"), "{head}");
    }
    assert!(test.sent(&with("authorization")).is_some(), "not passed on anyway");
    for name in ["cookie", "x-any", "user-agent"] {
        assert!(test.sent(&with(name)).is_none(), "{name}");
    }
    test.end().await;
}
