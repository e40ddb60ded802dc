//! The two languages: English and Chinese.

/// The language of a terminal or a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese (simplified).
    Zh,
}

impl Lang {
    /// The language of a locale. Expects the values of `LC_ALL`, `LC_MESSAGES` and `LANG`, in this order: the first one that
    /// is not empty decides.
    pub fn from_locale<'a>(values: impl IntoIterator<Item = &'a str>) -> Lang {
        match values.into_iter().find(|value| !value.is_empty()) {
            Some(value) if value.starts_with("zh") => Lang::Zh,
            _ => Lang::En,
        }
    }

    /// The language with the code `en` or `zh`. None for another code.
    pub fn from_code(code: &str) -> Option<Lang> {
        [Lang::En, Lang::Zh].into_iter().find(|lang| lang.code() == code)
    }

    /// The code of the language: `en` or `zh`.
    pub fn code(self) -> &'static str {
        self.pick("en", "zh")
    }

    /// The name of the language, in that language.
    pub fn name(self) -> &'static str {
        self.pick("English", "中文")
    }

    /// The other language.
    #[must_use]
    pub fn other(self) -> Lang {
        self.pick(Lang::Zh, Lang::En)
    }

    /// The one of two values for this language. For texts, use [`text!`](crate::text!).
    pub fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_decides() {
        assert_eq!(Lang::from_locale(["", "zh_CN.UTF-8", "en_US"]), Lang::Zh);
        assert_eq!(Lang::from_locale(["C", "zh_CN.UTF-8"]), Lang::En);
        assert_eq!(Lang::from_locale([]), Lang::En);
    }

    #[test]
    fn codes_are_parsed_as_they_are_written() {
        assert_eq!(["en", "zh", "de"].map(Lang::from_code), [Some(Lang::En), Some(Lang::Zh), None]);
    }
}
