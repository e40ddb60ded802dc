//! Which accounts each platform brings, in memory: pure decisions, no disk.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    authorization_state::{AuthorizationState, Status},
    ticket::Ticket,
};
use crate::accounts::registry::ServedAccount;

/// Limit of the accounts that one platform brings.
pub const ACCOUNTS_MAX: usize = 100_000;
/// Limit of those that are not known to have authorised it. Lower, since any user of the platform could send the first
/// message of an account.
pub const PENDING_MAX: usize = 10_000;

type ByName<T> = HashMap<String, T, foldhash::fast::RandomState>;

/// All platforms, by appid.
#[derive(Debug, Default)]
pub struct ReceivedPlatforms(pub ByName<ReceivedPlatform>);

/// One platform.
#[derive(Debug, Default)]
pub struct ReceivedPlatform {
    pub accounts: ByName<PlatformAccount>,
    /// The account that each `ToUserName` belongs to.
    bound: ByName<String>,
    pending: usize,
    /// The highest version of its accounts.
    pub versions: u64,
    /// When accounts were removed. Includes those that were brought back.
    pub tombstones: ByName<Tombstone>,
    pub ticket: Option<Ticket>,
    /// The ticket is not durable yet.
    pub is_ticket_new: bool,
}

/// When an account was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Unix seconds. Not before the last event of the account, by WeChat's clock.
    pub at_s: i64,
    pub is_durable: bool,
}

/// One account of a platform.
#[derive(Debug)]
pub struct PlatformAccount {
    pub state: AuthorizationState,
    pub account: Arc<ServedAccount>,
    /// Grows with each change. `durable` is the newest version on disk; 0 if none is.
    pub version: u64,
    pub durable: u64,
    /// The first version. Results of earlier versions belong to an account that was removed since.
    pub born: u64,
    /// Changes that wait for the disk.
    pub in_flight: u32,
}

/// Decision about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageVerdict {
    /// It counts, and nothing else changes.
    Unchanged,
    /// It counts, and this state becomes durable with it.
    WithState(AuthorizationState),
    /// Its `ToUserName` is not this account's.
    WrongToUser,
    /// Its `ToUserName` is another account's.
    OfAnother,
    /// The account's messages do not come through this platform.
    NotOfPlatform,
    /// It would create an account, and the limit is reached.
    TooMany,
}

impl ReceivedPlatforms {
    /// Whether any platform brings messages of this account.
    pub fn is_active(&self, appid: &str) -> bool {
        let mut accounts = self.0.values().filter_map(|platform| platform.accounts.get(appid));
        accounts.any(|member| member.state.is_active())
    }

    /// Whether any other platform brings messages of this account.
    pub fn is_active_elsewhere(&self, component: &str, appid: &str) -> bool {
        let others = self.0.iter().filter(|(other, _)| *other != component);
        let mut accounts = others.filter_map(|(_, platform)| platform.accounts.get(appid));
        accounts.any(|member| member.state.is_active())
    }
}

impl ReceivedPlatform {
    /// Decides about a message with this `ToUserName`. `original_id` is the one that an operator configured.
    pub fn judge(&self, appid: &str, to_user: &str, original_id: Option<&str>) -> MessageVerdict {
        let is_of_another = self.bound.get(to_user).is_some_and(|owner| owner != appid);
        match original_id {
            Some(original_id) if original_id == to_user => {}
            _ if is_of_another => return MessageVerdict::OfAnother,
            Some(_) => return MessageVerdict::WrongToUser,
            None => {}
        }
        match self.accounts.get(appid) {
            None if self.is_full() => MessageVerdict::TooMany,
            None => MessageVerdict::WithState(AuthorizationState::pending().bound_to(to_user)),
            Some(member) => match &member.state.original_id {
                Some(bound) if bound == to_user && member.is_durable() => MessageVerdict::Unchanged,
                Some(bound) if bound != to_user && original_id.is_none() => MessageVerdict::WrongToUser,
                _ => MessageVerdict::WithState(member.state.bound_to(to_user)),
            },
        }
    }

    fn is_full(&self) -> bool {
        self.has_no_room() || self.pending >= PENDING_MAX
    }

    /// True if no further account fits, not even one that authorised the platform.
    pub fn has_no_room(&self) -> bool {
        self.accounts.len() >= ACCOUNTS_MAX
    }

    /// Sets an account's state. Returns its version.
    pub fn put(&mut self, appid: &str, account: &Arc<ServedAccount>, state: AuthorizationState) -> u64 {
        let former = self.accounts.get(appid).map(|member| member.state.clone());
        self.count(former.as_ref(), Some(&state));
        if let Some(former) = former.and_then(|former| former.original_id)
            && state.original_id.as_ref() != Some(&former)
        {
            self.unbind(&former, appid);
        }
        if let Some(original_id) = &state.original_id {
            self.bound.insert(original_id.clone(), appid.to_owned());
        }
        self.versions += 1;
        let member = self.accounts.entry_ref(appid).or_insert_with(|| PlatformAccount {
            state: state.clone(),
            account: account.clone(),
            version: self.versions,
            durable: 0,
            born: self.versions,
            in_flight: 0,
        });
        (member.state, member.version) = (state, self.versions);
        member.version
    }

    /// Removes an account.
    pub fn remove(&mut self, appid: &str) -> Option<PlatformAccount> {
        let member = self.accounts.remove(appid)?;
        self.count(Some(&member.state), None);
        if let Some(original_id) = &member.state.original_id {
            self.unbind(original_id, appid);
        }
        Some(member)
    }

    fn unbind(&mut self, original_id: &str, appid: &str) {
        if self.bound.get(original_id).is_some_and(|owner| owner == appid) {
            self.bound.remove(original_id);
        }
    }

    fn count(&mut self, former: Option<&AuthorizationState>, now: Option<&AuthorizationState>) {
        let is_pending =
            |state: Option<&AuthorizationState>| state.is_some_and(|one| one.status == Status::Pending);
        self.pending -= usize::from(is_pending(former));
        self.pending += usize::from(is_pending(now));
    }
}

impl PlatformAccount {
    /// True if its newest version is on disk.
    pub fn is_durable(&self) -> bool {
        self.durable == self.version
    }
}
