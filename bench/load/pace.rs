//! Requests at fixed times, even if the answers are late. Latency counts from the time when a request was due, so that all
//! requests that wait for a stalled server count.

use std::io::Result;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

use crate::connection::Connection;
use crate::report::Report;
use crate::{Outcome, ServerUnderLoad, micros};

/// The number of a request, and when it is due.
type Due = (u64, Instant);

/// Sends `rate` requests a second, each over the first free connection. Each answer must start with `wanted`.
pub(crate) async fn at_a_rate(
    mode: &'static str,
    target: &ServerUnderLoad,
    (rate, seconds): (u32, f64),
    wanted: &'static [u8],
    make: impl Fn(u64, &mut Vec<u8>) + Clone + Send + 'static,
) -> Outcome<Report> {
    let (due, waiting) = mpsc::unbounded_channel();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut tasks = Vec::new();
    for _ in 0..target.connections {
        // Opened before the first request is due.
        let connection = Connection::open(&target.addr).await?;
        let (addr, make) = (target.addr.clone(), make.clone());
        tasks.push(tokio::spawn(answer_all(Arc::clone(&waiting), connection, addr, wanted, make)));
    }
    let mut report = Report::started(mode, target.connections, target.pid)?;
    let clock = thread::spawn(move || tick(&due, rate, seconds));
    for task in tasks {
        let (latencies_us, errors) = task.await??;
        report.add(latencies_us, errors);
    }
    report.ended()?;
    clock.join().map_err(|_| "the clock thread ended early")?;
    Ok(report)
}

/// A thread wakes up within about 60 microseconds of the wanted time. Timers of the runtime only have whole milliseconds.
fn tick(due: &mpsc::UnboundedSender<Due>, rate: u32, seconds: f64) {
    let start = Instant::now() + Duration::from_millis(20);
    for number in 0_u64.. {
        let after = Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
        if after.as_secs_f64() >= seconds {
            return;
        }
        let moment = start + after;
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        if due.send((number, moment)).is_err() {
            return;
        }
    }
}

async fn answer_all(
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<Due>>>,
    mut connection: Connection,
    addr: String,
    wanted: &'static [u8],
    make: impl Fn(u64, &mut Vec<u8>),
) -> Result<(Vec<u32>, u64)> {
    let mut latencies_us = Vec::with_capacity(1 << 12);
    let mut errors = 0;
    loop {
        let next = waiting.lock().await.recv().await;
        let Some((number, moment)) = next else { return Ok((latencies_us, errors)) };
        make(number, connection.buffer());
        if connection.ask(wanted).await.is_ok() {
            latencies_us.push(micros(moment));
        } else {
            errors += 1;
            connection = Connection::open(&addr).await?;
        }
    }
}
