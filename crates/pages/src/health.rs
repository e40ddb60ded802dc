//! What is well and what is not.

use i18n::text;
use maud::{Markup, html};

use crate::{
    layout::{document, level_class, level_name},
    parts::{account_link, card, nothing, state},
    view::{
        figures::AlertLevel,
        frame::Frame,
        health::{HealthCheck, HealthPage},
    },
    words::Words,
};

/// The page `/ui/health`.
pub fn health(frame: &Frame, page: &HealthPage) -> String {
    let words = Words(frame.lang);
    let title = words.say(text!("Health"));
    let mut checks: Vec<&HealthCheck> = page.checks.iter().collect();
    checks.sort_by_key(|check| check.level);
    let is_well = page.accounts.is_empty() && checks.iter().all(|check| check.level == AlertLevel::Good);
    let content = html! {
        div.title {
            h1 { (title) }
            p.quiet { (words.say(text!("recorded since {time}", time = words.moment(page.since)))) }
        }
        @if is_well {
            p.notice.good { (words.say(text!("All is well since {time}.", time = words.moment(page.since)))) }
        }
        (accounts(page, words))
        @if !checks.is_empty() { (card("", &words.say(text!("Checks")), &nothing(), &list(&checks, words))) }
    };
    document(frame, &title, &nothing(), &content)
}

fn list(checks: &[&HealthCheck], words: Words) -> Markup {
    html! {
        ul.checks {
            @for check in checks {
                li {
                    span { span class={ "state " (level_class(check.level)) } { (level_name(check.level, words)) } }
                    div {
                        h3 { (words.say(&check.title)) }
                        p { (words.say(&check.finding)) }
                        @if let Some(remedy) = &check.remedy { p.quiet { (words.say(remedy)) } }
                    }
                }
            }
        }
    }
}

fn accounts(page: &HealthPage, words: Words) -> Markup {
    let body = html! {
        ul.checks {
            @for row in &page.accounts {
                li {
                    span { (state(row.state, words)) }
                    div {
                        h3 { (account_link(&row.account)) }
                        p { (words.say(&row.finding)) }
                    }
                }
            }
        }
        @if page.more_accounts > 0 {
            p { a href="/ui/?sort=attention" { (words.say(text!("{count} more in the overview", count = page.more_accounts))) } }
        }
    };
    html! {
        @if !page.accounts.is_empty() { (card("", &words.say(text!("Accounts that need attention")), &nothing(), &body)) }
    }
}
