//! Which accounts each platform brings, in memory: pure decisions, no disk.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    standing::{Standing, Status},
    ticket::Ticket,
};
use crate::accounts::registry::Account;

/// Accounts that one platform brings, at most; and of these, those that it was not told of yet. Anyone whom a platform
/// serves could be the first message of an account, so these are fewer.
pub const ACCOUNTS_MAX: usize = 100_000;
pub const PENDING_MAX: usize = 10_000;

type ByName<T> = HashMap<String, T, foldhash::fast::RandomState>;

/// All platforms, by appid.
#[derive(Debug, Default)]
pub struct ReceivedPlatforms(pub ByName<ReceivedPlatform>);

/// One platform.
#[derive(Debug, Default)]
pub struct ReceivedPlatform {
    pub seats: ByName<PlatformAccount>,
    /// Whose each `ToUserName` is.
    bound: ByName<String>,
    pending: usize,
    /// The newest of all its accounts.
    pub versions: u64,
    /// When accounts were removed, also those that were brought again.
    pub removals: ByName<Removal>,
    pub ticket: Option<Ticket>,
    /// The ticket is not durable yet.
    pub is_ticket_new: bool,
}

/// When an account was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Unix seconds; not before what the platform was told last, by WeChat's clock.
    pub at_s: i64,
    pub is_durable: bool,
}

/// One account of a platform.
#[derive(Debug)]
pub struct PlatformAccount {
    pub standing: Standing,
    pub account: Arc<Account>,
    /// Grows with each change; `durable` follows once it is on the disk, and is 0 before anything was.
    pub version: u64,
    pub durable: u64,
    /// The first version: what is settled of an earlier one was of an account that is removed since.
    pub born: u64,
    /// Changes on their way to the disk.
    pub in_flight: u32,
}

/// What is to happen with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts, and nothing else changes.
    Known,
    /// This becomes durable with it.
    With(Standing),
    /// Its `ToUserName` is another's than this account's.
    WrongToUser,
    /// And known to be another account's.
    OfAnother,
    /// The account's messages do not come through this platform.
    NotOfPlatform,
    /// There are too many accounts.
    TooMany,
}

impl ReceivedPlatforms {
    /// Whether any platform brings messages of this account.
    pub fn is_active(&self, appid: &str) -> bool {
        let mut seats = self.0.values().filter_map(|platform| platform.seats.get(appid));
        seats.any(|seat| seat.standing.is_active())
    }

    /// The same, but for one platform.
    pub fn is_active_beside(&self, component: &str, appid: &str) -> bool {
        let others = self.0.iter().filter(|(other, _)| *other != component);
        let mut seats = others.filter_map(|(_, platform)| platform.seats.get(appid));
        seats.any(|seat| seat.standing.is_active())
    }
}

impl ReceivedPlatform {
    /// What is to happen with a message to this `ToUserName`; `original_id` is what an operator says it must be.
    pub fn judge(&self, appid: &str, to_user: &str, original_id: Option<&str>) -> Verdict {
        let is_of_another = self.bound.get(to_user).is_some_and(|owner| owner != appid);
        match original_id {
            Some(original_id) if original_id == to_user => {}
            _ if is_of_another => return Verdict::OfAnother,
            Some(_) => return Verdict::WrongToUser,
            None => {}
        }
        match self.seats.get(appid) {
            None if self.is_full() => Verdict::TooMany,
            None => Verdict::With(Standing::pending().bound_to(to_user)),
            Some(seat) => match &seat.standing.original_id {
                Some(bound) if bound == to_user && seat.is_durable() => Verdict::Known,
                Some(bound) if bound != to_user && original_id.is_none() => Verdict::WrongToUser,
                _ => Verdict::With(seat.standing.bound_to(to_user)),
            },
        }
    }

    fn is_full(&self) -> bool {
        self.has_no_room() || self.pending >= PENDING_MAX
    }

    /// True if no further account can be brought, not even one that authorised the platform.
    pub fn has_no_room(&self) -> bool {
        self.seats.len() >= ACCOUNTS_MAX
    }

    /// Puts a standing in place; returns its version.
    pub fn put(&mut self, appid: &str, account: &Arc<Account>, standing: Standing) -> u64 {
        let former = self.seats.get(appid).map(|seat| seat.standing.clone());
        self.count(former.as_ref(), Some(&standing));
        if let Some(former) = former.and_then(|former| former.original_id)
            && standing.original_id.as_ref() != Some(&former)
        {
            self.unbind(&former, appid);
        }
        if let Some(original_id) = &standing.original_id {
            self.bound.insert(original_id.clone(), appid.to_owned());
        }
        self.versions += 1;
        let seat = self.seats.entry_ref(appid).or_insert_with(|| PlatformAccount {
            standing: standing.clone(),
            account: account.clone(),
            version: self.versions,
            durable: 0,
            born: self.versions,
            in_flight: 0,
        });
        (seat.standing, seat.version) = (standing, self.versions);
        seat.version
    }

    /// Takes an account out.
    pub fn remove(&mut self, appid: &str) -> Option<PlatformAccount> {
        let seat = self.seats.remove(appid)?;
        self.count(Some(&seat.standing), None);
        if let Some(original_id) = &seat.standing.original_id {
            self.unbind(original_id, appid);
        }
        Some(seat)
    }

    fn unbind(&mut self, original_id: &str, appid: &str) {
        if self.bound.get(original_id).is_some_and(|owner| owner == appid) {
            self.bound.remove(original_id);
        }
    }

    fn count(&mut self, former: Option<&Standing>, now: Option<&Standing>) {
        let is_pending =
            |standing: Option<&Standing>| standing.is_some_and(|one| one.status == Status::Pending);
        self.pending -= usize::from(is_pending(former));
        self.pending += usize::from(is_pending(now));
    }
}

impl PlatformAccount {
    /// True if the disk knows all of it.
    pub fn is_durable(&self) -> bool {
        self.durable == self.version
    }
}
