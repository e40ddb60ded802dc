//! A text that can be shown in each language.

use std::fmt::Display;

use crate::{Lang, catalog, template};

/// A text with its values, which is not written in a language yet. Made by [`text!`](crate::text!).
///
/// It implements no `Display`, so that nobody is shown English by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// An English template, whose Chinese is found by it.
    Template { english: &'static str, values: Vec<(&'static str, Text)> },
    /// English that came as a whole, such as the error of a library.
    English(String),
    /// The same in every language.
    Plain(String),
    /// Several, with another between each two.
    List { texts: Vec<Text>, separator: Box<Text> },
}

impl Text {
    /// A template without values.
    #[doc(hidden)]
    pub const fn fixed(english: &'static str) -> Text {
        Text(Kind::Template { english, values: Vec::new() })
    }

    /// A template with a value for each of its places.
    #[doc(hidden)]
    pub fn filled<const N: usize>(english: &'static str, values: [(&'static str, Text); N]) -> Text {
        Text(Kind::Template { english, values: values.into() })
    }

    /// English that was made elsewhere: the error of a library, of the system, or of another msgcube. Chinese is found
    /// for those parts of it that the catalogue has.
    pub fn of_english(english: impl Display) -> Text {
        Text(Kind::English(english.to_string()))
    }

    /// The same in every language: a name, a path, a command.
    pub fn plain(text: impl Into<String>) -> Text {
        Text(Kind::Plain(text.into()))
    }

    /// Several texts with a separator between each two.
    pub fn list(texts: impl IntoIterator<Item = Text>, separator: Text) -> Text {
        Text(Kind::List { texts: texts.into_iter().collect(), separator: Box::new(separator) })
    }

    /// The text as people read it.
    pub fn in_lang(&self, lang: Lang) -> String {
        match &self.0 {
            Kind::Template { english, values } => {
                let template = match lang {
                    Lang::En => english,
                    Lang::Zh => catalog::chinese(english).unwrap_or(english),
                };
                template::filled(template, |place| {
                    let (_, value) = values.iter().find(|(name, _)| *name == place)?;
                    Some(value.in_lang(lang))
                })
            }
            Kind::English(english) => catalog::translated(lang, english),
            Kind::Plain(text) => text.clone(),
            Kind::List { texts, separator } => {
                let texts: Vec<String> = texts.iter().map(|text| text.in_lang(lang)).collect();
                texts.join(&separator.in_lang(lang))
            }
        }
    }

    /// The text in English, for the log and for machines.
    pub fn english(&self) -> String {
        self.in_lang(Lang::En)
    }

    /// The text in Chinese.
    pub fn chinese(&self) -> String {
        self.in_lang(Lang::Zh)
    }
}

impl From<String> for Text {
    /// The same in every language.
    fn from(text: String) -> Text {
        Text::plain(text)
    }
}

/// What a text can be filled with: whatever can be displayed, and other texts.
pub trait ToText {
    /// The value as a text.
    fn to_text(&self) -> Text;
}

impl<T: Display + ?Sized> ToText for T {
    fn to_text(&self) -> Text {
        Text::plain(self.to_string())
    }
}

impl ToText for Text {
    fn to_text(&self) -> Text {
        self.clone()
    }
}

impl ToText for &Text {
    fn to_text(&self) -> Text {
        Text::clone(self)
    }
}

/// A [`Text`]: its English template, and a value for each of its places.
///
/// The compiler checks that places and values agree, and a test that the catalogue has the template. Values are written
/// as `{name}` only; give `name = format_args!("{name:?}")` for anything else. A value may be a text itself.
///
/// ```
/// use i18n::{Lang, text};
///
/// let hours = 3;
/// assert_eq!(text!("{hours} h {minutes} min", hours, minutes = 20).in_lang(Lang::En), "3 h 20 min");
/// ```
///
/// ```compile_fail
/// let hours = 3;
/// i18n::text!("{hours} h");
/// ```
#[macro_export]
macro_rules! text {
    ($english:literal $(,)?) => {{
        const { assert!(!$crate::has_placeholder($english), "a place of the text has no value") };
        $crate::Text::fixed($english)
    }};
    ($english:literal, $($name:ident $(= $value:expr)?),+ $(,)?) => {{
        // Checks places and values. In `concat!` they are not taken from the variables around.
        if false {
            let _ = ::std::format_args!(::std::concat!($english), $($name = ""),+);
        }
        $crate::Text::filled(
            $english,
            [$((::std::stringify!($name), $crate::ToText::to_text(&$crate::text!(@value $name $(= $value)?)))),+],
        )
    }};
    (@value $name:ident) => { $name };
    (@value $name:ident = $value:expr) => { $value };
}

#[cfg(test)]
mod tests {
    use super::*;

    static FIXED: Text = text!("is written as {{name}}");

    #[test]
    fn a_text_is_shown_in_both_languages_with_the_texts_in_it() {
        let (hours, minutes) = (3, 20);
        let span = text!("{hours} h {minutes} min", hours, minutes);
        assert_eq!((span.english().as_str(), span.chinese().as_str()), ("3 h 20 min", "3 小时 20 分钟"));
        let (outer, inner) = (text!("[{inner}]", inner = span), &span);
        assert_eq!(outer.chinese(), "[3 小时 20 分钟]");
        assert_eq!(text!("[{inner}]", inner).chinese(), "[3 小时 20 分钟]");
        assert_eq!(FIXED.english(), "is written as {name}");
    }

    #[test]
    fn lists_and_plain_texts_are_shown_as_they_are() {
        let list = Text::list([Text::plain("a"), text!("{days} days", days = 2)], Text::plain("; "));
        assert_eq!((list.english().as_str(), list.chinese().as_str()), ("a; 2 days", "a; 2 天"));
    }
}
