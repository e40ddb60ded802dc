//! Parts that several pages are made of: tiles, cards, changes, states, forms.

use datacube::Day;
use i18n::{Text, text};
use maud::{Markup, PreEscaped, html};

use crate::{
    charts::{
        svg::{Drawing, LegendEntry, share},
        table::{ChartTable, number_element},
    },
    layout::encoded,
    view::{
        figures::{AccountName, Compared, Download, FigureSource, FigureTile, ShownState},
        frame::SignedIn,
    },
    words::Words,
};

/// Classes of the colours of a stack, lowest part first.
pub const SERIES: [&str; 6] = ["s1", "s2", "s3", "s4", "s5", "s6"];

/// One large number with its name above and a line below.
pub fn tile(name: &str, number: &Markup, below: &Markup) -> Markup {
    html! {
        div.tile {
            dt { (name) }
            dd.big { (number) }
            dd.below { (below) }
        }
    }
}

/// A number of a tile, with "at least" in front if some of the time was not counted.
pub fn tile_number(tile: &FigureTile, words: Words) -> Markup {
    html! {
        @if tile.is_at_least { span.least { (words.say(text!("at least"))) " " } }
        (number_element(tile.value))
    }
}

/// The change from an earlier time, with the earlier number.
pub fn compared(value: u64, compared: Compared, words: Words) -> Markup {
    html! {
        @match compared {
            Compared::No => {},
            Compared::With(before) => {
                (change(value, before, words)) " "
                span.before-number { (words.say(text!("before:"))) " " (number_element(before)) }
            },
            other => (no_comparison(other, words)),
        }
    }
}

/// The change from an earlier time, in short.
pub fn short_compared(value: u64, compared: Compared, words: Words) -> Markup {
    html! {
        @match compared {
            Compared::No => span.quiet { "–" },
            Compared::With(0) if value == 0 => span.quiet { "–" },
            Compared::With(before) => (change(value, before, words)),
            other => (no_comparison(other, words)),
        }
    }
}

fn no_comparison(compared: Compared, words: Words) -> Markup {
    let since = |day: Day| words.say(text!("not counted before {date}", date = words.date(day)));
    html! {
        span.quiet.why {
            @match compared {
                Compared::NotCountedBefore(day) => (since(day)),
                _ => (words.say(text!("gap in the time before"))),
            }
        }
    }
}

fn change(value: u64, before: u64, words: Words) -> Markup {
    let changed = words.change(value, before);
    html! {
        span.change {
            span aria-hidden="true" { (changed.sign) } span.hidden { (changed.word) } " " (changed.percent)
        }
    }
}

/// A state as a word in a frame.
pub fn state(state: ShownState, words: Words) -> Markup {
    let class = match state {
        ShownState::Refusing | ShownState::Gap => "bad",
        ShownState::WaitingCheck | ShownState::WaitingMessage => "warning",
        ShownState::Quiet => "quiet",
        ShownState::Receiving => "good",
    };
    html! { span class={ "state " (class) } { (words.state(state)) } }
}

/// The name of an account as a link to its page, with its AppID below.
pub fn account_link(account: &AccountName) -> Markup {
    html! {
        a href={ "/ui/accounts/" (encoded(&account.appid)) } { (account.shown()) }
        @if !account.name.is_empty() { code.appid { (account.appid) } }
    }
}

/// A card with a title.
pub fn card(class: &str, title: &str, beside: &Markup, body: &Markup) -> Markup {
    html! {
        section class={ "card " (class) } {
            div.head { h2 { (title) } div.beside { (beside) } }
            (body)
        }
    }
}

/// A chart with its table. The script shows the numbers of the table at the pointer.
pub fn figure(
    drawing: &Drawing,
    strip: &Markup,
    table: &ChartTable,
    source: &FigureSource,
    words: Words,
) -> Markup {
    html! {
        figure data-chart="" {
            (drawing.on_page())
            (strip)
            div.foot { (table.folded(words)) (links(source, words)) }
        }
    }
}

