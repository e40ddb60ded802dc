//! A judged run as a table: for people, for a page in Markdown, and for machines.

use std::fmt::Write as _;

use comfy_table::Table;
use datacube::Day;
use i18n::{Lang, format};
use i18n::{Text, text};
use serde_json::{Value, json};

use super::{
    case::Sure,
    describe,
    kit::Group,
    mask::shortened,
    walk::{Asked, Verdict, Walked, WhyNot},
};
use crate::{
    output::{self, escaped},
    table::{COLUMNS, fitted},
};

/// Columns for a table, however narrow the terminal.
const COLUMNS_MIN: usize = 60;
/// Cases that are explained below the table.
const DETAILS_MAX: usize = 20;
/// Complaints about one request that are shown.
const COMPLAINTS_MAX: usize = 4;

/// What to do if rows did not come.
static ROWS_ADVICE: Text = text!("\
Rows that did not come were not seen. Ask for an account that had messages of several types on the days before yesterday, in
the last full week and in the last month: one of `msgcube demo`, or one that is fed with `msgcube import` or
`msgcube send --create-time`.
");

/// What was found at whom.
#[derive(Debug)]
pub struct Report<'a> {
    pub server: String,
    pub day: Day,
    pub groups: &'a [Group],
    /// Of each group.
    pub walks: Vec<Vec<Walked<'a>>>,
    /// Whether what is assumed counts, too.
    pub is_strict: bool,
}

/// How often each verdict came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub same: usize,
    /// Of what is documented or seen.
    pub differ: usize,
    pub differ_from_assumed: usize,
    pub prevented: usize,
    pub not_asked: usize,
}

