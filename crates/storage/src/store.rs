//! Where messages become durable and are counted. Knows accounts, messages, coverage and small facts (such as
//! tokens); knows nothing of HTTP, of signatures or of the clock: moments come in as values.

mod embedded;
mod memory;
pub mod statistics;

use std::{collections::BTreeMap, path::PathBuf};

use counting::{Coverage, Message, Period, Reason, day_of, rollup::KindFigures};
use datacube::{Day, Interface, Row};
use serde::{Deserialize, Serialize};

pub use embedded::{
    Embedded, Options, disk,
    examine::{self, Cost, Damage, Examined},
    pages::raw::{PagesRestore, RawKeys, RawTable},
    snapshot::StoreSnapshot,
};
pub use memory::Memory;

/// The number a store gave an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(pub u32);

impl AccountNumber {
    /// The number of the account at this place of a list that has less than 2^32.
    fn at(place: usize) -> AccountNumber {
        let Ok(number) = u32::try_from(place) else { unreachable!("2^32 accounts fit into no memory") };
        AccountNumber(number)
    }
}

/// Something to make durable.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message to count once.
    Message { account: AccountNumber, message: Message },
    /// A message to keep without counting it.
    Aside { account: AccountNumber, aside: Aside },
    /// Something of this stretch of time was not taken, for this reason.
    Lose { account: AccountNumber, from_s: i64, to_s: i64, reason: Reason },
    /// Everything of this stretch of time was taken.
    Claim { account: AccountNumber, from_s: i64, to_s: i64 },
    /// Messages of these accounts, and of no others, are taken from now on; why they were not since the last mark.
    Serve { at_s: i64, accounts: Vec<AccountNumber>, reason: Reason },
    /// The same after a planned stop in which none was lost; the mark before it was at `end_s`.
    Resume { end_s: i64, at_s: i64, accounts: Vec<AccountNumber>, is_bridged: bool },
    /// Messages of this account, too, are taken from now on; nothing changes for the others.
    Begin { at_s: i64, account: AccountNumber },
    /// Messages of this account are not taken any more.
    Cease { account: AccountNumber },
    /// Everything of the accounts being served was taken until now.
    Mark { at_s: i64 },
    /// A small value by name; none removes it.
    Fact { key: String, value: Option<Vec<u8>> },
}

impl Change {
    /// A fact as JSON. What cannot be JSON must not pass for a fact that is removed.
    pub fn fact(key: String, value: &impl Serialize) -> Change {
        match serde_json::to_vec(value) {
            Ok(value) => Change::Fact { key, value: Some(value) },
            Err(error) => unreachable!("{key}: {error}"),
        }
    }
}

/// What became of a [`Change`], durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message counts.
    Counted,
    /// The same message was there already.
    Repeat,
    /// It was kept or noted.
    Noted,
    /// This change, and only it, could not be taken.
    Failed(String),
}

impl Outcome {
    /// An error if the change was not taken.
    pub fn taken(&self) -> Result<(), NotDurable> {
        match self {
            Outcome::Counted | Outcome::Repeat | Outcome::Noted => Ok(()),
            Outcome::Failed(error) => Err(NotDurable(error.clone())),
        }
    }
}

/// A number that this store gave no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no account with the number {0}")]
pub struct UnknownAccount(pub u32);

impl From<UnknownAccount> for Outcome {
    fn from(error: UnknownAccount) -> Outcome {
        Outcome::Failed(error.to_string())
    }
}

/// A message that is kept and not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Why, as in the metrics.
    pub reason: String,
    /// `FromUserName`
    pub user: String,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// `MsgType`, as the own statistics name it.
    pub msg_type: String,
    /// `MsgId`; of an event its `MsgID`, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg_id: Option<u64>,
    /// `Event`; none for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Tells events of one user and second apart without keeping their EventKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_digest: Option<String>,
}

impl Aside {
    /// An event with a MsgID as former versions kept it, which did not read that.
    pub fn without_event_msg_id(&self) -> Option<Aside> {
        let has_one = self.event.is_some() && self.msg_id.is_some();
        has_one.then(|| Aside { msg_id: None, ..self.clone() })
    }
}

/// Why nothing of a batch became durable.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot make messages durable: {0}")]
pub struct NotDurable(pub String);

