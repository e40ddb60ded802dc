//! Stores: they make messages durable and count them. They know accounts, messages, coverage and small facts such as
//! tokens. They know no HTTP and no signatures, and times are passed in as values.

mod change;
mod embedded;
mod error;
mod folder_lock;
mod limits;
mod memory;
#[cfg(feature = "clickhouse")]
mod shared;
mod slice;
pub mod statistics;
mod summary;

pub use counting::AccountSummary;
use counting::{Coverage, Period, day_of};
use datacube::{Day, Interface, Row};

pub use change::{Change, FactChange, FactSink, Outcome, QuarantinedMessage};
#[cfg(feature = "clickhouse")]
pub use cluster::{messages::ClickHouseOptions, state::StateOptions};
pub use embedded::{
    Embedded, Options, disk,
    examine::{self, Cost, Damage, Examined},
    pages::raw::{PagesRestore, RawKeys, RawTable},
    snapshot::StoreSnapshot,
};
pub use error::{NotDurable, StoreError, UnknownAccount};
pub use limits::{SealedCall, SharedCount};
pub use memory::{HeldInserts, Memory, MemoryTurn};
#[cfg(feature = "clickhouse")]
pub use shared::{Shared, SharedOptions, SharedTurn, prepare_shared};
pub use slice::{OfficialFigures, Slice};
pub use summary::{DAYS, MINUTES};

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

/// Is called with the outcomes of an insert.
pub type Told = Box<dyn FnOnce(Result<Vec<Outcome>, NotDurable>) + Send>;

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

    /// How many batches of messages may be stored at the same time, beside other commits. 0: none, every batch is a
    /// commit.
    pub fn inserts_max(&self) -> usize {
        match self {
            Store::Memory(store) => store.inserts_max(),
            Store::Embedded(_) => 0,
            #[cfg(feature = "clickhouse")]
            Store::Shared(_) => shared::INSERTS_MAX,
        }
    }

    /// Makes messages durable, and then calls `told` with one outcome for each change. Does not block if
    /// [`Store::inserts_max`] is more than 0; `told` may then run on another thread.
    pub fn insert(&self, changes: Vec<Change>, told: Told) {
        match self {
            Store::Memory(store) => store.insert(changes, told),
            Store::Embedded(store) => told(store.commit(&changes)),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.insert(&changes, told),
        }
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

    /// Like `rows`. While a shared store waits for its servers, no thread is blocked.
    pub async fn ask_rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.ask_rows(account, interface, periods).await,
            _ => self.rows(account, interface, periods),
        }
    }

    /// The figures of a stretch of time.
    pub fn slice(&self, account: AccountNumber, span: statistics::Span) -> Result<Slice, StoreError> {
        let mut slices = self.slices(account, &[span])?;
        Ok(slices.pop().unwrap_or_default())
    }

    /// The figures of several stretches of time, in their order. A shared store asks its servers once for all periods of
    /// one length.
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
