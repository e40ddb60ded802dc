//! The result of an import, as text and as JSON.

use i18n::{Lang, Text, text};
use serde::{Deserialize, Serialize};

/// Rejected lines kept for the summary; the rest is only counted. An answer of the server holds as many.
const ERRORS_MAX: usize = 100;

/// Counts of lines. Blank lines are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCounts {
    /// New messages, now durable.
    pub accepted: u64,
    /// Messages that the server had already, perhaps from an earlier attempt of this import.
    pub duplicate: u64,
    /// Lines that are not valid messages.
    pub rejected: u64,
}

impl LineCounts {
    pub(super) fn add(&mut self, other: LineCounts) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
    }
}

/// A line that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedImportLine {
    /// The file as named on the command line.
    pub file: String,
    /// Line number in the uncompressed file, from 1.
    pub line: u64,
    /// Why it was rejected.
    pub error: String,
}

/// The result of an import. `--json` prints it as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportSummary {
    /// Counts of all files, with earlier runs of the same import.
    #[serde(flatten)]
    pub totals: LineCounts,
    /// Requests that were retried after a failure. Their lines may count as duplicate.
    pub repeated_requests: u64,
    /// Whether the coverage of `--covers` was claimed.
    pub covers_claimed: bool,
    /// The first 100 rejected lines of this run.
    pub errors: Vec<RejectedImportLine>,
}

impl ImportSummary {
    /// Exit status of the program: 0, or 3 if lines were rejected. (1: stopped; 2: wrong command line.)
    pub fn exit_status(&self) -> u8 {
        if self.totals.rejected > 0 { 3 } else { 0 }
    }

    pub(super) fn push_error(&mut self, error: RejectedImportLine) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }

    /// The counts as text for the screen.
    pub fn summary_text(&self, covers_wanted: bool, lang: Lang) -> String {
        let LineCounts { accepted, duplicate, rejected } = self.totals;
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
            text!("Some requests were retried; messages stored by the first attempt show as known before."),
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
        summary.totals.add(LineCounts { accepted: 5, duplicate: 2, rejected: 0 });
        assert_eq!((summary.exit_status(), summary.summary_text(false, Lang::En).lines().count()), (0, 1));
        summary.totals.add(LineCounts { rejected: 1, ..LineCounts::default() });
        assert_eq!(summary.exit_status(), 3);
        let text = summary.summary_text(true, Lang::En);
        assert!(text.starts_with("5 accepted, 2 known before, 1 rejected\nCoverage not claimed"), "{text}");
        assert!(summary.summary_text(false, Lang::Zh).contains("拒绝 1 条"));
    }

    #[test]
    fn only_the_first_hundred_errors_are_kept() {
        let mut summary = ImportSummary::default();
        for line in 1..=150 {
            summary.push_error(RejectedImportLine { file: "f".into(), line, error: "no MsgId".into() });
        }
        assert_eq!((summary.errors.len(), summary.errors[99].line), (100, 100));
    }
}
