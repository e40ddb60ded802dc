//! Stores: they make messages durable and count them. They know accounts, messages, coverage and small facts such as
//! tokens. They know no HTTP and no signatures, and times are passed in as values.

mod embedded;
mod folder_lock;
mod limits;
mod memory;
#[cfg(feature = "clickhouse")]
mod shared;
mod slice;
pub mod statistics;
mod summary;

use std::path::PathBuf;

use counting::{Coverage, Message, Period, Reason, day_of};
use datacube::{Day, Interface, Row};
use serde::{Deserialize, Serialize};

#[cfg(feature = "clickhouse")]
pub use cluster::{messages::ClickHouseOptions, state::StateOptions};
pub use embedded::{
    Embedded, Options, disk,
    examine::{self, Cost, Damage, Examined},
    pages::raw::{PagesRestore, RawKeys, RawTable},
    snapshot::StoreSnapshot,
};
pub use limits::{SealedCall, SharedCount, SpentCalls};
pub use memory::{Memory, MemoryTurn};
#[cfg(feature = "clickhouse")]
pub use shared::{Shared, SharedOptions, SharedTurn, prepare_shared};
pub use slice::{OfficialFigures, Slice};
pub use summary::{AccountSummary, DAYS, MINUTES};

/// The number that a store assigned to an account, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(pub u32);

impl AccountNumber {
    /// The number of the account at this index of a list with less than 2^32 accounts.
    fn at(place: usize) -> AccountNumber {
        let Ok(number) = u32::try_from(place) else { unreachable!("2^32 accounts fit into no memory") };
        AccountNumber(number)
    }
}

/// A change to make durable. Times are Unix seconds; stretches are `[from_s, to_s)`.
#[derive(Clone, Debug)]
pub enum Change {
    /// Counts a message, unless it is a repeat.
    Message {
        /// The account that received it.
        account: AccountNumber,
        /// What counting needs of it.
        message: Message,
    },
    /// Stores a message without counting it.
    Quarantine {
        /// The account that received it.
        account: AccountNumber,
        /// What is stored of it.
        message: QuarantinedMessage,
    },
    /// Messages were lost. The stretch becomes a gap.
    Lose {
        /// The account whose messages were lost.
        account: AccountNumber,
        /// Start of the stretch.
        from_s: i64,
        /// End of the stretch, not included.
        to_s: i64,
        /// Why they were lost.
        reason: Reason,
    },
    /// All messages of a stretch were received. It becomes covered.
    Claim {
        /// The account that received them.
        account: AccountNumber,
        /// Start of the stretch.
        from_s: i64,
        /// End of the stretch, not included.
        to_s: i64,
    },
    /// Exactly these accounts receive messages.
    Serve {
        /// Since when.
        at_s: i64,
        /// The accounts. All others receive none.
        accounts: Vec<AccountNumber>,
        /// Why they received none since the last mark.
        reason: Reason,
    },
    /// Like `Serve`, after a planned stop that lost no message.
    Resume {
        /// The last mark before the stop.
        end_s: i64,
        /// Since when messages are received again.
        at_s: i64,
        /// The accounts. All others receive none.
        accounts: Vec<AccountNumber>,
        /// No socket was open during the stop. WeChat's retries cover it, and it is listed.
        is_bridged: bool,
    },
    /// One more account receives messages. The other accounts do not change.
    Begin {
        /// Since when.
        at_s: i64,
        /// The account.
        account: AccountNumber,
    },
    /// An account receives no more messages.
    Cease {
        /// The account.
        account: AccountNumber,
    },
    /// All messages of the served accounts were received.
    Mark {
        /// Until when.
        at_s: i64,
    },
    /// Sets or removes a fact.
    Fact {
        /// Its name. Facts are found by the start of their key.
        key: String,
        /// The new value. None removes the fact.
        value: Option<Vec<u8>>,
    },
}

impl Change {
    /// Sets a fact to a value in JSON.
    ///
    /// # Panics
    /// If JSON cannot express the value. Without the panic the fact would be removed.
    pub fn fact(key: String, value: &impl Serialize) -> Change {
        match serde_json::to_vec(value) {
            Ok(value) => Change::Fact { key, value: Some(value) },
            Err(error) => unreachable!("{key}: {error}"),
        }
    }
}

/// The result of a [`Change`]. It is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message was counted.
    Counted,
    /// The message was already stored.
    Repeat,
    /// The change was stored. It counts no message.
    Noted,
    /// Only this change was rejected. The text says why.
    Failed(String),
}

impl Outcome {
    /// An error if the change was rejected.
    pub fn taken(&self) -> Result<(), NotDurable> {
        match self {
            Outcome::Counted | Outcome::Repeat | Outcome::Noted => Ok(()),
            Outcome::Failed(error) => Err(NotDurable(error.clone())),
        }
    }
}

