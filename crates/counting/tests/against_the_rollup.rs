//! Compares an account's pages with the plain `rollup` on random messages: late, repeated, shuffled, near midnights, new
//! years and leap days. Saves, evictions, crashes and failed writes happen in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use counting::{
    Account, Content, Counters, Kind, Message, MonthEnds, PageError, PageKey, PageSource, Period, Piece,
    Senders, day_of, rollup,
};
use datacube::{Day, Figures, Granularity, Row};
use proptest::prelude::*;

#[derive(Default)]
struct Pages(RefCell<HashMap<PageKey, Vec<u8>>>, RefCell<BTreeMap<Box<[u8]>, Vec<u8>>>);

impl PageSource for Pages {
    fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, PageError> {
        Ok(self.0.borrow().get(&key).cloned())
    }

    fn sorted_users(&self, openid: &[u8]) -> Result<Option<Vec<u8>>, PageError> {
        let below = (Bound::Unbounded, Bound::Included(openid));
        Ok(self.1.borrow().range::<[u8], _>(below).next_back().map(|(_, page)| page.clone()))
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Admitted and applied.
    Take(Message),
    /// Admitted, then the write fails.
    Lose(Vec<Message>),
    /// Admitted, saved and evicted before it is applied.
    TakeAcrossSave(Message),
    Save,
    Evict,
    /// Users that were saved go into sorted pages; not to the end if the memory is lost meanwhile.
    Merge {
        is_killed: bool,
    },
    /// Memory is lost. Messages since the last save are replayed from the log.
    Crash,
    /// A query, which loads pages.
    Query(Day),
}

/// Times near which calendar code often fails: New Year inside a week, leap days, ends of months, midnights.
/// Unix seconds.
const EDGES: [i64; 6] =
    [1_325_347_200, 1_330_444_800, 1_417_363_200, 1_451_577_600, 1_767_196_800, 1_709_136_000];

fn any_message() -> impl Strategy<Value = Message> {
    let time = (0..EDGES.len(), -3..3_i64, 0..4_i64)
        .prop_map(|(edge, day, second)| EDGES[edge] + day * 86_400 + second - 2);
    let any_time = prop_oneof![4 => time, 1 => 1_300_000_000..1_900_000_000_i64];
    let id = prop_oneof![3 => 0..4_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let kind = (0..10_usize).prop_map(|kind| Kind::from_index(kind).unwrap());
    let event =
        (prop_oneof![Just("subscribe"), Just("CLICK")], prop_oneof![Just(""), Just("k"), Just("ubscribe")]);
    (0..5_u8, any_time, id, kind, event).prop_map(|(user, create_time, msg_id, kind, (name, key))| {
        let content = match kind {
            Kind::Event => Content::Event {
                name: name.into(),
                key: key.into(),
                msg_id: Some(msg_id).filter(|msg_id| *msg_id > 0),
            },
            kind => Content::Message { kind, msg_id },
        };
        Message { user: format!("o{user}").into(), create_time, content }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => any_message().prop_map(Step::Take),
        3 => prop::collection::vec(any_message(), 1..5).prop_map(Step::Lose),
        3 => any_message().prop_map(Step::TakeAcrossSave),
        4 => Just(Step::Save),
        3 => Just(Step::Evict),
        3 => any::<bool>().prop_map(|is_killed| Step::Merge { is_killed }),
        2 => Just(Step::Crash),
        2 => any_message().prop_map(|message| Step::Query(day_of(message.create_time))),
    ]
}

/// The number of the event name. A store gives each name a number.
fn name_number(message: &Message) -> u16 {
    match &message.content {
        Content::Event { name, .. } if &**name == "subscribe" => 0,
        _ => 1,
    }
}

#[derive(Default)]
struct Run {
    account: Account,
    pages: Pages,
    taken: Vec<Message>,
    since_save: Vec<Message>,
    month_ends: BTreeMap<Day, MonthEnds>,
    /// Number of messages that were saved when the ends were counted.
    counted_of: usize,
}

impl Run {
    fn take(&mut self, message: &Message) -> bool {
        let admitted = self.account.admit(message, name_number(message), &self.pages).unwrap();
        admitted.inspect(|admitted| self.account.apply(admitted)).is_some()
    }

    fn save(&mut self) {
        let snapshot = self.account.snapshot();
        self.pages.0.borrow_mut().extend(snapshot.pages.iter().cloned());
        self.account.saved(&snapshot);
        self.since_save.clear();
        self.count_ends();
    }

    /// As a store does after some of the saves.
    fn count_ends(&mut self) {
        if self.taken.len().is_multiple_of(2) {
            let months = EDGES.iter().flat_map(|edge| [day_of(edge - 86_400), day_of(edge + 86_400)]);
            let months = months.map(Day::first_of_month);
            self.month_ends =
                months.map(|month| (month, MonthEnds::count(month, &self.pages).unwrap())).collect();
            self.counted_of = self.taken.len();
        }
    }

    fn merge(&mut self, is_killed: bool) {
        let Some(mut merge) = self.account.merge(1) else { return };
        while let Some(step) = merge.step(&self.pages).unwrap() {
            let is_last = !step.pages.is_empty();
            let mut sorted = self.pages.1.borrow_mut();
            step.removed.iter().for_each(|first| drop(sorted.remove(first)));
            sorted.extend(step.sorted);
            if is_killed && is_last {
                return;
            }
            let mut pages = self.pages.0.borrow_mut();
            pages.extend(step.pages);
            step.removed_pages.iter().for_each(|key| drop(pages.remove(key)));
        }
        self.account.merged(&merge);
    }

    fn crash(&mut self) {
        // As little memory as there may be.
        self.account = Account::within(0);
        for message in self.since_save.clone() {
            self.take(&message);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Take(message) => {
                let repeat = rollup::without_repeats(&self.taken).len();
                let added = self.take(&message);
                self.taken.push(message.clone());
                assert_eq!(added, rollup::without_repeats(&self.taken).len() > repeat);
                self.since_save.push(message);
            }
            Step::Lose(messages) => {
                let admit = |message| self.account.admit(message, name_number(message), &self.pages).unwrap();
                let admitted: Vec<_> = messages.iter().filter_map(admit).collect();
                admitted.iter().rev().for_each(|admitted| self.account.revert(admitted));
            }
            Step::TakeAcrossSave(message) => {
                let admitted = self.account.admit(&message, name_number(&message), &self.pages).unwrap();
                self.save();
                self.account.evict();
                admitted.iter().for_each(|admitted| self.account.apply(admitted));
                self.taken.push(message.clone());
                self.since_save.push(message);
            }
            Step::Save => self.save(),
            Step::Evict => self.account.evict(),
            Step::Merge { is_killed } => {
                self.merge(is_killed);
                if is_killed {
                    self.crash();
                }
            }
            Step::Crash => self.crash(),
            Step::Query(day) => {
                let _ = self.account.figures(Period::holding(Granularity::Month, day), &self.pages).unwrap();
                let _ = self.account.figures(Period::hour(day, 3), &self.pages).unwrap();
                let _ = self.account.new_users(day, day, &self.pages).unwrap();
            }
        }
    }

    fn rows(&mut self, granularity: Granularity, figures: Figures) -> Vec<Row> {
        let periods = self.taken.iter().map(|message| Period::of(granularity, message.create_time));
        let periods: std::collections::BTreeSet<Period> = periods.collect();
        let mut rows = Vec::new();
        for period in periods {
            if let Some(counters) = self.account.figures(period, &self.pages).unwrap() {
                counters.rows(period, figures, &mut rows);
            }
        }
        rows
    }

    fn check(&mut self) {
        for granularity in [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month] {
            for figures in [Figures::Totals, Figures::Distribution] {
                let expected = rollup::rollup(&self.taken, granularity, figures);
                assert_eq!(self.rows(granularity, figures), expected, "{granularity:?} {figures:?}");
            }
        }
        self.check_ranges();
    }

    /// Ranges of days, as the own statistics take them: within a month, over whole months, over years.
    fn check_ranges(&mut self) {
        for (from, days) in [("2012-02-28", 3), ("2011-12-30", 70), ("2012-01-01", 90), ("2008-05-17", 9000)]
        {
            let from = from.parse::<Day>().unwrap();
            self.check_range(from, from.plus_days(days));
        }
        for edge in EDGES {
            let month = Period::of(Granularity::Month, edge);
            for day in [day_of(edge - 2 * 86_400), day_of(edge), day_of(edge + 86_400)] {
                if (month.start()..=month.last_day()).contains(&day) {
                    self.check_month_end(month.start(), day);
                    self.check_month_end(day, month.last_day());
                }
            }
        }
    }

    /// Days that begin or end a month, from the page of the month: right, or found to be out of date.
    fn check_month_end(&mut self, from: Day, to: Day) {
        let Some(ends) = self.month_ends.get(&from.first_of_month()) else { return };
        let sum = self.account.messages_of_days(from, to, &self.pages).unwrap();
        let counters = ends.counters(from, to, &sum);
        let now = rollup::by_kind(&self.taken, from, to);
        let messages = now.values().map(|figures| figures.messages).sum();
        assert_eq!(sum.messages_of_all_kinds(), messages);
        let then = rollup::by_kind(&self.taken[..self.counted_of], from, to);
        assert_eq!(counters.is_some(), then == now, "{from} {to}");
        if let Some(counters) = counters {
            self.check_counters(&counters, from, to);
        }
    }

    fn check_range(&mut self, from: Day, to: Day) {
        let mut senders = Senders::default();
        for piece in Piece::all(from, to) {
            if !self.account.add_in_memory(piece, &mut senders) {
                piece.add_stored(&self.pages, &mut senders).unwrap();
            }
        }
        let new_users = self.account.new_users(from, to, &self.pages).unwrap();
        assert_eq!(new_users, rollup::new_users(&self.taken, from, to));
        self.check_counters(&senders.counters(), from, to);
    }

    fn check_counters(&self, counters: &Counters, from: Day, to: Day) {
        assert_eq!(
            (counters.users_counted(), counters.messages_counted()),
            rollup::counted(&self.taken, from, to)
        );
        let expected = rollup::by_kind(&self.taken, from, to);
        for kind in Kind::ALL {
            let figures = expected.get(&kind).cloned().unwrap_or_default();
            assert_eq!((counters.users(kind), counters.messages(kind)), (figures.users, figures.messages));
        }
        assert_eq!(counters.users_of_videos(), rollup::users_of_videos(&self.taken, from, to));
        let events: u64 = counters.events().iter().map(|(_, count)| count).sum();
        assert_eq!(events, counters.messages(Kind::Event));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn pages_always_equal_the_rollup(steps in prop::collection::vec(any_step(), 1..150)) {
        let mut run = Run::default();
        steps.into_iter().for_each(|step| run.step(step));
        run.check();
        run.save();
        run.account = Account::default();
        run.check();
    }
}

#[test]
fn many_users_of_all_shapes_are_known_again_from_sorted_pages() {
    let mut run = Run::default();
    let user = |number: u64| match number % 50 {
        0 => format!("web visitor {number}"),
        1 => "x".repeat(usize::try_from(number % 128).unwrap() + 1),
        _ => format!("oAbC{:024}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    };
    let start = 1_417_363_200;
    let message = |number: u64, msg_id| Message {
        user: user(number).into(),
        create_time: start + i64::try_from(msg_id % 900).unwrap(),
        content: Content::Message { kind: Kind::Text, msg_id },
    };
    for number in 0..20_000_u64 {
        run.take(&message(number, number));
        if number % 3_000 == 0 {
            run.save();
            run.merge(number % 9_000 == 0);
        }
        if number % 7_000 == 0 {
            run.account.evict();
        }
    }
    let users = run.account.users();
    run.save();
    run.merge(false);
    run.account = Account::within(50_000);
    (0..20_000).for_each(|number| assert!(!run.take(&message(number, number)), "{number} is a repeat"));
    assert_eq!(run.account.users(), users);
    assert!(run.pages.1.borrow().len() > 40, "many sorted pages");
    assert!(run.pages.1.borrow().values().all(|page| page.len() <= 8192 - 64));
}

#[test]
fn a_busy_account_switches_to_dense_marks_and_stays_exact() {
    let mut run = Run::default();
    let start = 1_417_363_200;
    for n in 0..6_000_u64 {
        let user = format!("o{}", n * n % 701).into();
        let create_time = start + i64::try_from(n * 97 % (40 * 86_400)).unwrap();
        let kind = Kind::from_index(usize::try_from(n % 7).unwrap()).unwrap();
        let message = Message { user, create_time, content: Content::Message { kind, msg_id: n % 5_000 } };
        run.take(&message);
        run.taken.push(message);
    }
    run.check();
}
