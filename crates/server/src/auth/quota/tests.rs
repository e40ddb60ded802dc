//! The counters compared with a plain model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn day(number: i32) -> Day {
    Day::from_days_since_1970(16_400 + i64::from(number))
}

proptest! {
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
fn ten_clearings_a_month() {
    let mut cleared = MonthlyClearings::default();
    let november = day(0).first_of_month();
    for _ in 0..CLEARINGS_A_MONTH {
        cleared = cleared.next(november).unwrap();
    }
    assert_eq!(cleared.next(november), None);
    assert_eq!(cleared.next(november.first_of_next_month()).unwrap().times, 1);
}