/// This store has no account with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no account with the number {0}")]
pub struct UnknownAccount(pub u32);

impl From<UnknownAccount> for Outcome {
    fn from(error: UnknownAccount) -> Outcome {
        Outcome::Failed(error.to_string())
    }
}

/// A message that is stored and not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedMessage {
    /// Why it is not counted; the label value of the metrics.
    pub reason: String,
    /// `FromUserName`
    pub user: String,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// `MsgType`, as the statistics API names it.
    pub msg_type: String,
    /// `MsgId`. For events: `MsgID`, if the event has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg_id: Option<u64>,
    /// `Event`; none for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// A digest of the event. It distinguishes events of the same user and second without storing the EventKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_digest: Option<String>,
}

impl QuarantinedMessage {
    /// The event as former versions stored it: without its MsgID, which they did not read. None for other messages.
    pub fn without_event_msg_id(&self) -> Option<QuarantinedMessage> {
        let has_one = self.event.is_some() && self.msg_id.is_some();
        has_one.then(|| QuarantinedMessage { msg_id: None, ..self.clone() })
    }
}

/// No change of a batch became durable, for this reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot make messages durable: {0}")]
pub struct NotDurable(pub String);

/// A fact that was set, or removed if there is no value.
pub type FactChange = (String, Option<Vec<u8>>);

/// Is told of facts that other processes changed, in their order. It must be quick and must not wait for the store.
pub type FactSink = Box<dyn Fn(&[FactChange]) + Send + Sync>;

/// A store cannot be opened or read.
#[allow(missing_docs, reason = "the error texts name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has locked the folder.
    #[error("{0} is in use by another msgcube; stop that one, or give this one a data_dir of its own")]
    InUse(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// A log file that should exist is missing. `folder` is the log folder.
    #[error(
        "{path} is missing: messages that were acknowledged may be in it and nowhere else. Restore data_dir with its whole log folder from a backup. To go on without what is not in the other files, run: mkdir -p {folder} && touch {path}"
    )]
    LogMissing { path: PathBuf, folder: PathBuf },
    /// Data on disk is damaged.
    #[error("{path}: {what}. Nothing was changed; restore data_dir from a backup")]
    Damaged { path: PathBuf, what: String },
    /// A newer version wrote the data.
    #[error("{path} has format {found}, this version reads up to {known}; use a newer msgcube")]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    /// A newer version wrote the data, and the folder says which one.
    #[error("{path} has format {found}, this version reads up to {known}; use msgcube {version} or newer")]
    NewerFormatOf { path: PathBuf, found: u32, known: u32, version: String },
    /// The page store (redb) failed.
    #[error("the page store in {path}: {what}")]
    Pages { path: PathBuf, what: String },
    /// A page could not be read, so one query fails.
    #[error("{path}: {source}")]
    Page { path: PathBuf, source: counting::PageError },
    /// The servers of a shared store did not answer, or not completely.
    #[error("{0}")]
    Servers(String),
    /// The data folder belongs to the embedded store.
    #[error(
        "{0} holds messages of the store that is used without [store]; with [store] they would not be counted. Give this process a data_dir of its own"
    )]
    HasOwnMessages(PathBuf),
    /// PostgreSQL was prepared for another number of shards.
    #[error(
        "ClickHouse has {found} shards, but the messages are spread over {stored}; give [store] the urls and the cluster with which `msgcube store init` was run"
    )]
    OtherShards { stored: u32, found: usize },
    /// The query names an unknown account.
    #[error("{0}")]
    UnknownAccount(#[from] UnknownAccount),
}

/// Users whose first counted message lies in a range of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewUsers {
    /// The number of users. A late message that is earlier than a user's first one moves the user to its day.
    pub users: u64,
    /// Counting began less than [`DAYS_BEFORE_NEW`] days before the range. Then most of the users are new to msgcube,
    /// but not to the account.
    pub is_early: bool,
}

/// After this many days of counting, a user who is new to msgcube is probably new to the account.
pub const DAYS_BEFORE_NEW: i32 = 28;

impl NewUsers {
    /// `first_day`: the day of the account's first counted message. `since_s`: since when its messages are received.
    fn new(users: u64, from: Day, first_day: Option<Day>, since_s: Option<i64>) -> NewUsers {
        let counted_from = first_day.into_iter().chain(since_s.map(day_of)).min();
        NewUsers { users, is_early: counted_from.is_none_or(|day| from < day.plus_days(DAYS_BEFORE_NEW)) }
    }
}

/// Sizes of a store in bytes, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Bytes of log that a restart would replay.
    pub log_bytes: u64,
    /// Bytes of pages on disk.
    pub page_bytes: u64,
    /// Bytes of users and pages in memory.
    pub memory_bytes: u64,
}

