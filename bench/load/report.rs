//! The results of one run: rates, latencies, and the CPU time of the server and of the load generator.

use std::time::Instant;

use serde_json::json;

use crate::Outcome;

/// Linux reports the CPU time of a process in units of 10 ms, whatever the tick rate of the kernel.
const US_PER_TICK: u64 = 10_000;

/// The results of one run.
pub(crate) struct Report {
    mode: &'static str,
    connections: u64,
    pid: u32,
    started: Instant,
    cpu_us_at_start: u64,
    cpu_us: u64,
    own_cpu_us: u64,
    seconds: f64,
    latencies_us: Vec<u32>,
    errors: u64,
    pub(crate) requests: u64,
}

impl Report {
    pub(crate) fn started(mode: &'static str, connections: u64, pid: u32) -> Outcome<Report> {
        Ok(Report {
            mode,
            connections,
            pid,
            started: Instant::now(),
            cpu_us_at_start: cpu_us(&pid.to_string())?,
            cpu_us: 0,
            own_cpu_us: 0,
            seconds: 0.0,
            latencies_us: Vec::new(),
            errors: 0,
            requests: 0,
        })
    }

    pub(crate) fn add(&mut self, latencies_us: Vec<u32>, errors: u64) {
        self.requests += latencies_us.len() as u64;
        self.latencies_us.extend(latencies_us);
        self.errors += errors;
    }

    pub(crate) fn ended(&mut self) -> Outcome<()> {
        self.seconds = self.started.elapsed().as_secs_f64();
        self.cpu_us = cpu_us(&self.pid.to_string())? - self.cpu_us_at_start;
        // A process makes only one run.
        self.own_cpu_us = cpu_us("self")?;
        self.latencies_us.sort_unstable();
        Ok(())
    }

    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn json(&self) -> serde_json::Value {
        let requests = self.requests.max(1) as f64;
        json!({
            "mode": self.mode,
            "connections": self.connections,
            "requests": self.requests,
            "errors": self.errors,
            "seconds": self.seconds,
            "per_second": self.requests as f64 / self.seconds,
            "p50_us": self.at(500),
            "p99_us": self.at(990),
            "p999_us": self.at(999),
            "cpu_us_per_request": self.cpu_us as f64 / requests,
            "own_cpu_us_per_request": self.own_cpu_us as f64 / requests,
        })
    }

    fn at(&self, per_mille: usize) -> u32 {
        let index =
            (self.latencies_us.len() * per_mille / 1000).min(self.latencies_us.len().saturating_sub(1));
        self.latencies_us.get(index).copied().unwrap_or(0)
    }
}

/// User and system time of a process so far.
fn cpu_us(pid: &str) -> Outcome<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may contain blanks. utime and stime are fields 12 and 13 after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| {
        fields.get(index).and_then(|field| field.parse::<u64>().ok()).ok_or("no CPU time in stat")
    };
    Ok((ticks(11)? + ticks(12)?) * US_PER_TICK)
}
