//! Figures against the rollup: repeats, late messages, borders of months, another type under a known MsgId. Rows arrive in
//! any order, some of them twice, and are asked before and after merges.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use cluster::messages::{Buckets, ClickHouse, FirstUsers, MessageRow, PeriodCounts};
use counting::{Content, Kind, Message, Period, day_of, rollup, start_of_day_s};
use datacube::{Day, Figures, Granularity, INTERFACES, Row};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::servers::{Servers, row};

/// Times near which calendar code often fails: New Year inside a week, leap days, ends of months, midnights, and the last
/// summer time of China (Asia/Shanghai had it, our calendar has not). Unix seconds.
const EDGES: [i64; 7] =
    [1_325_347_200, 1_330_444_800, 1_417_363_200, 1_451_577_600, 1_767_196_800, 1_709_136_000, 684_867_600];

fn any_message() -> impl Strategy<Value = Message> {
    let time = prop_oneof![-3..3_i64, -40..40_i64]
        .prop_flat_map(|day| (0..4_i64).prop_map(move |second| day * 86_400 + second - 2));
    let id = prop_oneof![3 => 0..4_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let kind = (0..10_usize).prop_map(|kind| Kind::from_index(kind).unwrap());
    let key = prop_oneof![Just(""), Just("k"), Just("ubscribe")];
    (0..6_u8, time, id, kind, any::<bool>(), key).prop_map(|(user, create_time, msg_id, kind, click, key)| {
        let content = match kind {
            // An event with a MsgID repeats one without it only for data of former versions, which are not here.
            Kind::Event if click => {
                Content::Event { name: "CLICK".into(), key: key.into(), msg_id: Some(msg_id) }
            }
            Kind::Event => Content::Event { name: "subscribe".into(), key: key.into(), msg_id: None },
            kind => Content::Message { kind, msg_id },
        };
        Message { user: format!("o{user}").into(), create_time, content }
    })
}

/// Messages in the order in which they were received, with a place in the order in which they are stored.
fn any_messages() -> impl Strategy<Value = Vec<(Message, u32)>> {
    let edge = (0..EDGES.len()).prop_map(|edge| EDGES[edge]);
    (edge, prop::collection::vec((any_message(), any::<u32>()), 0..120)).prop_map(|(edge, mut messages)| {
        messages.iter_mut().for_each(|(message, _)| message.create_time += edge);
        messages
    })
}

fn counts(servers: &Servers, store: &ClickHouse, appid: &str, buckets: &Buckets) -> Vec<PeriodCounts> {
    servers.runtime.block_on(store.figures(appid, buckets, true)).unwrap()
}

fn rows_of(counts: &[PeriodCounts], periods: &[Period], figures: Figures) -> Vec<Row> {
    let mut rows = Vec::new();
    periods.iter().zip(counts).for_each(|(period, counts)| counts.counters.rows(*period, figures, &mut rows));
    rows
}

fn check_interfaces(
    servers: &Servers,
    store: &ClickHouse,
    appid: &str,
    messages: &[Message],
) -> Result<(), TestCaseError> {
    let times = || messages.iter().map(|message| message.create_time);
    let (Some(first_s), Some(last_s)) = (times().min(), times().max()) else { return Ok(()) };
    for granularity in [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month] {
        let (first, last) = (Period::of(granularity, first_s), Period::of(granularity, last_s));
        let buckets = Buckets::of_periods(first, last);
        let starts = (0..buckets.len()).map(|index| buckets.bounds(index).unwrap().0);
        let periods: Vec<Period> = starts.map(|start_s| Period::of(granularity, start_s)).collect();
        let counts = counts(servers, store, appid, &buckets);
        for interface in INTERFACES.iter().filter(|interface| interface.granularity == granularity) {
            let expected = rollup::rollup(messages, granularity, interface.figures);
            prop_assert_eq!(rows_of(&counts, &periods, interface.figures), expected, "{:?}", interface);
        }
    }
    Ok(())
}

fn check_range(counts: &PeriodCounts, messages: &[Message], from: Day, to: Day) -> Result<(), TestCaseError> {
    let expected = rollup::by_kind(messages, from, to);
    let counters = &counts.counters;
    for kind in Kind::ALL {
        let expected = expected.get(&kind).cloned().unwrap_or_default();
        prop_assert_eq!((counters.users(kind), counters.messages(kind)), (expected.users, expected.messages));
        if kind == Kind::Event {
            prop_assert_eq!(&counts.events, &expected.events);
        }
    }
    let counted = (counters.users_counted(), counters.messages_counted());
    prop_assert_eq!(counted, rollup::counted(messages, from, to));
    prop_assert_eq!(counters.users_of_videos(), rollup::users_of_videos(messages, from, to));
    Ok(())
}

fn check_ranges(
    servers: &Servers,
    store: &ClickHouse,
    appid: &str,
    messages: &[Message],
    (from, to): (Day, Day),
) -> Result<(), TestCaseError> {
    let (from_s, to_s) = (start_of_day_s(from), start_of_day_s(to.plus_days(1)));
    let all = counts(servers, store, appid, &Buckets::range(from_s, to_s));
    check_range(&all[0], messages, from, to)?;
    for granularity in [Granularity::Day, Granularity::Week, Granularity::Month] {
        let buckets = Buckets::split(granularity, from, to);
        for (index, counts) in counts(servers, store, appid, &buckets).iter().enumerate() {
            let (from_s, to_s) = buckets.bounds(index).unwrap();
            check_range(counts, messages, day_of(from_s), day_of(to_s - 1))?;
        }
    }
    let is_counted = |message: &&Message| message.kind().counted_type().is_some();
    let first = rollup::without_repeats(messages).into_iter().filter(is_counted);
    let first_s = first.map(|message| message.create_time).filter(|time| *time < to_s).min();
    let expected = FirstUsers { users: rollup::new_users(messages, from, to), first_s };
    let found = servers.runtime.block_on(store.new_users(appid, from_s, to_s)).unwrap();
    prop_assert_eq!(found, expected);
    Ok(())
}

fn check_known(servers: &Servers, store: &ClickHouse, stored: &[MessageRow]) -> Result<(), TestCaseError> {
    let mut asked = stored.to_vec();
    let others = stored.iter().map(|row| MessageRow { user: "nobody".into(), ..row.clone() });
    asked
        .extend(others.chain(stored.iter().map(|row| MessageRow { appid: "wxother".into(), ..row.clone() })));
    let known = servers.runtime.block_on(store.known(&asked)).unwrap();
    let expected: Vec<bool> = (0..asked.len()).map(|index| index < stored.len()).collect();
    prop_assert_eq!(known, expected);
    Ok(())
}

fn check(servers: &Servers, cases: u32) {
    let store = servers.connect();
    let number = AtomicU32::new(0);
    let ranges = (-45..45_i32, 0..60_i32);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(any_messages(), 1..5_usize, ranges), |(messages, batches, (day, days))| {
        let appid: Arc<str> = format!("wx{}", number.fetch_add(1, Ordering::Relaxed)).into();
        let mut rows: Vec<(u32, MessageRow)> = (0..)
            .zip(&messages)
            .map(|(at, (message, place))| (*place, row(&appid, message, 1_700_000_000_000_000 + at)))
            .collect();
        rows.sort_by_key(|(place, _)| *place);
        let rows: Vec<MessageRow> = rows.into_iter().map(|(_, row)| row).collect();
        for batch in rows.chunks(rows.len().div_ceil(batches).max(1)) {
            servers.insert(&store, batch.to_vec());
        }
        // A batch whose outcome was unknown is stored again.
        servers.insert(&store, rows[..rows.len() / 3].to_vec());
        let messages: Vec<Message> = messages.into_iter().map(|(message, _)| message).collect();
        let middle = messages.first().map_or(day_of(0), |message| day_of(message.create_time));
        let range = (middle.plus_days(day), middle.plus_days(day + days));
        check_interfaces(servers, &store, &appid, &messages)?;
        check_ranges(servers, &store, &appid, &messages, range)?;
        check_known(servers, &store, &rows)?;
        if number.load(Ordering::Relaxed).is_multiple_of(4) {
            servers.run("OPTIMIZE TABLE raw FINAL");
            check_interfaces(servers, &store, &appid, &messages)?;
            check_ranges(servers, &store, &appid, &messages, range)?;
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn one_server_answers_as_the_rollup() {
    check(&Servers::single(), 24);
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn a_cluster_answers_as_the_rollup() {
    check(&Servers::cluster(), 24);
}
