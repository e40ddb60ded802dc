//! The strip below a chart that says which time was counted. A gap is at least two pixels wide.

use i18n::text;
use maud::{Markup, html};

use super::{
    svg::share,
    table::{ChartTable, TableCell},
};
use crate::{
    view::{
        figures::{CoverageKind, CoverageSegment},
        time::BeijingTime,
    },
    words::Words,
};

/// Gaps and bridged stops that the table names. More are added up in its last row.
const ROWS_MAX: usize = 100;

/// The strip of a range.
pub struct Strip<'a> {
    /// Parts of the range, without holes.
    pub segments: &'a [CoverageSegment],
    /// The language.
    pub words: Words,
}

impl Strip<'_> {
    /// Draws it. A copy below a second chart is not read out again.
    pub fn draw(&self, is_copy: bool) -> Markup {
        let (Some(first), Some(last)) = (self.segments.first(), self.segments.last()) else {
            return Markup::default();
        };
        let (from, to) = (first.from.unix_s(), last.to.unix_s());
        let whole = u128::from(to.abs_diff(from));
        let place = |time: BeijingTime| share(time.unix_s().abs_diff(from), whole);
        let width =
            |segment: &CoverageSegment| share(segment.to.unix_s().abs_diff(segment.from.unix_s()), whole);
        let label = (!is_copy).then(|| self.label());
        html! {
            svg class="strip" role=[label.as_ref().map(|_| "img")] aria-label=[label.as_ref()] aria-hidden=[label.is_none().then_some("true")] {
                @for segment in self.segments {
                    @let class = class(&segment.kind);
                    @if !class.is_empty() {
                        rect class=(class) x=(place(segment.from)) width=(width(segment)) height="100%" {}
                    }
                }
                @for segment in self.segments.iter().filter(|segment| is_gap(segment)) {
                    line class="gap" x1=(place(segment.from)) x2=(place(segment.from)) y1="0" y2="100%" {}
                }
            }
        }
    }

    fn label(&self) -> String {
        let gaps = self.segments.iter().filter(|segment| is_gap(segment)).count();
        let is_early = self.segments.iter().any(|segment| segment.kind == CoverageKind::BeforeCounting);
        self.words.say(match (gaps, is_early) {
            (0, false) => text!("Counted without a gap"),
            (0, true) => text!("Counting began within this time; no gap since"),
            _ => text!("Gaps: {count}. Messages may be missing", count = gaps),
        })
    }

    /// Gaps and bridged stops. None if there are none.
    pub fn table(&self) -> Option<ChartTable> {
        let words = self.words;
        let noted = |segment: &&CoverageSegment| is_gap(segment) || segment.kind == CoverageKind::Bridged;
        let row = |segment: &CoverageSegment| {
            let cause = match &segment.kind {
                CoverageKind::CoverageGap { cause } => words.say(cause),
                _ => words.say(text!("planned stop; WeChat sent its messages again")),
            };
            let seconds = segment.to.unix_s() - segment.from.unix_s();
            let cells = [words.moment(segment.to), words.say(i18n::format::span(seconds)), cause];
            (words.moment(segment.from), cells.map(TableCell::Words).into())
        };
        let count = self.segments.iter().filter(noted).count();
        let mut rows: Vec<_> = self.segments.iter().rev().filter(noted).take(ROWS_MAX).map(row).collect();
        if count > ROWS_MAX {
            rows.push((words.say(text!("and {count} more", count = count - ROWS_MAX)), Vec::new()));
        }
        (count > 0).then(|| ChartTable {
            caption: words.say(text!("Gaps and planned stops")),
            head: [text!("From"), text!("to"), text!("length"), text!("cause")]
                .map(|name| words.say(name))
                .into(),
            rows,
        })
    }
}

fn is_gap(segment: &CoverageSegment) -> bool {
    matches!(segment.kind, CoverageKind::CoverageGap { .. })
}

fn class(kind: &CoverageKind) -> &'static str {
    match kind {
        CoverageKind::Covered => "covered",
        CoverageKind::CoverageGap { .. } => "hatched",
        CoverageKind::Bridged => "covered bridged",
        CoverageKind::BeforeCounting | CoverageKind::Ahead => "",
    }
}