/// A store. The set of stores is fixed, so this is an enum and not a trait.
#[derive(Debug)]
pub enum Store {
    /// The plain model, for tests and trials. It is slow and keeps nothing after the end.
    Memory(Memory),
    /// Log and pages in a folder.
    Embedded(Box<Embedded>),
    /// ClickHouse and PostgreSQL, which several processes share.
    #[cfg(feature = "clickhouse")]
    Shared(Box<Shared>),
}

macro_rules! on_each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Store::Memory($store) => $call,
            Store::Embedded($store) => $call,
            #[cfg(feature = "clickhouse")]
            Store::Shared($store) => $call,
        }
    };
}

impl Store {
    /// The number of an account. A new account is made durable first. Blocks for the disk.
    pub fn account(&self, appid: &str) -> Result<AccountNumber, NotDurable> {
        on_each!(self, store => store.account(appid))
    }

    /// The number of an account, without access to the disk. A new account becomes durable with the next change.
    pub fn reserve(&self, appid: &str) -> AccountNumber {
        on_each!(self, store => store.reserve(appid))
    }

    /// Makes changes durable, all or none, then applies them. Returns one outcome for each change. Blocks for the
    /// disk.
    pub fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        on_each!(self, store => store.commit(changes))
    }

    /// The rows of one of the seven interfaces, in the order of `periods`.
    pub fn rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        on_each!(self, store => store.rows(account, interface, periods))
    }

    /// The figures of a stretch of time.
    pub fn slice(&self, account: AccountNumber, span: statistics::Span) -> Result<Slice, StoreError> {
        let mut slices = self.slices(account, &[span])?;
        Ok(slices.pop().unwrap_or_default())
    }

    /// The figures of several stretches of time, in their order. Periods among them have one length. A shared store
    /// asks its servers once for all of them.
    pub fn slices(
        &self,
        account: AccountNumber,
        spans: &[statistics::Span],
    ) -> Result<Vec<Slice>, StoreError> {
        match self {
            Store::Memory(store) => spans.iter().map(|span| store.slice(account, *span)).collect(),
            Store::Embedded(store) => spans.iter().map(|span| store.slice(account, *span)).collect(),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.slices(account, spans),
        }
    }

    /// The users whose first counted message lies in the days from…to, both included.
    pub fn new_users(&self, account: AccountNumber, from: Day, to: Day) -> Result<NewUsers, StoreError> {
        on_each!(self, store => store.new_users(account, from, to))
    }

    /// Passes an account's coverage to `look`, under its lock.
    pub fn coverage<T>(&self, account: AccountNumber, look: impl FnOnce(&Coverage) -> T) -> T {
        on_each!(self, store => store.coverage(account, look))
    }

    /// The quarantined messages with the newest CreateTime, newest first, at most `limit`.
    pub fn quarantined_messages(
        &self,
        account: AccountNumber,
        limit: usize,
    ) -> Result<Vec<QuarantinedMessage>, StoreError> {
        on_each!(self, store => store.quarantined_messages(account, limit))
    }

    /// The facts whose key starts with `prefix`.
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        on_each!(self, store => store.facts(prefix))
    }

    /// True if nothing was ever stored in it.
    pub fn is_blank(&self) -> bool {
        on_each!(self, store => store.is_blank())
    }

    /// For each change: whether a shared store has the message already. Others say so when they count it. Blocks.
    ///
    /// # Errors
    /// If the servers do not answer.
    pub fn stored(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        match self {
            Store::Memory(_) | Store::Embedded(_) => Ok(vec![false; changes.len()]),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.stored(changes),
        }
    }

    /// Ends the service of this process, after its last change.
    pub fn end(&self) {
        match self {
            Store::Memory(_) | Store::Embedded(_) => {}
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.end(),
        }
    }

    /// Saves pages and frees memory if it is time to. This keeps a restart short and memory bounded. `now`: saves in
    /// any case.
    pub fn maintain(&self, now: bool) -> Result<(), StoreError> {
        match self {
            Store::Memory(_) => Ok(()),
            Store::Embedded(store) => store.maintain(now),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.maintain(),
        }
    }

    /// True if messages come faster than they can be saved. Whoever sends many should wait.
    pub fn is_behind(&self) -> bool {
        match self {
            Store::Memory(_) => false,
            Store::Embedded(store) => store.is_behind(),
            #[cfg(feature = "clickhouse")]
            Store::Shared(_) => false,
        }
    }

    /// Sizes for the metrics.
    pub fn sizes(&self) -> Sizes {
        match self {
            Store::Memory(_) => Sizes::default(),
            Store::Embedded(store) => store.sizes(),
            #[cfg(feature = "clickhouse")]
            Store::Shared(_) => Sizes::default(),
        }
    }
}
