//! Limits on concurrent callbacks: those that wait for the disk, and those being passed on to a bot.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Recipient;
use crate::accounts::platform_issuer::Platform;

/// Callbacks without a relay that wait for the disk. Source: the contract.
const WAITING_MAX: usize = 4096;
/// Callbacks being passed on, of all accounts together.
const RELAYS_MAX: usize = 8192;
/// Callbacks of one account being passed on. A bot that hangs leaves room for the others.
const RELAYS_OF_ACCOUNT_MAX: usize = 1024;
/// Callbacks of one third-party platform being passed on. One server answers for all its accounts.
const RELAYS_OF_PLATFORM_MAX: usize = 4096;

/// Counts the callbacks in progress.
#[derive(Debug, Default)]
pub struct Limits {
    waiting: AtomicUsize,
    relays: AtomicUsize,
}

/// One of a limited number of slots. Dropping it frees the slot.
#[derive(Debug)]
pub struct Slot<'a>(&'a AtomicUsize);

/// A slot for a callback that is being passed on.
#[derive(Debug)]
pub struct RelaySlot<'a> {
    _of_bot: Slot<'a>,
    _of_all: Slot<'a>,
}

impl Limits {
    /// How many callbacks wait for the disk.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many callbacks are being passed on.
    pub fn relays(&self) -> usize {
        self.relays.load(Ordering::Relaxed)
    }

    /// Takes a slot to wait for the disk. None if all are in use.
    pub fn waiting_slot(&self) -> Option<Slot<'_>> {
        Slot::take(&self.waiting, WAITING_MAX)
    }

    /// Takes a slot to pass a callback on. None if all are in use.
    pub fn relay_slot<'a>(&'a self, recipient: &'a Recipient) -> Option<RelaySlot<'a>> {
        match recipient {
            Recipient::Own(account) => self.slots(&account.relays_waiting, RELAYS_OF_ACCOUNT_MAX),
            Recipient::ThroughPlatform { platform, .. } => self.platform_relay_slot(platform),
        }
    }

    /// Takes a slot to pass on a platform's own event. None if all are in use.
    pub fn platform_relay_slot<'a>(&'a self, platform: &'a Platform) -> Option<RelaySlot<'a>> {
        self.slots(&platform.relays_waiting, RELAYS_OF_PLATFORM_MAX)
    }

    fn slots<'a>(&'a self, of_bot: &'a AtomicUsize, max: usize) -> Option<RelaySlot<'a>> {
        let (of_bot, of_all) = (Slot::take(of_bot, max)?, Slot::take(&self.relays, RELAYS_MAX)?);
        Some(RelaySlot { _of_bot: of_bot, _of_all: of_all })
    }
}

impl Slot<'_> {
    fn take(taken: &AtomicUsize, max: usize) -> Option<Slot<'_>> {
        let before = taken.fetch_add(1, Ordering::Relaxed);
        // Over the limit: dropping the slot at once takes the count back.
        Some(Slot(taken)).filter(|_| before < max)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
