//! Counts of all accounts around a moment against a plain model.

use std::{collections::HashMap, sync::Arc};

use cluster::messages::{ClickHouse, MessageRow};
use counting::{AccountSummary, COUNTED_TYPES, Content, Kind, Message, day_of, hour_of, rollup};
use datacube::Day;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::servers::{Servers, row};

/// A 1st, a 31st, the day after a leap day, New Year's Eve, and one second before midnight. Unix seconds.
const MOMENTS: [i64; 5] = [1_772_294_400, 1_774_925_000, 1_709_200_000, 1_767_168_000, 1_767_196_799];

/// The same counts from all messages.
fn model(messages: &[Message], now_s: i64) -> Option<AccountSummary> {
    let counted = rollup::without_repeats(messages).into_iter();
    let counted: Vec<(i64, u8)> =
        counted.filter_map(|message| Some((message.create_time, message.kind().counted_type()?))).collect();
    let number =
        |inside: &dyn Fn(i64) -> bool| counted.iter().filter(|(time, _)| inside(*time)).count() as u64;
    let today = day_of(now_s);
    let month_of = |time: i64| day_of(time).first_of_month();
    let (month, over) = (today.first_of_month(), |time| hour_of(time) < hour_of(now_s));
    let last_month = month.plus_days(-1).first_of_month();
    let between = |from: Day, to: Day| number(&|time| (from..to).contains(&day_of(time)));
    let minute = |ago: i64| number(&|time| time.div_euclid(60) == now_s.div_euclid(60) - ago);
    let newest =
        counted.iter().map(|(time, _)| *time).filter(|time| day_of(*time) <= today.plus_days(1)).max();
    let overview = AccountSummary {
        last_message_s: newest,
        today_by_type: COUNTED_TYPES.map(|number| {
            counted.iter().filter(|(time, of_type)| *of_type == number && day_of(*time) == today).count()
                as u64
        }),
        days: std::array::from_fn(|at| {
            let day = today.plus_days(i32::try_from(at).unwrap() - 27);
            between(day, day.plus_days(1))
        }),
        same_hours_today: number(&|time| day_of(time) == today && over(time)),
        same_hours_last_week: number(&|time| day_of(time) == today.plus_days(-7) && over(time)),
        month: number(&|time| month_of(time) == month),
        month_before_today: between(month, today),
        last_month: number(&|time| month_of(time) == last_month),
        same_days_last_month: number(&|time| {
            month_of(time) == last_month && day_of(time).days_since(last_month) < today.days_since(month)
        }),
        minutes: std::array::from_fn(|at| u32::try_from(minute(59 - i64::try_from(at).unwrap())).unwrap()),
    };
    // An account is known by a message of the two months, or by an older one.
    let is_known = newest.is_some() || overview.month > 0 || overview.days.iter().any(|count| *count > 0);
    is_known.then_some(overview)
}

fn any_message() -> impl Strategy<Value = Message> {
    let time = prop_oneof![
        3 => -3700..3700_i64,
        2 => (-9..9_i64).prop_map(|day| day * 86_400),
        2 => (-70..3_i64).prop_map(|day| day * 86_400 + 7),
        1 => (-400..40_i64).prop_map(|day| day * 86_400),
    ];
    let kind = (0..10_usize).prop_map(|kind| Kind::from_index(kind).unwrap());
    (0..6_u8, time, 0..3_u64, kind).prop_map(|(user, create_time, msg_id, kind)| {
        let content = match kind {
            Kind::Event => Content::Event { name: "CLICK".into(), key: "".into(), msg_id: Some(msg_id) },
            kind => Content::Message { kind, msg_id },
        };
        Message { user: format!("o{user}").into(), create_time, content }
    })
}

fn check(servers: &Servers, cases: u32) {
    let accounts = prop::collection::vec(prop::collection::vec(any_message(), 0..40), 1..4);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(accounts, 0..MOMENTS.len()), |(mut accounts, moment)| {
        let now_s = MOMENTS[moment];
        let store = servers.connect();
        servers.run("TRUNCATE TABLE raw SYNC");
        let mut rows: Vec<MessageRow> = Vec::new();
        for (number, messages) in accounts.iter_mut().enumerate() {
            let appid: Arc<str> = format!("wx{number}").into();
            messages.iter_mut().for_each(|message| message.create_time += now_s);
            rows.extend((1..).zip(messages).map(|(at, message)| row(&appid, message, at)));
        }
        rows.reverse();
        servers.insert(&store, rows);
        let names = (0..accounts.len()).map(|number| format!("wx{number}"));
        let expected: HashMap<Box<str>, AccountSummary> = names
            .clone()
            .zip(&accounts)
            .filter_map(|(appid, messages)| Some((appid.into(), model(messages, now_s)?)))
            .collect();
        prop_assert_eq!(overview(servers, &store, now_s), expected);
        for (appid, messages) in names.zip(&accounts) {
            let last = servers.runtime.block_on(store.last_message_s(&appid, now_s)).unwrap();
            prop_assert_eq!(last, model(messages, now_s).and_then(|model| model.last_message_s));
        }
        Ok(())
    });
    outcome.unwrap();
}

fn overview(servers: &Servers, store: &ClickHouse, now_s: i64) -> HashMap<Box<str>, AccountSummary> {
    servers.runtime.block_on(store.overview(now_s)).unwrap()
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn one_server_tells_what_a_plain_model_tells() {
    check(&Servers::single(), 24);
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn a_cluster_tells_what_a_plain_model_tells() {
    let servers = Servers::cluster();
    check(&servers, 10);
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn many_accounts_fit_into_one_answer() {
    let servers = Servers::single();
    let store = servers.connect();
    let now_s = MOMENTS[1];
    // Half of them today, half of them a year ago.
    servers.run(&format!(
        "INSERT INTO raw SELECT concat('wx', leftPad(toString(number), 16, '0')), 'o', {now_s} - (number % 2) * 31536000, '', 0, '', 1 FROM numbers(100000)"
    ));
    let found = overview(&servers, &store, now_s);
    assert_eq!(found.len(), 100_000);
    assert_eq!(found.values().map(|account| account.days[27]).sum::<u64>(), 50_000);
    assert!(found.values().all(|account| account.last_message_s.is_some()));
}
