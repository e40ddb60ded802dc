//! Names of message types and intervals, for people.

use i18n::{Lang, text};

/// The name of a `msg_type`; for an unknown one, its number.
pub fn type_name(msg_type: u8, lang: Lang) -> String {
    let name = match msg_type {
        1 => text!("text").in_lang(lang),
        2 => text!("image").in_lang(lang),
        3 => text!("voice").in_lang(lang),
        4 => text!("video").in_lang(lang),
        6 => text!("link").in_lang(lang),
        other => return format!("{} {other}", text!("type").in_lang(lang)),
    };
    name.clone()
}

/// The name of a `count_interval`, in two lines; for an unknown one, its number.
pub fn interval_name(interval: u8, lang: Lang) -> String {
    let name = match interval {
        0 => "0",
        1 => "1–5",
        2 => "6–10",
        3 => ">10",
        other => return format!("{} {other}", text!("interval").in_lang(lang)),
    };
    format!("{name}\n{}", text!("messages").in_lang(lang))
}
