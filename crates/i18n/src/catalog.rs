//! The catalogue: English texts and their Chinese, in files of gettext's format.
//!
//! Texts of `text!` are looked up by their template. Complete English texts, which other processes and libraries write,
//! are matched against the templates.

mod po;
mod search;

use std::{collections::HashMap, sync::LazyLock};

use crate::Lang;

/// One file of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Texts of `text!`.
    Texts,
    /// Errors. They may also be translated from the complete English text.
    Errors,
    /// The command line's help. These are not templates: braces are shown.
    Help,
    /// Texts of the command line's parser, of the system and of libraries.
    Foreign,
}

impl Part {
    /// All files of the catalogue.
    pub const ALL: [Part; 4] = [Part::Texts, Part::Errors, Part::Help, Part::Foreign];

    fn source(self) -> &'static str {
        match self {
            Part::Texts => include_str!("../zh/texts.po"),
            Part::Errors => include_str!("../zh/errors.po"),
            Part::Help => include_str!("../zh/help.po"),
            Part::Foreign => include_str!("../zh/foreign.po"),
        }
    }

    /// The English and Chinese templates, in the order of the file.
    pub fn entries(self) -> impl Iterator<Item = (String, String)> {
        po::entries(self.source())
    }
}

/// The Chinese template for each English one. Parsed on first use: a server does this once, for its first hint, in about
/// 1 ms. English texts never need it.
static CHINESE: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| Part::ALL.into_iter().flat_map(Part::entries).collect());

/// The Chinese template for an English one. None if the catalogue has no such entry.
pub fn chinese(english: &str) -> Option<&'static str> {
    CHINESE.get(english).map(String::as_str)
}

/// Translates a complete English text, line by line. Parts that the catalogue does not have, such as the error of a
/// library, stay in English.
pub fn translated(lang: Lang, english: &str) -> String {
    match lang {
        Lang::En => english.to_owned(),
        Lang::Zh => search::translate(english),
    }
}

/// The Chinese for a complete English text. None if the catalogue has no part of it.
pub fn known(english: &str) -> Option<String> {
    search::known(english)
}
