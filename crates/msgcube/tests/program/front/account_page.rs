//! The page of an account: each number on it is the one that the `curl` command beside it gives, and its files hold the
//! same numbers.

mod files;
mod ranges;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::sign_in::{Browser, OTHER};
use crate::harness::{ADMIN_KEY, APPID, Folder, Program, account};

/// 15:15:03 on a Saturday in Beijing.
const NOW: &str = "2026-11-28T15:15:03+08:00";
/// The name of the account, and the names of its events: they end their surroundings if they are not escaped.
const NAME: &str = "=1+1</title><script>alert(1)</script>";
const EVENTS: [&str; 4] =
    ["=cmd|' /C calc'!A0", "</td><img src=x onerror=alert(1)>", "@SUM(1),\"x\"", "CLICK"];
const KINDS: [&str; 8] = ["text", "text", "image", "voice", "video", "shortvideo", "link", "location"];
/// Nothing was sent and nothing was counted on this day.
const LOST_DAY: &str = "2026-11-11";
/// Nothing was sent on this day, and it was counted.
const QUIET_DAY: &str = "2026-11-18";

fn midnight_s(day: &str) -> i64 {
    format!("{day}T00:00:00+08:00").parse::<jiff::Timestamp>().unwrap().as_second()
}

/// A message of a user at a time. Its number makes the rest of it different from the others.
fn line(number: i64, time_s: i64) -> String {
    let at = |length: usize| usize::try_from(number).unwrap() % length;
    // Every fifth message is from somebody who never wrote before.
    let user = if number % 5 == 0 {
        format!("n{number}")
    } else {
        format!("o{}", number * number % 47 + number % 3)
    };
    let message = match number % 9 {
        0 => {
            json!({"FromUserName": user, "CreateTime": time_s, "MsgType": "event", "Event": EVENTS[at(4)], "EventKey": number.to_string()})
        }
        _ => json!({"FromUserName": user, "CreateTime": time_s, "MsgType": KINDS[at(8)], "MsgId": number}),
    };
    format!("{message}\n")
}

/// An account with messages of 90 days until now. Every seventh one arrives late, in a later import.
pub async fn program() -> Program {
    let accounts = format!("name = {NAME:?}\n{}", account("").replace(APPID, OTHER));
    let program = Folder::new("", &accounts).serve_with(&["--now", NOW]).unwrap();
    let (first_s, now_s) = (midnight_s("2026-08-30"), NOW.parse::<jiff::Timestamp>().unwrap().as_second());
    let (mut first, mut late, mut number) = (String::new(), String::new(), 1);
    let mut time_s = first_s;
    while time_s < now_s {
        let is_sent = ![LOST_DAY, QUIET_DAY]
            .iter()
            .any(|day| (midnight_s(day)..midnight_s(day) + 86_400).contains(&time_s));
        if is_sent {
            if number % 7 == 0 { &mut late } else { &mut first }.push_str(&line(number, time_s));
        }
        number += 1;
        time_s += 4000 + number * 7919 % 5000;
    }
    for (lines, covers) in [(first, "2026-09-15..2026-11-10"), (late, "2026-11-12..2026-11-27")] {
        let url = format!("{}/v1/accounts/{APPID}/messages?covers={covers}", program.base);
        let answer: Value = program
            .http
            .post(url)
            .bearer_auth(ADMIN_KEY)
            .body(lines)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(answer["rejected"] == 0 && answer["covers"] == "claimed", "{answer}");
    }
    program.bulk(OTHER, line(1, now_s)).await;
    program
}

