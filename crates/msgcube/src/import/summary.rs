//! What an import did, for people and for programs.

use i18n::Lang;
use i18n::{Text, text};
use serde::{Deserialize, Serialize};

/// Errors kept for the summary; the rest is only counted. As many as one answer of the server holds.
const ERRORS_MAX: usize = 100;

/// Counts of lines. Blank lines are in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// New and durable.
    pub accepted: u64,
    /// Known before, also from an earlier try of this import.
    pub duplicate: u64,
    /// Not messages the server takes.
    pub rejected: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: Totals) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
    }
}

/// A line that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// The file as named on the command line.
    pub file: String,
    /// Number of the line in the (unpacked) file, from 1.
    pub line: u64,
    /// The server's reason.
    pub error: String,
}

/// What an import did. As JSON with `--json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// All files together, earlier runs of the same import included.
    #[serde(flatten)]
    pub totals: Totals,
    /// Requests sent again after a failure; their lines may count as duplicate.
    pub repeated_requests: u64,
    /// Whether the coverage asked for was claimed.
    pub covers_claimed: bool,
    /// The first 100 rejected lines of this run.
    pub errors: Vec<LineError>,
}

impl ImportSummary {
    /// Exit status of the program: 0, or 3 if lines were rejected. (1: broken off; 2: wrong command line.)
    pub fn exit_status(&self) -> u8 {
        if self.totals.rejected > 0 { 3 } else { 0 }
    }

    pub(super) fn push_error(&mut self, error: LineError) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }

    /// The totals as text.
    pub fn text(&self, covers_wanted: bool, lang: Lang) -> String {
        let Totals { accepted, duplicate, rejected } = self.totals;
        let mut lines = vec![
            text!(
                "{accepted} accepted, {duplicate} known before, {rejected} rejected",
                accepted,
                duplicate,
                rejected
            )
            .in_lang(lang),
        ];
        let mut note = |condition: bool, text: Text| {
            if condition {
                lines.push(text.in_lang(lang));
            }
        };
        note(
            self.repeated_requests > 0,
            text!("Some requests were sent again; what their first try had stored shows as known before."),
        );
        note(self.covers_claimed, text!("Coverage claimed."));
        note(
            covers_wanted && !self.covers_claimed,
            text!(
                "Coverage not claimed, because lines were rejected. Import the corrected lines, or claim it by \
             importing an empty file with --covers."
            ),
        );
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_lines_show_in_the_exit_status_and_keep_coverage_back() {
        let mut summary = ImportSummary::default();
        summary.totals.add(Totals { accepted: 5, duplicate: 2, rejected: 0 });
        assert_eq!((summary.exit_status(), summary.text(false, Lang::En).lines().count()), (0, 1));
        summary.totals.add(Totals { rejected: 1, ..Totals::default() });
        assert_eq!(summary.exit_status(), 3);
        let text = summary.text(true, Lang::En);
        assert!(text.starts_with("5 accepted, 2 known before, 1 rejected\nCoverage not claimed"), "{text}");
        assert!(summary.text(false, Lang::Zh).contains("拒绝 1 条"));
    }

    #[test]
    fn only_the_first_hundred_errors_are_kept() {
        let mut summary = ImportSummary::default();
        for line in 1..=150 {
            summary.push_error(LineError { file: "f".into(), line, error: "no MsgId".into() });
        }
        assert_eq!((summary.errors.len(), summary.errors[99].line), (100, 100));
    }
}
