//! The only place that reads the machine's clock, so that `--now` and tests can set it.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use msgcube_client::Day;
use msgcube_cube::day_of;

/// A wall clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Unix seconds when the clock was made, and the moment that was; none: the machine's clock.
    started: Option<(i64, Instant)>,
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Clock {
        Clock { started: None }
    }

    /// A clock that starts at these Unix seconds and runs.
    pub fn starting_at(unix_s: i64) -> Clock {
        Clock { started: Some((unix_s, Instant::now())) }
    }

    /// Unix seconds.
    pub fn now_s(&self) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match self.started {
            Some((unix_s, instant)) => unix_s.saturating_add(seconds(instant.elapsed())),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, seconds),
        }
    }

    /// Today in Beijing.
    pub fn today(&self) -> Day {
        day_of(self.now_s())
    }
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
