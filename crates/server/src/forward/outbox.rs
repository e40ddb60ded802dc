//! Copies of callbacks for listeners, and events for third-party platforms, made here or received from WeChat. They
//! wait in a bounded queue on disk and are sent in the background until they are accepted. They hold users'
//! messages or codes, so they are sealed, and deleted once delivered or a day old.

mod delivery;
mod entry;
mod queue;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use msgcube_client::http::{Address, HttpClient};
use storage::metrics::Metrics;
use system::{clock::Clock, data_key::DataKey, sync::lock};
use tokio::{
    sync::{Notify, Semaphore},
    task::AbortHandle,
    time::Instant,
};

use crate::{
    accounts::{
        platform_issuer::{Platform, Platforms},
        registry::{Accounts, ServedAccount},
    },
    config::RelayConfig,
    forward::raw_callback::RawCallback,
};
use entry::OutboxEntry;
use queue::{AppendResult, Queue, TargetId};

/// Longest time to connect to a listener.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// Limit of callbacks whose copies are being stored at the same time. Further ones get no copies.
const SLOTS: usize = 4096;
/// How long a callback waits for its copies to be durable.
const DURABLE_TIME_MAX: Duration = Duration::from_secs(1);
/// Time before another attempt to open the file after a failure.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Undelivered copies are dropped at this age, in seconds.
const AGE_S_MAX: i64 = 24 * 3600;

/// Where the callback to copy came from.
#[derive(Clone, Copy, Debug)]
pub enum CallbackSource<'a> {
    /// An account's own path.
    Account(&'a ServedAccount),
    /// A platform, for the account with this appid.
    Platform(&'a Platform, &'a str),
}

/// Events that wait for a platform.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitingEvents {
    /// Number of events that wait.
    pub number: usize,
    /// When the oldest was queued, Unix seconds.
    pub oldest_s: Option<i64>,
}

/// Where copies are sent to.
#[derive(Clone, Debug)]
struct Destination {
    address: Address,
    /// Sent one after another, not at the same time.
    is_in_order: bool,
}

/// The queue and the tasks that deliver from it.
#[derive(Debug)]
pub struct Outbox {
    shared: Arc<OutboxState>,
    is_started: AtomicBool,
    manager: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct OutboxState {
    path: PathBuf,
    opened: Mutex<OpenState>,
    /// Notified when an attempt to open the file has ended, successful or not.
    open_ended: Notify,
    /// Copies cannot be stored, and this was logged.
    is_failing: AtomicBool,
    /// Slots for callbacks whose copies are being stored.
    slots: Arc<Semaphore>,
    key: DataKey,
    clock: Clock,
    metrics: Arc<Metrics>,
    accounts: Arc<Accounts>,
    platforms: Arc<Platforms>,
    client: HttpClient,
    wake: Notify,
}

/// The file is created with the first copy, so that a server without listeners has none. Opening reads the whole
/// file, so it runs on its own thread.
#[derive(Debug)]
enum OpenState {
    /// Not open. After a failure it is not tried again before `retry`.
    No {
        retry: Option<Instant>,
    },
    Opening,
    Yes(Arc<Queue>),
}

impl Outbox {
    /// An outbox in this folder.
    pub fn new(
        folder: &Path,
        key: DataKey,
        clock: Clock,
        metrics: Arc<Metrics>,
        accounts: Arc<Accounts>,
        platforms: Arc<Platforms>,
    ) -> Outbox {
        let shared = Arc::new(OutboxState {
            path: folder.join("copies.redb"),
            opened: Mutex::new(OpenState::No { retry: None }),
            open_ended: Notify::new(),
            is_failing: AtomicBool::new(false),
            slots: Arc::new(Semaphore::new(SLOTS)),
            key,
            clock,
            metrics,
            accounts,
            platforms,
            client: HttpClient::new(CONNECT_TIME_MAX),
            wake: Notify::new(),
        });
        Outbox { shared, is_started: AtomicBool::new(false), manager: Mutex::default() }
    }

    /// Starts to deliver entries left from before the start, if there are any.
    pub fn start(&self) {
        if self.shared.path.exists() {
            self.deliver();
        }
    }

