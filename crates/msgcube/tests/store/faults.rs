//! The embedded store on a disk that fails: nothing of a failed batch counts, the next one works, and after a kill or
//! a power loss everything acknowledged is there, exactly once.

use std::sync::Arc;

use counting::{Content, Kind, Message};
use proptest::prelude::*;
use storage::store::{AccountNumber, Change, Embedded, Options, Outcome, Store};

use crate::{
    changes::{APPIDS, any_batch},
    disk::{self, Fault, FaultyDisk, Tail},
    model::Model,
};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    Maintain,
    /// Orders a fault.
    Fault(Fault),
    /// The program ends at once; what it wrote is still in the machine's memory.
    Kill,
    PowerLoss(Tail),
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let written = prop_oneof![0..60_usize, Just(usize::MAX)];
    (0..5_usize, prop_oneof![4 => Just(1), 2 => 2..7_usize], written, any::<bool>())
        .prop_map(|(after, times, written, lost)| Fault { after, times, written, lost })
}

fn any_tail() -> impl Strategy<Value = Tail> {
    prop_oneof![
        1 => Just(Tail::Nothing),
        3 => any::<usize>().prop_map(Tail::Cut),
        1 => Just(Tail::Zeros(0)),
        1 => prop::collection::vec(any::<u8>(), 1..80).prop_map(Tail::Garbage),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => any_batch().prop_map(Step::Commit),
        1 => Just(Step::Maintain),
        4 => any_fault().prop_map(Step::Fault),
        1 => Just(Step::Kill),
        2 => any_tail().prop_map(Step::PowerLoss),
    ]
}

struct Run {
    folder: tempfile::TempDir,
    disk: FaultyDisk,
    store: Option<Store>,
    model: Model,
    /// What is known if one of the batches that failed since the last one that did not turns up after all.
    failed: Vec<Model>,
}

impl Run {
    fn start() -> Run {
        let folder = disk::folder();
        let mut run = Run {
            folder,
            disk: FaultyDisk::default(),
            store: None,
            model: Model::default(),
            failed: Vec::new(),
        };
        run.open();
        for appid in APPIDS {
            run.store().account(appid).unwrap();
        }
        run
    }

    fn open(&mut self) {
        let options = Options { memory_bytes: 1, log_bytes: 600, disk: Arc::new(self.disk.clone()) };
        self.store = Some(Store::Embedded(Box::new(Embedded::open(self.folder.path(), &options).unwrap())));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(changes) => self.commit(&changes),
            Step::Maintain => drop(self.store().maintain(false)),
            Step::Fault(fault) => self.disk.plan(fault),
            Step::Kill => {
                self.disk.mend();
                self.reopen();
            }
            Step::PowerLoss(tail) => {
                self.store = None;
                self.disk.lose_power(&tail);
                self.reopen();
            }
        }
    }

    fn commit(&mut self, changes: &[Change]) {
        if let Ok(outcomes) = self.store().commit(changes) {
            let is_unwritten = |outcome: &Outcome| matches!(outcome, Outcome::Repeat | Outcome::Failed(_));
            let nothing_written = outcomes.iter().all(is_unwritten);
            assert_eq!(outcomes, self.model.commit(changes));
            if !nothing_written {
                self.failed.clear();
            }
        } else {
            let mut turned_up = self.model.clone();
            turned_up.commit(changes);
            self.failed.push(turned_up);
            self.model.fail(changes);
        }
    }

    fn reopen(&mut self) {
        self.store = None;
        self.open();
        self.model.interrupt();
        let Some(difference) = self.model.difference(self.store()) else {
            self.failed.clear();
            return;
        };
        let times = self.model.times.clone();
        let mut with_one = std::mem::take(&mut self.failed).into_iter().map(|mut model| {
            model.interrupt();
            model.times.clone_from(&times);
            model
        });
        let matching = with_one.find(|model| model.difference(self.store()).is_none());
        self.model = matching.unwrap_or_else(|| panic!("acknowledged and found differ: {difference}"));
    }

    fn check(&self) {
        if let Some(difference) = self.model.difference(self.store()) {
            panic!("{difference}");
        }
    }
}

