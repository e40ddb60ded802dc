//! Copies of callbacks for targets that only listen, and events for third-party platforms, our own or WeChat's: kept in a
//! queue on disk, bounded, and sent in the background until they are taken. They hold what users wrote, or codes, so they
//! are sealed, and gone once delivered or a day old.

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

use axum::body::Body;
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
        registry::{Account, Accounts},
    },
    config::RelayConfig,
    forward::raw_callback::RawCallback,
};
use entry::Entry;
use queue::{Queue, Room, TargetId};

/// A connection to a listener that takes longer has failed.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// Callbacks whose copies are being kept at the same time; of further ones no copies are kept.
const PLACES: usize = 4096;
/// How long a callback waits for its copies to be durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);
/// After the file could not be opened it is tried again this much later.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Undelivered copies are dropped after this time.
const AGE_S_MAX: i64 = 24 * 3600;

/// Whose callback is copied.
#[derive(Clone, Copy, Debug)]
pub enum Listening<'a> {
    /// An account's own.
    Account(&'a Account),
    /// One that came through a platform, for an account.
    Platform(&'a Platform, &'a str),
}

/// What waits for a platform.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitingEvents {
    pub number: usize,
    /// Since when the oldest does, Unix seconds.
    pub oldest_s: Option<i64>,
}

/// Where copies go.
#[derive(Clone, Debug)]
struct Destination {
    address: Address,
    /// One after the other.
    is_in_order: bool,
}

/// The queue and those who deliver from it.
#[derive(Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
    is_started: AtomicBool,
    manager: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    opened: Mutex<Opened>,
    /// Told when opening has come to an end, well or not.
    settled: Notify,
    /// Copies cannot be kept, and the log says so already.
    is_faulty: AtomicBool,
    /// Callbacks whose copies are being kept.
    places: Arc<Semaphore>,
    key: DataKey,
    clock: Clock,
    metrics: Arc<Metrics>,
    accounts: Arc<Accounts>,
    components: Arc<Platforms>,
    client: HttpClient<Body>,
    news: Notify,
}

/// The queue is made with the first copy, so that nobody has a file who has no listeners. Opening reads all of it, so it
/// happens on a thread of its own.
#[derive(Debug)]
enum Opened {
    /// Not opened yet, or that failed; not before then again.
    No {
        retry: Option<Instant>,
    },
    Opening,
    Yes(Arc<Queue>),
}

impl Outbox {
    /// A queue in this folder.
    pub fn new(
        folder: &Path,
        key: DataKey,
        clock: Clock,
        metrics: Arc<Metrics>,
        accounts: Arc<Accounts>,
        components: Arc<Platforms>,
    ) -> Outbox {
        let shared = Arc::new(Shared {
            path: folder.join("copies.redb"),
            opened: Mutex::new(Opened::No { retry: None }),
            settled: Notify::new(),
            is_faulty: AtomicBool::new(false),
            places: Arc::new(Semaphore::new(PLACES)),
            key,
            clock,
            metrics,
            accounts,
            components,
            client: HttpClient::new(CONNECT_TIME_MAX),
            news: Notify::new(),
        });
        Outbox { shared, is_started: AtomicBool::new(false), manager: Mutex::default() }
    }

    /// Begins to deliver what was left over, if anything was.
    pub fn start(&self) {
        if self.shared.path.exists() {
            self.deliver();
        }
    }

    /// Keeps a copy for each listener. Waits a moment for the disk; longer than that it goes on beside the callback.
    pub async fn keep(&self, listening: Listening<'_>, relay: &RelayConfig, callback: &RawCallback) {
        if relay.listeners.is_empty() {
            return;
        }
        let targets: Vec<TargetId> = self.shared.targets_of(listening).map(|(target, _)| target).collect();
        let account = match listening {
            Listening::Account(_) => None,
            Listening::Platform(_, appid) => Some(appid.to_owned()),
        };
        self.keep_for(targets, account, callback).await;
    }

    /// Keeps an event of WeChat's for the server behind a platform, whose answer is its own business. False if it is not
    /// durable.
    pub async fn keep_passed_on(&self, component: &Platform, callback: &RawCallback) -> bool {
        let Some((target, _)) = self.shared.target_of_events(component) else { return false };
        self.keep_for(vec![target], None, callback).await
    }

    /// True if there was room for all, and they are durable by now.
    async fn keep_for(
        &self,
        targets: Vec<TargetId>,
        account: Option<String>,
        callback: &RawCallback,
    ) -> bool {
        self.deliver();
        let copies = targets.len() as u64;
        let Ok(place) = self.shared.places.clone().try_acquire_owned() else {
            self.shared.metrics.copied("full", copies);
            return false;
        };
        let (shared, callback) = (self.shared.clone(), callback.clone());
        let kept = tokio::spawn(async move {
            let entry = Entry { queued_s: shared.clock.now_s(), account, is_event: false, callback };
            let results = shared.keep(&targets, &entry).await;
            results.iter().for_each(|result| shared.metrics.copied(result, 1));
            shared.news.notify_one();
            drop(place);
            results.iter().all(|result| *result == "kept")
        });
        matches!(tokio::time::timeout(DURABLE_WITHIN, kept).await, Ok(Ok(true)))
    }

