//! Tables of large figures, the bars of terminals, and the default days.

use serde_json::{from_value, json};
use unicode_width::UnicodeWidthStr as _;

use super::{answers::AskedRow, *};

/// 2026-11-28 12:00 in Beijing.
const NOW_S: i64 = 1_795_838_400;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn listed(appid: &str, name: &str) -> ReadableAccount {
    let gaps = json!([["2026-11-05T00:00:00+08:00", "2026-11-05T01:00:00+08:00", "not_running"]]);
    let coverage = json!({ "since": "2026-11-02T00:00:00+08:00", "gaps": gaps });
    from_value(json!({ "appid": appid, "name": name, "coverage": coverage })).unwrap()
}

/// A row of each day from the 2nd on.
fn rows(appid: &str, part: Option<(&str, &str)>, figure: u64) -> Vec<AskedRow> {
    let row = |n: u64| {
        let period = day("2026-11-01").plus_days(i32::try_from(n).unwrap()).to_string();
        let mut row = json!({
            "account": appid, "period": period, "users": figure / n, "messages": figure / n, "new": 1,
            "new_is_early": true, "covered": n != 4, "bridged": 0,
        });
        if let Some((name, value)) = part {
            row[name] = value.into();
        }
        from_value(row).unwrap()
    };
    (1..=27).map(row).collect()
}

fn text(report: &FiguresReport<'_>) -> String {
    report.text(&[listed("wx1", "")])
}

#[test]
fn tables_fit_80_columns_with_and_without_bars_in_both_languages() {
    let days = DayRange { from: day("2026-11-01"), to: day("2026-11-30") };
    for (by, part) in [
        (None, None),
        (Some(StatsBy::Type), Some(("type", "shortvideo"))),
        (Some(StatsBy::Count), Some(("count", "6-10"))),
    ] {
        for figure in [0, 70_000_000, u64::MAX] {
            for (lang, bars) in [(Lang::En, true), (Lang::Zh, true), (Lang::En, false)] {
                let (rows, look) = (rows("wx1", part, figure), StatsLook { lang, columns: 80, bars });
                let period = StatsPeriod::Day;
                let report = FiguresReport {
                    look,
                    now_s: NOW_S,
                    days,
                    period,
                    by,
                    new: by.is_none(),
                    rows: &rows,
                    beside: &[],
                };
                let text = text(&report);
                assert!(text.lines().all(|line| line.width() <= 80), "{text}");
                assert_eq!(text.contains('█'), bars && (1..u64::MAX).contains(&figure), "{text}");
                // From the 2nd, when counting began, to today.
                assert!(text.contains("2026-11-28") && !text.contains("2026-11-29"), "{text}");
                assert!(!text.contains("\n 2026-11-01"), "{text}");
            }
        }
    }
}

#[test]
fn marks_stand_at_open_incomplete_and_early_periods_and_are_explained() {
    let days = DayRange { from: day("2026-11-01"), to: day("2026-11-28") };
    let look = StatsLook { lang: Lang::En, columns: 80, bars: false };
    let rows = rows("wx1", None, 100);
    let period = StatsPeriod::Day;
    let text = text(&FiguresReport {
        look,
        now_s: NOW_S,
        days,
        period,
        by: None,
        new: false,
        rows: &rows,
        beside: &[],
    });
    let line = |day: &str| text.lines().find(|line| line.starts_with(&format!(" {day}"))).unwrap().to_owned();
    assert!(
        line("2026-11-05").ends_with("gap, early") && line("2026-11-28").ends_with("open, early"),
        "{text}"
    );
    assert!(line("2026-11-06").ends_with(" early"), "{text}");
    assert!(
        text.contains("counted since 2026-11-02 00:00\n") && text.contains("gaps in this range: 1"),
        "{text}"
    );
    for mark in ["\nopen: ", "\ngap: ", "\nearly: "] {
        assert!(text.contains(mark), "{text}");
    }
}

#[test]
fn totals_have_a_line_an_account_with_its_days_as_a_spark_line() {
    let days = DayRange { from: day("2026-11-01"), to: day("2026-11-28") };
    let look = StatsLook { lang: Lang::En, columns: 80, bars: true };
    let total = json!({ "account": "wx1", "period": "2026-11-01", "users": 5, "messages": 9, "covered": true, "bridged": 0 });
    let (total, beside) = (vec![from_value(total).unwrap()], rows("wx1", None, 100));
    let period = StatsPeriod::Total;
    let report = FiguresReport {
        look,
        now_s: NOW_S,
        days,
        period,
        by: None,
        new: false,
        rows: &total,
        beside: &beside,
    };
    let text = report.text(&[listed("wx0", ""), listed("wx1", "Metro")]);
    let line = text.lines().find(|line| line.contains("wx1")).unwrap();
    assert!(line.contains("Metro") && line.contains("▁█▅▃"), "{text}");
    assert_eq!(line.chars().filter(|c| ('▁'..='█').contains(c)).count(), 28, "{text}");
    assert!(
        text.lines().any(|line| line.contains("wx0")) && text.lines().all(|line| line.width() <= 80),
        "{text}"
    );
}

#[test]
fn default_days_end_today_and_begin_with_a_whole_period() {
    let from = |period| DayRange::new(None, None, period, day("2026-11-28")).unwrap().from.to_string();
    assert_eq!(from(StatsPeriod::Hour), "2026-11-27");
    assert_eq!(from(StatsPeriod::Day), "2026-11-01");
    assert_eq!(from(StatsPeriod::Week), "2026-09-07");
    assert_eq!(from(StatsPeriod::Month), "2025-12-01");
    assert_eq!(from(StatsPeriod::Total), "2026-11-01");
    let typed = DayRange::new(None, Some(day("2026-02-15")), StatsPeriod::Month, day("2026-11-28")).unwrap();
    assert_eq!((typed.from, typed.to), (day("2025-03-01"), day("2026-02-15")));
    let wrong = DayRange::new(Some(day("2026-11-29")), None, StatsPeriod::Day, day("2026-11-28"));
    assert!(matches!(wrong, Err(StatsError::EndBeforeStart { .. })));
}

#[test]
fn a_far_range_has_only_periods_that_have_begun() {
    let days = DayRange { from: day("0001-01-01"), to: day("9999-12-31") };
    let begun = days.begun(StatsPeriod::Month, NOW_S);
    assert_eq!(begun.first().map(|period| period.name(StatsPeriod::Month)), Some("2011-01".to_owned()));
    assert_eq!(begun.last().map(|period| period.name(StatsPeriod::Month)), Some("2026-11".to_owned()));
    assert_eq!(days.begun(StatsPeriod::Total, NOW_S).len(), 1);
}
