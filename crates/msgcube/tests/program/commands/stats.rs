//! `msgcube stats` against the real program: the same figures as its API, in every form, and errors that help.

use reqwest::Method;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::{
    commands::scene::{self, APPID, Ended, Scene, TestResult},
    harness::{ADMIN_KEY, Program, account},
};

const OTHER: &str = "wx00000000000000b2";
const NOW: &str = "2025-03-20T12:00:00+08:00";
/// Days around the messages of [`scene::lines`], as options.
const MARCH: [&str; 4] = ["--from", "2025-03-01", "--to", "2025-03-09"];

/// Two accounts; the first has messages of three users on one day.
async fn two_accounts() -> TestResult<(Scene, Program)> {
    let scene = Scene::new()?;
    scene.append_config(&account("").replace(APPID, OTHER))?;
    let server = scene.serve_with(&["--now", NOW])?;
    server.bulk(APPID, scene::lines(1..=3)).await;
    let image = r#"{"FromUserName":"oUser1","CreateTime":1741000500,"MsgType":"image","MsgId":"900"}"#;
    server.bulk(APPID, image).await;
    Ok((scene, server))
}

fn stats(scene: &Scene, server: &Program, more: &[&str]) -> TestResult<Ended> {
    let config = scene.config();
    scene.run(&[&["stats", "--config", &config, "--server", &server.base], more].concat())
}

/// The words of the first line with this text.
fn words<'a>(ended: &'a Ended, text: &str) -> Vec<&'a str> {
    let line = ended.out.lines().find(|line| line.contains(text));
    line.map_or_else(Vec::new, |line| line.split_whitespace().collect())
}

