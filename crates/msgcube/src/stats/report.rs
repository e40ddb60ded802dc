//! Figures as tables: one for each account, or one line an account if the period is the whole range.

use comfy_table::{CellAlignment, Table};
use i18n::{Lang, Text, format::wrap, text};
use unicode_width::UnicodeWidthStr as _;

use super::{
    StatsBy, StatsLook, StatsPeriod,
    answers::{AskedRow, ReadableAccount},
    days::{self, BegunPeriod, DayRange},
    marks::Marks,
};
use crate::table::{bar, fitted, grouped, sparkline};

/// Columns of a bar.
const BAR_COLUMNS: usize = 10;
/// Most columns of a spark line. Half of them if there is a column for types, so that a table fits 80 columns.
const SPARKS_MAX: usize = 28;

/// Rows, and what is needed to show them.
pub(super) struct FiguresReport<'a> {
    pub(super) look: StatsLook,
    pub(super) now_s: i64,
    pub(super) days: DayRange,
    pub(super) period: StatsPeriod,
    pub(super) by: Option<StatsBy>,
    /// Whether the rows have new users.
    pub(super) new: bool,
    /// Sorted by account, then by period.
    pub(super) rows: &'a [AskedRow],
    /// The rows of [`days::beside`], sorted likewise.
    pub(super) beside: &'a [AskedRow],
}

/// A line of a table.
struct Line {
    /// A period, or an account and its name. Empty: the same as in the line before.
    names: Vec<String>,
    /// A type or a number of messages.
    part: String,
    users: u64,
    messages: u64,
    new: u64,
    picture: String,
    marks: Marks,
}

