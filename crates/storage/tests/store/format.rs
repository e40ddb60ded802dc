//! The stored formats. `crates/storage/tests/data/format-1` was written by the first version. Every later version must
//! read it: saved pages, an unsaved log, several accounts, events, quarantined messages, facts, coverage with gaps.
//! `format-2` adds log records that begin or end the coverage of one account. `format-3` adds reasons of gaps and planned
//! stops.
//! `format-4` has pages of senders, and values in pieces.
//!
//! `MSGCUBE_WRITE_FORMAT=1 cargo test -p storage --test store format` writes the folder of the newest
//! format. Do that only for a new format in a new folder. The old folders stay and are still read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use counting::{Content, CoverageReport, Kind, Message, Period, Reason, start_of_day_s};
use datacube::{Day, INTERFACES};
use serde_json::{Value, json};
use storage::store::{
    AccountNumber, Aside, Change, Embedded, Options, Outcome, Store, StoreError, statistics::Span,
};

use crate::{changes::APPIDS, disk};

/// The newest format. Only this one can be written.
const NEWEST: u32 = 4;

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/format-{format}"))
}

fn first_day() -> Day {
    Day::from_ymd(2014, 12, 1).unwrap()
}

fn message(day: i32, user: u32, msg_id: u64) -> Message {
    let content = match msg_id % 11 {
        10 => Content::Event {
            name: if msg_id.is_multiple_of(2) { "subscribe" } else { "CLICK" }.into(),
            key: "k".into(),
            msg_id: None,
        },
        kind => Content::Message { kind: Kind::ALL[usize::try_from(kind).unwrap()], msg_id },
    };
    let content = match content {
        Content::Message { kind: Kind::Event, msg_id } => Content::Message { kind: Kind::Text, msg_id },
        content => content,
    };
    let second = i64::from(user) * 997 + i64::try_from(msg_id % 40_000).unwrap();
    Message {
        user: format!("oUser{user}").into(),
        create_time: start_of_day_s(first_day().plus_days(day)) + second,
        content,
    }
}

/// The changes of one half. Half 1 is in the pages, half 2 only in the log.
fn changes(format: u32, half: i32) -> Vec<Change> {
    let account = |number: i32| AccountNumber(u32::try_from(number % 2).unwrap());
    let accounts = vec![AccountNumber(0), AccountNumber(1)];
    let mut changes = vec![
        Change::Serve {
            at_s: i64::from(half) * 1000,
            accounts: accounts.clone(),
            reason: Reason::NotRunning,
        },
        Change::Mark { at_s: i64::from(half) * 1000 + 700 },
        Change::Lose {
            account: AccountNumber(0),
            from_s: i64::from(half) * 1000 + 100,
            to_s: i64::from(half) * 1000 + 200,
            reason: Reason::refused("malformed", 3),
        },
        Change::Claim { account: AccountNumber(2), from_s: -50 * i64::from(half), to_s: 10 },
        Change::Fact { key: format!("fact/{half}"), value: Some(vec![0, 255]) },
        Change::Fact { key: "fact/changed".to_owned(), value: Some(vec![u8::try_from(half).unwrap()]) },
    ];
    for number in 0..60 {
        let id = u64::try_from(number * 7 + half).unwrap();
        let message =
            message(number % 40 - 3, u32::try_from(id % 9).unwrap(), if number == 5 { u64::MAX } else { id });
        changes.push(Change::Message { account: account(number), message });
    }
    changes.push(Change::Aside {
        account: AccountNumber(1),
        aside: Aside {
            reason: "create_time_ahead".to_owned(),
            user: "oUser1".to_owned(),
            create_time: 2_000_000_000 + i64::from(half),
            msg_type: "text".to_owned(),
            msg_id: Some(7),
            event: None,
            event_digest: None,
        },
    });
    if format >= 2 {
        let at_s = i64::from(half) * 1000 + 750;
        changes.extend([
            Change::Begin { at_s, account: AccountNumber(2) },
            Change::Cease { account: AccountNumber(1) },
            Change::Mark { at_s: at_s + 50 },
        ]);
    }
    if format >= 3 {
        let at_s = i64::from(half) * 1000 + 830;
        let bridged = |after_s| Change::Resume {
            end_s: at_s - 30 + after_s,
            at_s: at_s - 20 + after_s,
            accounts: accounts.clone(),
            is_bridged: half == 1,
        };
        let lose = |account, reason| Change::Lose {
            account: AccountNumber(account),
            from_s: at_s - 15,
            to_s: at_s - 14,
            reason,
        };
        changes.extend([
            // Account 0 continues without a gap. The others begin again.
            bridged(0),
            lose(0, Reason::TooMany),
            lose(1, Reason::NoConnectionTaken),
            Change::Mark { at_s },
            Change::Serve { at_s: at_s + 20, accounts: accounts.clone(), reason: Reason::NotDurable },
            Change::Mark { at_s: at_s + 25 },
        ]);
    }
    changes
}