    /// Stores a copy for each listener. Waits up to [`DURABLE_TIME_MAX`] for the disk; then the work continues in
    /// the background.
    pub async fn store_copies(
        &self,
        source: CallbackSource<'_>,
        relay: &RelayConfig,
        callback: &RawCallback,
    ) {
        if relay.listeners.is_empty() {
            return;
        }
        let targets: Vec<TargetId> = self.shared.targets_of(source).map(|(target, _)| target).collect();
        let account = match source {
            CallbackSource::Account(_) => None,
            CallbackSource::Platform(_, appid) => Some(appid.to_owned()),
        };
        self.store_for(targets, account, callback).await;
    }

    /// Stores an event from WeChat for the server behind a platform. False if it is not durable.
    pub async fn store_passed_on(&self, platform: &Platform, callback: &RawCallback) -> bool {
        let Some((target, _)) = self.shared.target_of_events(platform) else { return false };
        self.store_for(vec![target], None, callback).await
    }

    /// True if there was room for all copies and they are durable by now.
    async fn store_for(
        &self,
        targets: Vec<TargetId>,
        account: Option<String>,
        callback: &RawCallback,
    ) -> bool {
        self.deliver();
        let copies = targets.len() as u64;
        let Ok(slot) = self.shared.slots.clone().try_acquire_owned() else {
            self.shared.metrics.copied("full", copies);
            return false;
        };
        let (shared, callback) = (self.shared.clone(), callback.clone());
        let stored = tokio::spawn(async move {
            let entry = OutboxEntry { queued_s: shared.clock.now_s(), account, is_event: false, callback };
            let results = shared.store_copies(&targets, &entry).await;
            results.iter().for_each(|result| shared.metrics.copied(result, 1));
            shared.wake.notify_one();
            drop(slot);
            results.iter().all(|result| *result == "kept")
        });
        matches!(tokio::time::timeout(DURABLE_TIME_MAX, stored).await, Ok(Ok(true)))
    }

    /// Stores an event for a third-party platform. Waits for the disk. Returns the result as the metrics name
    /// it.
    pub async fn store_event(
        &self,
        component: &str,
        target: &Address,
        callback: RawCallback,
    ) -> &'static str {
        self.deliver();
        let targets = vec![self.shared.target("platform", component, target)];
        let queued_s = self.shared.clock.now_s();
        let entry = OutboxEntry { queued_s, account: None, is_event: true, callback };
        let stored = self.shared.store_copies(&targets, &entry).await;
        self.shared.wake.notify_one();
        stored.first().copied().unwrap_or("not_durable")
    }

    /// The events that wait for a platform's `push_url`. None if the file cannot be read.
    pub async fn waiting_events(&self, platform: &Platform) -> Option<WaitingEvents> {
        let Some((target, _)) = self.shared.target_of_events(platform).filter(|_| self.shared.path.exists())
        else {
            return Some(WaitingEvents::default());
        };
        let (shared, queue) = (self.shared.clone(), self.shared.queue().await?);
        let read = tokio::task::spawn_blocking(move || {
            let oldest = queue.oldest(&target, None, 1).ok()?;
            let oldest = oldest.first().and_then(|(_, sealed)| shared.unseal(sealed));
            Some(WaitingEvents {
                number: queue.number(&target).ok()?,
                oldest_s: oldest.map(|entry| entry.queued_s),
            })
        });
        read.await.ok()?
    }

    /// Bytes of all copies that wait.
    pub fn waiting_bytes(&self) -> u64 {
        match &*lock(&self.shared.opened) {
            OpenState::Yes(queue) => queue.bytes(),
            _ => 0,
        }
    }

    fn deliver(&self) {
        if !self.is_started.swap(true, Ordering::AcqRel) {
            let manager = tokio::spawn(delivery::manage(self.shared.clone()));
            *lock(&self.manager) = Some(manager.abort_handle());
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(manager) = lock(&self.manager).take() {
            manager.abort();
        }
    }
}

impl OutboxState {
    /// The open queue. None if it could not be opened; a later call tries again.
    async fn queue(self: &Arc<Self>) -> Option<Arc<Queue>> {
        loop {
            // Registered before the check, so that no notification is missed.
            let mut open_ended = std::pin::pin!(self.open_ended.notified());
            open_ended.as_mut().enable();
            match self.queue_now() {
                Ok(queue) => return queue,
                Err(IsOpening) => open_ended.await,
            }
        }
    }

