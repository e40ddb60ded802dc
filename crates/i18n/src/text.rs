//! A text that can be shown in both languages.

use std::fmt::Display;

use crate::{Lang, catalog, template};

/// A text with its values, before a language is chosen. Made by [`text!`](crate::text!).
///
/// It does not implement `Display`, so that English is not shown by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(TextKind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TextKind {
    /// An English template. Its Chinese is looked up in the catalogue.
    Template { english: &'static str, values: Vec<(&'static str, Text)> },
    /// A complete English text, such as the error of a library.
    English(String),
    /// A text that is equal in both languages.
    Plain(String),
    /// Several texts with a separator between them.
    List { texts: Vec<Text>, separator: Box<Text> },
}

impl Text {
    /// A template without values.
    #[doc(hidden)]
    pub const fn fixed(english: &'static str) -> Text {
        Text(TextKind::Template { english, values: Vec::new() })
    }

    /// A template with a value for each placeholder.
    #[doc(hidden)]
    pub fn fill<const N: usize>(english: &'static str, values: [(&'static str, Text); N]) -> Text {
        Text(TextKind::Template { english, values: values.into() })
    }

    /// A complete English text: the error of a library, of the system or of another msgcube. In Chinese, the parts that the
    /// catalogue has are translated.
    pub fn from_english(english: impl Display) -> Text {
        Text(TextKind::English(english.to_string()))
    }

    /// A text that is equal in both languages: a name, a path, a command.
    pub fn plain(text: impl Into<String>) -> Text {
        Text(TextKind::Plain(text.into()))
    }

    /// Several texts with a separator between them.
    pub fn list(texts: impl IntoIterator<Item = Text>, separator: Text) -> Text {
        Text(TextKind::List { texts: texts.into_iter().collect(), separator: Box::new(separator) })
    }

    /// The text in a language.
    pub fn in_lang(&self, lang: Lang) -> String {
        match &self.0 {
            TextKind::Template { english, values } => {
                let template = match lang {
                    Lang::En => english,
                    Lang::Zh => catalog::chinese(english).unwrap_or(english),
                };
                template::fill(template, |name| {
                    let (_, value) = values.iter().find(|(other, _)| *other == name)?;
                    Some(value.in_lang(lang))
                })
            }
            TextKind::English(english) => catalog::translated(lang, english),
            TextKind::Plain(text) => text.clone(),
            TextKind::List { texts, separator } => {
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
    /// A text that is equal in both languages.
    fn from(text: String) -> Text {
        Text::plain(text)
    }
}

/// Values of a text: everything that implements `Display`, and other texts.
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

/// Makes a [`Text`] from an English template and a value for each placeholder.
///
/// The compiler checks that placeholders and values agree. A test checks that the catalogue has the template. A placeholder
/// is only `{name}`; for another format, pass `name = format_args!("{name:?}")`. A value may be a [`Text`].
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
        const { assert!(!$crate::has_placeholder($english), "a placeholder of the text has no value") };
        $crate::Text::fixed($english)
    }};
    ($english:literal, $($name:ident $(= $value:expr)?),+ $(,)?) => {{
        // Checks placeholders and values. `concat!` prevents that a placeholder is taken from a local variable.
        if false {
            let _ = ::std::format_args!(::std::concat!($english), $($name = ""),+);
        }
        $crate::Text::fill(
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
