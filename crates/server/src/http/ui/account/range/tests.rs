//! Ranges of days as they are asked for.

use i18n::Lang;

use super::*;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn parse(query: &str) -> RangeQuery {
    RangeQuery::parse("/ui/accounts/wx1", query, day("2026-11-28"))
}

/// First day, last day, granularity, and the days that they are compared with.
fn chosen(query: &str) -> (String, &'static str, Option<String>) {
    let chosen = parse(query).chosen.unwrap();
    let before = chosen.before.map(|(from, to)| format!("{from}..{to}"));
    (format!("{}..{}", chosen.from, chosen.to), granularity_name(chosen.granularity), before)
}

#[test]
fn without_a_query_it_is_the_last_28_whole_days_against_the_28_before() {
    let (days, by, before) = chosen("");
    assert_eq!((days.as_str(), by), ("2026-10-31..2026-11-27", "day"));
    assert_eq!(before.as_deref(), Some("2026-10-03..2026-10-30"));
    let current: Vec<RangePreset> =
        parse("").form.presets.iter().filter(|link| link.is_current).map(|link| link.preset).collect();
    assert_eq!(current, [RangePreset::Days(28)]);
}

#[test]
fn one_click_leads_to_whole_days_and_keeps_the_comparison() {
    let hrefs: Vec<String> = parse("by=hour&to=2026-11-02&from=2026-11-01&compare=year")
        .form
        .presets
        .into_iter()
        .map(|link| link.href)
        .collect();
    let days = [
        "2026-11-28&to=2026-11-28",
        "2026-11-21&to=2026-11-27",
        "2026-10-31&to=2026-11-27",
        "2026-08-30&to=2026-11-27",
        "2026-11-01&to=2026-11-27",
        "2025-12-01&to=2026-11-27",
    ];
    assert_eq!(hrefs, days.map(|days| format!("/ui/accounts/wx1?from={days}&compare=year")));
}

#[test]
fn the_length_of_the_range_chooses_the_periods_unless_the_query_does() {
    for (from, by) in [
        ("2026-11-27", "hour"),
        ("2026-11-26", "day"),
        ("2026-08-29", "day"),
        ("2026-08-28", "week"),
        ("2025-10-25", "week"),
        ("2025-10-24", "month"),
    ] {
        assert_eq!(chosen(&format!("from={from}&to=2026-11-28")).1, by, "{from}");
    }
    assert_eq!(chosen("from=2026-08-28&to=2026-11-28&by=day").1, "day");
    assert_eq!(chosen("from=2026-08-28&to=2026-11-28&by=year").1, "week", "a length that does not exist");
}

#[test]
fn months_are_compared_with_the_same_days_of_the_months_before() {
    for (query, before) in [
        ("from=2026-11-01&to=2026-11-27", Some("2026-10-01..2026-10-27")),
        ("from=2026-10-01&to=2026-10-31", Some("2026-09-01..2026-09-30")),
        ("from=2026-09-01&to=2026-09-30", Some("2026-08-01..2026-08-31")),
        ("from=2026-03-01&to=2026-03-30", Some("2026-02-01..2026-02-28")),
        ("from=2025-12-01&to=2026-11-27", Some("2024-12-01..2025-11-27")),
        ("from=2026-11-01&to=2026-11-14", Some("2026-10-18..2026-10-31")),
        ("from=2026-11-02&to=2026-11-04", Some("2026-10-30..2026-11-01")),
        ("from=2026-11-02&to=2026-11-04&compare=year", Some("2025-11-03..2025-11-05")),
        ("from=2026-11-02&to=2026-11-04&compare=none", None),
    ] {
        assert_eq!(chosen(query).2.as_deref(), before, "{query}");
    }
}

#[test]
fn one_day_alone_gives_the_other() {
    assert_eq!(chosen("from=2026-11-01").0, "2026-11-01..2026-11-27");
    assert_eq!(chosen("from=2026-11-28").0, "2026-11-28..2026-11-28");
    assert_eq!(chosen("to=2026-10-28").0, "2026-10-01..2026-10-28");
}

#[test]
fn each_mistake_has_a_sentence_and_one_click_that_works() {
    for (query, sentence) in [
        ("from=2026-11-27&to=2026-11-01", "The first day is after the last one."),
        ("from=2016-11-01&to=2026-11-01", "3653 days are too many: at most 1830 can be shown."),
        ("from=yesterday&to=2026-11-01", "yesterday is no date: write it like 2026-11-01."),
        ("from=2026-11-01&to=2026-02-30", "2026-02-30 is no date: write it like 2026-11-01."),
        ("from=2026-11-01&to=2026-11-29", "The last day is in the future."),
        ("from=2026-11-29&to=2027-11-01", "These days are in the future."),
        ("from=2026-11-29&to=2020-11-01", "These days are in the future."),
        ("from=2026-10-01&to=2026-11-01&by=hour", "32 days have too many hours: at most 31 days."),
        ("from=2025-10-01&to=2026-11-27&by=day", "423 days are too many rows: at most 400."),
        ("from=2025-10-01&to=2026-11-27&by=hour", "423 days have too many hours: at most 31 days."),
        ("from=9999-12-31&to=0000-01-01", "These days are in the future."),
        (
            "from=0000-01-01&to=0000-01-01&by=hour&to=9999-99-99",
            "9999-99-99 is no date: write it like 2026-11-01.",
        ),
    ] {
        let asked = parse(query);
        assert!(asked.chosen.is_none(), "{query}");
        let error = asked.form.error.unwrap();
        assert_eq!(error.text.in_lang(Lang::En), sentence, "{query}");
        let (_, address) = error.remedy.unwrap();
        let remedied = parse(address.strip_prefix("/ui/accounts/wx1?").unwrap());
        assert!(remedied.chosen.is_some(), "{query}: {address}");
    }
    let long = parse(&format!("from={}", "9".repeat(4000)));
    assert_eq!(long.form.from.len(), SHOWN_MAX);
}