/// Everything that the store answers.
fn answers(store: &Store, format: u32) -> Value {
    let accounts = (0..).zip(APPIDS).map(|(number, appid)| {
        let account = AccountNumber(number);
        assert_eq!(store.account(appid).unwrap(), account);
        let rows: BTreeMap<&str, Value> = INTERFACES
            .iter()
            .map(|interface| {
                let hours = (-200..1200).map(|hour| start_of_day_s(first_day()) + hour * 3600);
                let mut periods: Vec<Period> =
                    hours.map(|time| Period::of(interface.granularity, time)).collect();
                periods.dedup();
                (interface.name, json!(store.rows(account, interface, &periods).unwrap()))
            })
            .collect();
        let slice = store.slice(account, Span::Days(first_day(), first_day().plus_days(50))).unwrap();
        let kinds = slice.by_kind.iter().map(|(kind, figures)| {
            (kind.name().to_owned(), json!([figures.users, figures.messages, figures.events]))
        });
        json!({
            "rows": rows,
            "kinds": kinds.collect::<BTreeMap<String, Value>>(),
            "new": store.new_users(account, first_day(), first_day().plus_days(3)).unwrap().users,
            "counted": [slice.users_counted, slice.messages_counted],
            "coverage": coverage_json(&report(store, account), format),
            "asides": store.asides(account, 9).unwrap(),
        })
    });
    json!({ "accounts": accounts.collect::<Vec<_>>(), "facts": store.facts("") })
}

fn report(store: &Store, account: AccountNumber) -> CoverageReport {
    store.coverage(account, |coverage| coverage.report(2700))
}

fn coverage_json(report: &CoverageReport, format: u32) -> Value {
    if format <= 2 {
        // The versions that wrote these formats showed adjacent gaps with different reasons as one gap.
        let mut gaps: Vec<(i64, i64)> = Vec::new();
        for gap in &report.gaps {
            match gaps.last_mut() {
                Some(last) if last.1 == gap.from_s => last.1 = gap.to_s,
                _ => gaps.push((gap.from_s, gap.to_s)),
            }
        }
        return json!([report.since, gaps]);
    }
    let gaps = report.gaps.iter().map(|gap| json!([gap.from_s, gap.to_s, format!("{:?}", gap.reason)]));
    json!([report.since, gaps.collect::<Vec<_>>(), report.bridged])
}

fn write_fixture() {
    let fixture = fixture(NEWEST);
    let folder = disk::folder();
    let store = open(folder.path()).unwrap();
    APPIDS.iter().for_each(|appid| assert!(store.account(appid).is_ok()));
    store.commit(&changes(NEWEST, 1)).unwrap();
    store.maintain(true).unwrap();
    store.commit(&changes(NEWEST, 2)).unwrap();
    let expected = serde_json::to_string(&answers(&store, NEWEST)).unwrap();
    drop(store);
    fs::create_dir_all(fixture.join("log")).unwrap();
    fs::write(fixture.join("expected.json"), expected + "\n").unwrap();
    let log = fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path());
    for path in log.chain([folder.path().join("pages.redb")]) {
        let name = format!("{}.zst", path.strip_prefix(folder.path()).unwrap().display());
        fs::write(fixture.join(name), zstd::bulk::compress(&fs::read(path).unwrap(), 19).unwrap()).unwrap();
    }
}

fn unpack(format: u32, to: &Path) {
    let fixture = fixture(format);
    fs::create_dir(to.join("log")).unwrap();
    let log = fs::read_dir(fixture.join("log")).unwrap().map(|entry| entry.unwrap().path());
    for path in log.chain([fixture.join("pages.redb.zst")]) {
        let name = path.strip_prefix(&fixture).unwrap().with_extension("");
        fs::write(to.join(name), zstd::bulk::decompress(&fs::read(path).unwrap(), 64 << 20).unwrap())
            .unwrap();
    }
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Ok(Store::Embedded(Box::new(Embedded::open(folder, &Options::default())?)))
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the one switch of this test")]
fn the_newest_format_is_read_as_it_was_written() {
    if std::env::var("MSGCUBE_WRITE_FORMAT").is_ok() {
        write_fixture();
    }
    is_read_as_it_was_written(NEWEST);
}

#[test]
fn older_formats_are_read_as_they_were_written() {
    is_read_as_it_was_written(1);
    is_read_as_it_was_written(2);
    is_read_as_it_was_written(3);
}

#[test]
fn gaps_of_formats_without_reasons_have_the_reason_unknown() {
    for format in [1, 2] {
        let folder = disk::folder();
        unpack(format, folder.path());
        let store = open(folder.path()).unwrap();
        let gaps = report(&store, AccountNumber(0)).gaps;
        assert!(gaps.len() >= 2 && gaps.iter().all(|gap| gap.reason == Reason::Unknown), "{gaps:?}");
    }
}

fn is_read_as_it_was_written(format: u32) {
    let folder = disk::folder();
    unpack(format, folder.path());
    let expected = fs::read(fixture(format).join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(as_written(answers(&store, format), &expected), expected);
    let again = [changes(format, 1), changes(format, 2)].concat().into_iter();
    let messages = again.filter(|change| matches!(change, Change::Message { .. } | Change::Aside { .. }));
    let messages: Vec<Change> = messages.collect();
    let outcomes = store.commit(&messages).unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Repeat), "{outcomes:?}");
    // Older versions did not read the MsgID of events, although WeChat sent it.
    let events: Vec<Change> = messages.into_iter().filter_map(|change| with_msg_id(change, 7)).collect();
    assert!(events.len() > 4, "events in the pages and in the log");
    let outcomes = store.commit(&events).unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Repeat), "{outcomes:?}");
    store.maintain(true).unwrap();
    drop(store);
    let answers = answers(&open(folder.path()).unwrap(), format);
    assert_eq!(as_written(answers, &expected), expected, "after a save");
}

