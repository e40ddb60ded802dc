//! The plain model: acknowledged and unanswered messages, and their totals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::bulk_line;

const KINDS: [&str; 7] = ["text", "image", "voice", "video", "shortvideo", "link", "location"];

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) user: String,
    pub(crate) create_time: i64,
    pub(crate) msg_id: u64,
    pub(crate) kind: &'static str,
}

/// For each type, the number of distinct users and of messages.
pub(crate) type Totals = BTreeMap<String, (u64, u64)>;

impl Message {
    /// The message with this number. All messages differ. Users recur, and two users share each MsgId.
    pub(crate) fn numbered(round: u64, sender: u64, number: u64) -> Message {
        let user = format!("user-{}", (number * 7 + sender) % 257);
        let create_time = jiff::Timestamp::now().as_second();
        let kind = KINDS[usize::try_from(number % KINDS.len() as u64).unwrap_or(0)];
        Message { user, create_time, msg_id: round << 40 | sender << 32 | (number / 2), kind }
    }

    /// The XML of a plain callback.
    pub(crate) fn xml(&self) -> String {
        let Message { user, create_time, msg_id, kind } = self;
        format!(
            "<xml><ToUserName><![CDATA[gh_crash]]></ToUserName><FromUserName><![CDATA[{user}]]></FromUserName>\
             <CreateTime>{create_time}</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>\
             <Content><![CDATA[x]]></Content><MsgId>{msg_id}</MsgId></xml>"
        )
    }

    /// A line of the bulk interface.
    pub(crate) fn line(&self) -> String {
        bulk_line(&self.user, self.create_time, self.kind, self.msg_id)
    }
}

/// The totals of these messages, counted in the slow and plain way.
pub(crate) fn totals(messages: &[Message]) -> Totals {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut counts: BTreeMap<&str, BTreeSet<&Message>> = BTreeMap::new();
    for message in messages {
        users.entry(message.kind).or_default().insert(&message.user);
        counts.entry(message.kind).or_default().insert(message);
    }
    counts
        .into_iter()
        .map(|(kind, set)| (kind.to_owned(), (users[kind].len() as u64, set.len() as u64)))
        .collect()
}

#[derive(Default)]
struct LedgerState {
    acknowledged: BTreeSet<Message>,
    open: BTreeSet<Message>,
}

/// Shared by all senders. A message is open from just before it is sent until it is acknowledged.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<LedgerState>);

impl Ledger {
    pub(crate) fn sending(&self, messages: &[Message]) {
        let mut state = self.lock();
        for message in messages {
            // Another connection may have sent it again and received the answer.
            if !state.acknowledged.contains(message) {
                state.open.insert(message.clone());
            }
        }
    }

    pub(crate) fn acknowledged(&self, messages: &[Message]) {
        let mut state = self.lock();
        for message in messages {
            state.open.remove(message);
            state.acknowledged.insert(message.clone());
        }
    }

    /// An unanswered message of an earlier round, to be sent again.
    pub(crate) fn open_message_of_earlier_round(&self, round: u64) -> Option<Message> {
        self.lock().open.iter().find(|message| message.msg_id >> 40 < round).cloned()
    }

    pub(crate) fn sizes(&self) -> (usize, usize) {
        let state = self.lock();
        (state.acknowledged.len(), state.open.len())
    }

    pub(crate) fn contents(&self) -> (Vec<Message>, Vec<Message>) {
        let state = self.lock();
        (state.acknowledged.iter().cloned().collect(), state.open.iter().cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, LedgerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
