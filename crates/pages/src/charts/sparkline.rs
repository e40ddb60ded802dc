//! A small line in a row of a table.

use std::fmt::Write as _;

use i18n::{format::grouped, text};
use maud::{Markup, html};

use super::svg::{HEIGHT, path, scaled};
use crate::words::Words;

/// Draws numbers of consecutive days, from 0. Missing ones break the line. Nothing for no days.
pub fn draw(numbers: &[Option<u64>], words: Words) -> Markup {
    let known = || numbers.iter().flatten().copied();
    let Some((least, most)) = known().min().zip(known().max()) else { return Markup::default() };
    let mut data = String::new();
    let mut is_joined = false;
    for (day, number) in numbers.iter().enumerate() {
        if let Some(number) = number {
            let y = HEIGHT.saturating_sub(scaled(*number, u128::from(most.max(1)), HEIGHT));
            let is_end = numbers.get(day + 1).is_none_or(Option::is_none);
            let stub = if !is_joined && is_end { "h0" } else { "" };
            let _ = write!(data, "{}{} {y}{stub}", if is_joined { 'L' } else { 'M' }, day * 10);
        }
        is_joined = number.is_some();
    }
    let label = words.say(text!(
        "{days} days, lowest {least}, highest {most}",
        days = numbers.len(),
        least = grouped(least),
        most = grouped(most)
    ));
    let width = (numbers.len() - 1).max(1) * 10;
    html! {
        svg class="spark" role="img" aria-label=(label) viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
            (path("now", &data))
        }
    }
}