/// Without what the version did not answer that wrote the expected answers.
fn as_written(mut answers: Value, expected: &Value) -> Value {
    for (number, account) in answers["accounts"].as_array_mut().unwrap().iter_mut().enumerate() {
        account.as_object_mut().unwrap().retain(|key, _| expected["accounts"][number].get(key).is_some());
    }
    answers
}

#[test]
fn new_users_of_former_formats_are_those_of_the_newest() {
    let new_users = |format| {
        let folder = disk::folder();
        unpack(format, folder.path());
        let answers = answers(&open(folder.path()).unwrap(), NEWEST);
        let accounts = answers["accounts"].as_array().unwrap().iter().map(|account| account["new"].clone());
        accounts.collect::<Vec<_>>()
    };
    assert!([1, 2, 3].iter().all(|format| new_users(*format) == new_users(NEWEST)));
    assert!(new_users(NEWEST).iter().any(|users| *users != 0));
}

fn with_msg_id(change: Change, id: u64) -> Option<Change> {
    let Change::Message { account, mut message } = change else { return None };
    let Content::Event { msg_id, .. } = &mut message.content else { return None };
    *msg_id = Some(id);
    Some(Change::Message { account, message })
}

#[test]
fn two_events_of_one_second_with_different_msg_ids_both_count_even_after_a_restart() {
    let folder = disk::folder();
    let store = open(folder.path()).unwrap();
    let account = store.account(APPIDS[0]).unwrap();
    let event = |id| {
        let content =
            Content::Event { name: "TEMPLATESENDJOBFINISH".into(), key: "".into(), msg_id: Some(id) };
        let message = Message { user: "oUser1".into(), create_time: start_of_day_s(first_day()), content };
        Change::Message { account, message }
    };
    assert_eq!(store.commit(&[event(1), event(2)]).unwrap(), [Outcome::Counted, Outcome::Counted]);
    assert_eq!(store.commit(&[event(2), event(3)]).unwrap(), [Outcome::Repeat, Outcome::Counted]);
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!(store.commit(&[event(1), event(3)]).unwrap(), [Outcome::Repeat, Outcome::Repeat]);
    store.maintain(true).unwrap();
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!(store.commit(&[event(2), event(4)]).unwrap(), [Outcome::Repeat, Outcome::Counted]);
}

#[test]
fn a_log_of_a_newer_format_is_refused_and_the_error_names_it() {
    let folder = disk::folder();
    unpack(NEWEST, folder.path());
    let path = fs::read_dir(folder.path().join("log")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 4;
    let sum = crc32fast::hash(&bytes[..28]).to_le_bytes();
    bytes[28..32].copy_from_slice(&sum);
    fs::write(&path, bytes).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormatOf { found: 4, known: 3, .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(error.to_string().ends_with(concat!("use msgcube ", env!("CARGO_PKG_VERSION"), " or newer")));
}

#[test]
fn pages_of_a_newer_format_are_refused() {
    let folder = disk::folder();
    unpack(NEWEST, folder.path());
    let database = redb::Database::open(folder.path().join("pages.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, &[u8]>::new("meta");
    for (key, value) in [("format", &[4][..]), ("version", b"7.8.9")] {
        let sum = crc32fast::hash(&[key.as_bytes(), value].concat()).to_le_bytes();
        transaction.open_table(table).unwrap().insert(key, [value, &sum].concat().as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormatOf { found: 4, known: 3, .. }), "{error}");
    assert!(error.to_string().ends_with("; use msgcube 7.8.9 or newer"), "{error}");
}

#[test]
fn a_folder_that_is_in_use_is_not_opened_again() {
    let folder = disk::folder();
    let store = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::InUse(path)) if path == folder.path()));
    drop(store);
    open(folder.path()).unwrap();
}
