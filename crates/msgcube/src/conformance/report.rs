//! The report of a run as text, Markdown and JSON.

use std::fmt::Write as _;

use comfy_table::Table;
use datacube::Day;
use i18n::{Lang, Text, format, text};
use serde_json::{Value, json};

use super::{
    case::Certainty,
    case_run::{CaseResult, CaseVerdict, SkipReason, StepResult},
    describe,
    kit::CaseGroup,
    mask::shortened,
};
use crate::{
    output::{self, escaped},
    table::{COLUMNS, fitted},
};

/// Least width of the table in columns, however narrow the terminal.
const COLUMNS_MIN: usize = 60;
/// Cases that are shown in detail below the table.
const DETAILS_MAX: usize = 20;
/// Complaints that are shown for one request.
const COMPLAINTS_MAX: usize = 4;

/// The advice if rows were missing.
static ROWS_ADVICE: Text = text!("\
Missing rows could not be checked. Ask for an account that had messages of several types on the days before yesterday, in
the last full week and in the last month: one of `msgcube demo`, or one that is fed with `msgcube import` or
`msgcube send --create-time`.
");

/// The results of a run on one server.
#[derive(Debug)]
pub struct ConformanceReport<'a> {
    pub server: String,
    pub day: Day,
    pub groups: &'a [CaseGroup],
    /// The results of each group.
    pub results: Vec<Vec<CaseResult<'a>>>,
    /// Whether assumed expectations count, too (`--strict`).
    pub is_strict: bool,
}

/// The number of cases with each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    pub same: usize,
    /// Cases that differ from documented or seen behaviour.
    pub differ: usize,
    pub differ_from_assumed: usize,
    pub prevented: usize,
    pub not_asked: usize,
}

impl<'a> ConformanceReport<'a> {
    pub fn totals(&self) -> VerdictCounts {
        let mut totals = VerdictCounts::default();
        for result in self.results.iter().flatten() {
            let count = match result.verdict {
                CaseVerdict::Same => &mut totals.same,
                CaseVerdict::Differs if result.sure() == Certainty::Assumed => {
                    &mut totals.differ_from_assumed
                }
                CaseVerdict::Differs => &mut totals.differ,
                CaseVerdict::Prevented => &mut totals.prevented,
                CaseVerdict::NotAsked(_) => &mut totals.not_asked,
            };
            *count += 1;
        }
        totals
    }

    /// Whether the server agrees with the interface, as far as it could be tested.
    pub fn agrees(&self) -> bool {
        let decides = |result: &&CaseResult<'_>| self.is_strict || result.sure() > Certainty::Assumed;
        let results = || self.results.iter().flatten();
        let is_unmet =
            |result: &CaseResult<'_>| matches!(result.verdict, CaseVerdict::Differs | CaseVerdict::Prevented);
        results().filter(decides).all(|result| !is_unmet(result))
            && results().any(|result| result.verdict == CaseVerdict::Same)
    }

    fn lacks_rows(&self) -> bool {
        self.results.iter().flatten().any(|result| result.steps.iter().any(StepResult::lacks_rows))
    }

    fn grouped(&self) -> impl Iterator<Item = (&'a CaseGroup, &Vec<CaseResult<'a>>)> {
        self.groups.iter().zip(&self.results)
    }

    /// The report as text. `columns` is the width of the terminal.
    pub fn text(&self, lang: Lang, colours: bool, columns: Option<usize>) -> String {
        let mut text = format!("{}  {}\n", escaped(&self.server), self.day);
        let columns = columns.unwrap_or(COLUMNS).max(COLUMNS_MIN);
        for line in self.table(lang, columns).lines() {
            text.push_str(&painted(line.trim_end(), colours));
            text.push('\n');
        }
        text.push_str(&self.all_details(lang, columns));
        text.push('\n');
        text + &self.summary(lang)
    }

    fn table(&self, lang: Lang, columns: usize) -> Table {
        let [what, expected, sure, answered] = heading(lang);
        let mut rows: Vec<[String; 5]> = Vec::new();
        for (group, results) in self.grouped() {
            let title = lang.pick(&group.title.en, &group.title.zh).clone();
            rows.push([String::new(), title, String::new(), String::new(), String::new()]);
            rows.extend(results.iter().map(|result| {
                [
                    mark(result).to_owned(),
                    describe::name(result.case, lang).to_owned(),
                    describe::expected(result.case),
                    describe::sure(result.sure()).in_lang(lang),
                    describe::answered(result, lang),
                ]
            }));
        }
        fitted([String::new(), what, expected, sure, answered], rows, columns)
    }

