//! Random changes for a few accounts and users. Many are late, repeated, or near midnight, New Year or a leap day.

use counting::{Content, Kind, Message, Reason};
use proptest::prelude::*;
use storage::store::{AccountNumber, Change, QuarantinedMessage};

/// The accounts of every run.
pub const APPIDS: [&str; 3] = ["wxone", "wxtwo", "wxthree"];

/// Times near which calendar code often fails: New Year inside a week, leap days, ends of months, midnights.
/// Unix seconds.
const EDGES: [i64; 6] =
    [1_325_347_200, 1_330_444_800, 1_417_363_200, 1_451_577_600, 1_767_196_800, 1_709_136_000];

pub fn any_time() -> impl Strategy<Value = i64> {
    let near = (0..EDGES.len(), -3..3_i64, 0..4_i64)
        .prop_map(|(edge, day, second)| EDGES[edge] + day * 86_400 + second - 2);
    prop_oneof![6 => near, 1 => 1_300_000_000..1_900_000_000_i64]
}

fn any_account() -> impl Strategy<Value = AccountNumber> {
    // Account 77 does not exist.
    prop_oneof![50 => Just(0), 20 => Just(1), 10 => Just(2_u32), 1 => Just(77)].prop_map(AccountNumber)
}

pub fn any_message() -> impl Strategy<Value = Message> {
    let id = prop_oneof![3 => 0..4_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let kind = (0..10_usize).prop_map(|kind| Kind::from_index(kind).unwrap());
    let name = prop_oneof![Just("subscribe"), Just("CLICK"), Just("扫码"), Just("")];
    let key = prop_oneof![Just(""), Just("k"), Just("ubscribe")];
    (0..6_u8, any_time(), id, kind, name, key).prop_map(|(user, create_time, msg_id, kind, name, key)| {
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

fn any_quarantined() -> impl Strategy<Value = QuarantinedMessage> {
    (0..2_u8, 0..2_u8, any_time(), prop::option::of(0..3_u64), any::<bool>()).prop_map(
        |(reason, user, create_time, msg_id, is_event)| QuarantinedMessage {
            reason: format!("reason_{reason}"),
            user: format!("o{user}"),
            create_time,
            msg_type: if is_event { "event" } else { "text" }.to_owned(),
            msg_id,
            event: is_event.then(|| "VIEW".to_owned()),
            event_digest: is_event.then(|| "00ff".to_owned()),
        },
    )
}

fn any_reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::refused("malformed", 1)),
        Just(Reason::refused("wrong_to_user", 0)),
        Just(Reason::TooMany),
        Just(Reason::NoConnectionTaken),
        Just(Reason::NotDurable),
        Just(Reason::NotRunning),
    ]
}

fn any_other_change() -> impl Strategy<Value = Change> {
    let second = 0..400_i64;
    let time_range = || (any_account(), 0..400_i64, -5..60_i64);
    let served = || prop::collection::vec(any_account(), 0..4);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..9));
    prop_oneof![
        (second.clone(), served(), any_reason()).prop_map(|(at_s, accounts, reason)| Change::Serve {
            at_s,
            accounts,
            reason
        }),
        (second.clone(), 0..60_i64, served(), any::<bool>()).prop_map(
            |(end_s, length, accounts, is_bridged)| {
                Change::Resume { end_s, at_s: end_s + length, accounts, is_bridged }
            }
        ),
        second.clone().prop_map(|at_s| Change::Mark { at_s }),
        (any_account(), second).prop_map(|(account, at_s)| Change::Begin { account, at_s }),
        any_account().prop_map(|account| Change::Cease { account }),
        (time_range(), any_reason()).prop_map(|((account, from_s, length), reason)| Change::Lose {
            account,
            from_s,
            to_s: from_s + length,
            reason
        }),
        time_range().prop_map(|(account, from_s, length)| Change::Claim {
            account,
            from_s,
            to_s: from_s + length
        }),
        (prop_oneof![Just("token/a"), Just("token/b"), Just("x")], value)
            .prop_map(|(key, value)| Change::Fact { key: key.to_owned(), value }),
    ]
}

/// A change; most are messages.
pub fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => (any_account(), any_message()).prop_map(|(account, message)| Change::Message { account, message }),
        1 => (any_account(), any_quarantined()).prop_map(|(account, message)| Change::Quarantine { account, message }),
        3 => any_other_change(),
    ]
}

/// The changes of one commit.
pub fn any_batch() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(any_change(), 0..9)
}
