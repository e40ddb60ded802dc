//! What the embedded store does with one large account: a year of messages, then ranges of days, new users, a start after
//! a kill, little memory. Prints Markdown. `cargo run --profile dist -p msgcube-bench --bin ranges -- FOLDER`
#![allow(clippy::disallowed_methods, reason = "a program that measures time reads the clock")]

mod answer;
mod messages;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use datacube::{Day, Granularity};
use storage::store::statistics::{Grouping, Span};
use storage::store::{AccountNumber, Embedded, Options, Store};

use messages::Messages;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

const DAYS: i32 = 365;
/// Messages in one commit.
const BATCH: usize = 4096;
/// Times that each range is asked for.
const ASKINGS: u32 = 9;
/// Commits between two times of maintenance, which the server does once a second.
const BATCHES_A_TICK: u64 = 16;

#[derive(Parser)]
struct Args {
    /// A folder that is not there yet
    folder: PathBuf,
    /// Messages of the year, spread evenly
    #[arg(long, default_value_t = 50_000_000)]
    messages: u64,
    /// Users, each as likely as any other
    #[arg(long, default_value_t = 5_000_000)]
    users: u64,
    /// Memory as in the configuration
    #[arg(long, default_value_t = 512)]
    memory_mib: usize,
    /// One step alone: the program runs itself for each, so that memory is measured of each
    #[arg(long)]
    step: Option<Step>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Step {
    /// The year, in order
    Fill,
    /// Eight days more, in order
    More,
    /// As much of the next days as the log holds before pages are saved, then a kill
    Tail,
    /// Starts after the kill
    Start,
    /// Ranges and new users
    Ask,
    /// Writes the year's messages as text: user, day, month, kind
    Export,
    /// Answers questions from standard input
    Answer,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    match args.step {
        Some(step) => run(&args, step),
        None => all(&args),
    }
}

fn all(args: &Args) -> Outcome<()> {
    println!("| step | time or size |\n|---|---|");
    let steps = [
        (Step::Fill, args.memory_mib),
        (Step::Ask, args.memory_mib),
        (Step::More, args.memory_mib),
        (Step::More, args.memory_mib / 2),
        (Step::More, args.memory_mib / 8),
        (Step::Tail, args.memory_mib),
        (Step::Start, args.memory_mib),
    ];
    for (step, memory_mib) in steps {
        let step = step.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(&args.folder).args(["--step", &step]);
        command.args(["--messages", &args.messages.to_string(), "--users", &args.users.to_string()]);
        command.args(["--memory-mib", &memory_mib.to_string()]);
        if !command.status()?.success() {
            return Err(format!("{step} failed").into());
        }
    }
    Ok(())
}

fn run(args: &Args, step: Step) -> Outcome<()> {
    if matches!(step, Step::Export) {
        return answer::export(Messages::new(first_day(), DAYS, args.messages, args.users, 0));
    }
    let options = Options { memory_bytes: args.memory_mib << 20, ..Options::default() };
    let start = Instant::now();
    let store = Store::Embedded(Box::new(Embedded::open(&args.folder, &options)?));
    let opened = start.elapsed();
    let account = store.account("wxBench")?;
    let a_day = args.messages / u64::from(DAYS.unsigned_abs());
    match step {
        Step::Fill => fill(&store, account, args)?,
        Step::More => {
            let from = next_day(args);
            let messages = Messages::new(from, 8, 8 * a_day, args.users, args.memory_mib as u64);
            let spent = put(&store, account, messages, true)?;
            row(&format!("messages a second, memory_mib {}", args.memory_mib), per_second(8 * a_day, spent));
            memory_row(&format!("memory, memory_mib {}", args.memory_mib))?;
            std::fs::write(marker(args), (from - first_day() + 8).to_string())?;
        }
        Step::Tail => {
            store.maintain(true)?;
            // 20 bytes of log each: what is not saved yet where saving is cheap.
            let count = options.log_bytes / 8 / 20;
            let days = i32::try_from(count / a_day + 1)?;
            put(&store, account, Messages::new(next_day(args), days, count, args.users, 1), false)?;
        }
        Step::Start => row("start after a kill", format!("{} ms", opened.as_millis())),
        Step::Ask => ask(&store, account)?,
        Step::Export => unreachable!("it needs no store"),
        Step::Answer => answer::answer(&store, account)?,
    }
    // As a kill: nothing is saved at the end.
    std::process::exit(0)
}

fn first_day() -> i32 {
    // 2025-01-01
    20_089
}

fn day(number: i32) -> Day {
    Day::from_days_since_1970(i64::from(first_day() + number))
}

fn marker(args: &Args) -> PathBuf {
    args.folder.with_extension("next_day")
}

/// The first day without messages.
fn next_day(args: &Args) -> i32 {
    let kept = std::fs::read_to_string(marker(args)).ok().and_then(|text| text.parse::<i32>().ok());
    first_day() + kept.unwrap_or(DAYS)
}

fn fill(store: &Store, account: AccountNumber, args: &Args) -> Outcome<()> {
    let messages = Messages::new(first_day(), DAYS, args.messages, args.users, 0);
    let spent = put(store, account, messages, true)?;
    row("messages a second, a year in order", per_second(args.messages, spent));
    memory_row("memory meanwhile")?;
    store.maintain(true)?;
    #[allow(clippy::cast_precision_loss, reason = "a mean for people")]
    let mean = bytes_of(&args.folder)? as f64 / args.messages as f64;
    row("disk, bytes a message", format!("{mean:.2}"));
    Ok(())
}

fn put(store: &Store, account: AccountNumber, messages: Messages, is_saved: bool) -> Outcome<Duration> {
    let mut spent = Duration::ZERO;
    let mut messages = messages.map(|message| storage::store::Change::Message { account, message });
    for number in 0.. {
        let batch: Vec<_> = messages.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let start = Instant::now();
        store.commit(&batch)?;
        if is_saved && number % BATCHES_A_TICK == 0 {
            store.maintain(false)?;
        }
        spent += start.elapsed();
    }
    Ok(spent)
}

fn ask(store: &Store, account: AccountNumber) -> Outcome<()> {
    let ask = |what: &str, from: i32, days: i32| -> Outcome<()> {
        let (from, to) = (day(from), day(from + days - 1));
        asked(what, "users", || Ok(store.slice(account, Span::Days(from, to))?.users_counted))?;
        let start = Instant::now();
        let new = store.new_users(account, from, to)?;
        row(&format!("{what}: new users"), format!("{} us, {}", start.elapsed().as_micros(), new.users));
        Ok(())
    };
    ask("90 days by type, first asking", 45, 90)?;
    ask("other 90 days", 121, 90)?;
    ask("29 days within a month", 213, 29)?;
    ask("a year", 0, DAYS)?;
    ask("a year less its first and last day", 1, DAYS - 2)?;
    let months = |what: &str, from: i32, to: i32| -> Outcome<()> {
        asked(what, "users in all rows", || {
            let spans = Grouping::By(Granularity::Month).spans(day(from), day(to));
            spans.map(|(_, span)| Ok(store.slice(account, span)?.users_counted)).sum()
        })
    };
    months("month rows over a year", 0, DAYS - 1)?;
    months("month rows over a year, first and last month in part", 14, 350)
}

/// Asks often: the first time, the median of all times, and the CPU time of one.
fn asked(what: &str, unit: &str, ask: impl Fn() -> Outcome<u64>) -> Outcome<()> {
    let mut times = Vec::new();
    let mut answer = 0;
    let cpu = cpu_ns()?;
    for _ in 0..ASKINGS {
        let start = Instant::now();
        answer = ask()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    let cpu = Duration::from_nanos((cpu_ns()? - cpu) / u64::from(ASKINGS)).as_secs_f64() * 1000.0;
    let first = times[0];
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    row(what, format!("first {first:.2} ms, median {median:.2} ms, {cpu:.2} ms CPU; {answer} {unit}"));
    Ok(())
}

/// CPU time of the process, all threads that still run.
fn cpu_ns() -> Outcome<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("no CPU time in schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}

fn per_second(count: u64, spent: Duration) -> String {
    format!("{}", u128::from(count) * 1_000_000 / spent.as_micros().max(1))
}

fn row(what: &str, value: impl std::fmt::Display) {
    println!("| {what} | {value} |");
}

/// The most memory that the process had.
fn memory_row(what: &str) -> Outcome<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = most.and_then(|most| most.split_whitespace().next()).ok_or("no VmHWM")?.parse()?;
    row(what, format!("{} MiB at most", kib >> 10));
    Ok(())
}

fn bytes_of(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_of(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
