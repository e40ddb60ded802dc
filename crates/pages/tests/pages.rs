//! Every page, with ordinary and with hostile texts: escaping, content policy, accessibility, size, and charts that agree
//! with their tables.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot read a page has to stop")]

mod sample;

use std::collections::BTreeSet;

use datacube::Granularity;
use i18n::{Lang, format::grouped};
use pages::{Frame, NavEntry, SCRIPT, STYLE};
use sample::{HOSTILE, Sample};

/// Largest page in bytes.
const PAGE_BYTES_MAX: usize = 300_000;

/// All pages with a name.
fn all_pages(sample: Sample) -> Vec<(&'static str, String)> {
    let frame =
        |entry: NavEntry| Frame { notices: vec![sample.notice()], ..sample.frame(entry.path(), Some(entry)) };
    let account = |frame: &Frame| pages::account(frame, &sample.account(28));
    let mut pages = vec![
        ("overview", pages::overview(&frame(NavEntry::Overview), &sample.overview(5000, 50, 28))),
        ("account", account(&sample.frame("/ui/accounts/wx1", None))),
        (
            "account with an error",
            pages::account(&sample.frame("/ui/accounts/wx1", None), &sample.account_with_error()),
        ),
        ("share", account(&sample.bare_frame("/ui/share/x"))),
        ("live", pages::live(&frame(NavEntry::Live), &sample.live())),
        ("health", pages::health(&frame(NavEntry::Health), &sample.health(false))),
        ("keys", pages::keys(&frame(NavEntry::Keys), &sample.keys())),
        ("login", pages::login(&sample.bare_frame("/ui/login"), &sample.login())),
        (
            "reload",
            pages::login(
                &sample.bare_frame("/ui/login"),
                &pages::LoginPage { reloads: true, ..sample.login() },
            ),
        ),
        ("error", pages::error(&frame(NavEntry::Overview), &sample.error())),
    ];
    pages.extend(
        (1..6).map(|step| ("connect", pages::connect(&frame(NavEntry::Connect), &sample.connect(step)))),
    );
    pages
}

fn samples() -> [Sample; 3] {
    [
        Sample { lang: Lang::En, prefix: "" },
        Sample { lang: Lang::Zh, prefix: "" },
        Sample { lang: Lang::En, prefix: HOSTILE },
    ]
}

/// One tag: its name and its attributes.
struct HtmlTag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl HtmlTag {
    fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The opening tags of a page, as a browser reads them. The content of style and script is skipped.
fn tags(page: &str) -> Vec<HtmlTag> {
    let (mut tags, mut rest) = (Vec::new(), page);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let end = rest.find([' ', '>']).expect("a tag ends");
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut attributes = Vec::new();
        while !rest.starts_with('>') {
            rest = rest.trim_start();
            let end = rest.find(['=', ' ', '>']).expect("a tag ends");
            let attribute = rest[..end].to_owned();
            rest = &rest[end..];
            let mut value = String::new();
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let (inside, behind) = quoted.split_once('"').expect("a value ends");
                (value, rest) = (inside.to_owned(), behind);
            }
            attributes.push((attribute, value));
        }
        if name == "style" || name == "script" {
            rest = rest.split_once(&format!("</{name}>")).expect("it ends").1;
        }
        tags.push(HtmlTag { name, attributes });
    }
    assert!(tags.len() > 10, "the tags were not found");
    tags
}

#[test]
fn texts_from_outside_never_become_markup() {
    for (name, page) in all_pages(samples()[2]) {
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{name} shows no hostile text");
        assert!(!page.contains(HOSTILE), "{name}");
        assert!(tags(&page).iter().all(|tag| tag.name != "img"), "{name} has a foreign tag");
        assert_eq!(page.matches("<script>").count(), 1, "{name}");
        assert_eq!(page.matches("</script>").count(), 1, "{name}");
    }
}

#[test]
fn the_policy_needs_only_the_hashes_of_one_style_sheet_and_one_script() {
    for (name, page) in samples().into_iter().flat_map(all_pages) {
        assert!(page.contains(&format!("<style>{STYLE}</style>")), "{name}");
        assert!(page.contains(&format!("<script>{SCRIPT}</script>")), "{name}");
        for tag in tags(&page) {
            for (attribute, value) in &tag.attributes {
                assert!(
                    attribute != "style" && !attribute.starts_with("on"),
                    "{name}: {attribute} in {}",
                    tag.name
                );
                assert!(!value.starts_with("javascript:"), "{name}: {value}");
            }
            assert!(
                !["link", "iframe", "object", "base"].contains(&tag.name.as_str())
                    || tag.value("href") == Some("data:,"),
                "{name}"
            );
        }
    }
    assert!(SCRIPT.len() <= 5 * 1024, "the script has {} bytes", SCRIPT.len());
    assert!(!STYLE.contains("http") && !STYLE.contains("@import"));
}

