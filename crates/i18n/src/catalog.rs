//! The catalogue: the program's English texts and their Chinese, in files of gettext's format.
//!
//! Texts of `text!` are found by their template. Whole English texts, which other processes and libraries give, are
//! searched for what is known of them.

mod po;
mod search;

use std::{collections::HashMap, sync::LazyLock};

use crate::Lang;

/// A part of the catalogue: one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the code says in `text!` and only there.
    Texts,
    /// Errors, which may come as a whole English text.
    Errors,
    /// Help of the command line. Not templates: braces are to be read.
    Help,
    /// What the command line's parser, the system and libraries say.
    Foreign,
}

impl Part {
    /// All parts.
    pub const ALL: [Part; 4] = [Part::Texts, Part::Errors, Part::Help, Part::Foreign];

    fn source(self) -> &'static str {
        match self {
            Part::Texts => include_str!("../zh/texts.po"),
            Part::Errors => include_str!("../zh/errors.po"),
            Part::Help => include_str!("../zh/help.po"),
            Part::Foreign => include_str!("../zh/foreign.po"),
        }
    }

    /// English and Chinese templates, as they stand in the file.
    pub fn entries(self) -> impl Iterator<Item = (String, String)> {
        po::entries(self.source())
    }
}

/// The Chinese template of each English one. Read when it is first needed.
static CHINESE: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| Part::ALL.into_iter().flat_map(Part::entries).collect());

/// The Chinese template of an English one.
pub fn chinese(english: &str) -> Option<&'static str> {
    CHINESE.get(english).map(String::as_str)
}

/// An English text that came as a whole. Chinese: line by line what the catalogue knows of it; the rest, such as causes
/// that a library gives, as it is.
pub fn translated(lang: Lang, english: &str) -> String {
    match lang {
        Lang::En => english.to_owned(),
        Lang::Zh => search::text(english),
    }
}

/// The Chinese of a whole English text, or of the cause behind `place: `. None: the catalogue has nothing of it.
pub fn known(english: &str) -> Option<String> {
    search::known(english)
}
