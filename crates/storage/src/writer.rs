//! The way of a message to the disk: a bounded queue, one writer, one durable commit a batch, then every waiter is
//! notify. Also keeps the durable mark up to which everything was taken.

mod begin;
mod commit_loop;

use std::{
    collections::HashSet,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use counting::{Gap, Reason};
use hashbrown::HashMap;
use system::{
    clock::{Clock, Moment, Stopwatch},
    sync::lock,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    metrics::Metrics,
    store::{AccountNumber, Change, NotDurable, Outcome, Store},
};

/// The waiting end of the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingest {
    shared: Arc<WriterShared>,
}

/// The writer's threads; joined at the end.
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
    /// Wakes whoever only waits for the end.
    end: Condvar,
    /// Why nothing can be made durable at the moment.
    fault: Mutex<Option<String>>,
    is_faulty: AtomicBool,
    /// Since when the commit runs that is running.
    committing: Mutex<Option<Stopwatch>>,
    /// Takes over telling many waiters; none outside of a runtime.
    notifier: Option<mpsc::UnboundedSender<Notification>>,
}

/// Tells the waiters of a batch.
type Notification = Box<dyn FnOnce() + Send>;

/// Jobs in the queue; with the batch being written, twice as many wait. Further callbacks are closed at once.
const JOBS_MAX: usize = 4096;
/// A commit that runs for longer is a fault.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(5);

/// Of each account, from and until these seconds.
type Losses = HashMap<AccountNumber, Vec<Gap>, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
struct WriteQueue {
    jobs: Vec<Job>,
    /// Stretches to take out of the coverage with the next mark.
    losses: Losses,
    /// Accounts whose messages are taken.
    served: Vec<AccountNumber>,
    /// The list is to be written with the next batch, and why nothing was taken since the last mark.
    serve: Option<Reason>,
    /// Messages are taken, or will be as soon as that is durable.
    has_begun: bool,
    /// The inode of the socket that they come through.
    socket: Option<u64>,
    /// When the last connection was taken, in a planned stop.
    last_accept: Option<Moment>,
    stopping: bool,
}

/// Changes that are made durable together, and who waits for them.
#[derive(Debug)]
enum Job {
    One(Change, oneshot::Sender<Result<Outcome, NotDurable>>),
    Many(Vec<Change>, oneshot::Sender<Result<Vec<Outcome>, NotDurable>>),
}

impl Ingest {
    /// Starts the writer. Messages of these accounts are taken from now on.
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

    /// Starts the writer. Messages of these accounts are taken as soon as somebody begins, which does not cover the time
    /// until then.
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

    /// Makes one change durable. Dropping the future does not take the change back.
    pub async fn submit(&self, change: Change) -> Result<Outcome, NotDurable> {
        self.enqueue(change)?.await
    }

    /// The same in two steps. The future only waits: the change is in the queue already.
    pub fn enqueue(
        &self,
        change: Change,
    ) -> Result<impl Future<Output = Result<Outcome, NotDurable>> + use<>, NotDurable> {
        let (sender, receiver) = oneshot::channel();
        self.push(Job::One(change, sender))?;
        Ok(async { receiver.await.unwrap_or_else(|_| Err(stopped())) })
    }

