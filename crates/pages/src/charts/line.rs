//! A line, with the compared time behind it: for numbers that do not add up, such as distinct users.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{
    axis::Scale,
    svg::{Drawing, HEIGHT, WIDTH, path, shapes},
};

/// A line from left to right. It is broken where a number is missing, never joined.
pub struct LineChart {
    /// The numbers.
    pub now: Vec<Option<u64>>,
    /// The numbers of the compared time, at the same places. May be empty.
    pub before: Vec<Option<u64>>,
    /// The slot of a period that is not over: the way to it is dashed, and nothing is drawn behind it.
    pub open_at: Option<usize>,
    /// What the chart shows, as a sentence.
    pub label: String,
    /// The labels below.
    pub labels: Markup,
}

impl LineChart {
    /// Draws it.
    pub fn draw(self) -> Drawing {
        let slots = self.now.len();
        let largest = self.now.iter().chain(&self.before).flatten().copied().max();
        let scale = Scale::up_to(largest.unwrap_or_default());
        let closed = self.open_at.unwrap_or(slots).min(slots);
        let point =
            |slot: usize, number: u64| ((slot as u64 * 2 + 1) * WIDTH / (slots as u64 * 2), scale.y(number));
        let pieces = runs(&self.now[..closed], &point);
        let open = match (
            closed.checked_sub(1).and_then(|slot| Some((slot, self.now[slot]?))),
            self.now.get(closed),
        ) {
            (Some((slot, last)), Some(Some(open))) => polyline(&[point(slot, last), point(closed, *open)]),
            (None, Some(Some(open))) => polyline(&[point(closed, *open)]),
            _ => String::new(),
        };
        let before: String = runs(&self.before, &point).iter().map(|run| polyline(run)).collect();
        let body = html! {
            (scale.draw())
            (shapes(&html! {
                (path("area", &pieces.iter().map(|run| area(run)).collect::<String>()))
                (path("before", &before))
                (path("now", &pieces.iter().map(|run| polyline(run)).collect::<String>()))
                (path("now dashed", &open))
            }))
            (self.labels)
        };
        Drawing { label: self.label, kind: "line", body, cells: (slots, 1) }
    }
}

/// Points that belong together: the parts between missing numbers.
fn runs(numbers: &[Option<u64>], point: &impl Fn(usize, u64) -> (u64, u64)) -> Vec<Vec<(u64, u64)>> {
    let mut runs = vec![Vec::new()];
    for (slot, number) in numbers.iter().enumerate() {
        match (number, runs.last_mut()) {
            (Some(number), Some(run)) => run.push(point(slot, *number)),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// A line through points. A single point is a line without length, which a round end makes visible.
fn polyline(points: &[(u64, u64)]) -> String {
    let mut data = String::new();
    for (number, (x, y)) in points.iter().enumerate() {
        let _ = write!(data, "{}{x} {y}", if number == 0 { 'M' } else { 'L' });
    }
    if points.len() == 1 {
        data.push_str("h0");
    }
    data
}

/// What is below a line. Nothing below a single point.
fn area(points: &[(u64, u64)]) -> String {
    match points {
        [first, .., last] => format!("{}L{} {HEIGHT}L{} {HEIGHT}z", polyline(points), last.0, first.0),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(now: &[Option<u64>], open_at: Option<usize>) -> String {
        let line = LineChart {
            now: now.to_vec(),
            before: Vec::new(),
            open_at,
            label: String::new(),
            labels: Markup::default(),
        };
        line.draw().body.into_string()
    }

    #[test]
    fn a_missing_number_breaks_the_line() {
        let drawn = line(&[Some(4), Some(2), None, Some(4)], None);
        assert!(drawn.contains("d=\"M1250 0L3750 500M8750 0h0\""), "{drawn}");
    }

    #[test]
    fn the_way_to_an_open_period_is_dashed_and_not_joined_over_a_gap() {
        let drawn = line(&[Some(4), Some(2)], Some(1));
        assert!(drawn.contains("class=\"now dashed\" d=\"M2500 0L7500 500\""), "{drawn}");
        let drawn = line(&[None, Some(2)], Some(1));
        assert!(!drawn.contains('L'), "{drawn}");
    }
}
