//! Weekday and hour: 7 rows of 24 cells in five steps. The steps are quantiles, so that one unusual hour does not flatten
//! the others.

use std::fmt::Write as _;

use i18n::{format::grouped, text};
use maud::html;

use super::{
    axis,
    svg::{Drawing, HEIGHT, LegendEntry, WIDTH, path, shapes, share},
};
use crate::words::Words;

/// Numbers by weekday (from Monday) and hour.
pub type WeekHours = [[u64; 24]; 7];

const CLASSES: [&str; 6] = ["h0", "h1", "h2", "h3", "h4", "h5"];

/// Draws them. The label names the hour with the most.
pub fn draw(hours: &WeekHours, words: Words) -> Drawing {
    let limits = limits(hours);
    let paths = CLASSES.iter().enumerate().map(|(step, class)| {
        let mut data = String::new();
        for (row, column, _) in cells(hours).filter(|(_, _, number)| step_of(*number, &limits) == step) {
            let (x, y) = (column as u64 * WIDTH / 24, row as u64 * HEIGHT / 7);
            let _ = write!(data, "M{x} {y}h396v130h-396z");
        }
        path(class, &data)
    });
    let body = html! {
        (shapes(&html! { @for path in paths { (path) } }))
        @for row in 0..7_u64 {
            text class="y" x="-8" y=(share(row * 2 + 1, 14)) dy="4" { (words.weekday(usize::try_from(row).unwrap_or_default())) }
        }
        (axis::labels((0..24).step_by(3).map(|hour| (hour, format!("{hour:02}"))), 24))
    };
    Drawing { label: label(hours, words), kind: "heat", body, cells: (24, 7) }
}

fn label(hours: &WeekHours, words: Words) -> String {
    match cells(hours).max_by_key(|(row, column, number)| (*number, 6 - row, 23 - column)) {
        Some((row, column, number)) if number > 0 => words.say(text!(
            "Most messages: {weekday} {hour}:00, {count}",
            weekday = words.weekday(row),
            hour = format_args!("{column:02}"),
            count = grouped(number)
        )),
        _ => words.say(text!("No messages")),
    }
}

/// The steps that occur, each with the smallest and largest number in it.
pub fn legend(hours: &WeekHours) -> Vec<LegendEntry> {
    let limits = limits(hours);
    let entry = |(step, class): (usize, &&'static str)| {
        let numbers =
            cells(hours).map(|(_, _, number)| number).filter(|number| step_of(*number, &limits) == step);
        let (least, most) =
            numbers.fold((u64::MAX, 0), |(least, most), number| (least.min(number), most.max(number)));
        let name =
            if least == most { grouped(least) } else { format!("{}–{}", grouped(least), grouped(most)) };
        (least <= most).then_some(LegendEntry { class, name })
    };
    CLASSES.iter().enumerate().filter_map(entry).collect()
}

fn cells(hours: &WeekHours) -> impl Iterator<Item = (usize, usize, u64)> {
    let row = |(row, numbers): (usize, &[u64; 24])| {
        let numbers = *numbers;
        (0..24).map(move |column| (row, column, numbers[column]))
    };
    hours.iter().enumerate().flat_map(row)
}

/// The largest number of each of the first four fifths of the cells with messages.
fn limits(hours: &WeekHours) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        cells(hours).map(|(_, _, number)| number).filter(|number| *number > 0).collect();
    numbers.sort_unstable();
    (1..5).filter_map(|fifth| numbers.get((numbers.len() * fifth / 5).checked_sub(1)?).copied()).collect()
}

fn step_of(number: u64, limits: &[u64]) -> usize {
    if number == 0 { 0 } else { 1 + limits.iter().filter(|limit| number > **limit).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_large_hour_does_not_flatten_the_others() {
        let mut hours = [[0; 24]; 7];
        for (number, hour) in (1..).zip(hours.iter_mut().flatten()) {
            *hour = number;
        }
        hours[6][23] = 1_000_000;
        let names: Vec<String> = legend(&hours).into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["1–33", "34–67", "68–100", "101–134", "135–1,000,000"]);
        assert_eq!(legend(&[[0; 24]; 7]).len(), 1);
        assert_eq!(legend(&[[3; 24]; 7]).into_iter().map(|entry| entry.name).collect::<Vec<_>>(), ["3"]);
    }
}
