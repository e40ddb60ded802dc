//! Kills the real program with SIGKILL under load, many times. Afterwards every acknowledged message must be counted
//! exactly once, an unanswered one at most once, and nothing else. The random times of the kills only vary the test: no
//! result depends on them. `MSGCUBE_CRASH_ROUNDS` sets the number of kills.

mod ledger;
mod sender;
mod stops;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Folder, Program, TestResult};
use ledger::{Ledger, Message};
use sender::Sender;
use stops::Stop;

const CALLBACK_SENDERS: u64 = 12;
const BULK_SENDERS: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_message_is_counted_exactly_once_after_kills() -> TestResult<()> {
    let rounds: u64 =
        std::env::var("MSGCUBE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let seed = u64::try_from(jiff::Timestamp::now().as_microsecond())?;
    println!("seed {seed}, {rounds} kills");
    let folder = Folder::new("", "");
    let mut random = Random(seed);
    let ledger = Arc::new(Ledger::default());
    let mut stops = Vec::new();
    for round in 0..rounds {
        let program = stops::start_after(&mut stops, &folder).await?;
        let moment = Duration::from_millis(30 + random.below(400));
        stops.push(one_round(program, round, moment, &ledger).await?);
    }
    let program = stops::start_after(&mut stops, &folder).await?;
    check(&program, &ledger, &stops).await?;
    let status = program.end("-TERM");
    assert!(status.success(), "SIGTERM ends it with status 0, not {status}");
    check_after_a_graceful_end(&folder, &ledger).await
}

/// Sends from many connections until the kill.
async fn one_round(program: Program, round: u64, moment: Duration, ledger: &Arc<Ledger>) -> TestResult<Stop> {
    let over = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for number in 0..CALLBACK_SENDERS + BULK_SENDERS {
        let sender = Sender::new(&program, Arc::clone(ledger), Arc::clone(&over), round, number);
        senders.push(tokio::spawn(async move {
            if number < CALLBACK_SENDERS { sender.callbacks().await } else { sender.bulk().await }
        }));
    }
    tokio::time::sleep(moment).await;
    let stop = Stop::kill(program);
    over.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await??;
    }
    let (acknowledged, open) = ledger.sizes();
    println!(
        "round {round}: killed after {} ms, {acknowledged} acknowledged so far, {open} unanswered",
        moment.as_millis()
    );
    Ok(stop)
}

/// Sends everything again. Every acknowledged message must be a repeat. Then the totals must equal all sent messages.
async fn check(program: &Program, ledger: &Ledger, stops: &[Stop]) -> TestResult<()> {
    let (acknowledged, open) = ledger.contents();
    assert!(acknowledged.len() > 100, "too few acknowledged messages: {}", acknowledged.len());
    let before = program.totals().await;
    assert_within(&before, &acknowledged, &open);

    let answer = program.send_again(&acknowledged).await?;
    assert_eq!(
        (answer.accepted, answer.rejected),
        (0, 0),
        "acknowledged and lost: {} of {}",
        answer.accepted,
        acknowledged.len()
    );
    assert_eq!(answer.duplicate, acknowledged.len() as u64);
    assert_eq!(program.totals().await, before, "repeats do not count");

    let answer = program.send_again(&open).await?;
    assert_eq!((answer.accepted + answer.duplicate, answer.rejected), (open.len() as u64, 0));
    let everything: Vec<Message> = acknowledged.into_iter().chain(open).collect();
    assert_eq!(program.totals().await, ledger::totals(&everything), "each message counts exactly once");
    program.assert_gaps(stops).await
}

async fn check_after_a_graceful_end(folder: &Folder, ledger: &Ledger) -> TestResult<()> {
    let program = folder.serve()?;
    let (acknowledged, open) = ledger.contents();
    let everything: Vec<Message> = acknowledged.into_iter().chain(open).collect();
    assert_eq!(program.totals().await, ledger::totals(&everything), "the same after a graceful end");
    Ok(())
}

/// Checks that at least the acknowledged messages and at most all sent messages are counted.
fn assert_within(counted: &ledger::Totals, acknowledged: &[Message], open: &[Message]) {
    let least = ledger::totals(acknowledged);
    let most = ledger::totals(&acknowledged.iter().chain(open).cloned().collect::<Vec<_>>());
    for (kind, (_, messages)) in &most {
        let floor = least.get(kind).map_or(0, |(_, messages)| *messages);
        let found = counted.get(kind).map_or(0, |(_, messages)| *messages);
        assert!(
            (floor..=*messages).contains(&found),
            "{kind}: {found} counted, {floor} acknowledged, {messages} sent"
        );
    }
    assert!(counted.keys().all(|kind| most.contains_key(kind)), "a type that was never sent: {counted:?}");
}

/// Xorshift. It only chooses the times of the kills.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
