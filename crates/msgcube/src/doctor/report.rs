//! The findings as text and as JSON.

use std::fmt::Write as _;

use i18n::{Lang, Text, format, text};
use serde_json::{Value, json};

use super::finding::{Finding, Group, Section, Severity};
use crate::output::{escaped, painted};

/// Least width of the column with the findings, however narrow the terminal.
const TEXT_COLUMNS_MIN: usize = 30;

/// The number of findings of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindingCounts {
    pub problems: usize,
    pub warnings: usize,
    pub fine: usize,
    pub skipped: usize,
}

impl FindingCounts {
    pub fn of(sections: &[Section]) -> FindingCounts {
        let mut totals = FindingCounts::default();
        for finding in sections.iter().flat_map(|section| &section.findings) {
            match finding.severity {
                Severity::Ok | Severity::Note => totals.fine += 1,
                Severity::Warning => totals.warnings += 1,
                Severity::Problem => totals.problems += 1,
                Severity::Skipped => totals.skipped += 1,
            }
        }
        totals
    }
}

/// The findings as one JSON object, in English.
pub fn json(sections: &[Section]) -> String {
    let totals = FindingCounts::of(sections);
    let findings: Vec<Value> = sections
        .iter()
        .flat_map(|section| section.findings.iter().map(|finding| object(&section.group, finding)))
        .collect();
    json!({ "findings": findings, "problems": totals.problems, "warnings": totals.warnings }).to_string()
}

fn object(group: &Group, finding: &Finding) -> Value {
    let mut object = json!({ "id": finding.id, "state": finding.severity, "found": finding.found.english() });
    if let Some(remedy) = &finding.remedy {
        object["remedy"] = json!(remedy.english());
    }
    match group {
        Group::Account(appid) => object["account"] = json!(appid),
        Group::Platform(appid) => object["component"] = json!(appid),
        _ => {}
    }
    object
}

/// The findings as text, group by group. A remedy stands below its finding.
pub fn text(sections: &[Section], lang: Lang, colours: bool, columns: Option<usize>) -> String {
    let paint = |code: &str, text: &str| {
        if colours { painted(code, text) } else { escaped(text).into_owned() }
    };
    let width = sections.iter().flat_map(|section| &section.findings).map(|finding| finding.id.len()).max();
    let width = width.unwrap_or(0);
    let beside =
        columns.map_or(usize::MAX, |columns| columns.saturating_sub(width + 6).max(TEXT_COLUMNS_MIN));
    let next_line = format!("\n{:1$}", "", width + 6);
    let wrapped = |text: &str| format::wrap(&escaped(text), beside).join(&next_line);
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.findings.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", paint("1", &title(&section.group).in_lang(lang)));
        for finding in &section.findings {
            let (symbol, colour) = mark(finding.severity);
            let id = paint("2", &format!("{:width$}", finding.id));
            let _ =
                writeln!(text, "  {} {id}  {}", paint(colour, symbol), wrapped(&finding.found.in_lang(lang)));
            if let Some(remedy) = &finding.remedy {
                let remedy = format!("→ {}", remedy.in_lang(lang));
                let remedy = wrapped(&remedy).replacen('→', &paint(colour, "→"), 1);
                let _ = writeln!(text, "    {:width$}  {remedy}", "");
            }
        }
        text.push('\n');
    }
    text + &summary(FindingCounts::of(sections), lang, &paint)
}

fn mark(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Ok => ("✓", "32"),
        Severity::Note => ("·", "36"),
        Severity::Warning => ("!", "33"),
        Severity::Problem => ("✗", "31"),
        Severity::Skipped => ("-", "2"),
    }
}

fn title(group: &Group) -> Text {
    match group {
        Group::Configuration => text!("Configuration"),
        Group::Clock => text!("Clock"),
        Group::Disk => text!("Disk"),
        Group::ClickHouse => text!("ClickHouse (messages)"),
        Group::PostgreSql => text!("PostgreSQL (decisions)"),
        Group::Https => text!("Public address and certificate"),
        Group::Server => text!("Server"),
        Group::Account(appid) => text!("Account {appid}", appid),
        Group::Platform(appid) => text!("Platform {appid}", appid),
    }
}

fn summary(totals: FindingCounts, lang: Lang, paint: &dyn Fn(&str, &str) -> String) -> String {
    let FindingCounts { problems, warnings, fine, skipped } = totals;
    let problems_text =
        if problems == 1 { text!("1 problem") } else { text!("{problems} problems", problems) };
    let warnings_text =
        if warnings == 1 { text!("1 warning") } else { text!("{warnings} warnings", warnings) };
    let (problems_text, warnings_text) = (problems_text.in_lang(lang), warnings_text.in_lang(lang));
    let fine = text!("{fine} fine", fine).in_lang(lang);
    let skipped_text = text!(", {skipped} skipped", skipped).in_lang(lang);
    let comma = text!(", ").in_lang(lang);
    let problems_text = paint(if problems > 0 { "1;31" } else { "32" }, &problems_text);
    let warnings_text = paint(if warnings > 0 { "33" } else { "32" }, &warnings_text);
    let skipped_text = if skipped > 0 { skipped_text.as_str() } else { "" };
    format!("{problems_text}{comma}{warnings_text}{comma}{fine}{skipped_text}\n")
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn what_others_said_is_shown_without_its_control_characters_and_fits() {
        let name = "gh_\x1b[2J\u{202e}公众号 ".repeat(30);
        let finding = Finding::problem("account", name.clone(), format!("改名 {name}"));
        let sections = [Section { group: Group::Account("wx\x1b[31m1".to_owned()), findings: vec![finding] }];
        for lang in [Lang::En, Lang::Zh] {
            let plain = text(&sections, lang, false, Some(80));
            assert!(plain.lines().all(|line| line.width() <= 80), "{plain}");
            assert!(!plain.contains(['\u{202e}']) && plain.contains("gh_\\u001b[2J"), "{plain}");
            let coloured = text(&sections, lang, true, Some(80));
            assert!(!coloured.contains("\x1b[2J") && !coloured.contains("\x1b[31m1"), "{coloured}");
            assert!(coloured.contains("\x1b[31m✗\x1b[0m"), "{coloured}");
        }
    }
}
