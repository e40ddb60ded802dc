//! Which days an account's page shows, what they are compared with, and who sees it.

use reqwest::Method;
use serde_json::json;

use super::{program, shown, unescaped};
use crate::{
    front::sign_in::{Browser, OTHER, add_key},
    harness::{ADMIN_KEY, APPID, Program},
};

async fn messages(program: &Program, from: &str, to: &str) -> u64 {
    let answer =
        program.admin_get(&format!("/v1/accounts/{APPID}/stats?from={from}&to={to}&period=total")).await;
    answer["rows"][0]["messages"].as_u64().unwrap()
}

#[tokio::test]
async fn whole_counted_days_are_compared_and_no_others() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    let get = async |query: &str| browser.get(&format!("/ui/accounts/{APPID}?{query}")).await.1;
    let page = get("from=2026-10-05&to=2026-11-01").await;
    let before = messages(&program, "2026-09-07", "2026-10-04").await;
    assert!(before > 0 && page.contains("not counted before 15 Sep 2026"), "{page}");
    let page = get("from=2026-10-15&to=2026-10-28").await;
    let parts = shown(&page);
    assert_eq!(
        parts["Messages sent"].numbers,
        [
            messages(&program, "2026-10-15", "2026-10-28").await,
            messages(&program, "2026-10-01", "2026-10-14").await
        ]
    );
    // Two numbers a row: the day, and the day 14 days before.
    assert_eq!(parts["Users a day"].numbers.len(), 28);
    let page = get("from=2026-11-15&to=2026-11-21").await;
    assert!(page.contains("gap in the time before"), "{page}");
    let open = get("from=2026-11-22&to=2026-11-28").await;
    assert_eq!(shown(&open)["Messages sent"].numbers.len(), 1, "today is not over");
    assert!(open.contains("Sat 28 Nov (not over)") && !open.contains("Fri 27 Nov (not over)"));
}

#[tokio::test]
async fn what_was_not_counted_is_said() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    let get = async |query: &str| browser.get(&format!("/ui/accounts/{APPID}?{query}")).await.1;
    let page = get("from=2026-11-09&to=2026-11-20").await;
    for part in [
        "at least",
        "gaps in this range: 1, together 24 h 0 min",
        "msgcube did not run, or did not serve the account",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let lost = page.split("Wed 11 Nov").nth(1).unwrap();
    assert!(lost[..80].contains("not counted"), "{}", &lost[..80]);
    let quiet = page.split("Wed 18 Nov").nth(1).unwrap();
    assert!(quiet[..80].contains("<data value=\"0\">"), "a real zero: {}", &quiet[..80]);
    assert!(get("from=2026-11-18&to=2026-11-18").await.contains("0 messages, fully covered"));
    let early = get("from=2026-07-01&to=2026-07-31").await;
    assert!(early.contains("Nothing was counted in this range"), "{early}");
    let address = unescaped(
        early
            .split("Nothing was counted")
            .nth(1)
            .unwrap()
            .split("href=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap(),
    );
    assert!(address.contains("from=2026-09-15&to=2026-10-12"), "{address}");
    assert_eq!(browser.get(&address).await.0, 200);
    let chinese = get("from=2026-11-09&to=2026-11-20&lang=zh").await;
    assert!(chinese.contains("msgcube 未运行，或未服务该公众号"), "{chinese}");
}

#[tokio::test]
async fn a_wrong_range_has_a_sentence_and_one_click_that_works() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    for (query, sentence) in [
        ("from=2026-11-20&to=2026-11-01", "The first day is after the last one."),
        ("from=2016-11-20&to=2026-11-20", "days are too many"),
        ("from=%22%3E%3Cimg%3E&to=2026-11-01", "\"><img> is no date"),
        ("from=2026-02-30&to=2026-11-01", "2026-02-30 is no date"),
        ("from=2026-11-01&to=2026-12-01", "The last day is in the future."),
        ("from=2026-12-01&to=2026-12-02", "These days are in the future."),
        ("from=2026-09-01&to=2026-11-01&by=hour", "too many hours"),
    ] {
        let (status, page) = browser.get(&format!("/ui/accounts/{APPID}?{query}")).await;
        let error = page.split("id=\"range-error\"").nth(1).unwrap().split("</p>").next().unwrap();
        assert!(status == 400 && unescaped(error).contains(sentence), "{query}: {error}");
        assert!(!page.contains("<img"), "{query}");
        let address = unescaped(error.split("href=\"").nth(1).unwrap().split('"').next().unwrap());
        assert_eq!(browser.get(&address).await.0, 200, "{query}: {address}");
        let saved = browser.request(Method::GET, &format!("/ui/accounts/{APPID}/figures.csv?{query}")).send();
        assert_eq!(saved.await.unwrap().status(), 303, "the page says what is wrong");
    }
}

#[tokio::test]
async fn an_account_is_shown_only_to_those_who_may_read_it() {
    let program = program().await;
    let (_, key) = add_key(&program, &[&format!("read:{OTHER}")]).await;
    let reader = Browser::signed_in(&program, &key).await;
    assert_eq!(reader.get(&format!("/ui/accounts/{OTHER}")).await.0, 200);
    for appid in [APPID, "wx-none", "%FF", "..%2F..%2Fv1"] {
        for file in ["", "/figures.csv", "/figures.xlsx", "/users.svg"] {
            let (status, page) = reader.get(&format!("/ui/accounts/{appid}{file}")).await;
            assert!([400, 404].contains(&status) && !page.contains("<table"), "{appid}{file}: {status}");
        }
    }
    let body = Some(json!({ "account": APPID }));
    let (_, link) = program.admin_call(Method::POST, "/v1/share-links", body).await;
    let path = link["url"].as_str().unwrap();
    let get = async |path: &str| {
        let answer = program.http.get(format!("{}{path}", program.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = get(&format!("{path}?from=2026-11-01&to=2026-11-27")).await;
    let signed_in = Browser::signed_in(&program, ADMIN_KEY).await;
    let (_, own) = signed_in.get(&format!("/ui/accounts/{APPID}?from=2026-11-01&to=2026-11-27")).await;
    assert_eq!(status, 200);
    for (title, part) in shown(&own) {
        assert_eq!(shown(&page)[&title].numbers, part.numbers, "{title}");
        assert!(shown(&page)[&title].addresses.is_empty(), "no key, no command");
    }
    for part in ["/v1/", "/ui/accounts", "/ui/live", OTHER] {
        assert!(!page.contains(part), "{part}");
    }
    for file in ["figures.csv", "figures.xlsx", "events.csv", "users.svg"] {
        assert!(page.contains(&format!("{path}/{file}?")), "{file}");
        assert_eq!(get(&format!("{path}/{file}?from=2026-11-01")).await.0, 200, "{file}");
    }
    assert_eq!(get(&format!("{path}/nothing.csv")).await.0, 404);
    assert_eq!(get("/ui/share/ms_0_0/figures.csv").await.0, 404);
    let token = path.strip_prefix("/ui/share/").unwrap();
    assert!(!program.log().contains(token), "{}", program.log());
}
