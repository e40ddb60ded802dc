//! The load generator of the benchmarks. It uses keep-alive TCP connections with hand-written requests, so that it needs
//! little CPU time of the shared cores. Prints one line of JSON. `cargo run --release --bin load -- --help`
#![allow(clippy::disallowed_methods, reason = "a program that measures time reads the clock")]

mod connection;
mod pace;
mod report;
mod request;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Parser};

use connection::Connection;
use report::Report;
use request::{Bulk, Callbacks};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Load for msgcube or for the no-op program
#[derive(Parser)]
enum Mode {
    /// Plain XML callbacks, each with a new message of now
    Callback {
        #[command(flatten)]
        target: ServerUnderLoad,
        /// The account's callback token
        #[arg(long)]
        token: String,
        /// Number of users, who write in turn
        #[arg(long, default_value_t = 10_000)]
        users: u64,
        /// How long to send, in seconds
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// The same call of another interface, again and again
    Call {
        #[command(flatten)]
        target: ServerUnderLoad,
        /// An access token; the no-op program takes any
        #[arg(long, default_value = "none")]
        access_token: String,
        /// Path and query of the call
        #[arg(long, default_value = "/cgi-bin/user/info?openid=oBench")]
        path: String,
        /// How long to send, in seconds
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// The month interface, always for the same month
    Month {
        #[command(flatten)]
        target: ServerUnderLoad,
        /// An access token; the no-op program takes any
        #[arg(long, default_value = "none")]
        access_token: String,
        /// First day of the month
        #[arg(long)]
        begin: String,
        /// How long to send, in seconds
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Many messages through the bulk interface, in requests of --batch lines
    Bulk {
        #[command(flatten)]
        target: ServerUnderLoad,
        /// The admin key
        #[arg(long)]
        admin_key: String,
        /// Number of messages
        #[arg(long)]
        messages: u64,
        /// Number of users, who write in turn
        #[arg(long, default_value_t = 100_000)]
        users: u64,
        /// Number of the first user
        #[arg(long, default_value_t = 0)]
        first_user: u64,
        /// Unix seconds of the first message
        #[arg(long)]
        from: i64,
        /// Messages are spread evenly until this time, in Unix seconds
        #[arg(long)]
        to: i64,
        /// Lines in each request
        #[arg(long, default_value_t = 50_000)]
        batch: u64,
    },
}

/// The server under load, and the number of connections.
#[derive(Args, Clone)]
struct ServerUnderLoad {
    /// Address and port
    #[arg(long)]
    addr: String,
    /// The account
    #[arg(long)]
    appid: String,
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Requests a second at fixed times. Without it: as many as are answered
    #[arg(long)]
    rate: Option<u32>,
    /// Process id of the server, to report its CPU time
    #[arg(long)]
    pid: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let report = match Mode::parse() {
        Mode::Callback { target, token, users, seconds } => {
            let requests = Arc::new(Callbacks::new(&target.appid, &token, users)?);
            let make = move |number, buffer: &mut Vec<u8>| requests.write(number, buffer);
            send("callback", &target, seconds, b"success", make).await?
        }
        Mode::Call { target, access_token, path, seconds } => {
            let request = request::call(&access_token, &path)?;
            let make = move |_, buffer: &mut Vec<u8>| buffer.extend_from_slice(&request);
            send("call", &target, seconds, b"{\"", make).await?
        }
        Mode::Month { target, access_token, begin, seconds } => {
            let request = request::month(&access_token, &begin)?;
            let make = move |_, buffer: &mut Vec<u8>| buffer.extend_from_slice(&request);
            send("month", &target, seconds, b"{\"list\":[{", make).await?
        }
        Mode::Bulk { target, admin_key, messages, users, first_user, from, to, batch } => {
            let bulk = Bulk { appid: target.appid.clone(), admin_key, messages, users, first_user, from, to };
            all_of(&target, Arc::new(bulk), batch).await?
        }
    };
    println!("{}", report.json());
    Ok(())
}

/// Sends at the requested rate, or as fast as the answers come.
async fn send(
    mode: &'static str,
    target: &ServerUnderLoad,
    seconds: f64,
    wanted: &'static [u8],
    make: impl Fn(u64, &mut Vec<u8>) + Clone + Send + 'static,
) -> Outcome<Report> {
    match target.rate {
        Some(rate) => pace::at_a_rate(mode, target, (rate, seconds), wanted, make).await,
        None => for_a_while(mode, target, seconds, wanted, make).await,
    }
}

/// Sends requests over all connections until the time is over. Each answer must start with `wanted`.
async fn for_a_while(
    mode: &'static str,
    target: &ServerUnderLoad,
    seconds: f64,
    wanted: &'static [u8],
    make: impl Fn(u64, &mut Vec<u8>) + Clone + Send + 'static,
) -> Outcome<Report> {
    let numbers = Arc::new(AtomicU64::new(0));
    let mut report = Report::started(mode, target.connections, target.pid)?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tasks = Vec::new();
    for _ in 0..target.connections {
        let (addr, numbers, make) = (target.addr.clone(), Arc::clone(&numbers), make.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies_us = Vec::with_capacity(1 << 16);
            let mut errors = 0;
            let mut connection = Connection::open(&addr).await?;
            while Instant::now() < end {
                make(numbers.fetch_add(1, Ordering::Relaxed), connection.buffer());
                let sent = Instant::now();
                if connection.ask(wanted).await.is_ok() {
                    latencies_us.push(micros(sent));
                } else {
                    errors += 1;
                    connection = Connection::open(&addr).await?;
                }
            }
            Ok::<_, std::io::Error>((latencies_us, errors))
        }));
    }
    for task in tasks {
        let (latencies_us, errors) = task.await??;
        report.add(latencies_us, errors);
    }
    report.ended()?;
    Ok(report)
}

/// Sends all messages in batches. The report counts lines, not requests.
async fn all_of(target: &ServerUnderLoad, bulk: Arc<Bulk>, batch: u64) -> Outcome<Report> {
    let next = Arc::new(AtomicU64::new(0));
    let mut report = Report::started("bulk", target.connections, target.pid)?;
    let mut tasks = Vec::new();
    for _ in 0..target.connections {
        let (addr, bulk, next) = (target.addr.clone(), Arc::clone(&bulk), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&addr).await?;
            let mut latencies_us = Vec::new();
            loop {
                let first = next.fetch_add(batch, Ordering::Relaxed);
                if first >= bulk.messages {
                    return Ok::<_, std::io::Error>(latencies_us);
                }
                bulk.write(first..bulk.messages.min(first + batch), connection.buffer());
                let sent = Instant::now();
                connection.ask(b"{\"accepted\":").await?;
                latencies_us.push(micros(sent));
            }
        }));
    }
    for task in tasks {
        report.add(task.await??, 0);
    }
    report.ended()?;
    report.requests = bulk.messages;
    Ok(report)
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}
