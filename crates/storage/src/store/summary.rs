//! What an overview shows of an account: messages of today, of the time before, and of the last minutes.

use counting::AccountSummary;

use super::{AccountNumber, Store, StoreError};

/// Minutes that a summary shows.
pub const MINUTES: usize = AccountSummary::MINUTES;
/// Days that a summary shows.
pub const DAYS: usize = AccountSummary::DAYS;

impl Store {
    /// The summaries of all accounts at a time, by account number. They are kept current as messages are counted, so
    /// this reads figures only at the first call after the start and on each new day, unless
    /// [`Store::refresh_summaries`] did so before.
    ///
    /// # Errors
    ///
    /// If figures of an account cannot be read or are damaged.
    pub fn summaries(&self, now_s: i64) -> Result<Vec<AccountSummary>, StoreError> {
        match self {
            Store::Memory(store) => Ok(store.summaries(now_s)),
            Store::Embedded(store) => store.summaries(now_s),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.summaries(now_s),
        }
    }

    /// Prepares the summaries of some more accounts for a time. Called again and again, it spares readers the wait for
    /// figures on disk.
    pub fn refresh_summaries(&self, now_s: i64) {
        match self {
            Store::Memory(_) => {}
            Store::Embedded(store) => store.refresh_summaries(now_s),
            #[cfg(feature = "clickhouse")]
            Store::Shared(_) => {}
        }
    }

    /// The newest CreateTime of an account's counted messages, in Unix seconds, as in its summary at `now_s`.
    ///
    /// # Errors
    ///
    /// If figures of the account cannot be read or are damaged.
    pub fn last_message_s(&self, account: AccountNumber, now_s: i64) -> Result<Option<i64>, StoreError> {
        match self {
            Store::Memory(store) => store.last_message_s(account, now_s),
            Store::Embedded(store) => store.last_message_s(account, now_s),
            #[cfg(feature = "clickhouse")]
            Store::Shared(store) => store.last_message_s(account, now_s),
        }
    }
}
