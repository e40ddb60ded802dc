//! The writer on a store that takes several inserts at the same time. The tests decide when each insert ends.

use std::sync::Arc;

use counting::{Content, Coverage, Kind, Message};
use storage::{
    store::{AccountNumber, Change, HeldInserts, Memory, NotDurable, Outcome, Store},
    writer::{Ingest, Writer},
};
use system::clock::Clock;
use tokio::task::JoinHandle;

use crate::ingest::until;

const START_S: i64 = 1_417_363_200;
const ACCOUNT: AccountNumber = AccountNumber(0);
const INSERTS_MAX: usize = 2;

struct Run {
    store: Arc<Store>,
    held: Arc<HeldInserts>,
    ingest: Ingest,
    writer: Writer,
}

async fn start() -> Run {
    let (memory, held) = Memory::with_held_inserts(INSERTS_MAX);
    let store = Arc::new(Store::Memory(memory));
    assert_eq!(store.account("wxone").unwrap(), ACCOUNT);
    let clock = Clock::starting_at(START_S);
    let (ingest, writer) = Ingest::start(store.clone(), clock, Arc::default(), vec![ACCOUNT]);
    let run = Run { store, held, ingest, writer };
    // What is sent before the start is durable is stored together with it.
    run.fact("started").await;
    run
}

type Told = JoinHandle<Result<Outcome, NotDurable>>;

impl Run {
    fn send(&self, msg_id: u64) -> Told {
        let content = Content::Message { kind: Kind::Text, msg_id };
        let message = Message { user: "o1".into(), create_time: START_S, content };
        let ingest = self.ingest.clone();
        tokio::spawn(async move { ingest.submit(Change::Message { account: ACCOUNT, message }).await })
    }

    /// Sends a message, and waits until its insert has started.
    async fn send_alone(&self, msg_id: u64) -> Told {
        let before = self.held.sizes().len();
        let told = self.send(msg_id);
        until("it starts", async || self.held.sizes().len() > before).await;
        told
    }

    async fn fact(&self, key: &str) {
        let change = Change::Fact { key: key.to_owned(), value: Some(Vec::new()) };
        assert_eq!(self.ingest.submit(change).await.unwrap(), Outcome::Noted);
    }

    fn end(&self, at: usize, is_stored: bool) {
        let Store::Memory(memory) = &*self.store else { unreachable!() };
        memory.end_insert(at, is_stored);
    }

    /// Whether a stretch stays covered if the process ends now without a word.
    fn is_marked(&self, from_s: i64, to_s: i64) -> bool {
        let mut coverage = self.store.coverage(ACCOUNT, Coverage::clone);
        coverage.interrupt();
        coverage.holds(START_S + from_s, START_S + to_s, START_S + 1_000_000)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_inserts_run_at_once_and_others_gather_until_one_ends() {
    let run = start().await;
    let first = run.send_alone(1).await;
    let second = run.send_alone(2).await;
    let more: Vec<Told> = (3..=5).map(|msg_id| run.send(msg_id)).collect();
    until("three wait", async || run.ingest.depth() == 3).await;
    // The one that began later may end earlier.
    run.end(1, true);
    assert_eq!(second.await.unwrap().unwrap(), Outcome::Counted);
    assert!(!first.is_finished());
    until("the three start together", async || run.held.sizes() == [1, 3]).await;
    run.end(1, true);
    for told in more {
        assert_eq!(told.await.unwrap().unwrap(), Outcome::Counted);
    }
    run.end(0, true);
    assert_eq!(first.await.unwrap().unwrap(), Outcome::Counted);
    run.writer.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_do_not_wait_for_inserts_and_marks_do_not_pass_them() {
    let run = start().await;
    let told = run.send_alone(1).await;
    run.fact("a").await;
    // A mark comes every 3 s, and covers until 6 s before it.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    assert!(!told.is_finished() && !run.is_marked(1, 2));
    assert!(run.ingest.fault().is_some(), "an insert that hangs is a fault");
    run.end(0, true);
    assert_eq!(told.await.unwrap().unwrap(), Outcome::Counted);
    until("a mark", async || run.is_marked(1, 2)).await;
    run.writer.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_insert_nothing_is_covered_before_all_have_ended() {
    let run = start().await;
    until("a mark", async || run.is_marked(1, 2)).await;
    let slow = run.send_alone(1).await;
    let failing = run.send_alone(2).await;
    run.end(1, false);
    assert!(failing.await.unwrap().is_err(), "not acknowledged");
    assert!(run.ingest.fault().is_some());
    // First the account is served again, and that waits for the slow one.
    let next = run.send(3);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!next.is_finished() && run.ingest.fault().is_some());
    run.end(0, true);
    assert_eq!(slow.await.unwrap().unwrap(), Outcome::Counted);
    until("the next is stored or starts", async || next.is_finished() || run.held.sizes() == [1]).await;
    run.end(0, true);
    assert_eq!(next.await.unwrap().unwrap(), Outcome::Counted);
    until("the fault is over", async || run.ingest.fault().is_none()).await;
    let report = run.store.coverage(ACCOUNT, |coverage| coverage.report(START_S + 60));
    let reasons: Vec<&str> = report.gaps.iter().map(|gap| gap.reason.name()).collect();
    assert!(reasons.contains(&"not_durable"), "{reasons:?}");
    run.writer.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_inserts_and_tells_their_callers() {
    let run = start().await;
    let told = run.send_alone(1).await;
    let writer = run.writer;
    let stop = tokio::task::spawn_blocking(move || writer.stop());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!stop.is_finished() && !told.is_finished());
    let Store::Memory(memory) = &*run.store else { unreachable!() };
    memory.end_insert(0, true);
    assert_eq!(told.await.unwrap().unwrap(), Outcome::Counted);
    stop.await.unwrap();
}