#[test]
fn ids_are_unique_and_references_lead_to_them() {
    for (name, page) in samples().into_iter().flat_map(all_pages) {
        let tags = tags(&page);
        let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.value("id")).collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "{name} has an id twice: {ids:?}");
        let references = ["for", "aria-describedby"];
        for id in tags.iter().flat_map(|tag| references.iter().filter_map(|reference| tag.value(reference))) {
            assert!(unique.contains(id), "{name} has no {id}");
        }
        assert_eq!(
            tags.iter().filter(|tag| tag.name == "h1").count(),
            usize::from(name != "reload"),
            "{name}"
        );
    }
}

/// The rows of a table: the name, and the value of each number. Other cells are left out.
fn numbers_of(table: &str) -> Vec<(String, Vec<u64>)> {
    let body = table.split_once("<tbody>").expect("a table has a body").1;
    let row = |row: &str| {
        let name = row.split_once("<th scope=\"row\">")?.1.split_once("</th>")?.0.to_owned();
        let values = row.split("<data value=\"").skip(1).map(|rest| {
            let (value, shown) = rest.split_once("\">").expect("a value ends");
            let value: u64 = value.parse().expect("a whole number");
            assert_eq!(shown.split('<').next(), Some(grouped(value).as_str()), "what is shown is the value");
            value
        });
        Some((name, values.collect()))
    };
    body.split("<tr>").filter_map(row).collect()
}

/// A chart of a page with the table behind it.
struct FoundChart {
    label: String,
    columns: usize,
    rows: usize,
    table: Vec<(String, Vec<u64>)>,
}

fn charts(page: &str) -> Vec<FoundChart> {
    let figures =
        page.split("<figure").skip(1).map(|figure| figure.split_once("</figure>").expect("it ends").0);
    let chart = |figure: &str| {
        let found = tags(&format!("<figure{figure}"));
        let chart = found.iter().find(|tag| tag.value("role") == Some("img")).expect("a figure has a chart");
        let count = |name: &str| chart.value(name).expect("a chart has it").parse().expect("a number");
        let label = chart.value("aria-label").expect("a chart has a label").to_owned();
        FoundChart {
            label,
            columns: count("data-columns"),
            rows: count("data-rows"),
            table: numbers_of(figure),
        }
    };
    figures.map(chart).collect()
}

#[test]
fn every_chart_has_a_label_and_a_table_with_a_row_for_each_place() {
    for (name, page) in samples().into_iter().flat_map(all_pages) {
        let images = tags(&page).into_iter().filter(|tag| tag.value("role") == Some("img"));
        assert!(
            images.into_iter().all(|tag| tag.value("aria-label").is_some_and(|label| !label.is_empty())),
            "{name}"
        );
        for FoundChart { label, columns, rows, table } in charts(&page) {
            assert_eq!(table.len(), if rows > 1 { rows } else { columns }, "{name}: {label}");
        }
    }
}

#[test]
fn the_tables_of_an_account_hold_the_numbers_of_the_view_model() {
    let sample = samples()[0];
    let account = sample.account(28);
    let figures = account.figures.as_ref().expect("the sample has figures");
    let page = pages::account(&sample.frame("/ui/accounts/wx1", None), &account);
    let charts = charts(&page);
    let [users, messages, hours, weeks] = charts.as_slice() else {
        panic!("four charts, not {}", charts.len())
    };
    for (number, period) in figures.periods.iter().enumerate() {
        assert_eq!(period.period.granularity, Granularity::Day);
        let expected: Vec<u64> = period.users.into_iter().chain(period.users_before).collect();
        assert_eq!(users.table[number].1, expected, "{}", users.table[number].0);
        let mut expected = period.messages.to_vec();
        expected.push(period.messages.iter().sum());
        assert_eq!(messages.table[number].1, expected, "{}", messages.table[number].0);
    }
    let cells = hours.table.iter().map(|(_, numbers)| numbers.as_slice());
    assert!(cells.eq(figures.hours.expect("the sample has hours").iter().map(<[u64; 24]>::as_slice)));
    let expected: Vec<Vec<u64>> = figures.weeks.iter().map(|week| vec![week.returning, week.new]).collect();
    assert_eq!(weeks.table.iter().map(|(_, numbers)| numbers.clone()).collect::<Vec<_>>(), expected);
    assert!(users.label.starts_with("3,662 distinct users, most on "), "{}", users.label);
    for number in ["3662", "13837", "990", "218", "3.78"] {
        assert!(page.contains(&format!("<data value=\"{number}\">")), "{number}");
    }
}

