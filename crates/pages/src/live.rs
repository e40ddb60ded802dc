//! What comes in now.

use i18n::{format::grouped, text};
use maud::{Markup, html};

use crate::{
    charts::{
        axis,
        columns::{ColumnSeries, Columns},
        line::LineChart,
        svg::LegendEntry,
        table::{ChartTable, TableCell, number_element},
    },
    layout::{document, link},
    parts::{SERIES, account_link, bar, card, figure, legend, nothing},
    view::{
        figures::FigureSource,
        frame::Frame,
        live::{LIVE_MINUTES, LiveAccountRow, LivePage},
        time::BeijingTime,
    },
    words::Words,
};

/// The page `/ui/live`. The script loads the charts again once a minute.
pub fn live(frame: &Frame, page: &LivePage) -> String {
    let words = Words(frame.lang);
    let title = words.say(text!("Live"));
    let content = html! {
        div.title {
            h1 { (title) }
            p.quiet {
                @match &page.selected {
                    Some(account) => {
                        (account.shown()) " · " a href=(link(frame, "account", None)) { (words.say(text!("all accounts"))) }
                    },
                    None => (words.say(text!("all accounts"))),
                }
            }
        }
        (account_form(frame, page, words))
        div id="live" data-refresh={ (frame.path) "?" (frame.query) } data-seconds="60" {
            (minutes_card(page, words))
            div.cards { (hours_card(page, words)) (accounts_card(frame, page, words)) }
        }
    };
    document(frame, &title, &nothing(), &content)
}

fn account_form(frame: &Frame, page: &LivePage, words: Words) -> Markup {
    let value = page.unknown.as_deref().or(page.selected.as_ref().map(|account| account.appid.as_str()));
    html! {
        form.bar method="get" action=(frame.path) {
            label {
                (words.say(text!("One account (AppID)"))) " "
                input name="account" value=(value.unwrap_or_default()) autocomplete="off" spellcheck="false" aria-invalid=[page.unknown.as_ref().map(|_| "true")];
            }
            input type="hidden" name="lang" value=(frame.lang.code());
            button { (words.say(text!("Show"))) }
            @if page.unknown.is_some() { span.error role="alert" { (words.say(text!("There is no such account. The overview finds accounts by name."))) } }
        }
    }
}

fn minutes_card(page: &LivePage, words: Words) -> Markup {
    let minute = |number: usize| {
        let back_s = i64::try_from(LIVE_MINUTES - 1 - number).unwrap_or_default() * 60;
        BeijingTime::from_unix_s(page.minute_now.unix_s() - back_s).hour_and_minute()
    };
    let sum =
        |number: usize| page.minutes.iter().map(|series| u64::from(series.messages[number])).sum::<u64>();
    let hour: u64 = (0..LIVE_MINUTES).map(sum).sum();
    let title = words.say(text!("Messages a minute, last hour"));
    let columns = Columns {
        series: page
            .minutes
            .iter()
            .zip(SERIES)
            .map(|(series, class)| ColumnSeries { class, numbers: series.messages.map(u64::from).into() })
            .collect(),
        open: (1..=LIVE_MINUTES).map(|number| number == LIVE_MINUTES).collect(),
        label: words.say(text!("{count} messages in the last hour", count = grouped(hour))),
        labels: axis::labels(
            (0..LIVE_MINUTES).step_by(10).map(|number| (number, minute(number))),
            LIVE_MINUTES,
        ),
    };
    let names: Vec<String> = page.minutes.iter().map(|series| words.say(&series.name)).collect();
    let row = |number: usize| {
        let numbers =
            page.minutes.iter().map(|series| u64::from(series.messages[number])).chain([sum(number)]);
        (minute(number), numbers.map(TableCell::Number).collect())
    };
    let ends = [words.say(text!("all"))];
    let table = ChartTable {
        caption: title.clone(),
        head: [words.say(text!("minute"))].into_iter().chain(names.iter().cloned()).chain(ends).collect(),
        rows: (0..LIVE_MINUTES).map(row).collect(),
    };
    let entries: Vec<LegendEntry> =
        names.into_iter().zip(SERIES).map(|(name, class)| LegendEntry { class, name }).collect();
    card(
        "wide",
        &title,
        &legend(&entries),
        &figure(&columns.draw(), &nothing(), &table, &FigureSource::default(), words),
    )
}

fn hours_card(page: &LivePage, words: Words) -> Markup {
    let title = words.say(text!("Today by hour"));
    let now = usize::try_from(page.minute_now.clock().0).unwrap_or_default();
    let today: u64 = page.today.iter().flatten().sum();
    let same: u64 = page.last_week.iter().take(now).flatten().sum();
    let label = words.say(text!(
        "{count} messages today; {before} in the whole hours until {time} a week ago",
        count = grouped(today),
        before = grouped(same),
        time = format_args!("{now:02}:00")
    ));
    // What has not come yet is not drawn, so the line ends at the running hour.
    let shown = |hour: usize| page.today[hour].filter(|_| hour <= now);
    let line = LineChart {
        now: (0..24).map(shown).collect(),
        before: page.last_week.into(),
        open_at: Some(now),
        label,
        labels: axis::labels((0..24).step_by(3).map(|hour| (hour, format!("{hour:02}:00"))), 24),
    };
    let entries = [
        LegendEntry { class: "now", name: words.say(text!("today")) },
        LegendEntry { class: "before", name: words.say(text!("same weekday last week")) },
    ];
    let row = |hour: usize| {
        let mine = if hour > now { TableCell::Words(String::new()) } else { page.today[hour].into() };
        (format!("{hour:02}:00"), vec![mine, page.last_week[hour].into()])
    };
    let table = ChartTable {
        caption: title.clone(),
        head: [text!("hour"), text!("today"), text!("same weekday last week")]
            .map(|head| words.say(head))
            .into(),
        rows: (0..24).map(row).collect(),
    };
    card("half", &title, &legend(&entries), &figure(&line.draw(), &nothing(), &table, &page.source, words))
}

fn accounts_card(frame: &Frame, page: &LivePage, words: Words) -> Markup {
    let title = words.say(text!("Accounts, last five minutes"));
    let largest = page.accounts.iter().map(|row| row.last_minutes).max().unwrap_or_default();
    let body = html! {
        @if page.accounts.is_empty() {
            p.quiet { (words.say(text!("No message in the last five minutes."))) }
        } @else {
            table.bars {
                caption.hidden { (title) }
                thead { tr {
                    th scope="col" { (words.say(text!("Account"))) }
                    @for head in [text!("5 min"), text!("today"), text!("last")] { th.number scope="col" { (words.say(head)) } }
                    td {}
                } }
                tbody { @for row in &page.accounts { (account_row(frame, row, largest, words)) } }
            }
        }
    };
    card("half", &title, &nothing(), &body)
}

fn account_row(frame: &Frame, row: &LiveAccountRow, largest: u64, words: Words) -> Markup {
    html! {
        tr {
            th scope="row" { (account_link(&row.account)) }
            td.number { (number_element(row.last_minutes)) }
            td.number data-today=(row.account.appid) { (number_element(row.today)) }
            td.number { @match row.last_message { Some(time) => (words.ago(time, frame.now)), None => "–" } }
            td.bar-cell { (bar(SERIES[0], row.last_minutes, largest)) }
        }
    }
}
