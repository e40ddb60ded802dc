//! One account over a range of days.

mod range;
mod series;
mod tables;

use i18n::{format::grouped, text};
use maud::{Markup, html};

use crate::{
    charts::{
        strip::Strip,
        svg::{Drawing, LegendEntry},
        table::number_element,
    },
    layout::{document, encoded},
    parts::{commands, compared, nothing, state, tile, tile_number},
    view::{
        account::{AccountFiguresView, AccountPage, RangeCoverage, TodayTile},
        figures::{CoverageKind, FigureTile},
        frame::{Frame, NavEntry},
    },
    words::Words,
};

/// The page `/ui/accounts/{appid}`. A frame without navigation makes it the page of a share link.
pub fn account(frame: &Frame, page: &AccountPage) -> String {
    let words = Words(frame.lang);
    let name = page.account.shown();
    let content = html! {
        (heading(page, name, words))
        @if page.since.is_none() && frame.entries.contains(&NavEntry::Connect) {
            p { a.button href={ (NavEntry::Connect.path()) "?appid=" (encoded(&page.account.appid)) } { (words.say(text!("See how far connecting it has come"))) } }
        }
        (range::form(frame, page, words))
        @match &page.figures {
            Some(figures) => (all_figures(frame, page, figures, words)),
            None => dl.tiles { (today_tile(frame, page, words)) },
        }
    };
    document(frame, name, &nothing(), &content)
}

/// The charts of the range as SVG files: a file name without its ending, and the file.
pub fn account_svg_files(frame: &Frame, figures: &AccountFiguresView) -> Vec<(&'static str, String)> {
    let words = Words(frame.lang);
    let file =
        |(title, drawing, legend): (String, Drawing, Vec<LegendEntry>)| drawing.as_file(&title, &legend);
    let mut files = vec![
        ("users", file(series::users(figures, words))),
        ("messages", file(series::messages(figures, words))),
    ];
    files.extend(series::hours(figures, words).map(|hours| ("hours", file(hours))));
    files.extend(series::weeks(figures, words).map(|weeks| ("weeks", file(weeks))));
    files
}

fn heading(page: &AccountPage, name: &str, words: Words) -> Markup {
    html! {
        div.title {
            h1 { (name) }
            @if name != page.account.appid { code.appid { (page.account.appid) } }
            (state(page.state, words))
            p.quiet {
                @match page.since {
                    Some(since) => (words.say(text!("counted since {date}", date = words.date(since.day)))),
                    None => (words.say(text!("No message has come yet."))),
                }
                @if let Some(figures) = &page.figures { (gaps(figures, words)) }
            }
        }
    }
}

fn gaps(figures: &AccountFiguresView, words: Words) -> Markup {
    let gap = |kind: &CoverageKind| matches!(kind, CoverageKind::CoverageGap { .. });
    let found: Vec<_> = figures.segments.iter().filter(|segment| gap(&segment.kind)).collect();
    let seconds: i64 = found.iter().map(|segment| segment.to.unix_s() - segment.from.unix_s()).sum();
    html! {
        " · "
        @match figures.coverage {
            RangeCoverage::Full => (words.say(text!("this range is fully covered"))),
            RangeCoverage::BeforeCounting => (words.say(text!("this range is before that day"))),
            RangeCoverage::Part if found.is_empty() => (words.say(text!("a part of this range is before that day"))),
            RangeCoverage::Part => (words.say(text!("gaps in this range: {count}, together {span}", count = found.len(), span = i18n::format::span(seconds)))),
        }
    }
}

fn all_figures(frame: &Frame, page: &AccountPage, figures: &AccountFiguresView, words: Words) -> Markup {
    let strip = Strip { segments: &figures.segments, words };
    html! {
        (tiles(frame, page, figures, words))
        @if figures.coverage == RangeCoverage::BeforeCounting {
            p.notice.warning {
                (words.say(text!("Nothing was counted in this range. Choose a later range, or import older messages with msgcube import.")))
                @if let Some(href) = &figures.first_counted { " " a href=(href) { (words.say(text!("Show the first days that were counted"))) } }
                @if let Some(since) = page.since {
                    " " a href={ (frame.path) "?from=" (since.day) "&to=" (since.day) } { (words.say(text!("Show the first day that was counted"))) }
                }
            }
        } @else if figures.messages.value == 0 && figures.coverage == RangeCoverage::Full {
            p.notice.good { (words.say(text!("0 messages, fully covered: nobody wrote a counted message."))) }
        }
        div.cards {
            (series::users_card(figures, &strip, words))
            (series::messages_card(figures, &strip, words))
            (tables::types_card(figures, words))
            div.column {
                (tables::distribution_card(figures, words))
                (tables::events_card(figures, words))
            }
            (series::hours_card(figures, words))
            (series::weeks_card(figures, words))
        }
        @if let Some(table) = strip.table() { (table.folded_as(&table.caption, words)) }
        p.quiet {
            (words.say(text!("Exact figures, Beijing time. A period that is not over is drawn paler or dashed.")))
        }
    }
}

fn tiles(frame: &Frame, page: &AccountPage, figures: &AccountFiguresView, words: Words) -> Markup {
    let [users, messages, each, new] =
        [text!("Distinct users"), text!("Messages sent"), text!("Messages a user"), text!("New users")]
            .map(|name| words.say(name));
    let below = |tile: &FigureTile| compared(tile.value, tile.compared, words);
    let mut sources =
        vec![(users.clone(), &figures.users.source), (messages.clone(), &figures.messages.source)];
    sources.extend(figures.new_users.as_ref().map(|tile| (new.clone(), &tile.source)));
    sources.push((words.say(text!("Today")), &page.today.source));
    html! {
        dl.tiles {
            (tile(&users, &tile_number(&figures.users, words), &below(&figures.users)))
            (tile(&messages, &tile_number(&figures.messages, words), &below(&figures.messages)))
            (tile(&each, &average(figures.messages.value, figures.users.value), &words_of_range(figures, words)))
            @if let Some(new_users) = &figures.new_users { (tile(&new, &tile_number(new_users, words), &new_below(new_users, figures, words))) }
            (today_tile(frame, page, words))
        }
        (commands(&sources, words))
    }
}

fn words_of_range(figures: &AccountFiguresView, words: Words) -> Markup {
    html! { (words.range(figures.from, figures.to)) }
}

fn new_below(new_users: &FigureTile, figures: &AccountFiguresView, words: Words) -> Markup {
    html! {
        @if figures.new_is_early {
            (words.say(text!("counted for less than 28 days before: most are new here only")))
        } @else {
            (words.say(text!("{percent} of users", percent = i18n::format::percent(new_users.value, figures.users.value))))
        }
    }
}

/// Messages a user, to hundredths. A dash without users.
fn average(messages: u64, users: u64) -> Markup {
    let hundredths = (u128::from(messages) * 200 + u128::from(users)).checked_div(u128::from(users) * 2);
    let written = hundredths.map(|number| format!("{}.{:02}", number / 100, number % 100));
    html! {
        @match written { Some(written) => data value=(written) { (written) }, None => "–" }
    }
}

fn today_tile(frame: &Frame, page: &AccountPage, words: Words) -> Markup {
    let TodayTile { messages, users, .. } = page.today;
    let name = words.say(text!("Messages today until {time}", time = frame.now.hour_and_minute()));
    let number = html! { span data-today=(page.account.appid) { (number_element(messages)) } };
    let below = html! { (words.say(text!("by {count} users", count = grouped(users)))) };
    tile(&name, &number, &below)
}
