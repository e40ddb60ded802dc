//! The language people read on screen: Chinese or English. Machines' output (`--json`, `--csv`, logs) has none.

/// A language of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
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

    /// The one of two texts that is in this language.
    pub fn pick<T>(self, en: T, zh: T) -> T {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}
