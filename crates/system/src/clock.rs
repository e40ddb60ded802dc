//! The only place that reads the machine's clock, so that `--now` and tests can set it.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use counting::day_of;
use datacube::Day;
use rustix::time::{ClockId, clock_gettime};

/// What Linux calls this run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A wall clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Unix seconds when the clock was made, and the moment that was; none: the machine's clock.
    started: Option<(i64, Instant)>,
    /// None: it cannot be read here.
    boot_id: Option<Arc<str>>,
}

/// A moment that a later process can compare with its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix seconds, which may be set at any time.
    pub unix_s: i64,
    /// Milliseconds since the machine was started, which go on in its sleep and are never set.
    pub boot_ms: u64,
    /// Which start that was.
    pub boot_id: Option<Arc<str>>,
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Clock {
        Clock { started: None, boot_id: boot_id() }
    }

    /// A clock that starts at these Unix seconds and runs.
    pub fn starting_at(unix_s: i64) -> Clock {
        Clock { started: Some((unix_s, Instant::now())), boot_id: boot_id() }
    }

    /// The same on another run of the machine.
    #[must_use]
    pub fn with_boot_id(self, boot_id: &str) -> Clock {
        Clock { boot_id: Some(boot_id.into()), ..self }
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        // A clock that was set goes on as its owner set it, from one process to the next.
        let since_boot = match self.started {
            Some((unix_s, instant)) => {
                Some(Duration::from_secs(u64::try_from(unix_s).unwrap_or(0)) + instant.elapsed())
            }
            None => Duration::try_from(clock_gettime(ClockId::Boottime)).ok(),
        };
        let milliseconds = since_boot.unwrap_or_default().as_millis();
        let boot_ms = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        Moment { unix_s: self.now_s(), boot_ms, boot_id: self.boot_id.clone() }
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

fn boot_id() -> Option<Arc<str>> {
    let id = std::fs::read_to_string(BOOT_ID).ok()?;
    Some(id.trim()).filter(|id| !id.is_empty()).map(Arc::from)
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
