//! The embedded store on a failing disk. A failed batch counts nothing, and the next batch works. After a kill or a
//! power loss, every acknowledged message is counted exactly once.

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
    /// Plans a fault of the disk.
    Fault(Fault),
    /// The program ends at once. Unsynced bytes stay in the files.
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
    /// A failed batch may still be found after a restart. One expected state for each batch that failed since the last
    /// success.
    with_failed: Vec<Model>,
}

impl Run {
    fn start() -> Run {
        let folder = disk::folder();
        let mut run = Run {
            folder,
            disk: FaultyDisk::default(),
            store: None,
            model: Model::default(),
            with_failed: Vec::new(),
        };
        run.open();
        for appid in APPIDS {
            run.store().account(appid).unwrap();
        }
        run
    }

    fn open(&mut self) {
        let options =
            Options { memory_bytes: 1, log_bytes: 600, ends_messages: 1, disk: Arc::new(self.disk.clone()) };
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
            let wrote_nothing = outcomes.iter().all(is_unwritten);
            assert_eq!(outcomes, self.model.commit(changes));
            if !wrote_nothing {
                self.with_failed.clear();
            }
        } else {
            let mut turned_up = self.model.clone();
            turned_up.commit(changes);
            self.with_failed.push(turned_up);
            self.model.fail(changes);
        }
    }

    fn reopen(&mut self) {
        self.store = None;
        self.open();
        self.model.interrupt();
        let Some(difference) = self.model.difference(self.store()) else {
            self.with_failed.clear();
            return;
        };
        let times = self.model.times.clone();
        let mut with_one = std::mem::take(&mut self.with_failed).into_iter().map(|mut model| {
            model.interrupt();
            model.times.clone_from(&times);
            model
        });
        let matching = with_one.find(|model| model.difference(self.store()).is_none());
        self.model =
            matching.unwrap_or_else(|| panic!("the store differs from what was acknowledged: {difference}"));
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

fn one_message(msg_id: u64) -> Vec<Change> {
    vec![Change::Message { account: AccountNumber(0), message: message(msg_id) }]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_faults_exactly_the_acknowledged_messages_count(
        steps in prop::collection::vec(any_step(), 1..30)
    ) {
        let mut run = Run::start();
        for step in steps {
            run.step(step);
            run.check();
        }
        run.disk.mend();
        run.step(Step::Commit(one_message(99)));
        prop_assert!(run.with_failed.is_empty(), "the store recovers");
        run.check();
        run.step(Step::PowerLoss(Tail::Nothing));
        run.check();
    }
}

#[test]
fn a_failed_sync_fails_the_batch_and_is_not_retried() {
    for lost in [false, true] {
        let mut run = Run::start();
        run.step(Step::Commit(one_message(1)));
        run.disk.plan(Fault { after: 1, times: 1, written: 0, lost });
        assert!(run.store().commit(&one_message(2)).is_err());
        assert_eq!(run.store().commit(&one_message(3)).unwrap(), [Outcome::Counted]);
        assert_eq!(
            run.store().commit(&one_message(2)).unwrap(),
            [Outcome::Counted],
            "the failed batch counted nothing"
        );
        run.model.interrupt();
        run.model.commit(&[one_message(3), one_message(2)].concat());
        run.step(Step::PowerLoss(Tail::Nothing));
        run.check();
    }
}

#[test]
fn unsynced_records_found_after_a_kill_become_durable_before_new_ones() {
    let mut run = Run::start();
    run.disk.plan(Fault { after: 1, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one_message(1)));
    assert_eq!(run.with_failed.len(), 1);
    run.step(Step::Kill);
    assert_eq!(
        run.store().commit(&one_message(1)).unwrap(),
        [Outcome::Repeat],
        "the message was found after the kill"
    );
    run.step(Step::Commit(one_message(2)));
    run.step(Step::PowerLoss(Tail::Nothing));
    run.check();
}

#[test]
fn a_full_disk_stops_commits_only_while_it_is_full() {
    let mut run = Run::start();
    run.step(Step::Commit(one_message(1)));
    run.disk.break_down();
    for id in 2..9 {
        assert!(run.store().commit(&one_message(id)).is_err());
        assert!(run.store().maintain(true).is_err());
        assert!(run.store().account("wxnew").is_err());
        let number = run.store().reserve("wxnew");
        assert_eq!((number, run.store().reserve("wxnew")), (AccountNumber(3), number));
        run.model.fail(&one_message(id));
        run.check();
    }
    run.disk.mend();
    run.step(Step::Commit(one_message(2)));
    run.store().maintain(true).unwrap();
    run.store().reserve("wxlater");
    run.step(Step::Commit(one_message(3)));
    run.step(Step::Kill);
    run.check();
    let (new, later) = (run.store().reserve("wxnew"), run.store().reserve("wxlater"));
    assert_eq!((new.0, later.0), (3, 4), "reserved numbers became durable with the next durable change");
}

#[test]
fn a_failed_batch_that_one_restart_drops_does_not_come_back_after_another() {
    let mut run = Run::start();
    run.disk.plan(Fault { after: 1, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one_message(1)));
    // The header of the next segment excludes the failed batch. That segment is still empty.
    run.disk.plan(Fault { after: 4, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one_message(2)));
    run.with_failed.clear();
    run.step(Step::Kill);
    run.check();
    // The empty segment is replaced, and the replacement fails.
    run.disk.plan(Fault { after: 0, times: 1, written: 0, lost: false });
    run.step(Step::Commit(one_message(3)));
    run.with_failed.clear();
    run.step(Step::Kill);
    run.check();
}
