//! The summary of all accounts that a caller may read.

use std::sync::Arc;

use storage::store::{AccountSummary, Store, StoreError};

use super::health::{self, AccountState};
use crate::{
    accounts::registry::{Accounts, ServedAccount},
    auth::api_keys::{Access, Scope},
};

/// The summary of one account.
#[derive(Clone, Debug)]
pub struct SummarizedAccount {
    /// The account.
    pub account: Arc<ServedAccount>,
    /// What it is doing.
    pub state: AccountState,
    /// Its figures.
    pub summary: AccountSummary,
}

/// The accounts that a caller may read, sorted by appid.
pub fn readable(accounts: &Accounts, access: &Access) -> Vec<Arc<ServedAccount>> {
    let mut found = accounts.select(|account| may_read(access, &account.config.appid));
    found.sort_by(|one, other| one.config.appid.cmp(&other.config.appid));
    found
}

/// Whether a caller may read an account.
pub fn may_read(access: &Access, appid: &str) -> bool {
    access.allows(&Scope::Read(Some(appid.to_owned())))
}

/// The states of these accounts at a time, in the same order. If their figures cannot be read, they follow from what was
/// seen since the start.
pub fn states(store: &Store, accounts: &[Arc<ServedAccount>], now_s: i64) -> Vec<AccountState> {
    let all = match store.summaries(now_s) {
        Ok(all) => all,
        // One damaged account says nothing about the others.
        Err(_) if !store.is_shared() => {
            return accounts.iter().map(|account| health::state(store, now_s, account)).collect();
        }
        Err(_) => Vec::new(),
    };
    let of = |account: &Arc<ServedAccount>| {
        let stored_s = || all.get(account.number.0 as usize)?.last_message_s;
        health::state_after(store, now_s, account, stored_s)
    };
    accounts.iter().map(of).collect()
}

/// The summaries of these accounts at a time, in the same order.
///
/// # Errors
///
/// If figures of an account cannot be read.
pub fn summaries(
    store: &Store,
    accounts: &[Arc<ServedAccount>],
    now_s: i64,
) -> Result<Vec<SummarizedAccount>, StoreError> {
    let mut all: Vec<Option<AccountSummary>> = store.summaries(now_s)?.into_iter().map(Some).collect();
    let of = |account: &Arc<ServedAccount>| {
        let summary = all.get_mut(account.number.0 as usize)?.take()?;
        let state = health::state_after(store, now_s, account, || summary.last_message_s);
        Some(SummarizedAccount { account: account.clone(), state, summary })
    };
    // An account without a summary was added just now.
    Ok(accounts.iter().filter_map(of).collect())
}
