//! `/ui/health`: what was refused and lost, in words, and who sees it.

use crate::{
    front::{
        health::broken,
        neighbour::until,
        sign_in::{Browser, OTHER, add_key, program},
    },
    harness::{
        ADMIN_KEY, AES_KEY, APPID, Program, TOKEN,
        callbacks::{CallbackReply, Text, success},
    },
};

const PATH: &str = "/ui/health";

async fn reader<'a>(program: &'a Program, appid: &str) -> Browser<'a> {
    let (_, key) = add_key(program, &[&format!("read:{appid}")]).await;
    Browser::signed_in(program, &key).await
}

/// The end of the newest gap in which messages were refused, as the page writes it. None: there is no such gap.
async fn end_of_refusals(program: &Program) -> Option<String> {
    let coverage = program.coverage(APPID).await;
    let gaps = coverage["gaps"].as_array().unwrap();
    let gap = gaps.iter().rev().find(|gap| gap[2] == "refused")?;
    Some(gap[1].as_str().unwrap()[..19].replace('T', " "))
}

#[tokio::test]
async fn a_gap_and_its_end_are_shown_to_whoever_may_read_the_account() {
    let program = program("");
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    let (mine, others) = (reader(&program, APPID).await, reader(&program, OTHER).await);
    let (_, page) = mine.get(PATH).await;
    assert!(page.contains("not connected") && page.contains("has not checked the address"), "{page}");
    for appid in [APPID, OTHER] {
        let text = Text::new("o1", 1).safe(TOKEN, AES_KEY, appid);
        assert_eq!(program.receive(appid, &text).await, success());
    }
    for browser in [&mine, &others] {
        let (status, page) = browser.get(PATH).await;
        assert!(
            status == 200 && page.contains("All is well since") && page.contains("There is no gap"),
            "{page}"
        );
        assert!(!page.contains("Disk") && !page.contains("memory_mib"), "only for admins: {page}");
    }
    assert!(others.get(&format!("{PATH}?lang=zh")).await.1.contains("一切正常"));
    let (_, page) = admin.get(PATH).await;
    for shown in ["Disk", "memory_mib", "Version", "Waiting copies", "2 callbacks were counted"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }

    let reply = program.receive(APPID, &Text::new("o1", 9).plain("other")).await;
    assert!(matches!(reply, CallbackReply::Reply(401, _)), "{reply:?}");
    until("a gap", async || {
        program.receive(APPID, &broken(TOKEN)).await;
        end_of_refusals(&program).await.is_some()
    })
    .await;
    let (_, page) = mine.get(PATH).await;
    for shown in ["refusing callbacks", "Messages of WeChat's were refused.", "malformed", "wrong_signature"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    until("the end of the gap", async || {
        let (_, page) = mine.get(PATH).await;
        let end = end_of_refusals(&program).await.unwrap();
        page.contains("the newest from") && page.contains(&format!(" to {end}."))
    })
    .await;
    assert!(mine.get(&format!("{PATH}?lang=zh")).await.1.contains("最近一段从"));
    let (_, page) = others.get(PATH).await;
    assert!(
        page.contains("All is well since") && !page.contains(APPID),
        "nothing of another account: {page}"
    );
    let (_, page) = admin.get(PATH).await;
    assert!(page.contains("the newest from") && page.contains(&format!("/ui/accounts/{APPID}")), "{page}");
    assert!(!page.contains("o1"), "no openids");
}
