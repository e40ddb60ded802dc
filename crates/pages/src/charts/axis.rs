//! Axes: round numbers from 0 upwards, and periods from left to right.

use datacube::Granularity;
use i18n::format::grouped;
use maud::{Markup, html};

use super::svg::{HEIGHT, scaled, share};
use crate::{view::time::ChartPeriod, words::Words};

/// Most lines above the zero line.
const TICKS_MAX: u128 = 4;
/// Most labels below a chart. A phone shows every second one.
const LABELS_MAX: usize = 8;

/// The vertical axis. It always begins at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    step: u128,
    ticks: u128,
}

impl Scale {
    /// The smallest scale of round numbers that shows this number.
    pub fn up_to(largest: u64) -> Scale {
        let largest = u128::from(largest.max(1));
        let mut power = 1;
        loop {
            if let Some(step) =
                [1, 2, 5].map(|digit| digit * power).into_iter().find(|step| step * TICKS_MAX >= largest)
            {
                return Scale { step, ticks: largest.div_ceil(step) };
            }
            power *= 10;
        }
    }

    fn top(self) -> u128 {
        self.step * self.ticks
    }

    /// The height of a number above the zero line, in inner coordinates.
    pub fn height(self, number: u64) -> u64 {
        scaled(number, self.top(), HEIGHT)
    }

    /// The distance of a number from the top, in inner coordinates.
    pub fn y(self, number: u64) -> u64 {
        HEIGHT.saturating_sub(self.height(number))
    }

    /// Lines and numbers.
    pub fn draw(self) -> Markup {
        html! {
            @for tick in 0..=self.ticks {
                @let place = share(u64::try_from(self.ticks - tick).unwrap_or_default(), self.ticks);
                line class=(if tick == 0 { "zero" } else { "grid" }) x1="0" x2="100%" y1=(place) y2=(place) {}
                text class="y" x="-8" y=(place) dy="4" { (grouped(u64::try_from(self.step * tick).unwrap_or(u64::MAX))) }
            }
        }
    }
}

/// Labels below a chart whose slots are these periods.
pub fn period_labels(periods: &[ChartPeriod], words: Words) -> Markup {
    let is_long = periods.first().zip(periods.last()).is_some_and(|(first, last)| first.day != last.day);
    let chosen = thinned(preferred(periods));
    let label = |period: &ChartPeriod| match period.granularity {
        Granularity::Hour if is_long && period.hour == 0 => words.weekday_date(period.day),
        Granularity::Hour => format!("{:02}:00", period.hour),
        Granularity::Day if periods.len() > 100 => words.month(period.day),
        Granularity::Day => words.weekday_date(period.day),
        Granularity::Week => words.short_date(period.day),
        Granularity::Month => words.month(period.day),
    };
    labels(chosen.iter().map(|slot| (*slot, label(&periods[*slot]))), periods.len())
}

/// Labels below the middle of some of the slots.
pub fn labels(chosen: impl Iterator<Item = (usize, String)>, slots: usize) -> Markup {
    html! {
        @for (number, (slot, label)) in chosen.enumerate() {
            text class=(if number % 2 == 0 { "x" } else { "x odd" }) x=(slot_middle(slot, slots)) y="100%" dy="17" { (label) }
        }
    }
}

/// The middle of a slot as a percentage.
fn slot_middle(slot: usize, slots: usize) -> String {
    share(slot as u64 * 2 + 1, slots as u128 * 2)
}

/// The slots where a person looks first: midnights, Mondays, firsts of months. All, if there are few or none of these.
fn preferred(periods: &[ChartPeriod]) -> Vec<usize> {
    let is_preferred = |period: &ChartPeriod| match period.granularity {
        Granularity::Hour => period.hour.is_multiple_of(3),
        Granularity::Day if periods.len() > 100 => period.day == period.day.first_of_month(),
        Granularity::Day => period.day == period.day.monday(),
        Granularity::Week | Granularity::Month => true,
    };
    let found: Vec<usize> = (0..periods.len()).filter(|slot| is_preferred(&periods[*slot])).collect();
    if found.len() < 2 || periods.len() <= LABELS_MAX { (0..periods.len()).collect() } else { found }
}

/// Every n-th of them, so that at most [`LABELS_MAX`] are left.
fn thinned(slots: Vec<usize>) -> Vec<usize> {
    let every = slots.len().div_ceil(LABELS_MAX).max(1);
    slots.into_iter().step_by(every).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_not_below_the_largest() {
        let top = |largest| Scale::up_to(largest).top();
        assert_eq!([0, 1, 3, 4, 5, 296, 601, 13_837].map(top), [1, 1, 3, 4, 6, 300, 800, 15_000]);
        assert!(top(u64::MAX) >= u128::from(u64::MAX));
        assert_eq!(Scale::up_to(300).y(300), 0);
        assert_eq!(Scale::up_to(300).y(0), HEIGHT);
    }
}
