//! What can be saved: CSV, XLSX and SVG.

use std::io::Read as _;

use reqwest::Method;

use super::{EVENTS, NAME, program, shown};
use crate::{
    front::sign_in::{Browser, OTHER, add_key},
    harness::{ADMIN_KEY, APPID},
};

const RANGE: &str = "from=2026-11-01&to=2026-11-28&compare=none";

async fn saved(browser: &Browser<'_>, path: &str) -> Vec<u8> {
    let answer = browser.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let header = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(header.starts_with("attachment; filename=\"") && header.is_ascii(), "{header}");
    answer.bytes().await.unwrap().to_vec()
}

async fn csv_rows(browser: &Browser<'_>, path: &str) -> Vec<Vec<String>> {
    let bytes = saved(browser, path).await;
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn csv_files_hold_the_numbers_of_the_page_and_no_cell_is_run() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    let (_, page) = browser.get(&format!("/ui/accounts/{APPID}?{RANGE}")).await;
    let parts = shown(&page);
    for (file, title, words) in [
        ("types", "By type", 1),
        ("events", "Events", 1),
        ("distribution", "Users by number of messages", 2),
        ("hours", "When they write: messages by weekday and hour", 1),
        ("weeks", "New and returning users a week", 1),
    ] {
        let rows = csv_rows(&browser, &format!("/ui/accounts/{APPID}/{file}.csv?{RANGE}")).await;
        let cells = rows.iter().skip(1).flat_map(|row| row.iter().skip(words));
        let numbers: Vec<u64> =
            cells.filter(|cell| !cell.is_empty()).map(|cell| cell.parse().unwrap()).collect();
        assert!(!numbers.is_empty() && parts[title].numbers.starts_with(&numbers), "{file}: {rows:?}");
    }
    let rows = csv_rows(&browser, &format!("/ui/accounts/{APPID}/periods.csv?{RANGE}")).await;
    assert_eq!((rows.len(), rows[1][0].as_str(), rows[28][0].as_str()), (29, "2026-11-01", "2026-11-28"));
    let messages: Vec<u64> =
        rows[1..].iter().flat_map(|row| &row[3..]).map(|cell| cell.parse().unwrap()).collect();
    assert_eq!(messages, parts["Messages a day by type"].numbers);
    let all = csv_rows(&browser, &format!("/ui/accounts/{APPID}/figures.csv?{RANGE}")).await;
    assert!(all.len() > 60 && all.contains(&vec!["Coverage".to_owned()]), "{all:?}");
    let cells: Vec<&String> = all.iter().flatten().collect();
    for name in [NAME, EVENTS[0], EVENTS[2]] {
        assert!(cells.contains(&&format!("'{name}")), "{name} in {all:?}");
    }
    assert!(!cells.iter().any(|cell| cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{all:?}");
    let chinese = csv_rows(&browser, &format!("/ui/accounts/{APPID}/types.csv?{RANGE}&lang=zh")).await;
    assert_eq!(chinese[1][0], "文字");
    let (status, _) = browser.get(&format!("/ui/accounts/{APPID}/secrets.csv?{RANGE}")).await;
    assert_eq!(status, 404);
}

/// The parts of an XLSX file by name. It is a zip file whose directory stands at its end.
fn unpacked(zip: &[u8]) -> Vec<(String, String)> {
    let number = |at: usize, bytes: usize| {
        zip[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let end = zip.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let (count, mut at) = (number(end + 10, 2), number(end + 16, 4));
    let mut parts = Vec::new();
    for _ in 0..count {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02");
        let (method, packed, local) = (number(at + 10, 2), number(at + 20, 4), number(at + 42, 4));
        let lengths = [28, 30, 32].map(|field| number(at + field, 2));
        let name = String::from_utf8(zip[at + 46..at + 46 + lengths[0]].to_vec()).unwrap();
        let start = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        let mut text = String::new();
        let data = &zip[start..start + packed];
        match method {
            0 => text.push_str(std::str::from_utf8(data).unwrap()),
            8 => assert!(flate2::read::DeflateDecoder::new(data).read_to_string(&mut text).is_ok(), "{name}"),
            other => panic!("method {other}"),
        }
        parts.push((name, text));
        at += 46 + lengths.iter().sum::<usize>();
    }
    parts
}

#[tokio::test]
async fn a_spreadsheet_has_numbers_dates_and_texts_and_no_formula() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    let parts =
        unpacked(&saved(&browser, &format!("/ui/accounts/{APPID}/figures.xlsx?{RANGE}&lang=zh")).await);
    let part = |name: &str| &parts.iter().find(|(known, _)| known == name).unwrap().1;
    let workbook = part("xl/workbook.xml");
    for sheet in ["统计数据", "按天", "按类型", "事件", "星期与小时", "覆盖情况"] {
        assert!(workbook.contains(&format!("name=\"{sheet}\"")), "{workbook}");
    }
    let days = part("xl/worksheets/sheet2.xml");
    // 2026-11-01 is day 46,327 of spreadsheets.
    assert!(days.contains("<v>46327</v>") && days.contains("<v>46354</v>"), "{days}");
    let rows = csv_rows(&browser, &format!("/ui/accounts/{APPID}/periods.csv?{RANGE}")).await;
    for (at, row) in rows.iter().enumerate().skip(1) {
        let all = format!("<c r=\"I{}\"><v>{}</v></c>", at + 1, row[8]);
        assert!(days.contains(&all), "{all} in {days}");
    }
    let texts = part("xl/sharedStrings.xml");
    assert!(texts.contains("=cmd|' /C calc'!A0") && texts.contains("&lt;/td&gt;&lt;img"), "{texts}");
    for (name, text) in &parts {
        assert!(!text.contains("<f>") && !text.contains("<img"), "{name}: {text}");
    }
    assert!(part("docProps/core.xml").contains("2026-11-28T07:"), "{}", part("docProps/core.xml"));
}

#[tokio::test]
async fn charts_are_saved_as_svg() {
    let program = program().await;
    let browser = Browser::signed_in(&program, ADMIN_KEY).await;
    for chart in ["users", "messages", "hours", "weeks"] {
        let svg =
            String::from_utf8(saved(&browser, &format!("/ui/accounts/{APPID}/{chart}.svg?{RANGE}")).await)
                .unwrap();
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>"), "{svg}");
    }
    let short = "from=2026-11-27&to=2026-11-28";
    assert_eq!(browser.get(&format!("/ui/accounts/{APPID}/hours.svg?{short}")).await.0, 404);
}

#[tokio::test]
async fn the_list_of_accounts_is_saved_whole_and_only_as_far_as_one_may_read() {
    let program = program().await;
    for number in 0..60 {
        let new = serde_json::json!({"appid": format!("wx-{number}"), "secret": "a-secret-of-tests", "token": "tokenOfTests"});
        assert_eq!(program.admin_call(Method::POST, "/v1/accounts", Some(new)).await.0, 201);
    }
    let admin = Browser::signed_in(&program, ADMIN_KEY).await;
    let rows = csv_rows(&admin, "/ui/accounts.csv?page=2&sort=month").await;
    assert_eq!(rows.len(), 63, "all pages");
    assert_eq!((rows[1][0].as_str(), rows[1][1].as_str()), (format!("'{NAME}").as_str(), APPID));
    let summary = program.admin_get("/v1/summary").await;
    let own = summary["accounts"].as_array().unwrap().iter().find(|row| row["account"] == APPID).unwrap();
    for (column, name) in [(4, "today"), (7, "month"), (10, "last_month")] {
        assert_eq!(rows[1][column], own[name].to_string(), "{name}");
    }
    assert_eq!(csv_rows(&admin, "/ui/accounts.csv?q=wx-1").await.len(), 12);
    let (_, key) = add_key(&program, &[&format!("read:{OTHER}")]).await;
    let reader = Browser::signed_in(&program, &key).await;
    let rows = csv_rows(&reader, "/ui/accounts.csv").await;
    assert!(rows.len() == 2 && rows[1][1] == OTHER, "{rows:?}");
    let parts = unpacked(&saved(&reader, "/ui/accounts.xlsx").await);
    assert!(
        parts.iter().any(|(_, text)| text.contains(OTHER))
            && !parts.iter().any(|(_, text)| text.contains(APPID))
    );
}
