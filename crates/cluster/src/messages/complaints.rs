//! A server that fails is logged once a minute, however often it is asked.

use std::{sync::Mutex, time::Duration};

use system::{clock::Stopwatch, sync::lock};

/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// The failures of one server.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<LoggedFailure>);

#[derive(Debug, Default)]
struct LoggedFailure {
    logged: Option<Stopwatch>,
    /// Failures since then.
    failures: u64,
}

impl Complaints {
    /// Counts a failure. If it is to be logged: how many there were since the last line, this one included.
    pub fn failed(&self) -> Option<u64> {
        let mut complaint = lock(&self.0);
        complaint.failures += 1;
        if complaint.logged.is_some_and(|logged| logged.elapsed() < PAUSE) {
            return None;
        }
        complaint.logged = Some(Stopwatch::start());
        Some(std::mem::take(&mut complaint.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_one_line() {
        let complaints = Complaints::default();
        let lines: Vec<u64> = (0..1000).filter_map(|_| complaints.failed()).collect();
        assert_eq!(lines, [1]);
        assert_eq!(lock(&complaints.0).failures, 999);
    }
}
