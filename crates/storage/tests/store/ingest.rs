//! The writer on a failing disk: it acknowledges nothing while the disk fails, recovers by itself, and the lost time is a
//! gap. Tests poll with a limit. No result depends on how much time passes.

use std::{path::Path, sync::Arc, time::Duration};

use counting::{Content, Coverage, CoverageReport, Kind, Message, Reason};
use storage::{
    planned_stop::ListeningSocket,
    store::{AccountNumber, Change, Embedded, Options, Outcome, Store},
    writer::{Ingest, Writer},
};
use system::clock::Clock;

use crate::disk::{self, FaultyDisk};

const START_S: i64 = 1_417_363_200;
const ACCOUNT: AccountNumber = AccountNumber(0);

struct Run {
    store: Arc<Store>,
    ingest: Ingest,
    writer: Writer,
    clock: Clock,
}

/// Starts the writer for one account. The clock starts `after_s` seconds after `START_S`.
fn start(folder: &Path, disk: &FaultyDisk, after_s: i64) -> Run {
    let options = Options { disk: Arc::new(disk.clone()), ..Options::default() };
    let store = Arc::new(Store::Embedded(Box::new(Embedded::open(folder, &options).unwrap())));
    assert_eq!(store.account("wxone").unwrap(), ACCOUNT);
    let clock = Clock::starting_at(START_S + after_s);
    let (ingest, writer) = Ingest::start(store.clone(), clock.clone(), Arc::default(), vec![ACCOUNT]);
    Run { store, ingest, writer, clock }
}

impl Run {
    async fn send(&self, msg_id: u64) -> Option<Outcome> {
        let content = Content::Message { kind: Kind::Text, msg_id };
        let message = Message { user: "o1".into(), create_time: START_S, content };
        self.ingest.submit(Change::Message { account: ACCOUNT, message }).await.ok()
    }

    fn coverage(&self) -> Coverage {
        self.store.coverage(ACCOUNT, Coverage::clone)
    }

    fn holds(&self, from_s: i64, to_s: i64) -> bool {
        self.coverage().holds(START_S + from_s, START_S + to_s, START_S + 1_000_000)
    }

    fn stop(self) -> Arc<Store> {
        self.writer.stop();
        self.store
    }
}

/// Polls until the condition holds. Fails after a minute.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Like `until`, but no other task runs on this thread meanwhile.
fn block_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn nothing_is_acknowledged_on_a_faulty_disk_and_it_recovers_by_itself() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let run = start(folder.path(), &disk, 0);
    assert_eq!(run.send(1).await, Some(Outcome::Counted));
    assert_eq!(run.ingest.fault(), None);
    disk.break_down();
    assert_eq!(run.send(2).await, None);
    assert_eq!(run.send(2).await, None);
    assert!(run.ingest.fault().is_some_and(|why| why.contains("no space left")));
    let mark = run.coverage();
    assert_eq!(
        mark,
        {
            let mut stopped = mark.clone();
            stopped.interrupt();
            stopped
        },
        "no time is covered meanwhile"
    );
    disk.mend();
    until("the disk recovers", async || run.ingest.fault().is_none()).await;
    assert_eq!(run.send(2).await, Some(Outcome::Counted), "the failed message was not counted");
    assert_eq!(run.send(1).await, Some(Outcome::Repeat));
    run.stop();
}

#[tokio::test]
async fn from_the_last_mark_until_recovery_is_a_gap() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let run = start(folder.path(), &disk, 0);
    let before = Change::Claim { account: ACCOUNT, from_s: START_S - 100, to_s: START_S };
    run.ingest.submit(before).await.unwrap();
    disk.break_down();
    assert_eq!(run.send(1).await, None);
    // The writer ends while the disk fails, so it cannot write a mark at its end.
    let store = run.stop();
    disk.mend();
    let clock = Clock::starting_at(START_S + 3600);
    let (ingest, writer) = Ingest::start(store.clone(), clock.clone(), Arc::default(), vec![ACCOUNT]);
    let run = Run { store, ingest, writer, clock };
    assert_eq!(run.send(1).await, Some(Outcome::Counted));
    let CoverageReport { since, gaps, .. } = run.coverage().report(START_S + 1_000_000);
    assert_eq!(since, Some(START_S - 100));
    let (from_s, to_s) = (gaps[0].from_s, gaps[0].to_s);
    assert!((START_S..START_S + 3600).contains(&from_s) && to_s >= START_S + 3600, "{gaps:?}");
    assert_eq!(gaps[0].reason, Reason::NotRunning, "the disk could not record that it failed");
    assert!(!run.holds(0, 3600) && run.holds(-100, 0));
    run.stop();
}

