//! Properties of the generated year.

use std::collections::{HashMap, HashSet};

use counting::{Content, Kind, hour_of};

use super::*;

/// Sunday, 22 November 2026, 14:30 in Beijing.
const NOW_S: i64 = 1_795_329_000;
const ACCOUNTS: u8 = 3;

fn distinct(seed: u64, scale: f64) -> Vec<(usize, Message)> {
    let mut met = HashSet::new();
    year(seed, scale, ACCOUNTS, NOW_S).filter(|item| met.insert(item.clone())).collect()
}

fn by_day(items: &[(usize, Message)]) -> HashMap<Day, u64> {
    let mut days = HashMap::new();
    for (_, message) in items {
        *days.entry(day_of(message.create_time)).or_default() += 1;
    }
    days
}

#[test]
fn the_same_seed_gives_the_same_stream_and_another_seed_another() {
    let stream = |seed| year(seed, 0.02, ACCOUNTS, NOW_S).collect::<Vec<_>>();
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
}

#[test]
fn the_default_scale_is_about_300_000_messages_and_three_sizes_of_account() {
    let mut counts = [0_u32; 3];
    for (account, _) in year(1, 1.0, ACCOUNTS, NOW_S) {
        counts[account] += 1;
    }
    assert!((280_000..330_000).contains(&counts.iter().sum::<u32>()), "{counts:?}");
    assert!(counts[0] > 2 * counts[1] && counts[1] > 3 * counts[2] && counts[2] > 10_000, "{counts:?}");
}

#[test]
fn every_account_has_every_kind_and_every_event() {
    let (mut kinds, mut events) = (HashSet::new(), HashSet::new());
    for (account, message) in year(1, 1.0, ACCOUNTS, NOW_S) {
        kinds.insert((account, message.kind()));
        if let Content::Event { name, .. } = &message.content {
            events.insert((account, name.clone()));
        }
    }
    for account in 0..3 {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Other) {
            assert!(kinds.contains(&(account, kind)), "{account} {kind:?}");
        }
        for name in ["subscribe", "unsubscribe", "CLICK", "SCAN", "VIEW"] {
            assert!(events.contains(&(account, name.into())), "{account} {name}");
        }
    }
}

#[test]
fn nothing_lies_after_the_end_and_there_is_no_day_without_messages() {
    let year = year(1, 0.2, ACCOUNTS, NOW_S);
    let (first, last_month) = (year.first_day(), year.last_month());
    assert_eq!((first.to_string(), last_month.to_string()), ("2025-11-01".into(), "2026-10-01".into()));
    let mut days = HashSet::new();
    for (_, message) in year {
        assert!(message.create_time <= NOW_S);
        days.insert(day_of(message.create_time));
    }
    assert_eq!(days.len(), usize::try_from(day_of(NOW_S).days_since(first) + 1).unwrap());
}

#[test]
fn a_few_arrive_late_and_a_few_twice() {
    let items: Vec<_> = year(1, 0.2, ACCOUNTS, NOW_S).collect();
    let repeats = items.len() - items.iter().collect::<HashSet<_>>().len();
    assert!((items.len() / 100..items.len() / 20).contains(&repeats), "{repeats} of {}", items.len());
    let mut newest_s = 0;
    let mut late = 0;
    for (_, message) in &items {
        late += usize::from(message.create_time < newest_s - 60);
        newest_s = newest_s.max(message.create_time);
    }
    assert!((items.len() / 200..items.len() / 20).contains(&late), "{late} of {}", items.len());
}

#[test]
fn the_viral_day_is_the_maximum_for_every_seed() {
    for seed in 0..8 {
        let days = by_day(&distinct(seed, 0.1));
        let (busiest, _) = days.iter().max_by_key(|(_, count)| **count).unwrap();
        assert_eq!(*busiest, year(seed, 0.1, ACCOUNTS, NOW_S).rhythm.viral, "seed {seed}");
    }
}

#[test]
fn nights_are_quiet_and_the_big_account_rests_on_sundays() {
    let items = distinct(1, 0.3);
    let at = |hours: std::ops::Range<u8>| {
        items.iter().filter(|(_, message)| hours.contains(&hour_of(message.create_time))).count()
    };
    assert!(at(8..12) > 10 * at(1..5));
    let mut weekdays = [0_u64; 7];
    for (_, message) in items.iter().filter(|(account, _)| *account == 0) {
        let day = day_of(message.create_time);
        weekdays[usize::try_from(day.days_since(day.monday())).unwrap()] += 1;
    }
    assert!(weekdays[4] * 4 > weekdays[6] * 5, "{weekdays:?}");
}

#[test]
fn the_last_month_is_busier_than_the_first() {
    let year = year(1, 0.2, ACCOUNTS, NOW_S);
    let (first, last) = (year.first_day(), year.last_month());
    let of = |month: Day, items: &[(usize, Message)]| {
        items.iter().filter(|(_, message)| day_of(message.create_time).first_of_month() == month).count()
    };
    let items = distinct(1, 0.2);
    assert!(of(last, &items) * 2 > of(first, &items) * 3);
}

#[test]
fn all_three_classes_of_the_distribution_have_users() {
    let mut messages_by_user = HashMap::<Box<str>, u32>::new();
    for (account, message) in distinct(1, 1.0) {
        let month = day_of(message.create_time).first_of_month();
        if account == 0 && month.to_string() == "2026-10-01" && message.kind().counted_type().is_some() {
            *messages_by_user.entry(message.user).or_default() += 1;
        }
    }
    let class = |from, to| messages_by_user.values().filter(|count| (from..=to).contains(*count)).count();
    let classes = [class(1, 5), class(6, 10), class(11, u32::MAX)];
    assert!(classes[0] > classes[1] && classes[1] > classes[2] && classes[2] > 20, "{classes:?}");
}

#[test]
fn a_small_scale_and_a_single_account_still_give_a_year() {
    let items: Vec<_> = year(1, 0.001, 1, NOW_S).collect();
    assert!((150..400).contains(&items.len()), "{}", items.len());
    assert!(items.iter().all(|(account, _)| *account == 0));
}