fn message(msg_id: u64) -> Message {
    let content = Content::Message { kind: Kind::Text, msg_id };
    Message { user: format!("o{msg_id}").into(), create_time: 1_417_363_200, content }
}

fn one(msg_id: u64) -> Vec<Change> {
    vec![Change::Message { account: AccountNumber(0), message: message(msg_id) }]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_and_nothing_else_counts_after_any_faults(
        steps in prop::collection::vec(any_step(), 1..30)
    ) {
        let mut run = Run::start();
        for step in steps {
            run.step(step);
            run.check();
        }
        run.disk.mend();
        run.step(Step::Commit(one(99)));
        prop_assert!(run.failed.is_empty(), "it recovers");
        run.check();
        run.step(Step::PowerLoss(Tail::Nothing));
        run.check();
    }
}

#[test]
fn a_failed_sync_is_not_retried_as_if_it_had_worked() {
    for lost in [false, true] {
        let mut run = Run::start();
        run.step(Step::Commit(one(1)));
        run.disk.plan(Fault { after: 1, times: 1, written: 0, lost });
        assert!(run.store().commit(&one(2)).is_err());
        assert_eq!(run.store().commit(&one(3)).unwrap(), [Outcome::Counted]);
        assert_eq!(run.store().commit(&one(2)).unwrap(), [Outcome::Counted], "nothing of it was counted");
        run.model.interrupt();
        run.model.commit(&[one(3), one(2)].concat());
        run.step(Step::PowerLoss(Tail::Nothing));
        run.check();
    }
}

#[test]
fn what_a_kill_left_in_memory_becomes_durable_before_anything_builds_on_it() {
    let mut run = Run::start();
    run.disk.plan(Fault { after: 1, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one(1)));
    assert_eq!(run.failed.len(), 1);
    run.step(Step::Kill);
    assert_eq!(run.store().commit(&one(1)).unwrap(), [Outcome::Repeat], "it turned up");
    run.step(Step::Commit(one(2)));
    run.step(Step::PowerLoss(Tail::Nothing));
    run.check();
}

#[test]
fn a_full_disk_stops_everything_for_a_while_and_nothing_for_ever() {
    let mut run = Run::start();
    run.step(Step::Commit(one(1)));
    run.disk.break_down();
    for id in 2..9 {
        assert!(run.store().commit(&one(id)).is_err());
        assert!(run.store().maintain(true).is_err());
        assert!(run.store().account("wxnew").is_err());
        let number = run.store().reserve("wxnew");
        assert_eq!((number, run.store().reserve("wxnew")), (AccountNumber(3), number));
        run.model.fail(&one(id));
        run.check();
    }
    run.disk.mend();
    run.step(Step::Commit(one(2)));
    run.store().maintain(true).unwrap();
    run.store().reserve("wxlater");
    run.step(Step::Commit(one(3)));
    run.step(Step::Kill);
    run.check();
    let (new, later) = (run.store().reserve("wxnew"), run.store().reserve("wxlater"));
    assert_eq!((new.0, later.0), (3, 4), "they became durable with the first change that did");
}

#[test]
fn a_failed_batch_that_was_gone_after_one_restart_does_not_come_back_after_another() {
    let mut run = Run::start();
    run.disk.plan(Fault { after: 1, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one(1)));
    // The next segment says that it does not count, and holds nothing itself.
    run.disk.plan(Fault { after: 4, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one(2)));
    run.failed.clear();
    run.step(Step::Kill);
    run.check();
    // That segment is replaced, and the replacement fails.
    run.disk.plan(Fault { after: 0, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one(3)));
    run.failed.clear();
    run.step(Step::Kill);
    run.check();
}
