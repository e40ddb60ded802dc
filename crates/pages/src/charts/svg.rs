//! A chart that is drawn: for a page, or for a file of its own.

use maud::{Markup, PreEscaped, html};

/// Width of the inner coordinates.
pub const WIDTH: u64 = 10_000;
/// Height of the inner coordinates.
pub const HEIGHT: u64 = 1_000;

/// Colours of files, where no style sheet of a page applies.
const FILE_STYLE: &str = include_str!("file.css");

/// A chart: everything inside its box.
pub struct Drawing {
    /// What the chart shows, as a sentence.
    pub label: String,
    /// What kind it is: a class of the style sheet.
    pub kind: &'static str,
    /// Lines, labels and shapes.
    pub body: Markup,
    /// Columns of the plot and rows of the plot, so that the script finds the number below the pointer in the table.
    pub cells: (usize, usize),
}

/// A colour and what it means.
pub struct LegendEntry {
    /// Class of the style sheet.
    pub class: &'static str,
    /// What it means.
    pub name: String,
}

impl Drawing {
    /// The chart as part of a page.
    pub fn on_page(&self) -> Markup {
        html! {
            svg class={ "chart " (self.kind) } role="img" aria-label=(self.label) data-columns=(self.cells.0) data-rows=(self.cells.1) {
                (self.body)
            }
        }
    }

    /// The chart as a file: fixed colours and size, with title and legend.
    pub fn as_file(&self, title: &str, legend: &[LegendEntry]) -> String {
        let entries = legend.iter().scan(60, |at, entry| {
            let here = *at;
            *at += 40 + entry.name.chars().map(|c| if c.is_ascii() { 8 } else { 14 }).sum::<usize>();
            Some((here, entry))
        });
        let file = html! {
            svg xmlns="http://www.w3.org/2000/svg" width="960" height="360" role="img" aria-label=(self.label) {
                style { (PreEscaped(FILE_STYLE)) }
                rect class="paper" width="100%" height="100%" {}
                text class="title" x="20" y="30" { (title) }
                @for (at, entry) in entries {
                    rect class=(entry.class) x=(at) y="46" width="12" height="12" {}
                    text x=(at + 18) y="57" { (entry.name) }
                }
                svg class={ "chart " (self.kind) } x="60" y="78" width="880" height="240" overflow="visible" { (self.body) }
            }
        };
        file.into_string()
    }
}

/// The stretched part of a chart.
pub fn shapes(body: &Markup) -> Markup {
    html! {
        svg class="shapes" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" width="100%" height="100%" { (body) }
    }
}

/// A path of a class. Nothing if it is empty.
pub fn path(class: &str, data: &str) -> Markup {
    html! {
        @if !data.is_empty() { path class=(class) d=(data) {} }
    }
}

/// A part of a whole, scaled and rounded down. 0 for an empty whole.
pub fn scaled(part: u64, whole: u128, scale: u64) -> u64 {
    let product = u128::from(part) * u128::from(scale);
    u64::try_from(product.checked_div(whole).unwrap_or_default()).unwrap_or(u64::MAX)
}

/// A part of a whole as a percentage of the box, in hundredths: `12.34%`.
pub fn share(part: u64, whole: u128) -> String {
    let hundredths = scaled(part, whole, 10_000);
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, rest) => format!("{whole}.{rest:02}%"),
    }
}
