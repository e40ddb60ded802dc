//! Copies of callbacks for targets that only listen: kept in a queue on disk, bounded, and sent in the background until
//! they are taken. They hold what users wrote, so they are sealed, and gone once delivered or a day old.

mod delivery;
mod queue;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

use crate::{
    accounts::{Account, Accounts},
    clock::Clock,
    config::RelayConfig,
    data_key::DataKey,
    http::relay::Incoming,
    metrics::Metrics,
    outbound::{Address, Outbound},
    store::lock,
};

use queue::{Entry, Queue, Room, TargetId};

/// A connection to a listener that takes longer has failed.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// After the file could not be opened it is tried again this much later.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Undelivered copies are dropped after this time.
const AGE_S_MAX: i64 = 24 * 3600;

/// The queue and those who deliver from it.
#[derive(Debug)]
pub struct Copies {
    shared: Arc<Shared>,
    is_started: AtomicBool,
    manager: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Made with the first copy, so that nobody has a file who has no listeners.
    opened: Mutex<Opened>,
    /// Copies cannot be kept, and the log says so already.
    is_faulty: AtomicBool,
    key: DataKey,
    clock: Clock,
    metrics: Arc<Metrics>,
    accounts: Arc<Accounts>,
    client: Outbound,
    news: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Opened {
    queue: Option<Arc<Queue>>,
    /// The last try to open it failed; not before then again.
    retry: Option<Instant>,
}

impl Copies {
    /// A queue in this folder.
    pub fn new(
        folder: &Path,
        key: DataKey,
        clock: Clock,
        metrics: Arc<Metrics>,
        accounts: Arc<Accounts>,
    ) -> Copies {
        let shared = Arc::new(Shared {
            path: folder.join("copies.redb"),
            opened: Mutex::default(),
            is_faulty: AtomicBool::new(false),
            key,
            clock,
            metrics,
            accounts,
            client: Outbound::new(CONNECT_TIME_MAX),
            news: tokio::sync::Notify::new(),
        });
        Copies { shared, is_started: AtomicBool::new(false), manager: Mutex::default() }
    }

    /// Begins to deliver what was left over, if anything was.
    pub fn start(&self) {
        if self.shared.path.exists() {
            self.deliver();
        }
    }

    /// Keeps a copy for each listener, durably. What cannot be kept is counted, and nobody waits for it.
    pub async fn keep(&self, account: &Account, relay: &RelayConfig, incoming: &Incoming) {
        if relay.listeners.is_empty() {
            return;
        }
        self.deliver();
        for listener in &relay.listeners {
            let result = self.shared.keep(account, listener, incoming).await;
            self.shared.metrics.copied(result, 1);
        }
        self.shared.news.notify_one();
    }

    /// Bytes of copies that wait.
    pub fn waiting_bytes(&self) -> u64 {
        lock(&self.shared.opened).queue.as_ref().map_or(0, |queue| queue.bytes())
    }

    fn deliver(&self) {
        if !self.is_started.swap(true, Ordering::AcqRel) {
            let manager = tokio::spawn(delivery::manage(self.shared.clone()));
            *lock(&self.manager) = Some(manager.abort_handle());
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if let Some(manager) = lock(&self.manager).take() {
            manager.abort();
        }
    }
}

impl Shared {
    /// The queue, opened or made. None if that fails; it is tried again with the next copy.
    fn queue(&self) -> Option<Arc<Queue>> {
        let mut opened = lock(&self.opened);
        let is_broken = opened.queue.as_ref().is_none_or(|queue| queue.is_broken());
        if is_broken && opened.retry.is_none_or(|retry| Instant::now() >= retry) {
            // The former one has to let go of the file first.
            opened.queue = None;
            match tokio::task::block_in_place(|| Queue::open(&self.path)) {
                Ok(queue) => opened.queue = Some(Arc::new(queue)),
                Err(error) => {
                    opened.retry = Some(Instant::now() + REOPEN_AFTER);
                    self.complain(&error);
                }
            }
        }
        opened.queue.clone()
    }

    /// Once, until it is mended: there may be thousands a second.
    fn complain(&self, error: &str) {
        if !self.is_faulty.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.path.display(), error, "copies for listeners cannot be kept");
        }
    }

    async fn keep(&self, account: &Account, listener: &Address, incoming: &Incoming) -> &'static str {
        let entry = Entry { queued_s: self.clock.now_s(), incoming: incoming.clone() };
        let (Some(queue), Ok(sealed)) = (self.queue(), self.key.seal("copy", &entry.bytes())) else {
            return "not_durable";
        };
        match queue.append(self.target(account, listener), sealed).await {
            Ok(Room::Kept) => {
                self.is_faulty.store(false, Ordering::Relaxed);
                "kept"
            }
            Ok(Room::Full) => "full",
            Err(error) => {
                self.complain(&error);
                "not_durable"
            }
        }
    }

    /// Which target a copy is for. Shows nothing of its address.
    fn target(&self, account: &Account, listener: &Address) -> TargetId {
        let code = self.key.mac(&["listener", &account.config.appid, &listener.uri_text()]);
        let mut target = TargetId::default();
        target.copy_from_slice(&code[..16]);
        target
    }

    /// All targets there are, with their addresses.
    fn targets(&self) -> Vec<(TargetId, Address)> {
        let accounts = self.accounts.all();
        let of = |account: &Arc<Account>| {
            let listeners = account.config.relay.as_ref().map_or(&[][..], |relay| &relay.listeners);
            listeners
                .iter()
                .map(|listener| (self.target(account, listener), listener.clone()))
                .collect::<Vec<_>>()
        };
        accounts.iter().flat_map(of).collect()
    }
}
