//! Tables that fit the terminal. Rows of the seven interfaces have one line for each period if that fits, otherwise one
//! line for each period and type. A spark line stands below. Text in, text out.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use datacube::{Day, Figures, Granularity, Interface, Row};
use i18n::{Lang, text};
use unicode_width::UnicodeWidthStr as _;
use wechat::labels::{interval_name, type_name};

use crate::output::escaped_cell;

/// Width in columns if there is no terminal or its width is unknown.
pub const COLUMNS: usize = 80;
/// Shortest spark line in columns, however narrow the terminal.
const SPARKS_MIN: usize = 10;
/// A line below the header, and no other lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table of at most `columns` columns. Longer texts are wrapped inside their cell.
pub fn fitted<H: AsRef<str>, C: AsRef<str>>(
    header: impl IntoIterator<Item = H>,
    rows: impl IntoIterator<Item = impl IntoIterator<Item = C>>,
    columns: usize,
) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    table.set_header(header.into_iter().map(|cell| cell.as_ref().to_owned()));
    table.add_rows(rows.into_iter().map(|row| {
        let cells = row.into_iter().map(|cell| escaped_cell(cell.as_ref()));
        cells.collect::<Vec<_>>()
    }));
    table
}

/// Figures of one type or interval.
#[derive(Clone, Copy, Default)]
struct Figure {
    users: u64,
    messages: u64,
}

/// `ref_date` and `ref_hour`.
type PeriodKey = (Day, u16);