#[tokio::test]
async fn a_graceful_end_covers_time_until_the_end_and_a_kill_until_the_last_mark() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let run = start(folder.path(), &disk, 0);
    run.send(1).await.unwrap();
    // Coverage has a resolution of one second.
    until("a second passes", async || run.clock.now_s() > START_S + 1).await;
    let end_s = run.clock.now_s();
    drop(run.stop());
    let run = start(folder.path(), &disk, 100);
    run.send(2).await.unwrap();
    assert!(run.coverage().holds(START_S + 1, end_s, end_s), "time is covered until the end");
    // A copy of the folder of a running writer is what a kill would leave.
    let copy = disk::folder();
    copy_folder(folder.path(), copy.path());
    run.stop();
    let after_kill = start(copy.path(), &FaultyDisk::default(), 200);
    assert_eq!(after_kill.send(2).await, Some(Outcome::Repeat));
    assert!(!after_kill.holds(100, 200), "the kill is a gap");
    assert!(!after_kill.coverage().touches(START_S + 150, START_S + 200, START_S + 200));
    after_kill.stop();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to.join("log")).unwrap();
    std::fs::copy(from.join("pages.redb"), to.join("pages.redb")).unwrap();
    for entry in std::fs::read_dir(from.join("log")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join("log").join(path.file_name().unwrap())).unwrap();
    }
}

#[tokio::test]
async fn losses_are_gaps_even_if_reported_while_a_batch_is_being_written() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let run = start(folder.path(), &disk, 0);
    let covers = Change::Claim { account: ACCOUNT, from_s: START_S - 100, to_s: START_S };
    run.ingest.submit(covers).await.unwrap();
    run.ingest.lose(ACCOUNT, START_S - 90, START_S - 80, Reason::TooMany);
    disk.close_gate();
    let pending = run.ingest.submit_all(vec![Change::Fact { key: "a".to_owned(), value: None }]).unwrap();
    disk.wait_for_a_sync();
    // This loss continues the one that is being written.
    run.ingest.lose(ACCOUNT, START_S - 80, START_S - 70, Reason::TooMany);
    disk.open_gate();
    pending.await.unwrap();
    let store = run.stop();
    let lost = store.coverage(ACCOUNT, |coverage| coverage.touches(START_S - 90, START_S - 70, START_S));
    assert!(!lost, "{:?}", store.coverage(ACCOUNT, Coverage::clone));
    assert!(store.coverage(ACCOUNT, |coverage| coverage.holds(START_S - 70, START_S, START_S)));
}

#[tokio::test]
async fn a_stopped_writer_takes_no_changes() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let run = start(folder.path(), &disk, 0);
    let ingest = run.ingest.clone();
    run.stop();
    assert!(ingest.submit(Change::Mark { at_s: START_S }).await.is_err());
    assert_eq!(ingest.depth(), 0);
}

#[tokio::test]
async fn a_failed_change_of_the_accounts_in_service_changes_nothing() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let run = start(folder.path(), &disk, 0);
    let other = run.store.account("wxother").unwrap();
    for (account, takes_messages) in [(other, true), (ACCOUNT, false)] {
        // After this commit the writer has nothing else to write. So the change itself fails.
        let settled = vec![Change::Fact { key: "settled".to_owned(), value: None }];
        run.ingest.submit_all(settled).unwrap().await.unwrap();
        disk.break_down();
        let ingest = run.ingest.clone();
        let change = tokio::spawn(async move { ingest.serve(account, takes_messages, Vec::new()).await });
        tokio::task::yield_now().await;
        // This thread runs the task of the change, so the writer recovers before the task sees the failure.
        block_until("the disk fails", || run.ingest.fault().is_some());
        disk.mend();
        block_until("the disk recovers", || run.ingest.fault().is_none());
        assert!(change.await.unwrap().is_err());
    }
    let is_running = |account| {
        let coverage = run.store.coverage(account, Coverage::clone);
        // Future time counts as covered only while the account is in service.
        coverage.holds(START_S + 500_000, START_S + 500_001, START_S + 1_000_000)
    };
    until("the writer has the right list", async || is_running(ACCOUNT) && !is_running(other)).await;
    run.ingest.serve(other, true, Vec::new()).await.unwrap();
    run.ingest.serve(ACCOUNT, false, Vec::new()).await.unwrap();
    assert!(is_running(other) && !is_running(ACCOUNT));
    run.stop();
}

