//! The document around every page.

use i18n::text;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    view::{
        figures::AlertLevel,
        frame::{Frame, NavEntry, PageNotice},
    },
    words::Words,
};

/// The style sheet of every page, exactly as the pages contain it. Allow it by the SHA-256 of these bytes.
pub const STYLE: &str = concat!(include_str!("style/frame.css"), include_str!("style/figures.css"));

/// The script of every page, exactly as the pages contain it. Allow it by the SHA-256 of these bytes.
pub const SCRIPT: &str = include_str!("script.js");

/// A page with this title and content.
pub fn document(frame: &Frame, title: &str, head: &Markup, content: &Markup) -> String {
    let words = Words(frame.lang);
    let is_shared = frame.entries.is_empty();
    let page = html! {
        (DOCTYPE)
        html lang=(frame.lang.pick("en", "zh-CN")) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                @if is_shared { meta name="robots" content="noindex"; }
                link rel="icon" href="data:,";
                title { (title) " · msgcube" }
                (head)
                style { (PreEscaped(STYLE)) }
            }
            body data-live=[frame.live.as_ref()] data-connected=(words.say(text!("connected"))) data-lost=(words.say(text!("connection lost, last figure {{time}}"))) data-copied=(words.say(text!("Copied"))) {
                a.skip href="#content" { (words.say(text!("Skip to the content"))) }
                (patterns())
                (top(frame, words))
                main id="content" {
                    @for notice in &frame.notices { (shown_notice(notice, words)) }
                    (content)
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The hatching of gaps, used by all charts.
fn patterns() -> Markup {
    html! {
        svg.hidden aria-hidden="true" width="0" height="0" {
            defs {
                pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="gap" width="3" height="5" {}
                }
            }
        }
    }
}

fn top(frame: &Frame, words: Words) -> Markup {
    html! {
        header.top {
            @if frame.entries.is_empty() {
                span.brand { "msgcube" }
            } @else {
                a.brand href=(NavEntry::Overview.path()) { "msgcube" }
                nav aria-label=(words.say(text!("Pages"))) {
                    @for entry in &frame.entries {
                        a href=(entry.path()) aria-current=[(frame.current == Some(*entry)).then_some("page")] { (entry_name(*entry, words)) }
                    }
                }
            }
            div.who {
                @if frame.live.is_some() { span.link role="status" data-link="" {} }
                span { (words.say(text!("Beijing time {time}", time = frame.now.hour_and_minute()))) }
                @let other = frame.lang.other();
                a href=(link(frame, "lang", Some(other.code()))) lang=(other.pick("en", "zh-CN")) hreflang=(other.pick("en", "zh-CN")) { (other.name()) }
                @if let Some(viewer) = &frame.signed_in {
                    form method="post" action="/ui/logout" {
                        input type="hidden" name="csrf" value=(viewer.csrf);
                        button.plain title=[(!viewer.key_name.is_empty()).then_some(&viewer.key_name)] { (words.say(text!("Sign out"))) }
                    }
                }
            }
        }
    }
}

/// The name of an entry of the navigation.
pub fn entry_name(entry: NavEntry, words: Words) -> String {
    words.say(match entry {
        NavEntry::Overview => text!("Overview"),
        NavEntry::Live => text!("Live"),
        NavEntry::Health => text!("Health"),
        NavEntry::Connect => text!("Connect an account"),
        NavEntry::Keys => text!("Keys and links"),
    })
}

fn shown_notice(notice: &PageNotice, words: Words) -> Markup {
    html! {
        p class={ "notice " (level_class(notice.level)) } {
            b { (level_name(notice.level, words)) } " " (words.say(&notice.text))
        }
    }
}

/// The class of a level.
pub fn level_class(level: AlertLevel) -> &'static str {
    match level {
        AlertLevel::Bad => "bad",
        AlertLevel::Warning => "warning",
        AlertLevel::Good => "good",
    }
}

/// The word for a level.
pub fn level_name(level: AlertLevel, words: Words) -> String {
    words.say(match level {
        AlertLevel::Bad => text!("Problem"),
        AlertLevel::Warning => text!("Warning"),
        AlertLevel::Good => text!("Well"),
    })
}

/// The address of this page with one part of its query set, or removed.
pub fn link(frame: &Frame, name: &str, value: Option<&str>) -> String {
    let is_other = |pair: &&str| !pair.is_empty() && pair.split('=').next() != Some(name);
    let mut pairs: Vec<String> = frame.query.split('&').filter(is_other).map(str::to_owned).collect();
    pairs.extend(value.map(|value| format!("{name}={}", encoded(value))));
    if pairs.is_empty() { frame.path.clone() } else { format!("{}?{}", frame.path, pairs.join("&")) }
}

/// Percent-encodes everything except letters, digits and `-_.`.
pub fn encoded(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use i18n::Lang;

    use super::*;
    use crate::view::time::BeijingTime;

    #[test]
    fn a_link_keeps_the_query_and_changes_its_own_part() {
        let mut frame = Frame {
            lang: Lang::En,
            now: BeijingTime::from_unix_s(0),
            path: "/ui/".to_owned(),
            query: "q=%E8%80%81&lang=en&page=2".to_owned(),
            entries: Vec::new(),
            current: None,
            signed_in: None,
            live: None,
            notices: Vec::new(),
        };
        assert_eq!(link(&frame, "lang", Some("zh")), "/ui/?q=%E8%80%81&page=2&lang=zh");
        assert_eq!(link(&frame, "x", Some("a b&c")), "/ui/?q=%E8%80%81&lang=en&page=2&x=a%20b%26c");
        frame.query = "page=2".to_owned();
        assert_eq!(link(&frame, "page", None), "/ui/");
    }
}
