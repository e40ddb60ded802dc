//! What is confirmed is stored once, whoever is asked.

use std::{sync::Arc, time::Duration};

use cluster::messages::{
    Buckets, ClickHouse, ClickHouseError, MessageId, MessageRow, QuarantinedRow, shard_of,
};
use counting::Kind;
use proptest::{prelude::*, strategy::ValueTree as _};
use tokio::time::Instant;

use crate::servers::{Servers, soon};

const NOON: u32 = 1_767_240_000;

fn message(appid: &Arc<str>, user: &str, msg_id: u64, kind: Kind, received_us: u64) -> MessageRow {
    MessageRow {
        appid: appid.clone(),
        user: user.into(),
        create_time: NOON,
        id: MessageId::of_message(msg_id),
        kind,
        event: "".into(),
        received_us,
    }
}

fn by_kind(servers: &Servers, store: &ClickHouse, appid: &str) -> [u64; 10] {
    let day = Buckets::range(i64::from(NOON) - 100, i64::from(NOON) + 100);
    let counts = servers.runtime.block_on(store.figures(appid, &day, false)).unwrap();
    Kind::ALL.map(|kind| counts[0].counters.messages(kind))
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn users_are_placed_as_the_server_hashes_them() {
    let servers = Servers::single();
    let mut runner = proptest::test_runner::TestRunner::default();
    let texts = prop::collection::vec(("\\PC{0,40}", "\\PC{0,130}"), 60);
    let users = texts.new_tree(&mut runner).unwrap().current();
    let arrays = |pick: fn(&(String, String)) -> &String| {
        let texts = users.iter().map(|user| pick(user).replace('\\', "\\\\").replace('\'', "\\'"));
        texts.map(|text| format!("'{text}'")).collect::<Vec<_>>().join(",")
    };
    let (appids, openids) = (arrays(|user| &user.0), arrays(|user| &user.1));
    for shards in [2, 3, 5, 64, 1_000_003] {
        let sql = format!(
            "SELECT sum((number + 1) * (sipHash64(concat([{appids}][number + 1], '/', [{openids}][number + 1])) % {shards})) FROM numbers({})",
            users.len()
        );
        let expected: usize =
            (1..).zip(&users).map(|(at, (appid, user))| at * shard_of(appid, user, shards)).sum();
        assert_eq!(servers.number_anywhere(&sql), expected as u64);
    }
}

/// The type that arrived first stays, in whatever order the rows are stored, before and after a merge.
fn the_first_type_stays(servers: &Servers) {
    let store = servers.connect();
    let appids: [Arc<str>; 2] = ["wxlate".into(), "wxearly".into()];
    for user in 0..20 {
        let user = format!("o{user}");
        let rows = |appid| {
            [message(appid, &user, 7, Kind::Voice, 1_000), message(appid, &user, 7, Kind::Location, 1_001)]
        };
        for (rows, is_first) in [(rows(&appids[0]), 0), (rows(&appids[1]), 1)] {
            servers.insert(&store, vec![rows[is_first].clone()]);
            servers.insert(&store, vec![rows[1 - is_first].clone()]);
        }
    }
    for _ in 0..2 {
        for appid in &appids {
            let mut expected = [0; 10];
            expected[Kind::Voice.index()] = 20;
            assert_eq!(by_kind(servers, &store, appid), expected);
        }
        servers.run("OPTIMIZE TABLE raw FINAL");
    }
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn the_first_type_stays_on_one_server() {
    the_first_type_stays(&Servers::single());
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn the_first_type_stays_on_a_cluster() {
    the_first_type_stays(&Servers::cluster());
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn the_earlier_of_two_rows_of_one_batch_stays_even_at_the_same_microsecond() {
    let servers = Servers::single();
    let store = servers.connect();
    let appid: Arc<str> = "wx1".into();
    let rows = [Kind::Link, Kind::Text].map(|kind| message(&appid, "o", 1, kind, 5));
    servers.insert(&store, rows.to_vec());
    assert_eq!(by_kind(&servers, &store, "wx1")[Kind::Link.index()], 1);
    assert_eq!(by_kind(&servers, &store, "wx1")[Kind::Text.index()], 0);
}

/// A server that skips a batch because it looks like an earlier one has a second way to confirm it: not wanted.
#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn no_batch_is_skipped_because_it_looks_like_an_earlier_one() {
    for servers in [Servers::single(), Servers::cluster()] {
        let store = servers.connect();
        servers.run("SYSTEM STOP MERGES raw");
        let rows = vec![message(&"wx1".into(), "o", 1, Kind::Text, 5)];
        (0..3).for_each(|_| servers.insert(&store, rows.clone()));
        let stored: Vec<u64> = (0..servers.options.urls.len())
            .map(|server| servers.number(server, "SELECT count() FROM raw"))
            .collect();
        assert_eq!(stored.iter().max(), Some(&3), "{stored:?}");
        assert_eq!(by_kind(&servers, &store, "wx1")[0], 1);
    }
}

fn of_users(ids: std::ops::Range<u64>) -> Vec<MessageRow> {
    let appid: Arc<str> = "wx1".into();
    let of_user = |user: u64| {
        let (appid, user) = (appid.clone(), format!("o{user}"));
        ids.clone().map(move |id| message(&appid, &user, id, Kind::Text, id + 1))
    };
    (0..40).flat_map(of_user).collect()
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn a_replica_that_is_behind_never_answers_short() {
    let servers = Servers::cluster();
    let store = servers.connect();
    servers.insert(&store, of_users(0..2));
    [1, 3].into_iter().for_each(|server| servers.run_on(server, "SYSTEM STOP FETCHES raw"));
    // Without a quorum, so that the second replicas are behind.
    let more = "INSERT INTO raw SELECT appid, user, create_time + 1, id, kind, event, first FROM raw";
    [0, 2].into_iter().for_each(|server| servers.run_on(server, more));
    let behind: u64 =
        [1, 3].into_iter().map(|server| servers.number(server, "SELECT count() FROM raw")).sum();
    assert_eq!(behind, 80);
    // Each connection begins with another replica.
    for _ in 0..10 {
        let store = servers.runtime.block_on(ClickHouse::connect(&servers.options)).unwrap();
        assert_eq!(by_kind(&servers, &store, "wx1")[0], 160);
    }
    // An insert finds the replica whose rows are fetched.
    servers.insert(&store, of_users(2..3));
    assert_eq!(by_kind(&servers, &store, "wx1")[0], 200);
    [1, 3].into_iter().for_each(|server| servers.run_on(server, "SYSTEM START FETCHES raw"));
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn rows_without_a_quorum_are_not_confirmed_and_count_once_when_they_come_again() {
    let servers = Servers::cluster();
    let store = servers.connect();
    servers.run("SYSTEM STOP FETCHES raw");
    let until = Instant::now() + Duration::from_secs(3);
    let late = servers.runtime.block_on(store.insert(of_users(0..2), until));
    assert!(matches!(late, Err(ClickHouseError::NotStored(_))), "{late:?}");
    assert!(Instant::now() < until + Duration::from_secs(1));
    let day = Buckets::range(0, i64::MAX);
    let unanswered = servers.runtime.block_on(store.figures("wx1", &day, false));
    assert!(matches!(unanswered, Err(ClickHouseError::Unanswered(_))), "{unanswered:?}");
    servers.run("SYSTEM START FETCHES raw");
    servers.insert(&store, of_users(0..2));
    assert_eq!(by_kind(&servers, &store, "wx1")[0], 80);
}

fn quarantined(user: &str, create_time: i64, received_us: u64) -> QuarantinedRow {
    QuarantinedRow {
        appid: "wx1".into(),
        user: user.into(),
        create_time,
        msg_type: "text".into(),
        reason: "too_old".into(),
        msg_id: Some(received_us % 3),
        event: None,
        event_digest: None,
        received_us,
    }
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn quarantined_messages_come_back_newest_first_and_once() {
    for servers in [Servers::single(), Servers::cluster()] {
        let store = servers.connect();
        let event = QuarantinedRow {
            msg_type: "event".into(),
            msg_id: None,
            event: Some("CLICK".into()),
            event_digest: Some("ab".into()),
            ..quarantined("o1", i64::MIN, 9)
        };
        let rows = vec![
            quarantined("o1", 5, 1),
            quarantined("o2", i64::MAX, 2),
            quarantined("o3", 5, 3),
            event.clone(),
            QuarantinedRow { appid: "wx2".into(), ..quarantined("o1", 5, 1) },
        ];
        let later = QuarantinedRow { reason: "too_new".into(), ..quarantined("o1", 5, 4) };
        for rows in [rows.clone(), rows.clone(), vec![later]] {
            servers.runtime.block_on(store.insert_quarantined(rows, soon())).unwrap();
        }
        let found = servers.runtime.block_on(store.quarantined("wx1", 10)).unwrap();
        assert_eq!(found, [rows[1].clone(), rows[0].clone(), rows[2].clone(), event]);
        let found = servers.runtime.block_on(store.quarantined("wx1", 2)).unwrap();
        assert_eq!(found, rows[..2].iter().rev().cloned().collect::<Vec<_>>());
        assert_eq!(servers.runtime.block_on(store.quarantined("wx3", 2)).unwrap(), []);
    }
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn texts_with_quotes_and_question_marks_are_only_texts() {
    let servers = Servers::single();
    let store = servers.connect();
    let appid: Arc<str> = r"wx'?\'{a:b}--".into();
    let row = MessageRow { event: "a'b?".into(), ..message(&appid, "o'?\\\n\t\u{4f60}", 1, Kind::Event, 1) };
    servers.insert(&store, vec![row.clone()]);
    assert_eq!(servers.runtime.block_on(store.known(&[row])).unwrap(), [true]);
    let counts = servers.runtime.block_on(store.figures(&appid, &Buckets::range(0, i64::MAX), true)).unwrap();
    assert_eq!(counts[0].events.get("a'b?"), Some(&1));
    assert_eq!(servers.runtime.block_on(store.known(&[])).unwrap(), [false; 0]);
}