/// A bar of ▁▂▃▄▅▆▇█ for each value. The largest value is █; 0 and values that round to 0 are ▁.
pub fn sparkline(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest = u128::from(values.iter().copied().max().unwrap_or(0).max(1));
    let bar = |value: &u64| usize::try_from((u128::from(*value) * 7 + largest / 2) / largest).unwrap_or(0);
    values.iter().map(|value| BARS[bar(value).min(7)]).collect()
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A bar of `columns` columns for the largest value, in eighths of a column.
pub fn bar(value: u64, largest: u64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let whole = columns as u128 * 8;
    let eighths = (u128::from(value) * whole).div_ceil(u128::from(largest).max(1)).min(whole);
    let eighths = usize::try_from(eighths).unwrap_or(0);
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// The table with its spark line. Users of several types cannot be added up, because one user may send several types.
/// Only distributions have a total of users: they have each user once.
pub fn render(rows: &[Row], interface: &Interface, lang: Lang, columns: usize) -> String {
    let mut periods: BTreeMap<PeriodKey, BTreeMap<u8, Figure>> = BTreeMap::new();
    for row in rows {
        let period = periods.entry((row.ref_date, row.ref_hour.unwrap_or(0))).or_default();
        let figure = period.entry(row.msg_type.or(row.count_interval).unwrap_or(0)).or_default();
        figure.users += row.msg_user;
        figure.messages += row.msg_count.unwrap_or(0);
    }
    let mut groups: Vec<u8> = periods.values().flat_map(|period| period.keys().copied()).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut text = wide_table(&periods, &groups, interface, lang).to_string();
    if text.lines().any(|line| line.width() > columns) {
        text = tall_table(&periods, interface, lang, columns).to_string();
    }
    text.push('\n');
    text + &spark_text(&periods, interface, lang, columns)
}

fn wide_table(
    periods: &BTreeMap<PeriodKey, BTreeMap<u8, Figure>>,
    groups: &[u8],
    interface: &Interface,
    lang: Lang,
) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(header(groups, interface, lang));
    for (key, period) in periods {
        let mut cells = vec![period_name(*key, interface)];
        for group in groups {
            let figure = period.get(group).copied();
            cells.extend(figure_cells(figure, interface.figures));
        }
        cells.push(total(period, interface.figures).to_string());
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table with one line for each period and type.
fn tall_table(
    periods: &BTreeMap<PeriodKey, BTreeMap<u8, Figure>>,
    interface: &Interface,
    lang: Lang,
    columns: usize,
) -> Table {
    let name = |group: u8| match interface.figures {
        Figures::Totals => type_name(group, lang),
        Figures::Distribution => interval_name(group, lang).replace('\n', " "),
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (key, period) in periods {
        let mut shown = period_name(*key, interface);
        for (group, figure) in period {
            let cells = figure_cells(Some(*figure), interface.figures);
            rows.push([vec![std::mem::take(&mut shown), name(*group)], cells].concat());
        }
        if period.len() > 1 {
            let sum = total(period, interface.figures).to_string();
            let users = matches!(interface.figures, Figures::Totals).then(String::new);
            let cells = users.into_iter().chain([sum]);
            rows.push([String::new(), text!("total").in_lang(lang)].into_iter().chain(cells).collect());
        }
    }
    let messages = matches!(interface.figures, Figures::Totals).then(|| text!("messages").in_lang(lang));
    let kind = match interface.figures {
        Figures::Totals => text!("type").in_lang(lang),
        Figures::Distribution => text!("messages per user").in_lang(lang),
    };
    let header =
        [period_title(interface, lang), kind, text!("users").in_lang(lang)].into_iter().chain(messages);
    let mut table = fitted(header, rows, columns);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn period_title(interface: &Interface, lang: Lang) -> String {
    match interface.granularity {
        Granularity::Hour => text!("hour").in_lang(lang),
        Granularity::Day => text!("day").in_lang(lang),
        Granularity::Week => text!("week of").in_lang(lang),
        Granularity::Month => text!("month").in_lang(lang),
    }
}

fn header(groups: &[u8], interface: &Interface, lang: Lang) -> Vec<String> {
    let (users, messages) = (text!("users").in_lang(lang), text!("messages").in_lang(lang));
    let mut header = vec![period_title(interface, lang)];
    for group in groups {
        match interface.figures {
            Figures::Totals => {
                header.extend([&users, &messages].map(|what| format!("{}\n{what}", type_name(*group, lang))));
            }
            Figures::Distribution => header.push(interval_name(*group, lang)),
        }
    }
    header.push(match interface.figures {
        Figures::Totals => format!("{}\n{messages}", text!("total").in_lang(lang)),
        Figures::Distribution => format!("{}\n{users}", text!("total").in_lang(lang)),
    });
    header
}

fn period_name((date, hour): PeriodKey, interface: &Interface) -> String {
    match interface.granularity {
        Granularity::Hour => format!("{date} {:02}:00", hour / 100),
        Granularity::Day | Granularity::Week => date.to_string(),
        Granularity::Month => date.to_string()[..7].to_owned(),
    }
}

fn figure_cells(figure: Option<Figure>, figures: Figures) -> Vec<String> {
    let text = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let users = text(figure.map(|figure| figure.users));
    match figures {
        Figures::Totals => vec![users, text(figure.map(|figure| figure.messages))],
        Figures::Distribution => vec![users],
    }
}

fn total(period: &BTreeMap<u8, Figure>, figures: Figures) -> u64 {
    match figures {
        Figures::Totals => period.values().map(|figure| figure.messages).sum(),
        Figures::Distribution => period.values().map(|figure| figure.users).sum(),
    }
}

fn spark_text(
    periods: &BTreeMap<PeriodKey, BTreeMap<u8, Figure>>,
    interface: &Interface,
    lang: Lang,
    columns: usize,
) -> String {
    let (Some((first, _)), Some((last, _))) = (periods.first_key_value(), periods.last_key_value()) else {
        return String::new();
    };
    let series: Vec<u64> = every_period(*first, *last, interface.granularity)
        .map(|key| periods.get(&key).map_or(0, |period| total(period, interface.figures)))
        .collect();
    // A single bar shows nothing.
    if series.len() < 2 {
        return String::new();
    }
    let what = match interface.figures {
        Figures::Totals => text!("messages").in_lang(lang),
        Figures::Distribution => text!("users").in_lang(lang),
    };
    let (first, last) = (period_name(*first, interface), period_name(*last, interface));
    let beside = [&what, &first, &last].map(|text| text.width() + 1).iter().sum();
    let room = columns.saturating_sub(beside).max(SPARKS_MIN);
    let group = series.len().div_ceil(room).max(1);
    let sums: Vec<u64> = series.chunks(group).map(|values| values.iter().sum()).collect();
    format!("{what} {first} {} {last}\n", sparkline(&sums))
}

/// All periods, with those without rows: otherwise the time axis of the spark line would be wrong.
fn every_period(
    first: PeriodKey,
    last: PeriodKey,
    granularity: Granularity,
) -> impl Iterator<Item = PeriodKey> {
    let next = move |(date, hour): &PeriodKey| match (granularity, hour) {
        (Granularity::Hour, hour) if *hour < 2300 => Some((*date, hour + 100)),
        _ => Some((date.start_of_next(granularity), 0)).filter(|(next, _)| next > date),
    };
    std::iter::successors(Some(first), next).take_while(move |key| *key <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(json: &str) -> Vec<Row> {
        serde_json::from_str(json).unwrap()
    }

    fn shown(json: &str, interface: &str, lang: Lang) -> String {
        render(&rows(json), Interface::by_short_name(interface).unwrap(), lang, COLUMNS)
    }

    #[test]
    fn sparks_reach_from_the_lowest_to_the_highest_bar() {
        assert_eq!(sparkline(&[0, 1, 2, 3, 4, 5, 6, 7]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[5]), "█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[u64::MAX, 0, u64::MAX / 2]), "█▁▄");
    }

    const MONTHS: &str = r#"[
        {"ref_date":"2026-01-01","msg_type":1,"msg_user":282,"msg_count":817},
        {"ref_date":"2026-01-01","msg_type":2,"msg_user":10,"msg_count":20},
        {"ref_date":"2026-03-01","msg_type":1,"msg_user":7989,"msg_count":42206}]"#;

    #[test]
    fn a_period_is_one_line_with_all_its_types() {
        let text = shown(MONTHS, "month", Lang::En);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(lines.contains(&vec!["month", "text", "text", "image", "image", "total"]), "{text}");
        assert!(lines.contains(&vec!["2026-01", "282", "817", "10", "20", "837"]), "{text}");
        assert!(lines.contains(&vec!["2026-03", "7989", "42206", "42206"]), "{text}");
    }

    #[test]
    fn the_spark_line_has_the_periods_without_messages_too() {
        let text = shown(MONTHS, "month", Lang::Zh);
        assert!(text.ends_with("条数 2026-01 ▁▁█ 2026-03\n"), "{text}");
        assert!(text.contains("文字") && text.contains("合计") && !text.contains("total"), "{text}");
    }

    #[test]
    fn distributions_add_up_users() {
        let json = r#"[{"ref_date":"2026-01-05","count_interval":1,"msg_user":246},
                       {"ref_date":"2026-01-05","count_interval":3,"msg_user":4}]"#;
        let text = shown(json, "distweek", Lang::En);
        assert!(text.contains(">10"), "{text}");
        let line = text.lines().find(|line| line.contains("2026-01-05")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["2026-01-05", "246", "4", "250"]);
    }

    #[test]
    fn a_year_of_hours_keeps_a_spark_line_that_fits() {
        let json = r#"[{"ref_date":"2025-01-01","ref_hour":0,"msg_type":1,"msg_user":1,"msg_count":1},
                       {"ref_date":"2025-12-31","ref_hour":2300,"msg_type":1,"msg_user":1,"msg_count":1}]"#;
        let text = shown(json, "hour", Lang::En);
        assert!(text.contains("2025-12-31 23:00"), "{text}");
        let sparks = text.chars().filter(|c| ('▁'..='█').contains(c)).count();
        assert!((20..=COLUMNS).contains(&sparks), "{text}");
        assert!(text.lines().all(|line| line.width() <= COLUMNS), "{text}");
    }

    #[test]
    fn no_rows_make_no_line() {
        assert!(!shown("[]", "day", Lang::En).contains('▁'));
    }

    #[test]
    fn one_period_has_no_spark_line() {
        let json = r#"[{"ref_date":"2026-01-01","msg_type":1,"msg_user":282,"msg_count":817}]"#;
        assert!(!shown(json, "month", Lang::En).contains(['▁', '█']));
    }

    /// Rows with all types or intervals, several periods and very large figures.
    fn wide(interface: &Interface) -> Vec<Row> {
        let dates = ["2026-01-05", "2026-02-02"].map(|date| date.parse::<Day>().unwrap());
        let groups: &[u8] = match interface.figures {
            Figures::Totals => &[1, 2, 3, 4, 6, 255],
            Figures::Distribution => &[0, 1, 2, 3, 255],
        };
        let is_total = interface.figures == Figures::Totals;
        let row = |date: Day, group: u8| Row {
            ref_date: date,
            ref_hour: (interface.granularity == Granularity::Hour).then_some(2300),
            user_source: None,
            msg_type: is_total.then_some(group),
            count_interval: (!is_total).then_some(group),
            msg_user: u64::MAX / 8,
            msg_count: is_total.then_some(u64::MAX / 8),
        };
        dates.iter().flat_map(|date| groups.iter().map(|group| row(*date, *group))).collect()
    }

    #[test]
    fn figures_of_all_seven_fit_whole_in_both_languages() {
        for interface in &datacube::INTERFACES {
            for lang in [Lang::En, Lang::Zh] {
                let text = render(&wide(interface), interface, lang, COLUMNS);
                assert!(text.lines().all(|line| line.width() <= COLUMNS), "{text}");
                let figures = text.split_whitespace().filter(|word| *word == (u64::MAX / 8).to_string());
                let of_a_row = if interface.figures == Figures::Totals { 2 } else { 1 };
                assert_eq!(figures.count(), wide(interface).len() * of_a_row, "{text}");
                assert!(text.contains("255") && text.contains(lang.pick("total", "合计")), "{text}");
            }
        }
    }

    #[test]
    fn a_wide_terminal_keeps_one_line_a_period() {
        let interface = Interface::by_short_name("day").unwrap();
        let lines = |columns| render(&wide(interface), interface, Lang::En, columns).lines().count();
        assert_eq!((lines(400), lines(COLUMNS)), (6, 17));
    }

    #[test]
    fn long_cells_are_wrapped_and_control_characters_written_out() {
        let name = "gh_\x1b[2J公众号\n".repeat(20);
        for columns in [40, COLUMNS, 200] {
            let text = fitted(["名称", "b"], [[name.as_str(), "wx0123456789abcdef"]], columns).to_string();
            assert!(text.lines().all(|line| line.width() <= columns), "{text}");
            assert!(!text.contains('\x1b') && text.contains("gh_\\u001b"), "{text}");
        }
    }
}