    fn queue_now(self: &Arc<Self>) -> Result<Option<Arc<Queue>>, IsOpening> {
        let mut opened = lock(&self.opened);
        match &*opened {
            OpenState::Yes(queue) if !queue.is_broken() => return Ok(Some(queue.clone())),
            OpenState::No { retry: Some(retry) } if Instant::now() < *retry => return Ok(None),
            OpenState::Opening => return Err(IsOpening),
            // Dropping the former queue closes its file.
            OpenState::Yes(_) | OpenState::No { .. } => *opened = OpenState::Opening,
        }
        drop(opened);
        let shared = self.clone();
        tokio::task::spawn_blocking(move || shared.open());
        Err(IsOpening)
    }

    fn open(&self) {
        let opened = match Queue::open(&self.path) {
            Ok(queue) => OpenState::Yes(Arc::new(queue)),
            Err(error) => {
                self.log_failure(&error);
                OpenState::No { retry: Some(Instant::now() + REOPEN_AFTER) }
            }
        };
        *lock(&self.opened) = opened;
        self.open_ended.notify_waiters();
    }

    /// Logs a failure once until a copy is stored again: there may be thousands a second.
    fn log_failure(&self, error: &str) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.path.display(), error, "copies for listeners cannot be stored");
        }
    }

    /// Stores an entry for each target, with one sync. Returns a result for each, as the metrics name it.
    async fn store_copies(self: &Arc<Self>, targets: &[TargetId], entry: &OutboxEntry) -> Vec<&'static str> {
        let (Some(queue), Ok(sealed)) = (self.queue().await, self.key.seal("copy", &entry.bytes())) else {
            return vec!["not_durable"; targets.len()];
        };
        match queue.append(targets, &sealed).await {
            Ok(results) => {
                self.is_failing.store(false, Ordering::Relaxed);
                let of = |result| if result == AppendResult::Stored { "kept" } else { "full" };
                results.into_iter().map(of).collect()
            }
            Err(error) => {
                self.log_failure(&error);
                vec!["not_durable"; targets.len()]
            }
        }
    }

    /// Opens a sealed entry. None if the data key was changed.
    fn unseal(&self, sealed: &[u8]) -> Option<OutboxEntry> {
        OutboxEntry::read(&self.key.open("copy", sealed).ok()?)
    }

    /// Identifies a target without revealing its address.
    fn target(&self, kind: &str, appid: &str, address: &Address) -> TargetId {
        let code = self.key.mac(&[kind, appid, &address.uri_text()]);
        let mut target = TargetId::default();
        target.copy_from_slice(&code[..16]);
        target
    }

    /// The listeners for a callback. A platform's listeners serve all its accounts; `$APPID$` in their
    /// addresses is still to be replaced.
    fn targets_of<'a>(
        &'a self,
        source: CallbackSource<'a>,
    ) -> impl Iterator<Item = (TargetId, Destination)> + 'a {
        let (kind, appid, relay) = match source {
            CallbackSource::Account(account) => ("listener", &account.config.appid, &account.config.relay),
            CallbackSource::Platform(platform, _) => {
                ("listener of a platform", &platform.config.appid, &platform.config.relay)
            }
        };
        let listeners = relay.as_ref().map_or(&[][..], |relay| &relay.listeners);
        listeners.iter().map(move |address| {
            let destination = Destination { address: address.clone(), is_in_order: false };
            (self.target(kind, appid, address), destination)
        })
    }

    fn target_of_events(&self, platform: &Platform) -> Option<(TargetId, Destination)> {
        let address = platform.config.push_url.as_ref()?;
        let target = self.target("platform", &platform.config.appid, address);
        Some((target, Destination { address: address.clone(), is_in_order: true }))
    }

    /// All configured targets.
    fn targets(&self) -> Vec<(TargetId, Destination)> {
        let with_listeners = self
            .accounts
            .select(|account| account.config.relay.as_ref().is_some_and(|relay| !relay.listeners.is_empty()));
        let mut targets: Vec<(TargetId, Destination)> = Vec::new();
        for account in &with_listeners {
            targets.extend(self.targets_of(CallbackSource::Account(account)));
        }
        for platform in self.platforms.all() {
            targets.extend(self.targets_of(CallbackSource::Platform(&platform, "")));
            targets.extend(self.target_of_events(&platform));
        }
        targets
    }
}

/// The file is being opened.
struct IsOpening;
