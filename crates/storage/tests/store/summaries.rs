//! The summaries that the embedded store keeps current equal those that the plain model computes from all messages:
//! after late messages, repeats, failed batches, restarts and saves, at any time that is asked for.

use std::sync::Arc;

use counting::{Content, Kind, Message, Period};
use datacube::Granularity;
use proptest::prelude::*;
use storage::store::{AccountNumber, Change, Embedded, Memory, Options, Store, statistics::Span};
use system::clock::Stopwatch;

use crate::{
    changes::APPIDS,
    disk::{self, FaultyDisk},
};

/// 28 February 2026, 23:50 in Beijing: an hour, a day and a month end soon.
const START_S: i64 = 1_772_293_800;
const DAY_S: i64 = 86_400;

#[derive(Clone, Debug)]
enum Step {
    /// CreateTime of these messages is the distance from the clock in seconds.
    Commit(Vec<Change>),
    /// A batch that does not become durable.
    Fail(Vec<Change>),
    /// Sends the newest batch again.
    Repeat,
    Maintain,
    Refresh,
    Reopen,
    /// Time passes. Negative: the clock is set back.
    Pass(i64),
    /// Reads the summaries at this distance from the clock.
    Look(i64),
}

fn any_distance() -> impl Strategy<Value = i64> {
    prop_oneof![
        5 => -200..200_i64,
        2 => -5000..1_i64,
        2 => (-9..1_i64, -30..30_i64).prop_map(|(days, seconds)| days * DAY_S + seconds),
        1 => 0..DAY_S,
        1 => -70 * DAY_S..0_i64,
    ]
}

