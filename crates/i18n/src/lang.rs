//! The language people read: Chinese or English.

/// A language of a terminal or a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese (simplified).
    Zh,
}

impl Lang {
    /// From the values of `LC_ALL`, `LC_MESSAGES` and `LANG`, in this order: Chinese if the first that is set is.
    pub fn of_locale<'a>(values: impl IntoIterator<Item = &'a str>) -> Lang {
        match values.into_iter().find(|value| !value.is_empty()) {
            Some(value) if value.starts_with("zh") => Lang::Zh,
            _ => Lang::En,
        }
    }

    /// The language with this code: `en` or `zh`.
    pub fn of_code(code: &str) -> Option<Lang> {
        [Lang::En, Lang::Zh].into_iter().find(|lang| lang.code() == code)
    }

    /// `en` or `zh`.
    pub fn code(self) -> &'static str {
        self.pick("en", "zh")
    }

    /// The language's own name.
    pub fn name(self) -> &'static str {
        self.pick("English", "中文")
    }

    /// The other language.
    #[must_use]
    pub fn other(self) -> Lang {
        self.pick(Lang::Zh, Lang::En)
    }

    /// The one of two values that belongs to this language. For texts use [`text!`](crate::text!).
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
        assert_eq!(Lang::of_locale(["", "zh_CN.UTF-8", "en_US"]), Lang::Zh);
        assert_eq!(Lang::of_locale(["C", "zh_CN.UTF-8"]), Lang::En);
        assert_eq!(Lang::of_locale([]), Lang::En);
    }

    #[test]
    fn codes_are_read_back() {
        assert_eq!(["en", "zh", "de"].map(Lang::of_code), [Some(Lang::En), Some(Lang::Zh), None]);
    }
}