    /// Keeps an event for a third-party platform; what became of it. Waits for the disk.
    pub async fn keep_event(&self, component: &str, target: &Address, callback: RawCallback) -> &'static str {
        self.deliver();
        let targets = vec![self.shared.target("platform", component, target)];
        let queued_s = self.shared.clock.now_s();
        let entry = Entry { queued_s, account: None, is_event: true, callback };
        let kept = self.shared.keep(&targets, &entry).await;
        self.shared.news.notify_one();
        kept.first().copied().unwrap_or("not_durable")
    }

    /// What waits for a platform's `push_url`. None if it cannot be known.
    pub async fn waiting_events(&self, component: &Platform) -> Option<WaitingEvents> {
        let Some((target, _)) = self.shared.target_of_events(component).filter(|_| self.shared.path.exists())
        else {
            return Some(WaitingEvents::default());
        };
        let (shared, queue) = (self.shared.clone(), self.shared.queue().await?);
        let read = tokio::task::spawn_blocking(move || {
            let oldest = queue.oldest(&target, None, 1).ok()?;
            let oldest = oldest.first().and_then(|(_, sealed)| shared.opened(sealed));
            Some(WaitingEvents {
                number: queue.number(&target).ok()?,
                oldest_s: oldest.map(|entry| entry.queued_s),
            })
        });
        read.await.ok()?
    }

    /// Bytes of copies that wait.
    pub fn waiting_bytes(&self) -> u64 {
        match &*lock(&self.shared.opened) {
            Opened::Yes(queue) => queue.bytes(),
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

impl Shared {
    /// The queue, opened or made. None if that failed; it is tried again a little later.
    async fn queue(self: &Arc<Self>) -> Option<Arc<Queue>> {
        loop {
            // Registered before looking, so that nothing is missed in between.
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            match self.queue_now() {
                Ok(queue) => return queue,
                Err(IsOpening) => settled.await,
            }
        }
    }

    fn queue_now(self: &Arc<Self>) -> Result<Option<Arc<Queue>>, IsOpening> {
        let mut opened = lock(&self.opened);
        match &*opened {
            Opened::Yes(queue) if !queue.is_broken() => return Ok(Some(queue.clone())),
            Opened::No { retry: Some(retry) } if Instant::now() < *retry => return Ok(None),
            Opened::Opening => return Err(IsOpening),
            // The former one lets go of the file.
            Opened::Yes(_) | Opened::No { .. } => *opened = Opened::Opening,
        }
        drop(opened);
        let shared = self.clone();
        tokio::task::spawn_blocking(move || shared.open());
        Err(IsOpening)
    }

    fn open(&self) {
        let opened = match Queue::open(&self.path) {
            Ok(queue) => Opened::Yes(Arc::new(queue)),
            Err(error) => {
                self.complain(&error);
                Opened::No { retry: Some(Instant::now() + REOPEN_AFTER) }
            }
        };
        *lock(&self.opened) = opened;
        self.settled.notify_waiters();
    }

    /// Once, until it is mended: there may be thousands a second.
    fn complain(&self, error: &str) {
        if !self.is_faulty.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.path.display(), error, "copies for listeners cannot be kept");
        }
    }

    /// Keeps an entry for each target, with one sync; what became of each.
    async fn keep(self: &Arc<Self>, targets: &[TargetId], entry: &Entry) -> Vec<&'static str> {
        let (Some(queue), Ok(sealed)) = (self.queue().await, self.key.seal("copy", &entry.bytes())) else {
            return vec!["not_durable"; targets.len()];
        };
        match queue.append(targets, &sealed).await {
            Ok(rooms) => {
                self.is_faulty.store(false, Ordering::Relaxed);
                let of = |room| if room == Room::Kept { "kept" } else { "full" };
                rooms.into_iter().map(of).collect()
            }
            Err(error) => {
                self.complain(&error);
                vec!["not_durable"; targets.len()]
            }
        }
    }

    /// An entry of the queue. None if the data key was changed.
    fn opened(&self, sealed: &[u8]) -> Option<Entry> {
        Entry::read(&self.key.open("copy", sealed).ok()?)
    }

    /// Which target an entry is for. Shows nothing of its address.
    fn target(&self, kind: &str, appid: &str, address: &Address) -> TargetId {
        let code = self.key.mac(&[kind, appid, &address.uri_text()]);
        let mut target = TargetId::default();
        target.copy_from_slice(&code[..16]);
        target
    }

    /// Those who listen. All accounts of a platform share them, so their addresses still want an account.
    fn targets_of<'a>(&'a self, of: Listening<'a>) -> impl Iterator<Item = (TargetId, Destination)> + 'a {
        let (kind, appid, relay) = match of {
            Listening::Account(account) => ("listener", &account.config.appid, &account.config.relay),
            Listening::Platform(component, _) => {
                ("listener of a platform", &component.config.appid, &component.config.relay)
            }
        };
        let listeners = relay.as_ref().map_or(&[][..], |relay| &relay.listeners);
        listeners.iter().map(move |address| {
            let destination = Destination { address: address.clone(), is_in_order: false };
            (self.target(kind, appid, address), destination)
        })
    }

    fn target_of_events(&self, component: &Platform) -> Option<(TargetId, Destination)> {
        let address = component.config.push_url.as_ref()?;
        let target = self.target("platform", &component.config.appid, address);
        Some((target, Destination { address: address.clone(), is_in_order: true }))
    }

    /// All targets there are.
    fn targets(&self) -> Vec<(TargetId, Destination)> {
        let with_listeners = self
            .accounts
            .select(|account| account.config.relay.as_ref().is_some_and(|relay| !relay.listeners.is_empty()));
        let mut targets: Vec<(TargetId, Destination)> = Vec::new();
        for account in &with_listeners {
            targets.extend(self.targets_of(Listening::Account(account)));
        }
        for component in self.components.all() {
            targets.extend(self.targets_of(Listening::Platform(&component, "")));
            targets.extend(self.target_of_events(&component));
        }
        targets
    }
}

/// The queue is being opened.
struct IsOpening;
