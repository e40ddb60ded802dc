//! The charts of an account.

use datacube::Granularity;
use i18n::{Text, format::grouped, text};
use maud::{Markup, html};

use crate::{
    charts::{
        axis,
        columns::{ColumnSeries, Columns},
        heat_map,
        line::LineChart,
        strip::Strip,
        svg::{Drawing, LegendEntry},
        table::{ChartTable, TableCell},
    },
    parts::{SERIES, card, figure, legend, nothing},
    view::{
        account::{AccountFiguresView, PeriodFigures, WeekUsers},
        figures::CoverageKind,
        time::ChartPeriod,
    },
    words::Words,
};

/// A chart with its title and the meaning of its colours.
pub type TitledChart = (String, Drawing, Vec<LegendEntry>);

/// Users of each period, as a line.
pub fn users(figures: &AccountFiguresView, words: Words) -> TitledChart {
    let most = figures.periods.iter().filter_map(|period| Some((period.users?, period.period)));
    let label = match most.max_by_key(|(users, _)| *users) {
        Some((most, period)) => words.say(text!(
            "{users} distinct users, most on {period}: {most}",
            users = grouped(figures.users.value),
            period = words.period(period),
            most = grouped(most)
        )),
        None => words.say(text!("Not counted in this time")),
    };
    let has_before = figures.periods.iter().any(|period| period.users_before.is_some());
    let line = LineChart {
        now: figures.periods.iter().map(|period| period.users).collect(),
        before: if has_before {
            figures.periods.iter().map(|period| period.users_before).collect()
        } else {
            Vec::new()
        },
        open_at: figures.periods.iter().position(|period| period.is_open),
        label,
        labels: labels(&figures.periods, words),
    };
    let mut entries = vec![LegendEntry { class: "now", name: words.say(text!("this range")) }];
    if has_before {
        entries.push(LegendEntry { class: "before", name: words.say(text!("compared time")) });
    }
    (
        words.say(by_period(
            figures,
            [text!("Users an hour"), text!("Users a day"), text!("Users a week"), text!("Users a month")],
        )),
        line.draw(),
        entries,
    )
}

/// Messages of each period by type, as columns.
pub fn messages(figures: &AccountFiguresView, words: Words) -> TitledChart {
    let sum =
        |period: &PeriodFigures| period.messages.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let most = figures.periods.iter().map(|period| (sum(period), period.period)).max_by_key(|(sum, _)| *sum);
    let label = match most {
        Some((most, period)) if most > 0 => words.say(text!(
            "{count} messages, most on {period}: {most}",
            count = grouped(figures.messages.value),
            period = words.period(period),
            most = grouped(most)
        )),
        _ => words.say(text!("No messages")),
    };
    let series = |number: usize| figures.periods.iter().map(|period| period.messages[number]).collect();
    let columns = Columns {
        series: SERIES[..5]
            .iter()
            .enumerate()
            .map(|(number, class)| ColumnSeries { class, numbers: series(number) })
            .collect(),
        open: figures.periods.iter().map(|period| period.is_open).collect(),
        label,
        labels: labels(&figures.periods, words),
    };
    let entries =
        SERIES.into_iter().zip(words.types()).map(|(class, name)| LegendEntry { class, name }).collect();
    let title = by_period(
        figures,
        [
            text!("Messages an hour by type"),
            text!("Messages a day by type"),
            text!("Messages a week by type"),
            text!("Messages a month by type"),
        ],
    );
    (words.say(title), columns.draw(), entries)
}

/// Messages by weekday and hour. None if they are not known.
pub fn hours(figures: &AccountFiguresView, words: Words) -> Option<TitledChart> {
    let hours = figures.hours.as_ref()?;
    let title = words.say(text!("When they write: messages by weekday and hour"));
    Some((title, heat_map::draw(hours, words), heat_map::legend(hours)))
}

/// New and returning users of each week. None if they are not known.
pub fn weeks(figures: &AccountFiguresView, words: Words) -> Option<TitledChart> {
    let last = figures.weeks.iter().rev().find(|week| !week.is_open).or(figures.weeks.last())?;
    let label = words.say(text!(
        "Week of {date}: {new} new users and {returning} who had written before",
        date = words.short_date(last.monday),
        new = grouped(last.new),
        returning = grouped(last.returning)
    ));
    let numbers = |number: fn(&WeekUsers) -> u64| figures.weeks.iter().map(number).collect();
    let periods: Vec<ChartPeriod> =
        figures.weeks.iter().map(|week| ChartPeriod::containing(week.monday, Granularity::Week)).collect();
    let columns = Columns {
        series: vec![
            ColumnSeries { class: SERIES[0], numbers: numbers(|week| week.returning) },
            ColumnSeries { class: SERIES[1], numbers: numbers(|week| week.new) },
        ],
        open: figures.weeks.iter().map(|week| week.is_open).collect(),
        label,
        labels: axis::period_labels(&periods, words),
    };
    let entries = vec![
        LegendEntry { class: SERIES[0], name: words.say(text!("returning")) },
        LegendEntry { class: SERIES[1], name: words.say(text!("new")) },
    ];
    Some((words.say(text!("New and returning users a week")), columns.draw(), entries))
}

