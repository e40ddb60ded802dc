//! `/ui/connect`: an account on its way from the form to its first message.

use reqwest::Method;

use crate::{
    front::sign_in::{Browser, add_key, program},
    harness::{
        ADMIN_KEY, APPID, Program,
        callbacks::{CallbackReply, Text, signed_query, success},
        form,
    },
};

const PATH: &str = "/ui/connect";
const NEW: &str = "wx00000000000000c3";

/// The text to copy below a label.
fn copied(page: &str, label: &str) -> String {
    let after = page.split(&format!("<p>{label}")).nth(1).unwrap_or_else(|| panic!("no {label}: {page}"));
    after.split("<code>").nth(1).unwrap().split("</code>").next().unwrap().to_owned()
}

/// Asserts that the page of the new account says this in each language.
async fn shows(admin: &Browser<'_>, english: &[&str], chinese: &[&str]) {
    for (lang, texts) in [("en", english), ("zh", chinese)] {
        let (status, page) = admin.get(&format!("{PATH}?appid={NEW}&lang={lang}")).await;
        assert_eq!(status, 200);
        for text in texts {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
}

async fn is_there(program: &Program) -> bool {
    program.admin_call(Method::GET, &format!("/v1/accounts/{NEW}"), None).await.0 == 200
}

#[tokio::test]
async fn an_account_is_connected_step_by_step_and_its_secrets_are_shown_once() {
    let program = program("public_url = \"https://wx.example.com\"\n");
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    assert!(admin.get(PATH).await.1.contains("name=\"appid\""));
    let fields = [("appid", NEW), ("name", "<b>Tea</b>"), ("relay_url", "")];
    let (status, page) = admin.post(PATH, &fields).await;
    assert!(status == 200 && page.contains("&lt;b&gt;Tea&lt;/b&gt;") && !page.contains("<b>Tea"), "{page}");
    assert!(!page.contains("http-equiv"), "it would be loaded again without its secrets");
    assert_eq!(copied(&page, "URL"), format!("https://wx.example.com/callback/{NEW}"));
    let secrets = ["Token", "EncodingAESKey", "Secret"].map(|label| copied(&page, label));
    let [token, key, secret] = &secrets;
    assert_eq!(secrets.each_ref().map(String::len), [32, 43, 32]);
    let account = program.admin_get(&format!("/v1/accounts/{NEW}")).await;
    assert_eq!((&account["require_encryption"], &account["name"]), (&true.into(), &"<b>Tea</b>".into()));
    assert_eq!(program.token(NEW, secret).await["errcode"], serde_json::Value::Null, "it is the secret");

    shows(&admin, &["waiting for WeChat", "http-equiv=\"refresh\"", "compare the URL"], &["正在等待微信"])
        .await;
    let check =
        async |appid: &str, query: String| program.check_address(&format!("callback/{appid}"), &query).await;
    let signed = |token: &str| format!("{}&echostr=e", signed_query(token));
    assert_eq!(check("wx00000000000000c4", signed(token)).await, 404, "the AppID is wrong");
    shows(&admin, &["compare the URL"], &["请逐字核对"]).await;
    assert_eq!(check(NEW, signed("other")).await, 401);
    shows(&admin, &["made with another Token", "Copy the Token"], &["是用别的 Token 生成的"]).await;
    assert_eq!(check(NEW, signed_query(token)).await, 401);
    shows(&admin, &["parameter echostr is missing", "http-equiv"], &["缺少参数 echostr", "正在等待微信"])
        .await;
    assert_eq!(check(NEW, signed(token)).await, 200);
    shows(&admin, &["checked at", "write something", "http-equiv"], &["请现在给公众号发一条消息"]).await;

    let text = Text::new("o1", 1);
    for (sealed, english, chinese) in [
        (text.safe(token, key, APPID), "encrypted for another AppID", "另一个 AppID 加密"),
        (text.plain(token), "It is not encrypted. ", "没有加密。"),
    ] {
        let reply = program.receive(NEW, &sealed).await;
        assert!(matches!(reply, CallbackReply::Reply(400..=499, _)), "{reply:?}");
        shows(&admin, &[english.trim_end(), "write something"], &[chinese]).await;
    }
    assert_eq!(program.receive(NEW, &text.safe(token, key, NEW)).await, success());
    shows(&admin, &["messages arrive (text)", &format!("/ui/accounts/{NEW}\"")], &["已收到消息（"]).await;
    let (_, page) = admin.get(&format!("{PATH}?appid={NEW}")).await;
    assert!(
        !page.contains("http-equiv") && !page.contains("data-refresh=\""),
        "nothing is waited for: {page}"
    );

    let (status, again) = admin.post(PATH, &fields).await;
    assert_eq!((status, again.as_str()), (303, ""), "as a browser sends it that loads the answer again");
    assert_eq!(check(NEW, signed(token)).await, 200, "the token has not changed");
    for path in [&format!("{PATH}?appid={NEW}"), PATH, "/ui/", "/ui/health", "/ui/keys"] {
        let (_, page) = admin.get(path).await;
        assert!(!secrets.iter().any(|secret| page.contains(secret)), "{path}");
    }
    assert!(!secrets.iter().any(|secret| program.log().contains(secret)), "{}", program.log());
}

#[tokio::test]
async fn nothing_is_added_without_the_token_of_the_form_by_other_keys_or_from_wrong_values() {
    let program = program("");
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    for csrf in ["", "x"] {
        let body = form(&[("appid", NEW), ("csrf", csrf)]);
        assert_eq!(admin.request(Method::POST, PATH).body(body).send().await.unwrap().status(), 403);
    }
    let body = form(&[("appid", NEW)]);
    let url = format!("{}{PATH}", program.base);
    assert_eq!(program.http.post(url).body(body).send().await.unwrap().status(), 401, "without a session");
    let (_, key) = add_key(&program, &["read", "write"]).await;
    let writer = Browser::signed_in(&program, &key).await;
    assert_eq!(writer.post(PATH, &[("appid", NEW)]).await.0, 403);
    assert_eq!(writer.get(&format!("{PATH}?appid={APPID}")).await.0, 403);

    let long = "x".repeat(65);
    let own = program.base.clone();
    for (fields, at, error) in [
        ([("appid", "wx 12"), ("name", "n1"), ("relay_url", "")], "appid", "16 hexadecimal digits"),
        ([("appid", ""), ("name", "n1"), ("relay_url", "")], "appid", "16 hexadecimal digits"),
        ([("appid", NEW), ("name", long.as_str()), ("relay_url", "")], "name", "at most 64"),
        ([("appid", NEW), ("name", "n1"), ("relay_url", "bot.example")], "relay_url", "must begin with"),
        ([("appid", NEW), ("name", "n1"), ("relay_url", own.as_str())], "relay_url", "leads back to msgcube"),
    ] {
        let (status, page) = admin.post(PATH, &fields).await;
        let note = page.split(&format!("id=\"{at}-note\" class=\"error\"")).nth(1).unwrap_or_default();
        assert!(status == 200 && note.split("</p>").next().unwrap().contains(error), "{error}: {page}");
        for (name, value) in fields {
            assert!(page.contains(&format!("name=\"{name}\" value=\"{value}\"")), "{name} is kept: {page}");
        }
        assert!(!is_there(&program).await, "{error}");
    }
    for (path, text) in [
        (format!("{PATH}?appid={APPID}"), "are in the configuration file"),
        (format!("{PATH}?appid={APPID}"), "public_url is not set"),
        (format!("{PATH}?appid={NEW}"), "There is no such account yet"),
        (format!("{PATH}?appid={APPID}&lang=zh"), "在配置文件中"),
    ] {
        let (status, page) = admin.get(&path).await;
        assert!(status == 200 && page.contains(text), "{text}: {page}");
    }
}