#[tokio::test]
async fn json_and_csv_are_what_the_api_answers() -> TestResult<()> {
    let (scene, server) = two_accounts().await?;
    for options in [
        &["--period", "day"][..],
        &["--period", "total", "--by", "type"],
        &["--period", "week", "--by", "official"],
        &["--period", "day", "--by", "count"],
        &["--period", "month", "--new"],
    ] {
        let mut query = format!("from={}&to={}", MARCH[1], MARCH[3]);
        for option in options.join(" ").split(" --").map(|option| option.trim_start_matches("--")) {
            query = format!("{query}&{}", option.replace(' ', "=").replace("new", "new=true"));
        }
        let (_, answer) = server.admin_call(Method::GET, &format!("/v1/stats?{query}"), None).await;
        assert!(answer["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{query}: {answer}");
        let json = stats(&scene, &server, &[&MARCH[..], options, &["--json"]].concat())?;
        assert_eq!(serde_json::from_str::<Value>(&json.out)?, answer, "{query}: {json:?}");
        let path = format!("/v1/stats?{query}&format=csv");
        let answered = server.call(Method::GET, &path, ADMIN_KEY, None).await.text().await?;
        let csv = stats(&scene, &server, &[&MARCH[..], options, &["--csv"]].concat())?;
        assert_eq!(csv.out, answered, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn tables_have_each_account_and_the_whole_range_and_say_what_is_incomplete() -> TestResult<()> {
    let (scene, server) = two_accounts().await?;
    let days = stats(&scene, &server, &MARCH)?;
    assert_eq!(days.status, 0, "{days:?}");
    assert!(days.out.contains(APPID) && days.out.contains(OTHER), "{days:?}");
    assert_eq!(words(&days, "2025-03-03"), ["2025-03-03", "3", "4", "gap"], "{days:?}");
    assert!(days.out.contains("figures may be too low") && !days.out.contains("still grow"), "{days:?}");
    assert!(!days.out.contains(['█', '▁']), "a pipe gets no bars: {days:?}");

    let covers = format!("/v1/accounts/{APPID}/messages?covers=2025-03-01..2025-03-19");
    assert_eq!(server.admin_call(Method::POST, &covers, None).await.0, 200);
    let days = stats(&scene, &server, &[&[APPID][..], &MARCH].concat())?;
    assert_eq!(words(&days, "2025-03-03"), ["2025-03-03", "3", "4"], "{days:?}");
    assert_eq!(words(&days, "2025-03-04"), ["2025-03-04", "0", "0"], "{days:?}");
    assert_eq!(words(&days, "all"), ["all", "3", "4"], "{days:?}");
    assert!(!days.out.contains(OTHER) && !days.out.contains("too low"), "{days:?}");

    let named = stats(&scene, &server, &[&["--appid", APPID][..], &MARCH].concat())?;
    assert_eq!(named.out, days.out);
    let total = stats(&scene, &server, &[&MARCH[..], &["--period", "total"]].concat())?;
    assert_eq!(words(&total, APPID), [APPID, "3", "4"], "{total:?}");
    assert_eq!(words(&total, OTHER), [OTHER, "0", "0", "gap"], "{total:?}");
    let types = stats(&scene, &server, &[&MARCH[..], &["--by", "type", "--lang", "zh"]].concat())?;
    assert_eq!(words(&types, "文字"), ["2025-03-03", "文字", "3", "3"], "{types:?}");
    assert_eq!(words(&types, "图片"), ["图片", "1", "1"], "{types:?}");
    for ended in [days, total, types] {
        assert!(ended.out.lines().all(|line| line.width() <= 80), "{ended:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_days_it_shows_up_to_today_which_is_open() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let config = scene.config();
    assert_eq!(scene.run(&["send", "--config", &config, "--base", &server.base])?.status, 0);
    for period in ["hour", "day", "week", "month", "total"] {
        let ended = stats(&scene, &server, &["--period", period])?;
        assert_eq!(ended.status, 0, "{period}: {ended:?}");
        let open = ended.out.lines().find(|line| line.contains("open")).unwrap_or_default();
        let figures: Vec<&str> = open.split_whitespace().filter(|word| *word == "1").collect();
        assert_eq!(figures, ["1", "1"], "{period}: {ended:?}");
        assert!(ended.out.contains("still grow") && ended.out.contains("too low"), "{period}: {ended:?}");
    }
    let new = stats(&scene, &server, &["--new"])?;
    assert!(new.out.contains("new users") && new.out.contains("early"), "{new:?}");
    Ok(())
}

#[tokio::test]
async fn a_key_sees_its_own_accounts_and_nothing_of_others() -> TestResult<()> {
    let (scene, server) = two_accounts().await?;
    let new = json!({"name": "one", "scopes": [format!("read:{OTHER}")]});
    let (_, key) = server.admin_call(Method::POST, "/v1/keys", Some(new)).await;
    let file = scene.write("reader.key", key["key"].as_str().unwrap().as_bytes())?;
    for spelling in ["--key-file", "--admin-key-file"] {
        let read = ["stats", "--server", &server.base, spelling, &file];
        let own = scene.run(&[&read[..], &MARCH, &["--period", "total"]].concat())?;
        assert!(own.status == 0 && own.out.contains(OTHER) && !own.out.contains(APPID), "{own:?}");
        for other in [APPID, "wx-there-is-none"] {
            let refused = scene.run(&[&read[..], &[other], &MARCH].concat())?;
            assert_eq!((refused.status, refused.out.as_str()), (1, ""), "{refused:?}");
            assert!(refused.err.contains("does not have the scope"), "{refused:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn wrong_input_is_refused_with_a_remedy() -> TestResult<()> {
    let (scene, server) = two_accounts().await?;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nobody = format!("http://{closed}");
    for (options, status, said) in [
        (&["--from", "2025-03-09", "--to", "2025-03-01"][..], 1, "choose an earlier --from"),
        (&["--from", "2025-02-30"], 2, "that month ends on 2025-02-28"),
        (&["--period", "year"], 2, "hour, day, week, month, total"),
        (&["--new", "--by", "type"], 2, "cannot be used with"),
        (&["--json", "--csv"], 2, "cannot be used with"),
        (&["--new", "--period", "hour"], 1, "HTTP status 400"),
        (
            &["--by", "count", "--period", "week", "--from", "2025-03-04", "--to", "2025-03-09"],
            1,
            "2025-03-03",
        ),
        (&["wx-there-is-none"], 1, "no account has the appid wx-there-is-none"),
        (&["--key", "wrong"], 1, "the key is refused"),
        (&["--server", &nobody], 1, "is the server running?"),
        (&["--server", "127.0.0.1"], 2, "must begin with http://"),
    ] {
        let config = scene.config();
        let server: &[&str] = if options.contains(&"--server") { &[] } else { &["--server", &server.base] };
        let ended = scene.run(&[&["stats", "--config", &config], server, options].concat())?;
        assert_eq!((ended.status, ended.out.as_str()), (status, ""), "{options:?}: {ended:?}");
        assert!(ended.err.contains(said), "{options:?}: {ended:?}");
    }
    let chinese = stats(&scene, &server, &["--from", "2025-03-09", "--to", "2025-03-01", "--lang", "zh"])?;
    assert!(chinese.err.contains("晚于"), "{chinese:?}");
    Ok(())
}
