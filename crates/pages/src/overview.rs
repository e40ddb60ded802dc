//! The overview.

use datacube::Granularity;
use i18n::{Text, format::grouped, text};
use maud::{Markup, html};

use crate::{
    charts::{
        axis,
        columns::{ColumnSeries, Columns},
        sparkline,
        svg::LegendEntry,
        table::{ChartTable, TableCell, number_element},
    },
    layout::{document, link},
    parts::{
        SERIES, account_link, card, choice, commands, compared, downloads, figure, legend, links, nothing,
        short_compared, state, tile, tile_number,
    },
    view::{
        figures::{FigureSource, ShownState},
        frame::Frame,
        overview::{DailyStack, ListState, OverviewPage, OverviewRow, OverviewSort},
        time::ChartPeriod,
    },
    words::Words,
};

/// The page `/ui/`.
pub fn overview(frame: &Frame, page: &OverviewPage) -> String {
    let words = Words(frame.lang);
    let title = words.say(text!("Overview"));
    let content = html! {
        div.title {
            h1 { (title) }
            p.quiet { (words.say(text!("{count} accounts · Beijing time", count = grouped(page.accounts as u64)))) }
        }
        (tiles(page, words))
        (days_card(&page.days, words))
        (list_card(frame, page, words))
    };
    document(frame, &title, &nothing(), &content)
}

fn tiles(page: &OverviewPage, words: Words) -> Markup {
    let today = html! { span data-today="*" { (tile_number(&page.today, words)) } };
    let until = page.today_until.hour_and_minute();
    let today_below = html! {
        (short_compared(page.today_whole_hours, page.today.compared, words)) " "
        (words.say(text!("until {time}, against a week ago", time = until)))
    };
    let month_below = html! {
        (short_compared(page.month_whole_days, page.month.compared, words)) " "
        (words.say(text!("whole days, against last month")))
    };
    let worst = html! {
        @if let Some((account, state)) = &page.attention.worst {
            (account.shown()) ": " (words.state(*state))
        } @else {
            (words.say(text!("All accounts are counted without a gap")))
        }
    };
    let [today_name, month_name, last_name] =
        [text!("Messages today"), text!("Messages this month"), text!("Messages last month")]
            .map(|name| words.say(name));
    let sources = [
        (today_name.clone(), &page.today.source),
        (month_name.clone(), &page.month.source),
        (last_name.clone(), &page.last_month.source),
    ];
    html! {
        dl.tiles {
            (tile(&today_name, &today, &today_below))
            (tile(&month_name, &tile_number(&page.month, words), &month_below))
            (tile(&last_name, &tile_number(&page.last_month, words), &compared(page.last_month.value, page.last_month.compared, words)))
            (tile(&words.say(text!("Accounts that need attention")), &number_element(page.attention.count as u64), &worst))
        }
        (commands(&sources, words))
    }
}

fn days_card(stack: &DailyStack, words: Words) -> Markup {
    let days = stack.series.first().map_or(0, |series| series.messages.len());
    let day = |number: usize| stack.first_day.plus_days(i32::try_from(number).unwrap_or(i32::MAX));
    let periods: Vec<ChartPeriod> =
        (0..days).map(|number| ChartPeriod::containing(day(number), Granularity::Day)).collect();
    let number =
        |series: usize, day: usize| stack.series[series].messages.get(day).copied().unwrap_or_default();
    let sum = |day: usize| {
        (0..stack.series.len()).fold(0_u64, |sum, series| sum.saturating_add(number(series, day)))
    };
    let busiest = (0..days).max_by_key(|day| sum(*day)).filter(|day| sum(*day) > 0);
    let label = match busiest {
        Some(busiest) => words.say(text!(
            "Messages a day, most on {date}: {count}",
            date = words.period(periods[busiest]),
            count = grouped(sum(busiest))
        )),
        None => words.say(text!("No messages")),
    };
    let names: Vec<String> = stack.series.iter().map(|series| words.say(&series.name)).collect();
    let columns = Columns {
        series: stack
            .series
            .iter()
            .zip(SERIES)
            .map(|(series, class)| ColumnSeries { class, numbers: series.messages.clone() })
            .collect(),
        open: (1..=days).map(|day| day == days).collect(),
        label,
        labels: axis::period_labels(&periods, words),
    };
    let row = |day: usize| {
        let numbers = (0..stack.series.len()).map(|series| number(series, day)).chain([sum(day)]);
        (words.period(periods[day]), numbers.map(TableCell::Number).collect())
    };
    let title = words.say(text!("Messages a day"));
    let ends = [words.say(text!("all"))];
    let table = ChartTable {
        caption: title.clone(),
        head: [words.say(text!("day"))].into_iter().chain(names.iter().cloned()).chain(ends).collect(),
        rows: (0..days).map(row).collect(),
    };
    let entries: Vec<LegendEntry> =
        names.into_iter().zip(SERIES).map(|(name, class)| LegendEntry { class, name }).collect();
    card(
        "wide",
        &title,
        &legend(&entries),
        &figure(&columns.draw(), &nothing(), &table, &stack.source, words),
    )
}

