//! The counters compared with a plain model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    super::tests::{fact_changes, in_three_ways},
    *,
};

fn day(number: i32) -> Day {
    Day::from_days_since_1970(16_400 + i64::from(number))
}

fn stored_counts(number: u8) -> StoredCounts {
    let names = INTERFACES.iter().take(usize::from(number));
    let used = names.map(|interface| (interface.name.to_owned(), u32::from(number))).collect();
    let cleared = MonthlyClearings { month: Some(day(0).first_of_month()), times: number.into() };
    let clearings = if number == 2 { BTreeMap::new() } else { [(INTERFACES[0].name.to_owned(), 1)].into() };
    StoredCounts { day: day(i32::from(number)), used, cleared, clearings }
}

proptest! {
    #[test]
    fn counts_do_not_depend_on_how_their_facts_were_learned(
        changes in fact_changes(
            ["wx1", "wx2"].map(|appid| format!("{FACT_PREFIX}{appid}")).to_vec(),
            |_, number| serde_json::to_vec(&stored_counts(number)).unwrap(),
        ),
        at in 0_usize..40,
    ) {
        let load = |store: &Arc<Store>| CallQuotas::load(store);
        let [fed, loaded, resumed] = in_three_ways(&changes, at, load, CallQuotas::apply_fact).map(|quotas| {
            ["wx1", "wx2"].map(|appid| {
                let calls = quotas.of(appid);
                let used: Vec<u64> = calls.used.iter().map(|used| used.load(Ordering::Relaxed)).collect();
                (used, lock(&calls.clearings).clone())
            })
        });
        prop_assert_eq!(&fed, &loaded);
        prop_assert_eq!(&resumed, &loaded);
    }

    #[test]
    fn counts_are_those_of_a_plain_model(
        limit in 0_u32..6,
        calls in prop::collection::vec((0_usize..INTERFACES.len(), prop::bool::weighted(0.05)), 0..300),
    ) {
        let counters = CallCounts::new("wx1");
        let mut model: HashMap<(usize, i32), u32> = HashMap::new();
        let mut today = 0;
        for (number, is_midnight) in calls {
            today += i32::from(is_midnight);
            let used = model.entry((number, today)).or_default();
            let is_left = limit == 0 || *used < limit;
            *used += u32::from(is_left);
            prop_assert_eq!(counters.spend(&INTERFACES[number], day(today), limit), is_left);
            for (number, interface) in INTERFACES.iter().enumerate() {
                let used = model.get(&(number, today)).copied().unwrap_or(0);
                prop_assert_eq!(counters.used(interface, day(today)), used);
            }
        }
    }

    #[test]
    fn a_restart_changes_nothing(used in prop::collection::vec(0_u32..1000, INTERFACES.len()), times in 0_u32..=10) {
        let names = INTERFACES.iter().map(|interface| interface.name.to_owned());
        let cleared = MonthlyClearings { month: Some(day(0).first_of_month()), times };
        let (used_by_name, clearings) = (names.zip(used.clone()).collect(), BTreeMap::new());
        let stored = StoredCounts { day: day(0), used: used_by_name, cleared, clearings };
        let read: StoredCounts = serde_json::from_slice(&serde_json::to_vec(&stored).unwrap()).unwrap();
        let calls = CallCounts::new("wx1");
        calls.restore(Some(&read));
        for (interface, used) in INTERFACES.iter().zip(used) {
            prop_assert_eq!(calls.used(interface, day(0)), used);
            prop_assert_eq!(calls.used(interface, day(1)), 0);
        }
        prop_assert_eq!(lock(&calls.clearings).cleared, cleared);
    }
}

#[test]
fn many_at_once_use_exactly_what_there_is() {
    let calls = CallCounts::new("wx1");
    let spend = || (0..1000).filter(|_| calls.spend(&INTERFACES[0], day(0), 1500)).count();
    let spent: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((spent, calls.used(&INTERFACES[0], day(0))), (1500, 1500));
}

#[test]
fn whoever_is_late_at_midnight_takes_nothing_back() {
    let calls = CallCounts::new("wx1");
    assert!(calls.spend(&INTERFACES[0], day(1), 2));
    assert!(calls.spend(&INTERFACES[0], day(0), 2), "it had read the clock before midnight");
    assert!(!calls.spend(&INTERFACES[0], day(1), 2));
    assert!(calls.spend(&INTERFACES[0], day(-9), 1), "a clock that ran ahead blocks nobody for days");
}

#[test]
fn each_clearing_begins_a_new_counter_in_a_shared_store_for_that_day_alone() {
    let mut clearings = Clearings::default();
    let name =
        |clearings: &Clearings, number: usize, at| clearings.counter_name(&INTERFACES[number], day(at));
    assert_eq!(name(&clearings, 0, 0), INTERFACES[0].name);
    assert_eq!(clearings.begin_counters(&INTERFACES[..1], day(0)), day(0));
    assert_eq!(clearings.begin_counters(&INTERFACES, day(0)), day(0));
    assert_eq!(name(&clearings, 0, 0), format!("{}#2", INTERFACES[0].name));
    assert_eq!(name(&clearings, 1, 0), format!("{}#1", INTERFACES[1].name));
    assert_eq!(name(&clearings, 0, 1), INTERFACES[0].name, "the next day");
    let calls = CallCounts::new("wx1");
    let Change::Fact { value: Some(value), .. } = calls.fact(day(0), std::iter::empty(), clearings.clone())
    else {
        panic!("it is set")
    };
    calls.restore(Some(&serde_json::from_slice(&value).unwrap()));
    assert_eq!(*lock(&calls.clearings), clearings);
    assert_eq!(clearings.begin_counters(&INTERFACES[..1], day(1)), day(1));
    assert_eq!(clearings.begin_counters(&INTERFACES[1..2], day(0)), day(1), "a clock that is behind");
    assert_eq!(
        name(&clearings, 0, 1),
        format!("{}#1", INTERFACES[0].name),
        "loses no clearing of the new day"
    );
    assert_eq!(clearings.begin_counters(&INTERFACES[..1], day(-5)), day(-5), "a clock that was wrong");
}

#[test]
fn ten_clearings_a_month() {
    let mut cleared = MonthlyClearings::default();
    let november = day(0).first_of_month();
    for _ in 0..CLEARINGS_A_MONTH {
        cleared = cleared.next(november).unwrap();
    }
    assert_eq!(cleared.next(november), None);
    assert_eq!(cleared.next(november.first_of_next_month()).unwrap().times, 1);
}