fn unescaped(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// What the page shows of one subject.
#[derive(Debug, Default)]
struct ShownPart {
    /// The numbers, in order.
    numbers: Vec<u64>,
    /// The addresses of its `curl` commands.
    addresses: Vec<String>,
}

impl ShownPart {
    fn of(html: &str) -> ShownPart {
        let numbers = html.split("<data value=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let commands = html.split("curl -H &quot;Authorization: Bearer $MSGCUBE_KEY&quot; '").skip(1);
        ShownPart {
            numbers: numbers.filter_map(|number| number.parse().ok()).collect(),
            addresses: commands.map(|rest| unescaped(rest.split('\'').next().unwrap())).collect(),
        }
    }
}

/// The parts of a page by their titles; the tiles by theirs.
fn shown(html: &str) -> BTreeMap<String, ShownPart> {
    let text = |html: &str, end: &str| html.split(end).next().unwrap().to_owned();
    let mut parts = BTreeMap::new();
    for card in html.split("<section class=\"card ").skip(1) {
        let title = card.split("<h2>").nth(1).unwrap();
        parts.insert(text(title, "</h2>"), ShownPart::of(&text(card, "</section>")));
    }
    for tile in html.split("<div class=\"tile\"><dt>").skip(1) {
        parts.insert(text(tile, "</dt>"), ShownPart::of(&text(tile, "</div>")));
    }
    let commands = html.split("<details class=\"folded commands\">").nth(1).unwrap_or_default();
    for command in text(commands, "</details>").split("<p>").skip(1) {
        let name = text(command, "</p>");
        let name = if name == "Today" { "Messages today".to_owned() } else { name };
        let tile = parts.iter_mut().find(|(title, _)| title.starts_with(&name)).unwrap().1;
        tile.addresses = ShownPart::of(command).addresses;
    }
    parts
}

/// The rows that the only command of a part gives.
async fn rows(program: &Program, part: &ShownPart) -> Vec<Value> {
    let [address] = &part.addresses[..] else { panic!("one command: {part:?}") };
    let answer = program.http.get(address).bearer_auth(ADMIN_KEY).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{address}");
    answer.json::<Value>().await.unwrap()["rows"].as_array().unwrap().clone()
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_default()
}

fn sum(rows: &[Value], name: &str) -> u64 {
    rows.iter().map(|row| number(row, name)).sum()
}

/// The row of a type. Types without messages have none.
fn of_type(rows: &[Value], kind: &str) -> Value {
    rows.iter().find(|row| row["type"] == kind).cloned().unwrap_or_default()
}

const TYPES: [&str; 5] = ["text", "image", "voice", "video", "link"];

/// The periods of rows in order, each once.
fn periods(rows: &[Value]) -> Vec<String> {
    let mut periods: Vec<String> =
        rows.iter().map(|row| row["period"].as_str().unwrap().to_owned()).collect();
    periods.dedup();
    periods
}

#[tokio::test]
async fn each_number_is_the_one_that_its_command_gives() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    for query in [
        "compare=none",
        "from=2026-11-01&to=2026-11-28&compare=none",
        "from=2026-11-26&to=2026-11-27&compare=none",
        "from=2026-09-01&to=2026-10-31&compare=none",
        "from=2026-08-30&to=2026-11-28&by=week&compare=none",
        "from=2025-11-01&to=2026-11-28&compare=none",
        "from=2025-10-01&to=2026-11-28&compare=none",
    ] {
        let (status, html) = browser.get(&format!("/ui/accounts/{APPID}?{query}")).await;
        assert_eq!(status, 200, "{html}");
        let parts = shown(&html);
        tiles_agree(&program, &parts, query).await;
        series_agree(&program, &parts, query).await;
        tables_agree(&program, &parts, query).await;
        let title = unescaped(html.split("<title>").nth(1).unwrap().split("</title>").next().unwrap());
        assert_eq!(title, format!("{NAME} · msgcube"));
        assert!(!html.contains("<script>alert") && !html.contains("<img"), "a name ends its surroundings");
    }
}

async fn tiles_agree(program: &Program, parts: &BTreeMap<String, ShownPart>, query: &str) {
    let tile = |name: &str| parts.iter().find(|(title, _)| title.starts_with(name)).unwrap().1;
    for (name, column) in [("Distinct users", "users"), ("Messages sent", "messages"), ("New users", "new")] {
        let rows = rows(program, tile(name)).await;
        assert!(sum(&rows, column) > 0);
        assert_eq!(tile(name).numbers, [sum(&rows, column)], "{name}: {query}");
    }
    let today = tile("Messages today until 15:");
    assert_eq!(today.numbers, [sum(&rows(program, today).await, "messages")], "{query}");
}

async fn series_agree(program: &Program, parts: &BTreeMap<String, ShownPart>, query: &str) {
    let part = |start: &str, end: &str| {
        parts.iter().find(|(title, _)| title.starts_with(start) && title.ends_with(end)).unwrap().1
    };
    let (users_part, messages_part) = (part("Users a", ""), part("Messages a", "by type"));
    let users = rows(program, users_part).await;
    // A covered day without messages has no row, and the page shows its zero.
    let shown_users: Vec<u64> = users_part.numbers.iter().copied().filter(|users| *users > 0).collect();
    assert_eq!(shown_users, users.iter().map(|row| number(row, "users")).collect::<Vec<_>>(), "{query}");
    let by_type = rows(program, messages_part).await;
    let of_period = |period: &String| {
        let rows: Vec<Value> = by_type.iter().filter(|row| row["period"] == **period).cloned().collect();
        TYPES.map(|kind| number(&of_type(&rows, kind), "messages"))
    };
    let expected: Vec<[u64; 5]> = periods(&by_type).iter().map(of_period).collect();
    let shown: Vec<&[u64]> = messages_part.numbers.chunks(6).filter(|row| row[5] > 0).collect();
    assert_eq!(shown.iter().map(|row| &row[..5]).collect::<Vec<_>>(), expected, "{query}");
    assert!(shown.iter().all(|row| row[..5].iter().sum::<u64>() == row[5]), "{query}");
}

async fn tables_agree(program: &Program, parts: &BTreeMap<String, ShownPart>, query: &str) {
    let types = rows(program, &parts["By type"]).await;
    let total = [part_total(parts, "Distinct users"), part_total(parts, "Messages sent")];
    let of_kind = |kind| ["users", "messages"].map(|name| number(&of_type(&types, kind), name));
    let expected: Vec<u64> = TYPES.into_iter().flat_map(of_kind).chain(total).collect();
    assert_eq!(parts["By type"].numbers, expected, "{query}");

    let by_count = rows(program, &parts["Users by number of messages"]).await;
    let users =
        |count: &str| by_count.iter().find(|row| row["count"] == count).map_or(0, |row| number(row, "users"));
    assert_eq!(parts["Users by number of messages"].numbers, ["1-5", "6-10", "11+"].map(users), "{query}");

    let all = rows(program, &parts["Events"]).await;
    let event = of_type(&all, "event");
    let mut events: Vec<u64> =
        event["events"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
    events.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(parts["Events"].numbers, events, "{query}");

    if let Some(hours) = parts.get("When they write: messages by weekday and hour") {
        let mut expected = vec![0; 7 * 24];
        for row in rows(program, hours).await {
            let (day, hour) = row["period"].as_str().unwrap().split_once('T').unwrap();
            let weekday = day.parse::<jiff::civil::Date>().unwrap().weekday().to_monday_zero_offset();
            expected[usize::try_from(weekday).unwrap() * 24 + hour.parse::<usize>().unwrap()] +=
                number(&row, "messages");
        }
        assert_eq!(hours.numbers, expected, "{query}");
    }
    if let Some(weeks) = parts.get("New and returning users a week") {
        let rows = rows(program, weeks).await;
        let expected: Vec<[u64; 2]> =
            rows.iter().map(|row| [number(row, "users") - number(row, "new"), number(row, "new")]).collect();
        let shown: Vec<&[u64]> = weeks.numbers.chunks(2).filter(|week| week[0] + week[1] > 0).collect();
        assert_eq!(shown, expected, "{query}");
    }
}

fn part_total(parts: &BTreeMap<String, ShownPart>, name: &str) -> u64 {
    parts[name].numbers[0]
}
