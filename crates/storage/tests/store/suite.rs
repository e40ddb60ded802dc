//! The suite that every store passes.

use std::path::PathBuf;

use proptest::prelude::*;
use storage::store::{Change, Embedded, Memory, Options, Outcome, Store};

use crate::{
    changes::{APPIDS, any_batch},
    disk,
    model::Model,
};

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    Maintain {
        now: bool,
    },
    /// Closes the store and opens it again, with or without a save before.
    Reopen {
        save: bool,
    },
    Check,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any_batch().prop_map(Step::Commit),
        3 => any::<bool>().prop_map(|now| Step::Maintain { now }),
        2 => any::<bool>().prop_map(|save| Step::Reopen { save }),
        1 => Just(Step::Check),
    ]
}

/// The store under test, and the model of what it must answer.
struct Run {
    store: Option<Store>,
    kind: Kind,
    model: Model,
}

/// Where the store under test keeps its data.
enum Kind {
    /// It loses its data when it is closed, so it is never opened again.
    Memory,
    Embedded {
        folder: PathBuf,
        options: Options,
    },
}

impl Run {
    fn start(kind: Kind) -> Run {
        let mut run = Run { store: None, kind, model: Model::default() };
        run.open();
        run
    }

    fn open(&mut self) {
        let store = match &self.kind {
            Kind::Embedded { folder, options } => {
                Store::Embedded(Box::new(Embedded::open(folder, options).unwrap()))
            }
            Kind::Memory => Store::Memory(Memory::default()),
        };
        for (number, appid) in (0..).zip(APPIDS) {
            // The number may become durable at once, or with the first change. Both must work.
            let given = if number == 1 { store.account(appid).unwrap() } else { store.reserve(appid) };
            assert_eq!(given.0, number);
        }
        self.store = Some(store);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(changes) => {
                let outcomes = self.store().commit(changes).unwrap();
                assert_eq!(outcomes, self.model.commit(changes), "{changes:?}");
            }
            Step::Maintain { now } => self.store().maintain(*now).unwrap(),
            Step::Reopen { save } => self.reopen(*save),
            Step::Check => self.check(),
        }
    }

    fn reopen(&mut self, save: bool) {
        if matches!(self.kind, Kind::Memory) {
            return;
        }
        if save {
            self.store().maintain(true).unwrap();
        }
        self.store = None;
        self.open();
        self.model.interrupt();
    }

    fn check(&self) {
        if let Some(difference) = self.model.difference(self.store()) {
            panic!("{difference}");
        }
    }

    fn run(mut self, steps: &[Step]) {
        steps.iter().for_each(|step| self.step(step));
        self.check();
        // Saving, loading and reading again must not change any figure.
        self.step(&Step::Maintain { now: true });
        self.check();
        self.reopen(true);
        self.check();
        let repeats: Vec<Change> = steps.iter().filter_map(messages_of).flatten().cloned().collect();
        let outcomes = self.store().commit(&repeats).unwrap();
        let is_settled = |outcome: &Outcome| matches!(outcome, Outcome::Repeat | Outcome::Failed(_));
        assert!(outcomes.iter().all(is_settled), "{outcomes:?}");
        self.check();
    }
}

fn messages_of(step: &Step) -> Option<impl Iterator<Item = &Change>> {
    let Step::Commit(changes) = step else { return None };
    Some(changes.iter().filter(|change| matches!(change, Change::Message { .. } | Change::Quarantine { .. })))
}

/// Limits so small that pages are saved and dropped from memory all the time.
fn tiny_limits(memory_bytes: usize, log_bytes: u64) -> Options {
    Options { memory_bytes, log_bytes, ends_messages: 1, ..Options::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_store_answers_like_the_rollup(steps in prop::collection::vec(any_step(), 1..30)) {
        Run::start(Kind::Memory).run(&steps);
    }

    #[test]
    fn the_embedded_store_answers_like_the_rollup(
        steps in prop::collection::vec(any_step(), 1..30),
        memory_bytes in prop_oneof![Just(1_usize), Just(20_000), Just(1 << 30)],
        log_bytes in prop_oneof![Just(1_u64), Just(500), Just(1 << 30)],
    ) {
        let folder = disk::folder();
        let options = tiny_limits(memory_bytes, log_bytes);
        Run::start(Kind::Embedded { folder: folder.path().to_owned(), options }).run(&steps);
    }
}
