//! The form that chooses the range.

use datacube::Granularity;
use i18n::{Text, text};
use maud::{Markup, html};

use crate::{
    parts::{choice, downloads},
    view::{
        account::{AccountPage, CompareWith, RangeForm, RangePreset},
        frame::Frame,
    },
    words::Words,
};

/// Ranges with one click, the form, and the links that save the figures.
pub fn form(frame: &Frame, page: &AccountPage, words: Words) -> Markup {
    let form = &page.range;
    html! {
        div.range {
            nav.segments aria-label=(words.say(text!("Ranges"))) {
                @for link in &form.presets {
                    a href=(link.href) aria-current=[link.is_current.then_some("true")] { (words.say(preset_name(link.preset))) }
                }
            }
            form.bar method="get" action=(frame.path) {
                (fields(form, words))
                input type="hidden" name="lang" value=(frame.lang.code());
                button { (words.say(text!("Show"))) }
            }
            (downloads(&page.downloads, words))
        }
        @if let Some(error) = &form.error {
            p.error id="range-error" role="alert" {
                (words.say(&error.text))
                @if let Some((text, href)) = &error.remedy { " " a href=(href) { (words.say(text)) } }
            }
        }
    }
}

fn fields(form: &RangeForm, words: Words) -> Markup {
    let by = [
        None,
        Some(Granularity::Hour),
        Some(Granularity::Day),
        Some(Granularity::Week),
        Some(Granularity::Month),
    ];
    html! {
        (day("from", &words.say(text!("From")), &form.from, form))
        (day("to", &words.say(text!("to")), &form.to, form))
        label {
            (words.say(text!("group"))) " "
            select name="by" { @for by in by { (choice(granularity_code(by), &words.say(granularity_name(by)), by == form.by)) } }
        }
        label {
            (words.say(text!("compare with"))) " "
            select name="compare" {
                @for with in CompareWith::ALL { (choice(with.code(), &words.say(compare_name(with)), with == form.compare)) }
            }
        }
    }
}

fn day(name: &str, label: &str, value: &str, form: &RangeForm) -> Markup {
    let is_wrong = form.error.is_some();
    html! {
        label {
            (label) " "
            input type="date" name=(name) value=(value) required aria-invalid=[is_wrong.then_some("true")] aria-describedby=[is_wrong.then_some("range-error")];
        }
    }
}

fn preset_name(preset: RangePreset) -> Text {
    match preset {
        RangePreset::Today => text!("Today"),
        RangePreset::Days(days) => text!("{days} days", days),
        RangePreset::Month => text!("Month"),
        RangePreset::TwelveMonths => text!("12 months"),
    }
}

fn granularity_code(by: Option<Granularity>) -> &'static str {
    match by {
        None => "",
        Some(Granularity::Hour) => "hour",
        Some(Granularity::Day) => "day",
        Some(Granularity::Week) => "week",
        Some(Granularity::Month) => "month",
    }
}

fn granularity_name(by: Option<Granularity>) -> Text {
    match by {
        None => text!("automatic"),
        Some(Granularity::Hour) => text!("hour"),
        Some(Granularity::Day) => text!("day"),
        Some(Granularity::Week) => text!("week"),
        Some(Granularity::Month) => text!("month"),
    }
}

fn compare_name(with: CompareWith) -> Text {
    match with {
        CompareWith::Before => text!("the time before"),
        CompareWith::YearBefore => text!("same weekdays a year ago"),
        CompareWith::Nothing => text!("nothing"),
    }
}