fn any_message() -> impl Strategy<Value = Change> {
    (0..3_u32, 0..10_usize, 0..9_u64, 0..3_u8, any_distance()).prop_map(
        |(account, kind, msg_id, user, create_time)| {
            let content = match Kind::from_index(kind).unwrap() {
                Kind::Event => Content::Event { name: "CLICK".into(), key: "".into(), msg_id: None },
                kind => Content::Message { kind, msg_id },
            };
            let message = Message { user: format!("o{user}").into(), create_time, content };
            Change::Message { account: AccountNumber(account), message }
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let batch = || prop::collection::vec(any_message(), 1..12);
    let pass = prop_oneof![5 => 0..90_i64, 3 => 0..4000_i64, 1 => 0..3 * DAY_S, 1 => -4000..0_i64];
    prop_oneof![
        9 => batch().prop_map(Step::Commit),
        2 => batch().prop_map(Step::Fail),
        1 => Just(Step::Repeat),
        1 => Just(Step::Maintain),
        2 => Just(Step::Refresh),
        1 => Just(Step::Reopen),
        6 => pass.prop_map(Step::Pass),
        1 => any_distance().prop_map(Step::Look),
    ]
}

struct Run {
    folder: tempfile::TempDir,
    disk: FaultyDisk,
    options: Options,
    store: Option<Store>,
    model: Store,
    now_s: i64,
    newest: Vec<Change>,
}

impl Run {
    fn start(memory_bytes: usize) -> Run {
        let disk = FaultyDisk::default();
        let options =
            Options { memory_bytes, log_bytes: 2000, ends_messages: 1, disk: Arc::new(disk.clone()) };
        let model = Store::Memory(Memory::default());
        let mut run = Run {
            folder: disk::folder(),
            disk,
            options,
            store: None,
            model,
            now_s: START_S,
            newest: Vec::new(),
        };
        run.open();
        for appid in APPIDS {
            assert_eq!(run.store().account(appid).unwrap(), run.model.account(appid).unwrap());
        }
        run
    }

    fn open(&mut self) {
        let store = Embedded::open(self.folder.path(), &self.options).unwrap();
        self.store = Some(Store::Embedded(Box::new(store)));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// The messages with real times.
    fn timed(&self, batch: &[Change]) -> Vec<Change> {
        let mut batch = batch.to_vec();
        for change in &mut batch {
            if let Change::Message { message, .. } = change {
                message.create_time += self.now_s;
            }
        }
        batch
    }

    fn commit(&self, batch: &[Change]) {
        assert_eq!(self.store().commit(batch).unwrap(), self.model.commit(batch).unwrap());
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(batch) => {
                self.newest = self.timed(batch);
                self.commit(&self.newest);
            }
            Step::Fail(batch) => {
                let batch = self.timed(batch);
                self.disk.break_down();
                // Without an error all of them were repeats.
                if self.store().commit(&batch).is_ok() {
                    self.model.commit(&batch).unwrap();
                }
                self.disk.mend();
            }
            Step::Repeat => self.commit(&self.newest),
            Step::Maintain => self.store().maintain(true).unwrap(),
            Step::Refresh => self.store().refresh_summaries(self.now_s),
            Step::Reopen => {
                // What a failed batch left in the file is excluded by the next durable one.
                self.commit(&[Change::Mark { at_s: self.now_s }]);
                self.store = None;
                self.open();
            }
            Step::Pass(seconds) => self.now_s += seconds,
            Step::Look(distance) => self.check(self.now_s + distance),
        }
    }

    fn check(&self, now_s: i64) {
        let found = self.store().summaries(now_s).unwrap();
        assert_eq!(found, self.model.summaries(now_s).unwrap(), "at {now_s}");
        for (number, summary) in (0..).zip(&found) {
            let of = |granularity| {
                let span = Span::Period(Period::of(granularity, now_s));
                self.store().slice(AccountNumber(number), span).unwrap().messages_counted
            };
            assert_eq!((summary.today(), summary.month), (of(Granularity::Day), of(Granularity::Month)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn summaries_equal_the_plain_model_at_any_time(
        steps in prop::collection::vec(any_step(), 1..60),
        memory_bytes in prop_oneof![Just(1_usize), Just(1 << 30)],
        looks in any::<u64>(),
    ) {
        let mut run = Run::start(memory_bytes);
        for (number, step) in steps.iter().enumerate() {
            run.step(step);
            // Not after each step: what is not read for a while must be right, too.
            if looks >> number & 1 == 1 {
                run.check(run.now_s);
            }
        }
        run.check(run.now_s);
        run.step(&Step::Reopen);
        run.check(run.now_s);
    }
}

#[test]
fn a_message_ahead_of_the_clock_joins_the_minutes_when_its_time_has_come() {
    let mut run = Run::start(1 << 30);
    run.now_s = START_S - 12 * 3600;
    run.check(run.now_s);
    let message = |ahead_s, msg_id| {
        let content = Content::Message { kind: Kind::Text, msg_id };
        let message = Message { user: "o1".into(), create_time: run.now_s + ahead_s, content };
        Change::Message { account: AccountNumber(0), message }
    };
    run.commit(&[message(0, 1), message(90, 2), message(1800, 3), message(5000, 4)]);
    let mut shown = Vec::new();
    for _ in 0..100 {
        run.check(run.now_s);
        let summary = &run.store().summaries(run.now_s).unwrap()[0];
        assert_eq!(summary.today(), 4, "all of them are messages of today");
        shown.push(summary.minutes.iter().sum::<u32>());
        run.now_s += 60;
    }
    assert_eq!((shown[0], shown[2], shown[40], shown[70], shown[85]), (1, 2, 3, 1, 2), "{shown:?}");
}

/// Prints how long the summaries of many accounts take. It asserts no time, because other programs share the machine.
#[test]
#[ignore = "prints times; run it alone, with --nocapture"]
fn times_of_five_thousand_accounts() {
    const ACCOUNTS: u32 = 5000;
    let folder = disk::folder();
    let store = Embedded::open(folder.path(), &Options::default()).unwrap();
    let messages = |number: u32| {
        (0..20_i64).map(move |n| {
            let content = Content::Message { kind: Kind::Text, msg_id: n.cast_unsigned() };
            let create_time = START_S - n * 7200 - i64::from(number % 60) * 60;
            let message = Message { user: format!("o{}", n % 5).into(), create_time, content };
            Change::Message { account: AccountNumber(number), message }
        })
    };
    let batch: Vec<Change> = (0..ACCOUNTS)
        .flat_map(|number| {
            store.reserve(&format!("wx{number}"));
            messages(number)
        })
        .collect();
    store.commit(&batch).unwrap();
    store.maintain(true).unwrap();
    drop(store);
    let store = Embedded::open(folder.path(), &Options::default()).unwrap();
    let time = |now_s| {
        let started = Stopwatch::start();
        let summaries = store.summaries(now_s).unwrap();
        assert_eq!(summaries.len(), ACCOUNTS as usize);
        started.elapsed()
    };
    println!("{ACCOUNTS} accounts: first after the start {:?}", time(START_S));
    println!("first of a new day {:?}", time(START_S + DAY_S));
    let mut each_minute: Vec<_> = (1..=50).map(|minute| time(START_S + DAY_S + 60 * minute)).collect();
    each_minute.sort_unstable();
    println!(
        "a minute later: best {:?}, median {:?}, worst {:?}",
        each_minute[0], each_minute[25], each_minute[49]
    );
}
