//! Signing in on the pages below `/ui`, and what a form must prove.

use std::fs;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

use crate::harness::{ADMIN_KEY, APPID, Program, account, form};

pub const OTHER: &str = "wx00000000000000b2";

/// The program with a second account.
pub fn program(top: &str) -> Program {
    Program::start(top, &account("").replace(APPID, OTHER))
}

/// A browser with the cookie of a session.
pub struct Browser<'a> {
    program: &'a Program,
    cookie: String,
}

impl Browser<'_> {
    /// Signs in with a key.
    pub async fn signed_in<'a>(program: &'a Program, key: &str) -> Browser<'a> {
        let answer = try_key(program, key).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["location"]),
            (303, &"/ui/".parse().unwrap())
        );
        let cookie = set_cookie(&answer).split(';').next().unwrap().to_owned();
        Browser { program, cookie }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.program
            .http
            .request(method, format!("{}{path}", self.program.base))
            .header("Cookie", &self.cookie)
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The token of the forms on a page.
    pub async fn csrf(&self) -> String {
        let (_, page) = self.get("/ui/").await;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let csrf = self.csrf().await;
        let fields = [fields, &[("csrf", &csrf)]].concat();
        let answer = self.request(Method::POST, path).body(form(&fields)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

async fn try_key(program: &Program, key: &str) -> Response {
    let url = format!("{}/ui/login", program.base);
    program.http.post(url).body(form(&[("key", key)])).send().await.unwrap()
}

fn set_cookie(answer: &Response) -> &str {
    answer.headers()["set-cookie"].to_str().unwrap()
}

/// Makes an API key. Returns its id and its text.
pub async fn add_key(program: &Program, scopes: &[&str]) -> (String, String) {
    let (status, key) = program.admin_call(Method::POST, "/v1/keys", Some(json!({ "scopes": scopes }))).await;
    assert_eq!(status, 201, "{key}");
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[tokio::test]
async fn without_a_session_a_page_reloads_itself_once_and_then_shows_the_form() {
    let program = program("");
    let page = async |path: &str| {
        let answer = program.http.get(format!("{}{path}", program.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for path in
        ["/ui/", "/ui/accounts/wx1?from=2026-11-01&by=type", "/ui/keys", "/ui/live/events", "/ui/nothing"]
    {
        let (status, text) = page(path).await;
        let to = path.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D").replace('&', "%26");
        assert_eq!(status, 401, "{path}");
        assert!(
            text.contains(&format!("http-equiv=\"refresh\" content=\"0;url=/ui/login?to={to}\"")),
            "{text}"
        );
        let (status, text) = page(&format!("/ui/login?to={to}")).await;
        let shown = path.replace('&', "&amp;");
        assert!(status == 200 && text.contains(&format!("name=\"to\" value=\"{shown}\"")), "{text}");
        assert!(!text.contains("http-equiv"), "only once");
    }
    let fields = [("key", ADMIN_KEY), ("to", "/ui/keys?lang=zh")];
    let answer =
        program.http.post(format!("{}/ui/login", program.base)).body(form(&fields)).send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/ui/keys?lang=zh");
    let browser =
        Browser { program: &program, cookie: set_cookie(&answer).split(';').next().unwrap().to_owned() };
    let answer = browser.request(Method::GET, "/ui/login?to=/ui/live").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &"/ui/live".parse().unwrap())
    );
    let (_, text) = browser.get("/ui/?lang=zh").await;
    assert!(text.contains("lang=\"zh-CN\"") && text.contains("总览"), "{text}");
}

#[tokio::test]
async fn browsers_are_led_to_the_pages_and_each_answer_there_forbids_what_it_does_not_need() {
    let program = program("");
    let get = async |path: &str, accept: &str| {
        let url = format!("{}{path}", program.base);
        program.http.get(url).header("Accept", accept).send().await.unwrap()
    };
    let answer = get("/", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (303, &"/ui/".parse().unwrap()));
    assert_eq!(get("/", "*/*").await.status(), 404);
    assert_eq!(get("/ui", "*/*").await.headers()["location"], "/ui/");
    for path in ["/ui/", "/ui/login", "/ui/nothing", "/ui/share/x", "/ui/live/events"] {
        let answer = get(path, "text/html").await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "connect-src 'self'",
            "img-src data:;",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "script-src 'sha256-",
            "style-src 'sha256-",
        ] {
            assert!(header("content-security-policy").contains(part), "{path}: {part}");
        }
        assert!(!header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(
            [header("cache-control"), header("x-content-type-options"), header("referrer-policy")],
            ["no-store", "nosniff", "no-referrer"]
        );
        assert_eq!(header("x-robots-tag"), "noindex, nofollow");
    }
}

#[tokio::test]
async fn the_cookie_is_only_for_our_pages_and_every_sign_in_gives_a_new_one() {
    for (top, is_secure) in [
        ("", false),
        ("public_url = \"https://wx.example.com\"\n", true),
        ("public_url = \"https://wx.example.com\"\nui_url = \"http://ui.example.com\"\n", false),
    ] {
        let program = program(top);
        let first = try_key(&program, ADMIN_KEY).await;
        let flags = set_cookie(&first).split_once("; ").unwrap().1;
        let secure = if is_secure { "; Secure" } else { "" };
        assert_eq!(flags, format!("Path=/ui; HttpOnly; SameSite=Strict; Max-Age=604800{secure}"));
        let former = set_cookie(&first).split(';').next().unwrap().to_owned();
        let again = program.http.post(format!("{}/ui/login", program.base)).header("Cookie", &former);
        let again = again.body(form(&[("key", ADMIN_KEY)])).send().await.unwrap();
        let cookie = set_cookie(&again).split(';').next().unwrap().to_owned();
        assert_ne!(cookie, former);
        let status = async |cookie: String| Browser { program: &program, cookie }.get("/ui/").await.0;
        assert_eq!(
            (status(former).await, status(cookie.clone()).await),
            (401, 200),
            "the former session ended"
        );
        let browser = Browser { program: &program, cookie: cookie.clone() };
        assert_eq!(browser.post("/ui/logout", &[]).await.0, 303);
        assert_eq!(status(cookie).await, 401);
    }
}

#[tokio::test]
async fn wrong_keys_get_the_same_answer_and_too_many_tries_are_refused() {
    let program = program("");
    let (id, key) = add_key(&program, &["read"]).await;
    let mut altered = key.clone();
    altered.pop();
    program.admin_call(Method::DELETE, &format!("/v1/keys/{id}"), None).await;
    let mut answers = Vec::new();
    for wrong in ["", "x", &key, &altered, "admin-key-of-test", &format!("{ADMIN_KEY}x")] {
        let answer = try_key(&program, wrong).await;
        assert!(!answer.headers().contains_key("set-cookie"));
        answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 403), "{answers:?}");
    assert_eq!(try_key(&program, ADMIN_KEY).await.status(), 303, "a right key is no try");
    let mut refused = answers.len();
    while try_key(&program, "x").await.status() == 403 {
        refused += 1;
    }
    assert!(refused >= 60, "{refused}");
    let answer = try_key(&program, ADMIN_KEY).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"60".parse().unwrap()));
    let log = program.log();
    assert!(
        log.contains("signed in at /ui/login")
            && log.contains("admin_key")
            && log.contains("a key was refused"),
        "{log}"
    );
    for secret in [key.as_str(), ADMIN_KEY, &altered] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_form_must_come_from_a_page_of_the_same_session() {
    let program = program("ui_url = \"https://ui.example.com\"\n");
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    let other = Browser::signed_in(&program, ADMIN_KEY).await;
    let (csrf, foreign) = (browser.csrf().await, other.csrf().await);
    assert_ne!(csrf, foreign);
    let send = async |token: &str, headers: &[(&str, &str)]| {
        let mut request =
            browser.request(Method::POST, "/ui/keys").body(form(&[("scopes", "read"), ("csrf", token)]));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let own = program.base.clone();
    for token in ["", "x", &foreign, &csrf[1..]] {
        assert_eq!(send(token, &[("Sec-Fetch-Site", "same-origin"), ("Origin", &own)]).await, 403, "{token}");
    }
    for refused in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Origin", "nonsense")],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.example")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", "null")],
    ] {
        assert_eq!(send(&csrf, refused).await, 403, "{refused:?}");
        let mut login = program.http.post(format!("{own}/ui/login")).body(form(&[("key", ADMIN_KEY)]));
        for (name, value) in refused {
            login = login.header(*name, *value);
        }
        assert_eq!(login.send().await.unwrap().status(), 403, "signing in, {refused:?}");
    }
    assert_eq!(program.admin_get("/v1/keys").await["keys"], json!([]), "nothing was changed");
    for taken in [
        &[][..],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")],
        &[("Origin", own.as_str())],
        &[("Origin", "https://ui.example.com")],
    ] {
        assert_eq!(send(&csrf, taken).await, 200, "{taken:?}");
    }
    assert_eq!(program.admin_get("/v1/keys").await["keys"].as_array().unwrap().len(), 4);
    let answer = browser.request(Method::GET, "/ui/keys/remove?id=x").send().await.unwrap();
    assert_eq!(answer.status(), 405, "nothing changes by GET");
}

#[tokio::test]
async fn a_session_may_do_what_its_key_may_do_and_ends_with_it() {
    let mut program = program("");
    let (id, key) = add_key(&program, &[&format!("read:{APPID}")]).await;
    let reader = Browser::signed_in(&program, &key).await;
    assert!(reader.get(&format!("/ui/accounts/{APPID}")).await.1.contains(APPID));
    let (hidden, absent) =
        (reader.get(&format!("/ui/accounts/{OTHER}")).await, reader.get("/ui/accounts/wx-none").await);
    assert!(
        hidden.1.replace(OTHER, "wx-none") == absent.1 && (hidden.0, absent.0) == (404, 404),
        "{hidden:?}"
    );
    for path in ["/ui/keys", "/ui/connect"] {
        assert_eq!(reader.get(path).await.0, 403, "{path}");
    }
    assert_eq!(reader.post("/ui/keys", &[("scopes", "admin")]).await.0, 403);
    assert_eq!(reader.post("/ui/links", &[("account", APPID)]).await.0, 403);
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    let (status, page) =
        admin.post("/ui/keys", &[("name", "<b>x</b>"), ("scopes", "read, write"), ("days", "9")]).await;
    let made = page
        .split("<code>")
        .find(|part| part.starts_with("mk_"))
        .unwrap()
        .split('<')
        .next()
        .unwrap()
        .to_owned();
    assert!(status == 200 && made.starts_with("mk_") && page.contains("&lt;b&gt;x&lt;/b&gt;"), "{page}");
    assert!(!admin.get("/ui/keys").await.1.contains(&made), "it is shown once");
    assert_eq!(program.call(Method::GET, "/v1/accounts", &made, None).await.status(), 200);
    for (fields, error) in [
        (&[("scopes", "all")][..], "a scope is read"),
        (&[("scopes", "")], "scopes: 1 to"),
        (&[("scopes", "read"), ("days", "soon")], "whole number"),
        (&[("scopes", "read"), ("days", "0")], "expires_in_days"),
    ] {
        assert!(admin.post("/ui/keys", fields).await.1.contains(error), "{error}");
    }
    assert_eq!(reader.get("/ui/").await.0, 200);
    let mut stream = reader.request(Method::GET, "/ui/live/events").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "retry: 3000\n\n");
    assert_eq!(admin.post("/ui/keys/remove", &[("id", &id)]).await.0, 303);
    assert_eq!(reader.get("/ui/").await.0, 401, "the key was revoked");
    // The stream ends, too. If it did not, this would not either.
    while stream.chunk().await.unwrap().is_some() {}
    let file = program.folder().join("msgcube.toml");
    let changed = fs::read_to_string(&file).unwrap().replace(ADMIN_KEY, "another-admin-key");
    fs::write(&file, changed).unwrap();
    assert_eq!(program.admin_call(Method::POST, "/v1/reload", None).await.0, 200);
    assert_eq!(admin.get("/ui/").await.0, 401, "there is another admin_key");
    let cookie = Browser::signed_in(&program, "another-admin-key").await.cookie;
    program.restart("-TERM");
    assert_eq!(Browser { program: &program, cookie }.get("/ui/").await.0, 401, "a restart signs out");
}

#[tokio::test]
async fn with_admin_listen_the_pages_are_only_there() {
    let program = program("admin_listen = \"127.0.0.1:0\"\n");
    let status = async |base: &str, path: &str| {
        let request = program.http.get(format!("{base}{path}")).header("Accept", "text/html");
        request.send().await.unwrap().status().as_u16()
    };
    for path in ["/", "/ui", "/ui/", "/ui/login", "/ui/share/x"] {
        assert_eq!(status(&program.base, path).await, 404, "{path}");
    }
    let admin = program.admin.clone().unwrap();
    for (path, expected) in [("/", 303), ("/ui/", 401), ("/ui/login", 200), ("/ui/share/x", 404)] {
        assert_eq!(status(&admin, path).await, expected, "{path}");
    }
}