/// Colours and what they mean.
pub fn legend(entries: &[LegendEntry]) -> Markup {
    html! {
        ul.legend {
            @for entry in entries {
                li {
                    svg class="key" aria-hidden="true" { rect class=(entry.class) width="100%" height="100%" {} }
                    (entry.name)
                }
            }
        }
    }
}

/// A bar in a row of a table. The number beside it says the same.
pub fn bar(class: &str, part: u64, largest: u64) -> Markup {
    html! {
        svg class="bar" aria-hidden="true" { rect class=(class) width=(share(part, u128::from(largest))) height="100%" rx="2" {} }
    }
}

/// Where else the numbers of a card can be had.
pub fn links(source: &FigureSource, words: Words) -> Markup {
    html! {
        @if !source.curl.is_empty() {
            details.folded { summary { "curl" } (copied(&source.curl, words)) }
        }
        @if !source.csv.is_empty() { a.csv href=(source.csv) download { "CSV" } }
    }
}

/// A text with a button that copies it.
pub fn copied(text: &str, words: Words) -> Markup {
    html! {
        div.copied { code { (text) } button.copy type="button" hidden { (words.say(text!("Copy"))) } }
    }
}

/// Links that save the figures of a page.
pub fn downloads(downloads: &[Download], words: Words) -> Markup {
    html! {
        @if !downloads.is_empty() {
            span.downloads {
                (words.say(text!("Save as:")))
                @for download in downloads { " " a href=(download.href) download { (download.format) } }
            }
        }
    }
}

/// The field that every form sends which changes something. It proves that the form is one of this session.
pub fn form_proof(viewer: &SignedIn) -> Markup {
    html! { input type="hidden" name="csrf" value=(viewer.csrf); }
}

/// A field with its label, and a sentence below if its value is wrong.
pub struct InputLine<'a> {
    /// The name in the form.
    pub name: &'a str,
    /// Its id, which is unique in the page.
    pub id: &'a str,
    /// The label.
    pub label: String,
    /// The value.
    pub value: &'a str,
    /// A sentence below, such as what may be left empty. May be empty.
    pub hint: String,
    /// What is wrong.
    pub error: Option<&'a Text>,
    /// Must not be empty.
    pub is_required: bool,
}

impl InputLine<'_> {
    /// Draws it.
    pub fn draw(&self, words: Words) -> Markup {
        let note = format!("{}-note", self.id);
        let has_note = self.error.is_some() || !self.hint.is_empty();
        html! {
            div.field {
                label for=(self.id) { (self.label) }
                input id=(self.id) name=(self.name) value=(self.value) autocomplete="off" spellcheck="false" required[self.is_required]
                    aria-invalid=[self.error.map(|_| "true")] aria-describedby=[has_note.then_some(&note)];
                @if has_note {
                    p id=(note) class=(if self.error.is_some() { "error" } else { "quiet" }) {
                        @match self.error { Some(error) => (words.say(error)), None => (self.hint) }
                    }
                }
            }
        }
    }
}

/// A choice of a list.
pub fn choice(value: &str, name: &str, is_selected: bool) -> Markup {
    html! { option value=(value) selected[is_selected] { (name) } }
}

/// Nothing.
pub fn nothing() -> Markup {
    PreEscaped(String::new())
}

/// The commands behind several numbers, folded. Numbers without one are left out.
pub fn commands(sources: &[(String, &FigureSource)], words: Words) -> Markup {
    let known: Vec<_> = sources.iter().filter(|(_, source)| !source.curl.is_empty()).collect();
    html! {
        @if !known.is_empty() {
            details.folded.commands {
                summary { (words.say(text!("These numbers by curl"))) }
                @for (name, source) in known { p { (name) } (copied(&source.curl, words)) }
            }
        }
    }
}
