//! The only place that reads the machine's clock, so that `--now` and tests can set it.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

/// Linux's random id of the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A wall clock. It can start at a chosen time for `--now` and tests.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Start time in Unix seconds, and when the clock was started. None: the machine's clock.
    started: Option<(i64, Instant)>,
    /// None if the system does not tell.
    boot_id: Option<Arc<str>>,
}

/// A point in time that a later process can compare with its own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Unix seconds. The operator may change this clock at any time.
    pub unix_s: i64,
    /// Milliseconds since boot. They include sleep and are never set.
    pub boot_ms: u64,
    /// The boot that `boot_ms` counts from.
    pub boot_id: Option<Arc<str>>,
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Clock {
        Clock { started: None, boot_id: boot_id() }
    }

    /// A clock that starts at `unix_s` (Unix seconds) and runs at normal speed.
    pub fn starting_at(unix_s: i64) -> Clock {
        Clock { started: Some((unix_s, Instant::now())), boot_id: boot_id() }
    }

    /// This clock, with the boot id of another boot. For tests of a restart.
    #[must_use]
    pub fn with_boot_id(self, boot_id: &str) -> Clock {
        Clock { boot_id: Some(boot_id.into()), ..self }
    }

    /// The current time, by both clocks.
    pub fn moment(&self) -> Moment {
        // A chosen start time also decides `boot_ms`, so that two processes with chosen times can be compared.
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

    /// The current time in Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_us().div_euclid(1_000_000)
    }

    /// The current time in microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        let microseconds = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match self.started {
            Some((unix_s, instant)) => {
                unix_s.saturating_mul(1_000_000).saturating_add(microseconds(instant.elapsed()))
            }
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, microseconds),
        }
    }

    /// True if the clock started at a chosen time, so that no other clock agrees with it.
    pub fn is_chosen(&self) -> bool {
        self.started.is_some()
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