    /// Makes several changes durable together. The future only waits: the changes are in the queue already.
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
            return Err(NotDurable(format!("{JOBS_MAX} batches wait for the disk already")));
        }
        queue.jobs.push(job);
        // Only the first of a batch finds the writer asleep.
        let first = queue.jobs.len() == 1;
        drop(queue);
        if first {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Takes a stretch of time out of an account's coverage, durably with the next mark.
    pub fn lose(&self, account: AccountNumber, from_s: i64, to_s: i64, reason: Reason) {
        lock(&self.shared.queue).lose(account, Gap { from_s, to_s, reason });
    }

    /// Why nothing can be made durable at the moment, if so.
    pub fn fault(&self) -> Option<String> {
        let running = lock(&self.shared.committing).map(|stopwatch| stopwatch.elapsed());
        match running.filter(|running| *running > COMMIT_TIME_MAX) {
            Some(running) => Some(format!("the disk has not answered for {} s", running.as_secs())),
            None => lock(&self.shared.fault).clone(),
        }
    }

    /// Takes this second out of the coverage of all accounts.
    pub fn lose_all(&self, reason: &Reason) {
        let now_s = self.shared.clock.now_s();
        self.lose_all_between(now_s, now_s + 1, reason);
    }

    /// The same of these seconds.
    pub fn lose_all_between(&self, from_s: i64, to_s: i64, reason: &Reason) {
        let mut queue = lock(&self.shared.queue);
        for account in queue.served.clone() {
            queue.lose(account, Gap { from_s, to_s, reason: reason.clone() });
        }
    }

    /// Adds an account to those whose messages are taken, or takes it out, durably together with these changes.
    /// Nothing of it holds if they do not become durable.
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

    /// The same in two steps. Whoever finds that it did not become durable says what holds then, by `set_served`.
    pub fn enqueue_serving(
        &self,
        account: AccountNumber,
        takes_messages: bool,
        changes: Vec<Change>,
    ) -> Result<impl Future<Output = Result<Vec<Outcome>, NotDurable>> + use<>, NotDurable> {
        self.enqueue_serving_all(&[(account, takes_messages)], changes)
    }

    /// The same for several accounts, in one frame.
    pub fn enqueue_serving_all(
        &self,
        accounts: &[(AccountNumber, bool)],
        mut changes: Vec<Change>,
    ) -> Result<impl Future<Output = Result<Vec<Outcome>, NotDurable>> + use<>, NotDurable> {
        // The second that has begun is not covered as a whole.
        let at_s = self.shared.clock.now_s() + 1;
        changes.extend(accounts.iter().map(|&(account, takes_messages)| {
            if takes_messages { Change::Begin { at_s, account } } else { Change::Cease { account } }
        }));
        // Before the commit: a fault meanwhile makes the writer begin anew with the whole list.
        lock(&self.shared.queue).set_served(accounts);
        let waiting = self.submit_all(changes);
        if waiting.is_err() {
            let former: Vec<_> = accounts.iter().map(|(account, is_served)| (*account, !is_served)).collect();
            self.set_all_served(&former);
        }
        let waiting = waiting?;
        Ok(async {
            let outcomes = waiting.await?;
            // Of whatever else is in there, who waits for it sees to it.
            outcomes.iter().last().map_or(Ok(()), Outcome::taken)?;
            Ok(outcomes)
        })
    }

    /// Adds an account to those whose messages are taken, or takes it out, with the next batch.
    pub fn set_served(&self, account: AccountNumber, takes_messages: bool) {
        self.set_all_served(&[(account, takes_messages)]);
    }

    /// The same for several accounts.
    pub fn set_all_served(&self, accounts: &[(AccountNumber, bool)]) {
        let mut queue = lock(&self.shared.queue);
        queue.set_served(accounts);
        // The writer may have begun anew with the other list meanwhile.
        queue.serve_anew(Reason::NotDurable);
    }

    /// How many jobs wait.
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

    /// Serves all anew with the next batch, unless nobody has begun at all.
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
    /// Commits what waits, marks the time, saves the pages, and ends the threads.
    pub fn stop(self) {
        lock(&self.shared.queue).stopping = true;
        self.shared.wake.notify_all();
        self.shared.end.notify_all();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store ended in a panic");
            }
        }
        if let Err(error) = self.shared.store.maintain(true) {
            tracing::warn!(%error, "pages were not saved; the next start replays the log instead");
        }
    }
}

/// Waking a waiter from a thread of the runtime puts it into that thread's own queue, which costs a fraction of waking
/// it from the writer's.
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

/// Without the writer nothing works any more, without saving the log grows for ever; only a restart helps.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a thread of the store panicked; ending, so that a restart goes on from the disk"
            );
            std::process::abort();
        }
    }
}

impl WriterShared {
    fn set_fault(&self, fault: Option<&NotDurable>) {
        let was_faulty = self.is_faulty.swap(fault.is_some(), Ordering::Relaxed);
        match fault {
            Some(error) if !was_faulty => {
                tracing::error!(%error, "nothing is acknowledged until this is mended; check disk space and permissions");
            }
            None if was_faulty => {
                tracing::info!("messages are durable again; the time in between is a gap (not_durable)");
            }
            _ => {}
        }
        if fault.is_some() || was_faulty {
            *lock(&self.fault) = fault.map(ToString::to_string);
        }
    }
}

fn stopped() -> NotDurable {
    NotDurable("the program is ending".to_owned())
}