    /// Details of the cases that differ, the most certain first.
    fn all_details(&self, lang: Lang, columns: usize) -> String {
        let mut unmet: Vec<&CaseResult<'_>> =
            self.results.iter().flatten().filter(|result| !is_fine(result)).collect();
        unmet.sort_by_key(|result| std::cmp::Reverse(result.sure()));
        let mut text: String =
            unmet.iter().take(DETAILS_MAX).map(|result| details(result, lang, columns)).collect();
        if let Some(more @ 1..) = unmet.len().checked_sub(DETAILS_MAX) {
            text.push_str(&text!("\n({more} more: --json has them all)\n", more).in_lang(lang));
        }
        text
    }

    /// The last lines: the numbers and the verdict.
    fn summary(&self, lang: Lang) -> String {
        let VerdictCounts { same, differ, differ_from_assumed, prevented, not_asked } = self.totals();
        let mut parts = vec![text!("{same} same", same).in_lang(lang)];
        let mut add = |number: usize, what: Text| {
            if number > 0 {
                parts.push(format!("{number} {}", what.in_lang(lang)));
            }
        };
        add(differ, text!("differ from what is documented or seen"));
        add(differ_from_assumed, text!("differ from what is only assumed"));
        add(prevented, text!("could not be tested"));
        add(not_asked, text!("not asked"));
        let verdict = match (self.agrees(), differ, prevented) {
            (true, ..) => {
                text!("It agrees with the interface, as far as it was asked.").in_lang(lang)
            }
            (false, 0, 1..) => text!("Not all of it could be tested.").in_lang(lang),
            (false, ..) => text!("It differs from the interface. If a call without a token was answered, the server has this address in allow_from: ask from another one.").in_lang(lang),
        };
        let advice = if self.lacks_rows() { ROWS_ADVICE.in_lang(lang) } else { String::new() };
        format!("{}\n{verdict}\n{advice}", parts.join(&text!(", ").in_lang(lang)))
    }