fn list_card(frame: &Frame, page: &OverviewPage, words: Words) -> Markup {
    let beside = html! { (downloads(&page.downloads, words)) (links(&FigureSource { csv: String::new(), ..page.source.clone() }, words)) };
    let body = html! {
        (list_form(frame, &page.list, words))
        @if page.rows.is_empty() {
            p.empty { (words.say(text!("No account matches."))) " " a href=(frame.path) { (words.say(text!("Show all"))) } }
        } @else {
            (rows(frame, &page.rows, words))
            (paging(frame, &page.list, words))
        }
    };
    card("wide", &words.say(text!("Accounts")), &beside, &body)
}

fn list_form(frame: &Frame, list: &ListState, words: Words) -> Markup {
    html! {
        form.bar method="get" action=(frame.path) role="search" {
            label { (words.say(text!("Find"))) " " input type="search" name="q" value=(list.search); }
            label {
                (words.say(text!("Sort"))) " "
                select name="sort" {
                    @for sort in OverviewSort::ALL { (choice(sort.code(), &words.say(sort_name(sort)), sort == list.sort)) }
                }
            }
            label {
                (words.say(text!("State"))) " "
                select name="state" {
                    (choice("", &words.say(text!("all states")), list.state.is_none()))
                    @for state in ShownState::ALL { (choice(state.code(), &words.state(state), Some(state) == list.state)) }
                }
            }
            input type="hidden" name="lang" value=(frame.lang.code());
            button { (words.say(text!("Show"))) }
        }
    }
}

fn sort_name(sort: OverviewSort) -> Text {
    match sort {
        OverviewSort::Attention => text!("needs attention first"),
        OverviewSort::Name => text!("by name"),
        OverviewSort::Today => text!("most messages today"),
        OverviewSort::Month => text!("most messages this month"),
        OverviewSort::LastMonth => text!("most messages last month"),
        OverviewSort::LastMessage => text!("longest silence first"),
    }
}

fn rows(frame: &Frame, rows: &[OverviewRow], words: Words) -> Markup {
    let heads = [
        text!("Account"),
        text!("State"),
        text!("Last message"),
        text!("Today"),
        text!("Against last week"),
        text!("This month"),
        text!("Change"),
        text!("Last month"),
        text!("Last days"),
    ]
    .map(|head| words.say(head));
    html! {
        table.list {
            caption.hidden { (words.say(text!("Accounts"))) }
            thead { tr { @for (number, head) in heads.iter().enumerate() { th scope="col" class=[(2..8).contains(&number).then_some("number")] { (head) } } } }
            tbody { @for row in rows { (list_row(frame, row, &heads, words)) } }
        }
    }
}

fn list_row(frame: &Frame, row: &OverviewRow, heads: &[String; 9], words: Words) -> Markup {
    let last = row.last_message.map(|time| words.ago(time, frame.now));
    let (hours, days) = (row.same_hours, row.same_days);
    html! {
        tr {
            th scope="row" { (account_link(&row.account)) }
            td data-head=(heads[1]) { (state(row.state, words)) }
            td.number data-head=(heads[2]) data-last=(row.account.appid) { @match last { Some(last) => (last), None => "–" } }
            td.number data-head=(heads[3]) data-today=(row.account.appid) { (number_element(row.today)) }
            td.number data-head=(heads[4]) { (compared(hours.0, hours.1, words)) }
            td.number data-head=(heads[5]) { (number_element(row.month)) }
            td.number data-head=(heads[6]) { (short_compared(days.0, days.1, words)) }
            td.number data-head=(heads[7]) { (number_element(row.last_month)) }
            td.trend data-head=(heads[8]) { (sparkline::draw(&row.sparkline, words)) }
        }
    }
}

fn paging(frame: &Frame, list: &ListState, words: Words) -> Markup {
    let page = |number: usize| link(frame, "page", (number > 1).then(|| number.to_string()).as_deref());
    html! {
        nav.paging aria-label=(words.say(text!("Pages of the list"))) {
            @if list.page > 1 { a rel="prev" href=(page(list.page - 1)) { (words.say(text!("Previous"))) } }
            span.quiet {
                (words.say(text!("Page {page} of {pages}, {count} accounts", page = list.page, pages = list.pages, count = grouped(list.found as u64))))
            }
            @if list.page < list.pages { a rel="next" href=(page(list.page + 1)) { (words.say(text!("Next"))) } }
        }
    }
}