/// Starts the writer with a socket that was handed over, and with the given boot id of the machine.
async fn begin(folder: &Path, after_s: i64, boot: &str, inode: u64, bridge_s: u32) -> Run {
    let store = Arc::new(Store::Embedded(Box::new(Embedded::open(folder, &Options::default()).unwrap())));
    store.account("wxone").unwrap();
    let clock = Clock::starting_at(START_S + after_s).with_boot_id(boot);
    let (ingest, writer) = Ingest::prepare(store.clone(), clock.clone(), Arc::default(), vec![ACCOUNT]);
    ingest.begin(ListeningSocket { inode: Some(inode), is_handed_over: true }, bridge_s).await;
    Run { store, ingest, writer, clock }
}

impl Run {
    /// A planned stop: stops listening first, then ends.
    fn stop_as_planned(self) {
        self.ingest.stop_listening();
        self.stop();
    }

    /// Reasons of the gaps, and the number of bridged stops.
    fn report(&self) -> (Vec<&'static str>, usize) {
        let report = self.coverage().report(START_S + 1_000_000);
        (report.gaps.iter().map(|gap| gap.reason.name()).collect(), report.bridged.len())
    }
}

#[tokio::test]
async fn time_between_two_processes_is_a_gap_unless_the_stop_was_planned_and_short() {
    const DAY_S: i64 = 86_400;
    let none: Vec<&str> = Vec::new();
    for (name, after_s, boot, inode, bridge_s, gaps, bridged) in [
        ("the same socket", 2, "a", 7, 100, none.clone(), 0),
        ("another socket", 2, "a", 8, 100, none.clone(), 1),
        ("another boot", 2, "b", 7, 100, vec!["not_running"], 0),
        ("too long, with the socket", DAY_S, "a", 7, 300, vec!["not_running"], 0),
        ("bridge_s = 0", 2, "a", 7, 0, vec!["not_running"], 0),
    ] {
        let folder = disk::folder();
        let run = begin(folder.path(), 0, "a", 7, 100).await;
        let claim = Change::Claim { account: ACCOUNT, from_s: START_S - 10, to_s: START_S + 1 };
        run.ingest.submit(claim).await.unwrap();
        run.send(1).await.unwrap();
        run.stop_as_planned();
        // The second clock starts shortly after the first one ended, however slow this machine is.
        let run = begin(folder.path(), after_s, boot, inode, bridge_s).await;
        assert_eq!(run.send(1).await, Some(Outcome::Repeat), "{name}");
        assert_eq!(run.report(), (gaps.clone(), bridged), "{name}");
        run.stop_as_planned();
        // A mark of a planned stop is valid for one start. The second stop wrote its own mark.
        let run = begin(folder.path(), after_s + 2 * DAY_S, boot, inode, 100).await;
        // If the second process ran for less than a second, both gaps are joined.
        assert_eq!(run.report(), (vec!["not_running"], bridged), "{name}");
        run.stop();
    }
}

#[tokio::test]
async fn a_kill_before_the_first_mark_is_a_gap_from_the_last_planned_stop() {
    let folder = disk::folder();
    begin(folder.path(), 0, "a", 7, 100).await.stop_as_planned();
    let run = begin(folder.path(), 2, "a", 7, 100).await;
    assert_eq!(run.report(), (vec![], 0));
    // A copy of the folder of a running writer is what a kill would leave.
    let copy = disk::folder();
    copy_folder(folder.path(), copy.path());
    run.stop();
    let after_kill = begin(copy.path(), 4, "a", 7, 100).await;
    assert_eq!(after_kill.report(), (vec!["not_running"], 0));
    assert!(!after_kill.coverage().touches(START_S + 2, START_S + 4, START_S + 4));
    after_kill.stop();
}