    /// The report as a Markdown table. A case that agrees says only `same`, so that the page does not change with each run.
    pub fn markdown(&self, lang: Lang) -> String {
        let row = |cells: [&str; 4]| {
            let cells = cells.map(|cell| cell.replace('|', "\\|").replace(['\n', '\r'], " "));
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = row(heading(lang).each_ref().map(String::as_str)) + "|---|---|---|---|\n";
        for (group, results) in self.grouped() {
            let title = format!("**{}**", lang.pick(&group.title.en, &group.title.zh));
            text.push_str(&row([&title, "", "", ""]));
            for result in results {
                let answered = match result.verdict {
                    CaseVerdict::Same => text!("same").in_lang(lang),
                    _ => code(&describe::answered(result, lang)),
                };
                let name = describe::name(result.case, lang);
                let expected = code(&describe::expected(result.case));
                text.push_str(&row([
                    name,
                    &expected,
                    &describe::sure(result.sure()).in_lang(lang),
                    &answered,
                ]));
            }
        }
        text
    }

    /// The report as one JSON object, in English.
    pub fn json(&self) -> String {
        let cases: Vec<Value> = self
            .grouped()
            .flat_map(|(group, results)| results.iter().map(|result| object(&group.title.en, result)))
            .collect();
        let VerdictCounts { same, differ, differ_from_assumed, prevented, not_asked } = self.totals();
        json!({
            "server": self.server, "day": self.day, "agrees": self.agrees(), "same": same, "differ": differ,
            "differ_from_assumed": differ_from_assumed, "prevented": prevented, "not_asked": not_asked,
            "cases": cases,
        })
        .to_string()
    }
}

fn heading(lang: Lang) -> [String; 4] {
    [text!("what is asked"), text!("expected"), text!("how sure"), text!("answered")]
        .map(|text| text.in_lang(lang))
}

fn code(text: &str) -> String {
    if text.contains('`') || text.is_empty() { text.to_owned() } else { format!("`{text}`") }
}

fn is_fine(result: &CaseResult<'_>) -> bool {
    matches!(result.verdict, CaseVerdict::Same | CaseVerdict::NotAsked(_))
}

fn mark(result: &CaseResult<'_>) -> &'static str {
    match result.verdict {
        CaseVerdict::Same => "✓",
        CaseVerdict::Differs if result.sure() == Certainty::Assumed => "~",
        CaseVerdict::Differs => "✗",
        CaseVerdict::Prevented => "?",
        CaseVerdict::NotAsked(_) => "-",
    }
}

/// Colours the mark at the beginning of a line.
fn painted(line: &str, colours: bool) -> String {
    let colour = match line.trim_start().chars().next() {
        Some('✓') => "32",
        Some('✗') => "31",
        Some('~' | '?') => "33",
        _ => return line.to_owned(),
    };
    let Some(mark) = line.trim_start().chars().next().filter(|_| colours) else { return line.to_owned() };
    line.replacen(mark, &output::painted(colour, &mark.to_string()), 1)
}

/// The requests that differ, with their answers and complaints.
fn details(result: &CaseResult<'_>, lang: Lang, columns: usize) -> String {
    let sure = describe::sure(result.sure()).in_lang(lang);
    let mut text = format!("\n{} {} ({sure})\n", mark(result), describe::name(result.case, lang));
    for asked in result.steps.iter().filter(|asked| !asked.complaints.is_empty()) {
        let mut line = |sign: &str, content: &str| {
            let indent = format!("\n{:1$}", "", sign.chars().count() + 5);
            let wrapped = format::wrap(&escaped(content), columns.saturating_sub(8)).join(&indent);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {sign} {wrapped}");
        };
        line(">", &request(asked));
        for answer in asked.outcomes.iter().flatten() {
            let kind = answer.header("content-type").unwrap_or("-");
            line("<", &format!("{} {kind}: {}", answer.status, format::quote(&answer.body)));
        }
        for complaint in asked.complaints.iter().take(COMPLAINTS_MAX) {
            line("→", &complaint.text().in_lang(lang));
        }
    }
    text
}

fn request(asked: &StepResult) -> String {
    let line = String::from_utf8_lossy(&asked.request.line);
    let headers = asked.request.headers.join("; ");
    let body = asked.request.body.as_deref().unwrap_or_default();
    let parts =
        [format::quote(shortened(&line).as_bytes()), format::quote(headers.as_bytes()), format::quote(body)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn object(group: &str, result: &CaseResult<'_>) -> Value {
    let verdict = match result.verdict {
        CaseVerdict::Same => "same",
        CaseVerdict::Differs => "differs",
        CaseVerdict::Prevented => "prevented",
        CaseVerdict::NotAsked(SkipReason::Disturbs) => "not_asked_disturbs",
        CaseVerdict::NotAsked(SkipReason::NeedsSecret) => "not_asked_needs_secret",
        CaseVerdict::NotAsked(SkipReason::NotRecorded) => "not_recorded",
        CaseVerdict::NotAsked(SkipReason::BrokenOff) => "broken_off",
    };
    let unmet = result.steps.iter().filter(|asked| !asked.complaints.is_empty());
    let differences: Vec<Value> = unmet
        .map(|asked| {
            let wrong: Vec<String> = asked.complaints.iter().map(|wrong| wrong.text().english()).collect();
            json!({ "request": request(asked), "wrong": wrong })
        })
        .collect();
    json!({
        "group": group, "name": result.case.name, "sure": result.sure(), "verdict": verdict,
        "expected": describe::expected(result.case), "answered": describe::answered(result, Lang::En),
        "differences": differences,
    })
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::{
        super::{complaint::Complaint, kit, request::Request},
        *,
    };
    use crate::probe::exchange::RawAnswer;

    fn asked(said: &str) -> StepResult {
        let answer = RawAnswer { status: 500, headers: Vec::new(), body: said.as_bytes().to_vec() };
        StepResult {
            at_s: 0,
            request: Request::default(),
            outcomes: vec![Ok(answer)],
            complaints: vec![Complaint::Lacks(said.to_owned())],
            sure: Certainty::Documented,
        }
    }

    #[test]
    fn the_table_fits_whatever_a_server_says() {
        let groups = kit::groups().unwrap();
        let day: Day = "2026-11-22".parse().unwrap();
        let said =
            format!(r#"{{"errcode":1,"errmsg":"\u001b[2J{} {}"}}"#, "公众号".repeat(40), "x".repeat(200));
        let results = groups.iter().map(|group| {
            let results = group.cases.iter().map(|case| CaseResult {
                verdict: CaseVerdict::Differs,
                steps: case.step.iter().map(|_| asked(&said)).collect(),
                ..CaseResult::not_asked(case, day, SkipReason::Disturbs)
            });
            results.collect()
        });
        let report = ConformanceReport {
            server: "http://x\x1b[2J".to_owned(),
            day,
            results: results.collect(),
            groups: &groups,
            is_strict: false,
        };
        for lang in [Lang::En, Lang::Zh] {
            let table = report.table(lang, COLUMNS).to_string();
            assert!(table.lines().all(|line| line.width() <= COLUMNS), "{table}");
            let text = report.text(lang, false, None);
            assert!(!text.contains('\x1b') && text.contains("http://x\\u001b[2J"), "{text}");
        }
    }
}
