//! `/ui/live` and its stream: what comes in now, for whoever has a session.

use reqwest::{Method, Response};
use serde_json::json;

use crate::{
    front::{
        live::{EventReader, appids, send_text},
        neighbour::until,
        sign_in::{Browser, OTHER, add_key, program},
    },
    harness::{ADMIN_KEY, APPID},
};

async fn events(browser: &Browser<'_>) -> Response {
    browser.request(Method::GET, "/ui/live/events").send().await.unwrap()
}

#[tokio::test]
async fn the_page_and_its_stream_show_the_same_messages_and_end_with_the_key() {
    let program = program("");
    let (id, key) = add_key(&program, &[&format!("read:{APPID}")]).await;
    let reader = Browser::signed_in(&program, &key).await;
    let (_, page) = reader.get("/ui/live").await;
    assert!(page.contains("No message in the last five minutes."), "{page}");
    assert!(page.contains("data-live=\"/ui/live/events\"") && !page.contains(OTHER), "{page}");

    let response = events(&reader).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let mut stream = EventReader::of(response);
    assert_eq!(appids(&stream.accounts().await), [APPID], "nothing of the other account");
    for sent in 1..=2_u64 {
        send_text(&program, sent).await;
        let changed = stream.accounts().await;
        assert_eq!((appids(&changed), &changed[0]["messages"]["text"]), (vec![APPID], &json!(sent)));
    }
    for path in ["/ui/live".to_owned(), format!("/ui/live?account={APPID}")] {
        let (_, page) = reader.get(&path).await;
        assert!(
            page.contains("2 messages in the last hour") && page.contains("2 messages today"),
            "{path}: {page}"
        );
        let row = page.split(&format!("data-today=\"{APPID}\"")).nth(1).unwrap_or_default();
        assert!(row.split("</td>").next().unwrap().contains("value=\"2\""), "{path}: {page}");
    }
    let not_found = async |appid: &str| {
        let (status, page) = reader.get(&format!("/ui/live?account={appid}")).await;
        assert!(status == 200 && page.contains("There is no such account."), "{page}");
        page.replace(appid, "")
    };
    assert_eq!(not_found(OTHER).await, not_found("wx00000000000000ff").await);

    assert_eq!(program.admin_call(Method::DELETE, &format!("/v1/keys/{id}"), None).await.0, 200);
    assert_eq!(stream.next().await, None, "the key was revoked");
    assert_eq!(events(&reader).await.status(), 401);
}

#[tokio::test]
async fn a_session_has_eight_streams_and_signing_out_ends_them() {
    let program = program("");
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = EventReader::of(events(&admin).await);
        assert_eq!(stream.accounts().await.len(), 2);
        streams.push(stream);
    }
    assert_eq!(events(&admin).await.status(), 503);
    let other = Browser::signed_in(&program, ADMIN_KEY).await;
    assert_eq!(events(&other).await.status(), 200, "another session");
    streams.pop();
    until("a stream is free", async || events(&admin).await.status() == 200).await;
    assert_eq!(admin.post("/ui/logout", &[]).await.0, 303);
    for mut stream in streams {
        assert_eq!(stream.next().await, None);
    }
}