/// The card of the users.
pub fn users_card(figures: &AccountFiguresView, strip: &Strip<'_>, words: Words) -> Markup {
    let (title, drawing, mut entries) = users(figures, words);
    entries.extend(coverage_legend(figures, words));
    let table = ChartTable {
        caption: title.clone(),
        head: [text!("period"), text!("users"), text!("compared time")].map(|head| words.say(head)).into(),
        rows: figures
            .periods
            .iter()
            .map(|period| {
                (
                    row_name(period, words),
                    vec![period.users.into(), TableCell::from_known(period.users_before)],
                )
            })
            .collect(),
    };
    let source = &figures.period_users_source;
    card(
        "half",
        &title,
        &beside("users", &entries, figures),
        &figure(&drawing, &strip.draw(false), &table, source, words),
    )
}

/// The card of the messages.
pub fn messages_card(figures: &AccountFiguresView, strip: &Strip<'_>, words: Words) -> Markup {
    let (title, drawing, entries) = messages(figures, words);
    let head = [words.say(text!("period"))].into_iter().chain(words.types()).chain([words.say(text!("all"))]);
    let row = |period: &PeriodFigures| {
        let sum = period.messages.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let cells = period.messages.into_iter().chain([sum]).map(TableCell::Number);
        (row_name(period, words), cells.collect())
    };
    let table = ChartTable {
        caption: title.clone(),
        head: head.collect(),
        rows: figures.periods.iter().map(row).collect(),
    };
    let source = &figures.periods_source;
    card(
        "half",
        &title,
        &beside("messages", &entries, figures),
        &figure(&drawing, &strip.draw(true), &table, source, words),
    )
}

/// The card of weekday and hour.
pub fn hours_card(figures: &AccountFiguresView, words: Words) -> Markup {
    let (Some((title, drawing, entries)), Some(hours)) = (hours(figures, words), &figures.hours) else {
        return nothing();
    };
    let table = ChartTable {
        caption: title.clone(),
        head: [words.say(text!("weekday"))]
            .into_iter()
            .chain((0..24).map(|hour| format!("{hour:02}")))
            .collect(),
        rows: hours
            .iter()
            .enumerate()
            .map(|(day, numbers)| (words.weekday(day), numbers.map(TableCell::Number).into()))
            .collect(),
    };
    card(
        "half",
        &title,
        &beside("hours", &entries, figures),
        &figure(&drawing, &nothing(), &table, &figures.hours_source, words),
    )
}

/// The card of new and returning users.
pub fn weeks_card(figures: &AccountFiguresView, words: Words) -> Markup {
    let Some((title, drawing, entries)) = weeks(figures, words) else { return nothing() };
    let early = words.say(text!("most are new here only"));
    let row = |week: &WeekUsers| {
        let name = words.period(ChartPeriod::containing(week.monday, Granularity::Week));
        let note = if week.new_is_early { early.clone() } else { String::new() };
        (
            with_open(name, week.is_open, words),
            vec![TableCell::Number(week.returning), TableCell::Number(week.new), TableCell::Words(note)],
        )
    };
    let table = ChartTable {
        caption: title.clone(),
        head: [text!("week"), text!("returning"), text!("new"), text!("note")]
            .map(|head| words.say(head))
            .into(),
        rows: figures.weeks.iter().map(row).collect(),
    };
    card(
        "half",
        &title,
        &beside("weeks", &entries, figures),
        &figure(&drawing, &nothing(), &table, &figures.weeks_source, words),
    )
}

/// The legend of a chart, and the link that saves it.
fn beside(name: &str, entries: &[LegendEntry], figures: &AccountFiguresView) -> Markup {
    let file = figures.chart_files.iter().find(|(known, _)| *known == name);
    html! {
        (legend(entries))
        @if let Some((_, href)) = file { a.svg-file href=(href) download { "SVG" } }
    }
}

fn labels(periods: &[PeriodFigures], words: Words) -> Markup {
    let periods: Vec<ChartPeriod> = periods.iter().map(|period| period.period).collect();
    axis::period_labels(&periods, words)
}

fn row_name(period: &PeriodFigures, words: Words) -> String {
    with_open(words.period(period.period), period.is_open, words)
}

fn with_open(name: String, is_open: bool, words: Words) -> String {
    if is_open { words.say(text!("{period} (not over)", period = name)) } else { name }
}

/// The text for the length of the periods: hour, day, week, month.
fn by_period(figures: &AccountFiguresView, [hour, day, week, month]: [Text; 4]) -> Text {
    match figures.periods.first().map(|period| period.period.granularity) {
        Some(Granularity::Hour) => hour,
        Some(Granularity::Week) => week,
        Some(Granularity::Month) => month,
        Some(Granularity::Day) | None => day,
    }
}

fn coverage_legend(figures: &AccountFiguresView, words: Words) -> Vec<LegendEntry> {
    let mut entries = vec![LegendEntry { class: "covered", name: words.say(text!("covered")) }];
    if figures.segments.iter().any(|segment| matches!(segment.kind, CoverageKind::CoverageGap { .. })) {
        entries.push(LegendEntry { class: "hatched", name: words.say(text!("gap")) });
    }
    entries
}
