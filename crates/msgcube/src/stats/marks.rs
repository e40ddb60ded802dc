//! What a reader must know about a line before using its figures.

use i18n::{Lang, Text, text};

use super::{
    answers::{AskedRow, ReadableAccount},
    days::BegunPeriod,
};

/// Marks of one line, or of all lines together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The period goes on.
    open: bool,
    /// Not all of the period is covered.
    gap: bool,
    /// The account has been counted for less than 28 days, so most users are new.
    early: bool,
}

impl Marks {
    /// The marks of a period of an account.
    pub(super) fn of(account: &ReadableAccount, period: &BegunPeriod, now_s: i64) -> Marks {
        let BegunPeriod { start_s, end_s, .. } = *period;
        let coverage = &account.coverage;
        let began_late = coverage.since_s().is_none_or(|since_s| since_s > start_s);
        let gap = began_late || coverage.gaps().any(|(from_s, to_s)| from_s < end_s && to_s > start_s);
        Marks { open: end_s > now_s, gap, early: false }
    }

    /// These marks with those of a row. The row knows its coverage exactly.
    pub(super) fn with(self, row: &AskedRow) -> Marks {
        Marks { gap: !row.covered, early: row.new_is_early.unwrap_or(false), ..self }
    }

    /// Adds the marks of another line.
    pub(super) fn add(&mut self, other: Marks) {
        self.open |= other.open;
        self.gap |= other.gap;
        self.early |= other.early;
    }

    /// Whether there are none.
    pub(super) fn is_empty(self) -> bool {
        self == Marks::default()
    }

    /// Their names, with commas between them.
    pub(super) fn names(self, lang: Lang) -> String {
        let names = [(self.open, text!("open")), (self.gap, text!("gap")), (self.early, text!("early"))];
        let names = names.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.in_lang(lang));
        names.collect::<Vec<_>>().join(", ")
    }

    /// What they mean, a sentence each.
    pub(super) fn meanings(self) -> impl Iterator<Item = Text> {
        let meanings = [
            (self.open, text!("open: this time is not over; the figures still grow.")),
            (self.gap, text!("gap: not all of this time was covered, so the figures may be too low.")),
            (
                self.early,
                text!(
                    "early: counting began less than 28 days before, so most of these users are new to msgcube only."
                ),
            ),
        ];
        meanings.into_iter().filter(|(is_set, _)| *is_set).map(|(_, meaning)| meaning)
    }
}