/// Why a store cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder is in use.
    #[error("{0} is in use by another msgcube; stop that one, or give this one a data_dir of its own")]
    InUse(PathBuf),
    /// A file or folder cannot be used.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// The log was lost.
    #[error(
        "{path} is missing: messages that were acknowledged may be in it and nowhere else. Restore data_dir with its whole log folder from a backup. To go on without what is not in the other files, run: mkdir -p {folder} && touch {path}"
    )]
    LogMissing { path: PathBuf, folder: PathBuf },
    /// What is on disk makes no sense.
    #[error("{path}: {what}. Nothing was changed; restore data_dir from a backup")]
    Damaged { path: PathBuf, what: String },
    /// It was written by a newer version.
    #[error("{path} has format {found}, this version reads up to {known}; use a newer msgcube")]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    /// The same, where the folder says which version wrote it.
    #[error("{path} has format {found}, this version reads up to {known}; use msgcube {version} or newer")]
    NewerFormatOf { path: PathBuf, found: u32, known: u32, version: String },
    /// The page store failed.
    #[error("the page store in {path}: {what}")]
    Pages { path: PathBuf, what: String },
    /// One question could not be answered.
    #[error("{path}: {source}")]
    Cold { path: PathBuf, source: counting::ColdError },
    /// A question about no account.
    #[error("{0}")]
    UnknownAccount(#[from] UnknownAccount),
}

/// What the own statistics say of one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Kinds that have messages, in order.
    pub by_kind: BTreeMap<counting::Kind, KindFigures>,
    /// Different users over the counted types.
    pub users_counted: u64,
    /// Messages of the counted types.
    pub messages_counted: u64,
}

/// Users whose first message of a counted type lies in a stretch of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewUsers {
    /// How many. A late message that is earlier than a user's first one moves that user to its day.
    pub users: u64,
    /// The account was counted for less than [`DAYS_BEFORE_NEW`] days before the stretch, so that most users are new
    /// to msgcube and not to the account.
    pub is_early: bool,
}

/// So many days of counting make it likely that whoever is new to msgcube is new to the account.
pub const DAYS_BEFORE_NEW: i32 = 28;

impl NewUsers {
    /// `first_day`: of the account's first counted message. `since_s`: from when on its messages were taken.
    fn new(users: u64, from: Day, first_day: Option<Day>, since_s: Option<i64>) -> NewUsers {
        let counted_from = first_day.into_iter().chain(since_s.map(day_of)).min();
        NewUsers { users, is_early: counted_from.is_none_or(|day| from < day.plus_days(DAYS_BEFORE_NEW)) }
    }
}

/// Sizes for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Bytes of log that a restart would replay.
    pub log_bytes: u64,
    /// Bytes of pages on disk.
    pub page_bytes: u64,
    /// Bytes of users and pages in memory.
    pub memory_bytes: u64,
}

/// A store. The set of stores is closed, so this is an enum and not a trait.
#[derive(Debug)]
pub enum Store {
    /// The plain model, for tests and trials: slow, forgets everything at the end.
    Memory(Memory),
    /// Log and pages in a folder.
    Embedded(Box<Embedded>),
}

macro_rules! on_each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Store::Memory($store) => $call,
            Store::Embedded($store) => $call,
        }
    };
}

impl Store {
    /// The number of an account, given durably when it is new.
    pub fn account(&self, appid: &str) -> Result<AccountNumber, NotDurable> {
        on_each!(self, store => store.account(appid))
    }

    /// The same without a word to the disk: a new number becomes durable with the first change that comes after it.
    pub fn reserve(&self, appid: &str) -> AccountNumber {
        on_each!(self, store => store.reserve(appid))
    }

    /// Makes changes durable, all or none, then applies them; an outcome for each. Blocks for the disk.
    pub fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        on_each!(self, store => store.commit(changes))
    }

    /// The rows of one of the seven interfaces for these periods, in their order.
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
        on_each!(self, store => store.slice(account, span))
    }

    /// How many users are new in the days from…to. The others of the same days have written before.
    pub fn new_users(&self, account: AccountNumber, from: Day, to: Day) -> Result<NewUsers, StoreError> {
        on_each!(self, store => store.new_users(account, from, to))
    }

    /// Looks at an account's coverage.
    pub fn coverage<T>(&self, account: AccountNumber, look: impl FnOnce(&Coverage) -> T) -> T {
        on_each!(self, store => store.coverage(account, look))
    }

    /// The newest messages kept aside, newest CreateTime first, at most `limit`.
    pub fn asides(&self, account: AccountNumber, limit: usize) -> Result<Vec<Aside>, StoreError> {
        on_each!(self, store => store.asides(account, limit))
    }

    /// The facts whose key starts so.
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        on_each!(self, store => store.facts(prefix))
    }

    /// True if nothing ever became durable in it.
    pub fn is_blank(&self) -> bool {
        on_each!(self, store => store.is_blank())
    }

    /// Work that can wait: saves pages so that a restart stays short and memory bounded. `now` saves in any case.
    pub fn maintain(&self, now: bool) -> Result<(), StoreError> {
        match self {
            Store::Memory(_) => Ok(()),
            Store::Embedded(store) => store.maintain(now),
        }
    }

    /// Sizes for the metrics.
    pub fn sizes(&self) -> Sizes {
        match self {
            Store::Memory(_) => Sizes::default(),
            Store::Embedded(store) => store.sizes(),
        }
    }
}