#[test]
fn the_tables_of_overview_and_live_hold_the_numbers_of_the_view_model() {
    let sample = samples()[1];
    let overview = sample.overview(3, 3, 28);
    let found = charts(&pages::overview(&sample.frame("/ui/", None), &overview));
    for (day, (name, numbers)) in found[0].table.iter().enumerate() {
        let mut expected: Vec<u64> = overview.days.series.iter().map(|series| series.messages[day]).collect();
        expected.push(expected.iter().sum());
        assert_eq!(*numbers, expected, "{name}");
    }
    let live = sample.live();
    let found = charts(&pages::live(&sample.frame("/ui/live", None), &live));
    for (minute, (name, numbers)) in found[0].table.iter().enumerate() {
        let mut expected: Vec<u64> =
            live.minutes.iter().map(|series| u64::from(series.messages[minute])).collect();
        expected.push(expected.iter().sum());
        assert_eq!(*numbers, expected, "{name}");
    }
    for (hour, (name, numbers)) in found[1].table.iter().enumerate() {
        let expected: Vec<u64> = live.today[hour].into_iter().chain(live.last_week[hour]).collect();
        assert_eq!(*numbers, expected, "{name}");
    }
}

#[test]
fn large_pages_stay_small() {
    let sample = samples()[1];
    let overview = pages::overview(&sample.frame("/ui/", None), &sample.overview(5000, 50, 60));
    let account = pages::account(&sample.frame("/ui/accounts/wx1", None), &sample.account(400));
    for (name, page) in [("overview", overview), ("account", account)] {
        assert!(page.len() <= PAGE_BYTES_MAX, "{name} has {} bytes", page.len());
    }
}

#[test]
fn a_share_link_shows_no_navigation_and_no_form_that_changes_something() {
    let sample = samples()[0];
    let page = pages::account(&sample.bare_frame("/ui/share/x"), &sample.account(28));
    assert!(page.contains("<meta name=\"robots\" content=\"noindex\">"));
    assert!(
        !page.contains("method=\"post\"") && !page.contains("href=\"/ui/keys\"") && !page.contains("csrf")
    );
    assert!(page.contains("<form class=\"bar\" method=\"get\" action=\"/ui/share/x\">"));
}

#[test]
fn extreme_and_empty_figures_are_drawn() {
    let sample = samples()[0];
    let mut account = sample.account(28);
    let figures = account.figures.as_mut().expect("the sample has figures");
    for period in &mut figures.periods {
        period.messages = [u64::MAX; 5];
        period.users = Some(u64::MAX);
    }
    (figures.messages.value, figures.users.value) = (u64::MAX, 0);
    let frame = sample.frame("/ui/accounts/wx1", None);
    assert!(pages::account(&frame, &account).contains("<data value=\"18446744073709551615\">"));
    let figures = account.figures.as_mut().expect("the sample has figures");
    (figures.periods, figures.segments, figures.weeks, figures.events) = Default::default();
    (figures.hours, figures.distribution) = (Some([[0; 24]; 7]), None);
    assert!(pages::account(&frame, &account).contains("No messages"));
    let empty = sample.overview(0, 0, 0);
    assert!(pages::overview(&sample.frame("/ui/", None), &empty).contains("No account matches."));
}

#[test]
fn secrets_are_shown_once_and_not_in_debug() {
    let sample = samples()[0];
    let shows = |step| {
        pages::connect(&sample.frame("/ui/connect", None), &sample.connect(step)).contains("f81d4fae7dec11d0")
    };
    assert_eq!([1, 2, 3, 4, 5].map(shows), [false, true, false, false, false]);
    assert!(!format!("{:?} {:?}", sample.connect(2), sample.keys()).contains("f81d4fae7dec11d0"));
}

#[test]
fn files_of_charts_stand_alone() {
    let sample = samples()[2];
    let account = sample.account(28);
    let files = pages::account_svg_files(
        &sample.frame("/ui/accounts/wx1", None),
        account.figures.as_ref().expect("figures"),
    );
    assert_eq!(
        files.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["users", "messages", "hours", "weeks"]
    );
    for (name, file) in files {
        assert!(
            file.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && file.ends_with("</svg>"),
            "{name}"
        );
        assert!(
            !file.contains("var(") && !file.contains("url("),
            "{name} needs a style sheet or another file"
        );
    }
}
