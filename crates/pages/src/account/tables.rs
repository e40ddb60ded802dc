//! Tables with a bar in each row: types, distribution, events.

use datacube::Granularity;
use i18n::{
    format::{grouped, percent},
    text,
};
use maud::{Markup, html};

use crate::{
    charts::table::number_element,
    parts::{SERIES, bar, card, links, nothing, short_compared},
    view::{
        account::{AccountFiguresView, DistributionFigures},
        figures::{Compared, FigureSource},
        time::ChartPeriod,
    },
    words::Words,
};

/// Users and messages by type.
pub fn types_card(figures: &AccountFiguresView, words: Words) -> Markup {
    let all = figures.messages.value;
    let largest = figures.types.iter().map(|of_type| of_type.messages).max().unwrap_or_default();
    let title = words.say(text!("By type"));
    let outside: Vec<String> =
        figures.not_counted.iter().map(|kind| format!("{} {}", kind.name, grouped(kind.count))).collect();
    let body = html! {
        table.bars {
            caption.hidden { (title) }
            thead { tr {
                th scope="col" { (words.say(text!("Type"))) }
                @for head in [text!("users"), text!("messages"), text!("share"), text!("change")] { th.number scope="col" { (words.say(head)) } }
                td {}
            } }
            tbody {
                @for ((of_type, name), class) in figures.types.iter().zip(words.types()).zip(SERIES) {
                    tr {
                        th scope="row" { (name) }
                        td.number { (number_element(of_type.users)) }
                        td.number { (number_element(of_type.messages)) }
                        td.number { (percent(of_type.messages, all)) }
                        td.number { (short_compared(of_type.messages, of_type.compared, words)) }
                        td.bar-cell { (bar(class, of_type.messages, largest)) }
                    }
                }
                tr.all {
                    th scope="row" { (words.say(text!("all"))) }
                    td.number { (number_element(figures.users.value)) }
                    td.number { (number_element(all)) }
                    td.number { (percent(all, all)) }
                    td.number { (short_compared(all, figures.messages.compared, words)) }
                    td {}
                }
            }
        }
        p.quiet {
            (words.say(text!("A user who sent several types counts once in “all”.")))
            @if !outside.is_empty() { " " (words.say(text!("Not part of WeChat's figures: {kinds}.", kinds = outside.join(", ")))) }
        }
        (foot(&figures.types_source, words))
    };
    card("half", &title, &nothing(), &body)
}

/// Users by number of messages.
pub fn distribution_card(figures: &AccountFiguresView, words: Words) -> Markup {
    let title = words.say(text!("Users by number of messages"));
    let Some(distribution) = &figures.distribution else {
        let body = html! {
            p.quiet {
                (words.say(text!("Exact only for whole calendar days, weeks and months. None lies in this range: choose a longer one.")))
            }
        };
        return card("", &title, &nothing(), &body);
    };
    let beside = html! { span.quiet { (distribution_period(distribution, words)) } };
    card("", &title, &beside, &distribution_table(distribution, &title, words))
}

fn distribution_table(distribution: &DistributionFigures, title: &str, words: Words) -> Markup {
    let all = distribution.users.iter().fold(0_u64, |sum, users| sum.saturating_add(*users));
    let largest = distribution.users.iter().copied().max().unwrap_or_default();
    let rows = words.intervals().into_iter().zip(distribution.users).zip(distribution.compared);
    let has_change = distribution.compared.iter().any(|compared| *compared != Compared::No);
    html! {
        table.bars {
            caption.hidden { (title) }
            thead { tr {
                th scope="col" { (words.say(text!("messages"))) }
                @for head in [text!("users"), text!("share")] { th.number scope="col" { (words.say(head)) } }
                @if has_change { th.number scope="col" { (words.say(text!("change"))) } }
                td {}
            } }
            tbody {
                @for ((name, users), compared) in rows {
                    tr {
                        th scope="row" { (name) }
                        td.number { (number_element(users)) }
                        td.number { (percent(users, all)) }
                        @if has_change { td.number { (short_compared(users, compared, words)) } }
                        td.bar-cell { (bar(SERIES[0], users, largest)) }
                    }
                }
            }
        }
        (foot(&distribution.source, words))
    }
}

/// The calendar period of a distribution, as a reader of the title needs it.
fn distribution_period(distribution: &DistributionFigures, words: Words) -> String {
    let ChartPeriod { granularity, day, .. } = distribution.period;
    let name = match granularity {
        Granularity::Hour | Granularity::Day => words.date(day),
        Granularity::Week => words.say(text!("week of {date}", date = words.date(day))),
        Granularity::Month => words.month(day),
    };
    if distribution.is_open { words.say(text!("{period} (not over)", period = name)) } else { name }
}

/// Events by name.
pub fn events_card(figures: &AccountFiguresView, words: Words) -> Markup {
    let title = words.say(text!("Events"));
    let largest = figures.events.iter().map(|event| event.count).max().unwrap_or_default();
    let body = html! {
        @if figures.events.is_empty() {
            p.quiet { (words.say(text!("No events in this range."))) }
        } @else {
            table.bars {
                caption.hidden { (title) }
                thead.hidden { tr { th scope="col" { (words.say(text!("Event"))) } th scope="col" { (words.say(text!("Number"))) } td {} } }
                tbody {
                    @for event in &figures.events {
                        tr {
                            th scope="row" { code { (event.name) } }
                            td.number { (number_element(event.count)) }
                            td.bar-cell { (bar("s6", event.count, largest)) }
                        }
                    }
                }
            }
            @if figures.more_events > 0 { p.quiet { (words.say(text!("and {count} more", count = figures.more_events))) } }
        }
        (foot(&figures.events_source, words))
    };
    let beside = html! { span.quiet { (words.range(figures.from, figures.to)) } };
    card("", &title, &beside, &body)
}

fn foot(source: &FigureSource, words: Words) -> Markup {
    html! { div.foot { (links(source, words)) } }
}
