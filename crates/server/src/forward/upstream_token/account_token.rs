//! The real token of one account, in memory.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU64},
};

use tokio::sync::{Mutex, Notify};

use super::{
    TokenFailure, UpstreamTokens,
    lease::Lease,
    stored_token::{TokenRecord, UpstreamToken},
};
use crate::accounts::registry::ServedAccount;

/// While forcing is not allowed and WeChat returned the same token, seconds until it is asked again.
const SAME_TOKEN_PAUSE_S: i64 = 1;

/// The real token of one account.
#[derive(Debug, Default)]
pub struct AccountToken {
    record: RwLock<TokenRecord>,
    /// Which process fetches it, if several share the store.
    lease: RwLock<Option<Lease>>,
    /// Wakes those who wait until another process has fetched it.
    pub changed: Notify,
    /// Held while a token is fetched, so that one fetch serves all waiting callers. Taken before a turn to decide.
    pub fetching: Mutex<Fetching>,
    /// Number of finished fetches. A caller that waited while one finished shares its result.
    pub fetches: AtomicU64,
    pub is_renewing: AtomicBool,
}

/// What the last fetch of this process showed.
#[derive(Debug, Default)]
pub struct Fetching {
    pub failure: Option<TokenFailure>,
    /// When WeChat last returned the same token while forcing was not allowed, Unix seconds.
    pub same_at_s: Option<i64>,
}

impl Fetching {
    pub fn is_same_token_recent(&self, now_s: i64) -> bool {
        self.same_at_s.is_some_and(|at_s| (0..SAME_TOKEN_PAUSE_S).contains(&(now_s - at_s)))
    }
}

impl AccountToken {
    pub fn read(&self) -> RwLockReadGuard<'_, TokenRecord> {
        self.record.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, TokenRecord> {
        self.record.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tokens and the times of forcing.
    pub fn record(&self) -> TokenRecord {
        self.read().clone()
    }

    /// Changes the record and returns it.
    pub fn update(&self, change: impl FnOnce(&mut TokenRecord)) -> TokenRecord {
        let mut record = self.write();
        change(&mut record);
        record.clone()
    }

    /// The previous token is no longer accepted from callers.
    pub fn end_previous(&self) {
        self.write().previous = None;
    }

    /// Puts off the renewal, until this Unix second.
    pub fn renew_at(&self, at_s: i64) {
        self.write().token.iter_mut().for_each(|token| token.renew_s = at_s);
    }

    /// Who fetches the token.
    pub fn lease(&self) -> Option<Lease> {
        self.lease.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_lease(&self, lease: Option<Lease>) {
        *self.lease.write().unwrap_or_else(PoisonError::into_inner) = lease;
    }

    /// The current token, if it is valid and was fetched with the present settings.
    pub fn valid(
        &self,
        upstream: &UpstreamTokens,
        account: &ServedAccount,
        now_s: i64,
    ) -> Option<UpstreamToken> {
        let token = self.read().token.clone()?;
        (token.is_good(now_s, upstream.store.clocks_apart_s_max())
            && token.origin == upstream.origin(account))
        .then_some(token)
    }

    /// Whether the token is missing or must be renewed.
    pub fn is_due(&self, upstream: &UpstreamTokens, account: &ServedAccount, now_s: i64) -> bool {
        self.valid(upstream, account, now_s).is_none_or(|token| now_s >= token.renew_s)
    }
}
