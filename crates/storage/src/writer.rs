//! Writes messages to disk: a bounded queue, one writer thread, one durable commit for each batch. After the commit
//! the waiters are notified. The writer also moves the durable mark until which all messages were received.

mod begin;
mod commit_loop;
mod fault;
mod inserts;
mod serving;
mod waiter;

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex, atomic::AtomicBool},
    thread::JoinHandle,
};

use counting::{Gap, Reason};
use hashbrown::HashMap;
pub use serving::serving_changes;
use system::{
    clock::{Clock, Moment, Stopwatch},
    sync::lock,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    metrics::Metrics,
    store::{AccountNumber, Change, NotDurable, Outcome, Store},
};

/// The handle that callers use to send changes to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest {
    shared: Arc<WriterShared>,
}

/// The threads of the writer. [`Writer::stop`] joins them.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<WriterShared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct WriterShared {
    store: Arc<Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
    queue: Mutex<WriteQueue>,
    wake: Condvar,
    /// Wakes the maintenance thread at the end.
    end: Condvar,
    /// Why commits fail at the moment.
    fault: Mutex<Option<String>>,
    is_faulty: AtomicBool,
    /// Start of the running commit.
    committing: Mutex<Option<Stopwatch>>,
    /// Notifies many waiters from the async runtime. None outside of a runtime.
    notifier: Option<mpsc::UnboundedSender<Notification>>,
}

/// Notifies the waiters of one batch.
type Notification = Box<dyn FnOnce() + Send>;

/// Limit of jobs in the queue. As many may be in each batch that is being written. Callbacks above the limit are closed
/// at once.
const JOBS_MAX: usize = 4096;
/// Lost stretches of time by account.
type Losses = HashMap<AccountNumber, Vec<Gap>, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
struct WriteQueue {
    jobs: Vec<Job>,
    /// When the first of these jobs came, in Unix seconds.
    oldest_s: Option<i64>,
    inserts: inserts::Inserts,
    /// Stretches to remove from the coverage with the next batch.
    losses: Losses,
    /// Accounts that receive messages.
    served: Vec<AccountNumber>,
    /// If set, the next batch writes `served`. The reason says why no messages were received since the last mark.
    serve: Option<Reason>,
    /// Messages are received, or will be as soon as the start is durable.
    has_begun: bool,
    /// Inode of the listening socket.
    socket: Option<u64>,
    /// In a planned stop: when the last connection was accepted.
    last_accept: Option<Moment>,
    stopping: bool,
}

/// Changes to make durable together, and the waiter for their outcomes.
#[derive(Debug)]
enum Job {
    One(Change, oneshot::Sender<Result<Outcome, NotDurable>>),
    Many(Vec<Change>, oneshot::Sender<Result<Vec<Outcome>, NotDurable>>),
}

impl Ingest {
    /// Starts the writer. These accounts receive messages from now on.
    pub fn start(
        store: Arc<Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
        served: Vec<AccountNumber>,
    ) -> (Ingest, Writer) {
        let (ingest, writer) = Ingest::prepare(store, clock, metrics, served);
        ingest.begin_anew();
        (ingest, writer)
    }

    /// Starts the writer. These accounts receive messages after a later call of `begin` or `begin_anew`. Time before
    /// that call is not covered.
    pub fn prepare(
        store: Arc<Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
        served: Vec<AccountNumber>,
    ) -> (Ingest, Writer) {
        let queue = Mutex::new(WriteQueue { served, ..WriteQueue::default() });
        let shared = Arc::new(WriterShared {
            store,
            clock,
            metrics,
            queue,
            wake: Condvar::new(),
            end: Condvar::new(),
            fault: Mutex::new(None),
            is_faulty: AtomicBool::new(false),
            committing: Mutex::new(None),
            notifier: start_notifier(),
        });
        let threads = vec![
            std::thread::spawn({
                let shared = shared.clone();
                move || {
                    let _guard = EndOnPanic;
                    commit_loop::write(&shared);
                }
            }),
            std::thread::spawn({
                let shared = shared.clone();
                move || {
                    let _guard = EndOnPanic;
                    commit_loop::maintain(&shared);
                }
            }),
        ];
        (Ingest { shared: shared.clone() }, Writer { shared, threads })
    }

