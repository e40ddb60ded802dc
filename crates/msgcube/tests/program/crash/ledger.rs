//! The plain model: what was acknowledged, what is open, and what both come to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::harness::bulk_line;

const KINDS: [&str; 7] = ["text", "image", "voice", "video", "shortvideo", "link", "location"];

/// One message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) user: String,
    pub(crate) create_time: i64,
    pub(crate) msg_id: u64,
    pub(crate) kind: &'static str,
}

/// Distinct users and messages by type.
pub(crate) type Totals = BTreeMap<String, (u64, u64)>;

impl Message {
    /// The message of this number: each is another one; users recur, and each MsgId belongs to two users' messages.
    pub(crate) fn numbered(round: u64, sender: u64, number: u64) -> Message {
        let user = format!("user-{}", (number * 7 + sender) % 257);
        let create_time = jiff::Timestamp::now().as_second();
        let kind = KINDS[usize::try_from(number % KINDS.len() as u64).unwrap_or(0)];
        Message { user, create_time, msg_id: round << 40 | sender << 32 | (number / 2), kind }
    }

    /// As WeChat's XML.
    pub(crate) fn xml(&self) -> String {
        let Message { user, create_time, msg_id, kind } = self;
        format!(
            "<xml><ToUserName><![CDATA[gh_crash]]></ToUserName><FromUserName><![CDATA[{user}]]></FromUserName>\
             <CreateTime>{create_time}</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>\
             <Content><![CDATA[x]]></Content><MsgId>{msg_id}</MsgId></xml>"
        )
    }

    /// As a line of bulk.
    pub(crate) fn line(&self) -> String {
        bulk_line(&self.user, self.create_time, self.kind, self.msg_id)
    }
}

/// What these messages come to, counted the slow and plain way.
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
struct Books {
    acknowledged: BTreeSet<Message>,
    open: BTreeSet<Message>,
}

/// Written by all senders: a message is open from before it is sent until it is acknowledged.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Books>);

impl Ledger {
    pub(crate) fn sending(&self, messages: &[Message]) {
        let mut books = self.books();
        for message in messages {
            // one that two connections send again at a time may be acknowledged already
            if !books.acknowledged.contains(message) {
                books.open.insert(message.clone());
            }
        }
    }

    pub(crate) fn acknowledged(&self, messages: &[Message]) {
        let mut books = self.books();
        for message in messages {
            books.open.remove(message);
            books.acknowledged.insert(message.clone());
        }
    }

    /// Something that a former round left unanswered, to be sent again.
    pub(crate) fn some_open_of_a_former_round(&self, round: u64) -> Option<Message> {
        self.books().open.iter().find(|message| message.msg_id >> 40 < round).cloned()
    }

    pub(crate) fn sizes(&self) -> (usize, usize) {
        let books = self.books();
        (books.acknowledged.len(), books.open.len())
    }

    pub(crate) fn contents(&self) -> (Vec<Message>, Vec<Message>) {
        let books = self.books();
        (books.acknowledged.iter().cloned().collect(), books.open.iter().cloned().collect())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
