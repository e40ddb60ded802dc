//! How many callbacks may be in hand at once: waiting for the disk, or being passed on to a bot.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Recipient;
use crate::accounts::platform_issuer::Platform;

/// Callbacks without a relay that wait for the disk. Source: the contract.
const WAITING_MAX: usize = 4096;
/// Callbacks that are being passed on, of all accounts together.
const RELAYS_MAX: usize = 8192;
/// The same of one account, so that a bot that hangs leaves room for the others.
const RELAYS_OF_ACCOUNT_MAX: usize = 1024;
/// The same of all accounts of one third-party platform, which one server answers.
const RELAYS_OF_PLATFORM_MAX: usize = 4096;

/// Counts the callbacks in hand.
#[derive(Debug, Default)]
pub struct Limits {
    waiting: AtomicUsize,
    relays: AtomicUsize,
}

/// One of a limited number of slots; given back when dropped.
#[derive(Debug)]
pub struct Slot<'a>(&'a AtomicUsize);

/// A slot among the callbacks that are being passed on.
#[derive(Debug)]
pub struct RelaySlot<'a> {
    _of_bot: Slot<'a>,
    _of_all: Slot<'a>,
}

impl Limits {
    /// Callbacks that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Callbacks that are being passed on.
    pub fn relays(&self) -> usize {
        self.relays.load(Ordering::Relaxed)
    }

    /// A slot to wait for the disk. None if all are taken.
    pub fn wait(&self) -> Option<Slot<'_>> {
        Slot::take(&self.waiting, WAITING_MAX)
    }

    /// A slot to pass a callback on. None if all are taken.
    pub fn relay<'a>(&'a self, recipient: &'a Recipient) -> Option<RelaySlot<'a>> {
        match recipient {
            Recipient::Own(account) => self.relay_slot(&account.relays_waiting, RELAYS_OF_ACCOUNT_MAX),
            Recipient::ThroughPlatform { platform, .. } => self.relay_of_platform(platform),
        }
    }

    /// A slot to pass on what WeChat sends to a platform. None if all are taken.
    pub fn relay_of_platform<'a>(&'a self, platform: &'a Platform) -> Option<RelaySlot<'a>> {
        self.relay_slot(&platform.relays_waiting, RELAYS_OF_PLATFORM_MAX)
    }

    fn relay_slot<'a>(&'a self, of_bot: &'a AtomicUsize, max: usize) -> Option<RelaySlot<'a>> {
        let (of_bot, of_all) = (Slot::take(of_bot, max)?, Slot::take(&self.relays, RELAYS_MAX)?);
        Some(RelaySlot { _of_bot: of_bot, _of_all: of_all })
    }
}

impl Slot<'_> {
    fn take(taken: &AtomicUsize, max: usize) -> Option<Slot<'_>> {
        let before = taken.fetch_add(1, Ordering::Relaxed);
        // Too many: it is dropped at once, which takes the count back.
        Some(Slot(taken)).filter(|_| before < max)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