    /// Makes one change durable. Dropping the future does not cancel the change.
    pub async fn submit(&self, change: Change) -> Result<Outcome, NotDurable> {
        self.enqueue(change)?.await
    }

    /// Puts one change into the queue. The future waits until it is durable. Changes keep the order of these calls.
    pub fn enqueue(
        &self,
        change: Change,
    ) -> Result<impl Future<Output = Result<Outcome, NotDurable>> + use<>, NotDurable> {
        let (sender, receiver) = oneshot::channel();
        self.push(Job::One(change, sender))?;
        Ok(async { receiver.await.unwrap_or_else(|_| Err(stopped())) })
    }

    /// Puts several changes into the queue as one unit. The future waits until they are durable.
    pub fn submit_all(
        &self,
        changes: Vec<Change>,
    ) -> Result<impl Future<Output = Result<Vec<Outcome>, NotDurable>> + use<>, NotDurable> {
        let (sender, receiver) = oneshot::channel();
        self.push(Job::Many(changes, sender))?;
        Ok(async { receiver.await.unwrap_or_else(|_| Err(stopped())) })
    }

    fn push(&self, job: Job) -> Result<(), NotDurable> {
        let mut queue = lock(&self.shared.queue);
        if queue.stopping {
            return Err(stopped());
        }
        if queue.jobs.len() >= JOBS_MAX {
            return Err(NotDurable(format!("{JOBS_MAX} jobs already wait for the disk")));
        }
        queue.jobs.push(job);
        queue.oldest_s.get_or_insert_with(|| self.shared.clock.now_s());
        // The writer only sleeps while the queue is empty, so only the first job wakes it.
        let first = queue.jobs.len() == 1;
        drop(queue);
        if first {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Removes a stretch, in Unix seconds, from an account's coverage. It becomes durable with the next batch.
    pub fn lose(&self, account: AccountNumber, from_s: i64, to_s: i64, reason: Reason) {
        lock(&self.shared.queue).lose(account, Gap { from_s, to_s, reason });
    }

    /// Removes the current second from the coverage of all served accounts.
    pub fn lose_all(&self, reason: &Reason) {
        let now_s = self.shared.clock.now_s();
        self.lose_all_between(now_s, now_s + 1, reason);
    }

    /// Removes these Unix seconds from the coverage of all served accounts.
    pub fn lose_all_between(&self, from_s: i64, to_s: i64, reason: &Reason) {
        let mut queue = lock(&self.shared.queue);
        for account in queue.served.clone() {
            queue.lose(account, Gap { from_s, to_s, reason: reason.clone() });
        }
    }

    /// Starts or stops serving an account, durably together with these changes. If they do not become durable, nothing
    /// changes.
    pub async fn serve(
        &self,
        account: AccountNumber,
        takes_messages: bool,
        changes: Vec<Change>,
    ) -> Result<(), NotDurable> {
        let done = async { self.enqueue_serving(account, takes_messages, changes)?.await }.await;
        if done.is_err() {
            self.set_served(account, !takes_messages);
        }
        done.map(drop)
    }

    /// Like `serve`, in two steps. If the future returns an error, the caller must call `set_served` with the state
    /// that holds then.
    pub fn enqueue_serving(
        &self,
        account: AccountNumber,
        takes_messages: bool,
        changes: Vec<Change>,
    ) -> Result<impl Future<Output = Result<Vec<Outcome>, NotDurable>> + use<>, NotDurable> {
        self.enqueue_serving_all(&[(account, takes_messages)], changes)
    }

    /// Like `enqueue_serving`, for several accounts in one frame.
    pub fn enqueue_serving_all(
        &self,
        accounts: &[(AccountNumber, bool)],
        mut changes: Vec<Change>,
    ) -> Result<impl Future<Output = Result<Vec<Outcome>, NotDurable>> + use<>, NotDurable> {
        // The current second has partly passed, so covering starts with the next one.
        let at_s = self.shared.clock.now_s() + 1;
        changes.extend(serving_changes(accounts, at_s));
        // This must come before the commit. After a fault the writer starts serving with the whole list.
        lock(&self.shared.queue).set_served(accounts);
        let waiting = self.submit_all(changes);
        if waiting.is_err() {
            let former: Vec<_> = accounts.iter().map(|(account, is_served)| (*account, !is_served)).collect();
            self.set_all_served(&former);
        }
        let waiting = waiting?;
        Ok(async {
            let outcomes = waiting.await?;
            // Only the last change, which concerns serving, is checked here. The caller checks its own changes.
            outcomes.iter().last().map_or(Ok(()), Outcome::taken)?;
            Ok(outcomes)
        })
    }

    /// Starts or stops serving an account with the next batch.
    pub fn set_served(&self, account: AccountNumber, takes_messages: bool) {
        self.set_all_served(&[(account, takes_messages)]);
    }

    /// Like `set_served`, for several accounts.
    pub fn set_all_served(&self, accounts: &[(AccountNumber, bool)]) {
        let mut queue = lock(&self.shared.queue);
        queue.set_served(accounts);
        // The writer may have started serving with the former list after a fault.
        queue.serve_anew(Reason::NotDurable);
    }

    /// Number of jobs in the queue.
    pub fn depth(&self) -> usize {
        lock(&self.shared.queue).jobs.len()
    }
}

impl WriteQueue {
    fn set_served(&mut self, accounts: &[(AccountNumber, bool)]) {
        let named: HashSet<AccountNumber> = accounts.iter().map(|(account, _)| *account).collect();
        self.served.retain(|served| !named.contains(served));
        self.served.extend(accounts.iter().filter(|(_, is_served)| *is_served).map(|(account, _)| *account));
    }

    /// Makes the next batch serve all accounts again, if serving has begun at all.
    fn serve_anew(&mut self, reason: Reason) {
        if self.has_begun {
            self.serve.get_or_insert(reason);
        }
    }

    fn lose(&mut self, account: AccountNumber, lost: Gap) {
        let losses = self.losses.entry(account).or_default();
        let touches = |gap: &&mut Gap| gap.from_s <= lost.to_s && lost.from_s <= gap.to_s;
        match losses.iter_mut().filter(|gap| gap.reason.is_like(&lost.reason)).find(touches) {
            Some(gap) => {
                (gap.from_s, gap.to_s) = (gap.from_s.min(lost.from_s), gap.to_s.max(lost.to_s));
                gap.reason.merge(&lost.reason);
            }
            None => losses.push(lost),
        }
    }
}

impl Writer {
    /// Commits the waiting changes, moves the mark, saves the pages and joins the threads.
    pub fn stop(self) {
        lock(&self.shared.queue).stopping = true;
        self.shared.wake.notify_all();
        self.shared.end.notify_all();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the writer panicked");
            }
        }
        self.shared.store.end();
        if let Err(error) = self.shared.store.maintain(true) {
            tracing::warn!(%error, "pages were not saved; the next start replays the log instead");
        }
    }
}

/// Starts a task that notifies waiters. A thread of the runtime wakes a waiter through its own queue, which is much
/// cheaper than from the writer's thread.
fn start_notifier() -> Option<mpsc::UnboundedSender<Notification>> {
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    let (sender, mut receiver) = mpsc::unbounded_channel::<Notification>();
    runtime.spawn(async move {
        while let Some(notify) = receiver.recv().await {
            notify();
        }
    });
    Some(sender)
}

/// Aborts the process if a thread of the writer panics. Without the writer nothing works, and without saving the log
/// grows forever.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a thread of the writer panicked; ending now, so that a restart continues from the disk"
            );
            std::process::abort();
        }
    }
}

fn stopped() -> NotDurable {
    NotDurable("the program is ending".to_owned())
}