impl<'a> Report<'a> {
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for walked in self.walks.iter().flatten() {
            let count = match walked.verdict {
                Verdict::Same => &mut totals.same,
                Verdict::Differs if walked.sure() == Sure::Assumed => &mut totals.differ_from_assumed,
                Verdict::Differs => &mut totals.differ,
                Verdict::Prevented => &mut totals.prevented,
                Verdict::NotAsked(_) => &mut totals.not_asked,
            };
            *count += 1;
        }
        totals
    }

    /// Whether the server is the interface, as far as it could be asked.
    pub fn agrees(&self) -> bool {
        let decides = |walked: &&Walked<'_>| self.is_strict || walked.sure() > Sure::Assumed;
        let walked = || self.walks.iter().flatten();
        let is_unmet = |walked: &Walked<'_>| matches!(walked.verdict, Verdict::Differs | Verdict::Prevented);
        walked().filter(decides).all(|walked| !is_unmet(walked))
            && walked().any(|walked| walked.verdict == Verdict::Same)
    }

    fn lacks_rows(&self) -> bool {
        self.walks.iter().flatten().any(|walked| walked.asked.iter().any(Asked::lacks_rows))
    }

    fn grouped(&self) -> impl Iterator<Item = (&'a Group, &Vec<Walked<'a>>)> {
        self.groups.iter().zip(&self.walks)
    }

    /// For people; `columns`: of the terminal.
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
        for (group, walks) in self.grouped() {
            let title = lang.pick(&group.title.en, &group.title.zh).clone();
            rows.push([String::new(), title, String::new(), String::new(), String::new()]);
            rows.extend(walks.iter().map(|walked| {
                [
                    mark(walked).to_owned(),
                    describe::name(walked.case, lang).to_owned(),
                    describe::expected(walked.case),
                    describe::sure(walked.sure(), lang).clone(),
                    describe::answered(walked, lang),
                ]
            }));
        }
        fitted([String::new(), what, expected, sure, answered], rows, columns)
    }

    /// Of what is not as expected, the surest first.
    fn all_details(&self, lang: Lang, columns: usize) -> String {
        let mut unmet: Vec<&Walked<'_>> =
            self.walks.iter().flatten().filter(|walked| !is_fine(walked)).collect();
        unmet.sort_by_key(|walked| std::cmp::Reverse(walked.sure()));
        let mut text: String =
            unmet.iter().take(DETAILS_MAX).map(|walked| details(walked, lang, columns)).collect();
        if let Some(more @ 1..) = unmet.len().checked_sub(DETAILS_MAX) {
            text.push_str(&text!("\n({more} more: --json has them all)\n", more).in_lang(lang));
        }
        text
    }

    /// The last lines: numbers, and what they mean.
    fn summary(&self, lang: Lang) -> String {
        let Totals { same, differ, differ_from_assumed, prevented, not_asked } = self.totals();
        let mut parts = vec![text!("{same} same", same).in_lang(lang)];
        let mut add = |number: usize, what: Text| {
            if number > 0 {
                parts.push(format!("{number} {}", what.in_lang(lang)));
            }
        };
        add(differ, text!("differ from what is documented or seen"));
        add(differ_from_assumed, text!("differ from what is only assumed"));
        add(prevented, text!("could not be seen"));
        add(not_asked, text!("not asked"));
        let verdict = match (self.agrees(), differ, prevented) {
            (true, ..) => {
                text!("It is the interface, as far as it was asked.").in_lang(lang)
            }
            (false, 0, 1..) => text!("Not all of it could be seen.").in_lang(lang),
            (false, ..) => text!("It differs from the interface. If a call without a token was answered: this address may do so there (allow_from); ask from another.").in_lang(lang),
        };
        let advice = if self.lacks_rows() { ROWS_ADVICE.in_lang(lang) } else { String::new() };
        format!("{}\n{verdict}\n{advice}", parts.join(&text!(", ").in_lang(lang)))
    }

    /// A table for a page. What is as expected says so in one word, so that the page stays the same.
    pub fn markdown(&self, lang: Lang) -> String {
        let row = |cells: [&str; 4]| {
            let cells = cells.map(|cell| cell.replace('|', "\\|").replace(['\n', '\r'], " "));
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = row(heading(lang).each_ref().map(String::as_str)) + "|---|---|---|---|\n";
        for (group, walks) in self.grouped() {
            let title = format!("**{}**", lang.pick(&group.title.en, &group.title.zh));
            text.push_str(&row([&title, "", "", ""]));
            for walked in walks {
                let answered = match walked.verdict {
                    Verdict::Same => text!("same").in_lang(lang),
                    _ => code(&describe::answered(walked, lang)),
                };
                let name = describe::name(walked.case, lang);
                let expected = code(&describe::expected(walked.case));
                text.push_str(&row([name, &expected, &describe::sure(walked.sure(), lang), &answered]));
            }
        }
        text
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let cases: Vec<Value> = self
            .grouped()
            .flat_map(|(group, walks)| walks.iter().map(|walked| object(&group.title.en, walked)))
            .collect();
        let Totals { same, differ, differ_from_assumed, prevented, not_asked } = self.totals();
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

fn is_fine(walked: &Walked<'_>) -> bool {
    matches!(walked.verdict, Verdict::Same | Verdict::NotAsked(_))
}

fn mark(walked: &Walked<'_>) -> &'static str {
    match walked.verdict {
        Verdict::Same => "✓",
        Verdict::Differs if walked.sure() == Sure::Assumed => "~",
        Verdict::Differs => "✗",
        Verdict::Prevented => "?",
        Verdict::NotAsked(_) => "-",
    }
}

/// The mark in the colour of what it means.
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

/// What was asked, what came, and what is wrong with it.
fn details(walked: &Walked<'_>, lang: Lang, columns: usize) -> String {
    let sure = describe::sure(walked.sure(), lang);
    let mut text = format!("\n{} {} ({sure})\n", mark(walked), describe::name(walked.case, lang));
    for asked in walked.asked.iter().filter(|asked| !asked.complaints.is_empty()) {
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
            line("→", &complaint.text(lang));
        }
    }
    text
}

fn request(asked: &Asked) -> String {
    let line = String::from_utf8_lossy(&asked.request.line);
    let headers = asked.request.headers.join("; ");
    let body = asked.request.body.as_deref().unwrap_or_default();
    let parts =
        [format::quote(shortened(&line).as_bytes()), format::quote(headers.as_bytes()), format::quote(body)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn object(group: &str, walked: &Walked<'_>) -> Value {
    let verdict = match walked.verdict {
        Verdict::Same => "same",
        Verdict::Differs => "differs",
        Verdict::Prevented => "prevented",
        Verdict::NotAsked(WhyNot::Disturbs) => "not_asked_disturbs",
        Verdict::NotAsked(WhyNot::NeedsSecret) => "not_asked_needs_secret",
        Verdict::NotAsked(WhyNot::NotRecorded) => "not_recorded",
        Verdict::NotAsked(WhyNot::BrokenOff) => "broken_off",
    };
    let unmet = walked.asked.iter().filter(|asked| !asked.complaints.is_empty());
    let differences: Vec<Value> = unmet
        .map(|asked| {
            let wrong: Vec<String> = asked.complaints.iter().map(|wrong| wrong.text(Lang::En)).collect();
            json!({ "request": request(asked), "wrong": wrong })
        })
        .collect();
    json!({
        "group": group, "name": walked.case.name, "sure": walked.sure(), "verdict": verdict,
        "expected": describe::expected(walked.case), "answered": describe::answered(walked, Lang::En),
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
    use crate::probe::exchange::Answer;

    fn asked(said: &str) -> Asked {
        let answer = Answer { status: 500, headers: Vec::new(), body: said.as_bytes().to_vec() };
        Asked {
            at_s: 0,
            request: Request::default(),
            outcomes: vec![Ok(answer)],
            complaints: vec![Complaint::Lacks(said.to_owned())],
            sure: Sure::Documented,
        }
    }

    #[test]
    fn the_table_fits_whatever_a_server_says() {
        let groups = kit::groups().unwrap();
        let day: Day = "2026-11-22".parse().unwrap();
        let said =
            format!(r#"{{"errcode":1,"errmsg":"\u001b[2J{} {}"}}"#, "公众号".repeat(40), "x".repeat(200));
        let walks = groups.iter().map(|group| {
            let walked = group.cases.iter().map(|case| Walked {
                verdict: Verdict::Differs,
                asked: case.step.iter().map(|_| asked(&said)).collect(),
                ..Walked::not_asked(case, day, WhyNot::Disturbs)
            });
            walked.collect()
        });
        let report = Report {
            server: "http://x\x1b[2J".to_owned(),
            day,
            walks: walks.collect(),
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