impl FiguresReport<'_> {
    /// The tables of these accounts, with what the marks mean below.
    pub(super) fn text(&self, accounts: &[ReadableAccount]) -> String {
        let mut seen = Marks::default();
        let tables: Vec<String> = match self.period {
            StatsPeriod::Total => vec![self.totals(accounts, &mut seen)],
            _ => accounts.iter().map(|account| self.of_account(account, &mut seen)).collect(),
        };
        let mut text = tables.join("\n");
        for meaning in seen.meanings() {
            text += &wrapped(&meaning.in_lang(self.look.lang), self.look.columns);
        }
        text
    }

    /// A heading, and a line for each period and part.
    fn of_account(&self, account: &ReadableAccount, seen: &mut Marks) -> String {
        let rows = of_account(self.rows, &account.appid);
        let periods = self.days.begun(self.period, self.now_s);
        let mut lines: Vec<Line> =
            periods.iter().flat_map(|period| self.lines_of(account, period, rows)).collect();
        let largest = lines.iter().map(|line| self.size(line)).max().unwrap_or(0);
        for line in &mut lines {
            line.picture = bar(self.size(line), largest, BAR_COLUMNS);
        }
        if periods.len() > 1 {
            lines.extend(self.last_lines(of_account(self.beside, &account.appid)));
        }
        lines.iter().for_each(|line| seen.add(line.marks));
        let heading = format!("{} {} {}", account.name, account.appid, self.range());
        let mut text = wrapped(heading.trim_start(), self.look.columns);
        if lines.is_empty() {
            let none = text!("no figures: this time was before counting began, or lies ahead");
            return text + &wrapped(&none.in_lang(self.look.lang), self.look.columns);
        }
        text += &self.table(&[self.period_title()], &lines);
        text + &self.coverage(account)
    }

    /// The lines of one period. A period without messages has one, if it was counted at all.
    fn lines_of(&self, account: &ReadableAccount, period: &BegunPeriod, rows: &[AskedRow]) -> Vec<Line> {
        let rows = of_period(rows, &period.label);
        let marks = Marks::of(account, period, self.now_s);
        if rows.is_empty() {
            let is_counted = account.coverage.since_s().is_some_and(|since_s| since_s < period.end_s);
            let name = vec![period.name(self.period)];
            return is_counted.then(|| Line::empty(name, marks)).into_iter().collect();
        }
        let mut name = period.name(self.period);
        let line = |row: &AskedRow| self.line(vec![std::mem::take(&mut name)], row, marks.with(row));
        rows.iter().map(line).collect()
    }

    /// The whole range, as the last lines of a table.
    fn last_lines(&self, rows: &[AskedRow]) -> Vec<Line> {
        let mut name = text!("all").in_lang(self.look.lang);
        // The rows above have the marks.
        rows.iter().map(|row| self.line(vec![std::mem::take(&mut name)], row, Marks::default())).collect()
    }

    /// A line for each account and part.
    fn totals(&self, accounts: &[ReadableAccount], seen: &mut Marks) -> String {
        let lang = self.look.lang;
        let periods = self.days.begun(StatsPeriod::Total, self.now_s);
        let Some(period) = periods.first() else {
            let none = text!("no figures: this time was before counting began, or lies ahead");
            return wrapped(&none.in_lang(lang), self.look.columns);
        };
        let parts = days::beside(self.period, self.by, self.days);
        let parts: Vec<BegunPeriod> = parts.map_or(Vec::new(), |part| self.days.begun(part, self.now_s));
        let sparks_max = if self.by.is_some() { SPARKS_MAX / 2 } else { SPARKS_MAX };
        let has_names = accounts.iter().any(|account| !account.name.is_empty());
        let mut lines = Vec::new();
        for account in accounts {
            let rows = of_account(self.rows, &account.appid);
            let marks = Marks::of(account, period, self.now_s);
            let mut names = vec![account.appid.clone()];
            names.extend(has_names.then(|| account.name.clone()));
            if rows.is_empty() {
                lines.push(Line::empty(names, marks));
                continue;
            }
            let beside = of_account(self.beside, &account.appid);
            for row in rows {
                let next = vec![String::new(); names.len()];
                let mut line = self.line(std::mem::replace(&mut names, next), row, marks.with(row));
                line.picture = sparks(row, beside, &parts, sparks_max);
                lines.push(line);
            }
        }
        lines.iter().for_each(|line| seen.add(line.marks));
        let titles = [Some(text!("account")), has_names.then(|| text!("name"))];
        let titles: Vec<String> = titles.into_iter().flatten().map(|title| title.in_lang(lang)).collect();
        wrapped(&self.range(), self.look.columns) + &self.table(&titles, &lines)
    }

    fn line(&self, names: Vec<String>, row: &AskedRow, marks: Marks) -> Line {
        let kind = row.kind.as_deref().map(|kind| kind_name(kind, self.look.lang));
        Line {
            names,
            part: kind.or(row.count.clone()).unwrap_or_default(),
            users: row.users,
            messages: row.messages.unwrap_or(0),
            new: row.new.unwrap_or(0),
            picture: String::new(),
            marks,
        }
    }

    /// What the bar of a line shows.
    fn size(&self, line: &Line) -> u64 {
        if self.by == Some(StatsBy::Count) { line.users } else { line.messages }
    }

    /// The table. Bars are left out if it does not fit with them.
    fn table(&self, names: &[String], lines: &[Line]) -> String {
        let columns = self.look.columns;
        let is_pictured = self.look.bars && lines.iter().any(|line| !line.picture.is_empty());
        let pictured = is_pictured.then(|| self.table_of(names, lines, true, usize::from(u16::MAX)));
        let pictured = pictured.map(|table| table.to_string());
        let fits = |text: &String| text.lines().all(|line| line.trim_end().width() <= columns);
        let table = pictured.filter(fits);
        let text = table.unwrap_or_else(|| self.table_of(names, lines, false, columns).to_string());
        text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn table_of(&self, names: &[String], lines: &[Line], is_pictured: bool, columns: usize) -> Table {
        let lang = self.look.lang;
        let part = self.by.map(|by| match by {
            StatsBy::Type | StatsBy::Official => text!("type"),
            StatsBy::Count => text!("messages per user"),
        });
        let has_messages = self.by != Some(StatsBy::Count);
        let is_marked = lines.iter().any(|line| !line.marks.is_empty());
        let numbers = [
            Some(text!("users")),
            has_messages.then(|| text!("messages")),
            self.new.then(|| text!("new users")),
        ];
        let numbers: Vec<Text> = numbers.into_iter().flatten().collect();
        let first_number = names.len() + usize::from(part.is_some());
        let (count, picture) = (numbers.len(), is_pictured.then(|| Text::plain("")));
        let mark = is_marked.then(|| text!("note"));
        let titles = part.into_iter().chain(numbers).chain(picture).chain(mark);
        let header = names.iter().cloned().chain(titles.map(|title| title.in_lang(lang)));
        let rows = lines.iter().map(|line| {
            let part = self.by.map(|_| line.part.clone());
            let messages = has_messages.then(|| grouped(line.messages));
            let new = self.new.then(|| grouped(line.new));
            let picture = is_pictured.then(|| line.picture.clone());
            let numbers = [Some(grouped(line.users)), messages, new].into_iter().flatten();
            let mark = is_marked.then(|| line.marks.names(lang));
            line.names.clone().into_iter().chain(part).chain(numbers).chain(picture).chain(mark)
        });
        let mut table = fitted(header, rows, columns);
        for column in table.column_iter_mut().skip(first_number).take(count) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn range(&self) -> String {
        let DayRange { from, to } = self.days;
        if from == to { from.to_string() } else { format!("{from}…{to}") }
    }

    fn period_title(&self) -> String {
        let title = match self.period {
            StatsPeriod::Hour => text!("hour"),
            StatsPeriod::Week => text!("week of"),
            StatsPeriod::Month => text!("month"),
            StatsPeriod::Day | StatsPeriod::Total => text!("day"),
        };
        title.in_lang(self.look.lang)
    }

    /// Since when the account is counted, if the range begins before that, and the gaps inside the range.
    fn coverage(&self, account: &ReadableAccount) -> String {
        let whole = self.days.begun(StatsPeriod::Total, self.now_s);
        let Some(BegunPeriod { start_s, end_s, .. }) = whole.first() else { return String::new() };
        let coverage = &account.coverage;
        let gaps = coverage.gaps().filter(|(from_s, to_s)| from_s < end_s && to_s > start_s).count();
        let mut lines = Vec::new();
        if let (Some(since), Some(since_s)) = (&coverage.since, coverage.since_s())
            && since_s > *start_s
        {
            let since = since.get(..16).unwrap_or(since).replacen('T', " ", 1);
            lines.push(text!("counted since {since}", since));
        }
        if gaps > 0 {
            let appid = &account.appid;
            lines.push(text!(
                "gaps in this range: {gaps}; GET /v1/accounts/{appid}/coverage gives their times and reasons",
                gaps,
                appid
            ));
        }
        lines.iter().map(|line| wrapped(&line.in_lang(self.look.lang), self.look.columns)).collect()
    }
}

impl Line {
    fn empty(names: Vec<String>, marks: Marks) -> Line {
        let (part, picture) = (String::new(), String::new());
        Line { names, part, users: 0, messages: 0, new: 0, picture, marks }
    }
}

/// The messages of a row over the parts of its range.
fn sparks(row: &AskedRow, beside: &[AskedRow], parts: &[BegunPeriod], columns: usize) -> String {
    let messages = |part: &BegunPeriod| -> u64 {
        let rows = of_period(beside, &part.label).iter().filter(|other| other.kind == row.kind);
        rows.filter_map(|row| row.messages).sum()
    };
    let values: Vec<u64> = parts.iter().map(messages).collect();
    let group = values.len().div_ceil(columns).max(1);
    let sums: Vec<u64> = values.chunks(group).map(|values| values.iter().sum()).collect();
    if sums.len() < 2 { String::new() } else { sparkline(&sums) }
}

fn of_account<'a>(rows: &'a [AskedRow], appid: &str) -> &'a [AskedRow] {
    let start = rows.partition_point(|row| row.account.as_str() < appid);
    let end = rows.partition_point(|row| row.account.as_str() <= appid);
    &rows[start..end]
}

/// Labels of one kind of period have the order of time.
fn of_period<'a>(rows: &'a [AskedRow], label: &str) -> &'a [AskedRow] {
    let start = rows.partition_point(|row| row.period.as_str() < label);
    let end = rows.partition_point(|row| row.period.as_str() <= label);
    &rows[start..end]
}

fn wrapped(text: &str, columns: usize) -> String {
    wrap(text, columns).into_iter().map(|line| line + "\n").collect()
}

/// The name of a type, for people.
fn kind_name(kind: &str, lang: Lang) -> String {
    let name = match kind {
        "text" => text!("text"),
        "image" => text!("image"),
        "voice" => text!("voice"),
        "video" => text!("video"),
        "shortvideo" => text!("short video"),
        "link" => text!("link"),
        "location" => text!("location"),
        "file" => text!("file"),
        "event" => text!("event"),
        "other" => text!("other"),
        unknown => Text::plain(unknown),
    };
    name.in_lang(lang)
}
