//! Stacked columns: for numbers that add up.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{
    axis::Scale,
    svg::{Drawing, HEIGHT, WIDTH, path, shapes},
};

/// With more columns than this, there is no place between them.
const DENSE_FROM: usize = 100;

/// One colour of the columns.
pub struct ColumnSeries {
    /// Class of the style sheet.
    pub class: &'static str,
    /// A number for each column, lowest part of the stack first.
    pub numbers: Vec<u64>,
}

/// Columns from left to right.
pub struct Columns {
    /// The parts of the stack, from below.
    pub series: Vec<ColumnSeries>,
    /// Which columns are not over and drawn paler.
    pub open: Vec<bool>,
    /// What the chart shows, as a sentence.
    pub label: String,
    /// The labels below.
    pub labels: Markup,
}

impl Columns {
    /// Draws them.
    pub fn draw(self) -> Drawing {
        let slots = self.open.len();
        let number =
            |series: &ColumnSeries, slot: usize| series.numbers.get(slot).copied().unwrap_or_default();
        let sum = |slot: usize| {
            self.series.iter().fold(0_u64, |sum, series| sum.saturating_add(number(series, slot)))
        };
        let scale = Scale::up_to((0..slots).map(sum).max().unwrap_or_default());
        let mut below = vec![0_u64; slots];
        let mut paths = Vec::new();
        for series in &self.series {
            let (mut closed, mut open) = (String::new(), String::new());
            for (slot, below) in below.iter_mut().enumerate() {
                let top = below.saturating_add(number(series, slot));
                let data = if self.open[slot] { &mut open } else { &mut closed };
                column(data, (slot, slots), scale.height(*below), scale.height(top));
                *below = top;
            }
            paths.push(
                html! { (path(series.class, &closed)) (path(&format!("{} open", series.class), &open)) },
            );
        }
        let body = html! {
            (scale.draw())
            (shapes(&html! { @for path in &paths { (path) } }))
            (self.labels)
        };
        Drawing {
            label: self.label,
            kind: if slots > DENSE_FROM { "columns dense" } else { "columns" },
            body,
            cells: (slots, 1),
        }
    }
}

/// One rectangle. Nothing if it has no height. The place between two columns is a quarter of a slot.
fn column(data: &mut String, (slot, slots): (usize, usize), from: u64, to: u64) {
    if to == from {
        return;
    }
    let left = |eighths: u64| (slot as u64 * 8 + eighths) * WIDTH / (slots as u64 * 8);
    let (begin, end) = if slots > DENSE_FROM { (0, 8) } else { (1, 7) };
    let (left, width, height) = (left(begin), left(end) - left(begin), to - from);
    // Writing to a string cannot fail.
    let _ = write!(data, "M{left} {}h{width}v{height}h-{width}z", HEIGHT.saturating_sub(to));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_on_each_other_and_open_columns_are_apart() {
        let series = |class, numbers: [u64; 2]| ColumnSeries { class, numbers: numbers.into() };
        let columns = Columns {
            series: vec![series("s1", [1, 2]), series("s2", [3, 0])],
            open: vec![false, true],
            label: String::new(),
            labels: Markup::default(),
        };
        let drawn = columns.draw().body.into_string();
        let first = "<path class=\"s1\" d=\"M625 750h3750v250h-3750z\"></path><path class=\"s1 open\" d=\"M5625 500h3750v500h-3750z\"></path>";
        assert!(drawn.contains(first), "{drawn}");
        assert!(drawn.contains("<path class=\"s2\" d=\"M625 0h3750v750h-3750z\"></path></svg>"), "{drawn}");
    }
}
