//! Calls of WeChat's interfaces that were answered with an error, kept for `rid/get` for seven days: sealed, without
//! secrets, bounded, in a file of their own. They may be lost; a full disk or a broken file disturbs no answer.

mod book;
pub mod redaction;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{clock::Clock, data_key::DataKey, metrics::Metrics, rid::Rid, store::lock};

pub use book::Sort;
use book::{Book, Entry};

/// How long a call is kept. Source: WeChat's page on rid/get.
pub const AGE_S_MAX: i64 = 7 * 24 * 3600;
const FILE: &str = "refused.redb";
/// Calls that wait for the disk; further ones are counted as full.
const WAITING_MAX: usize = 512;
/// Of those of one account, or of one platform.
const WAITING_OF_OWNER_MAX: usize = 64;
/// Of those whose caller had shown nothing.
const WAITING_UNPROVEN_MAX: usize = 32;
/// Calls gather for this long, so that a flood of them costs few syncs of the disk.
const GATHERING: Duration = Duration::from_millis(500);
/// How long looking one up may take.
const FIND_WITHIN: Duration = Duration::from_secs(4);

/// A call as it is kept, and shown by `rid/get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Unix seconds.
    pub invoke_time: i64,
    /// Milliseconds until the answer.
    pub cost_in_ms: u64,
    /// Path and query.
    pub request_url: String,
    /// As it came.
    pub request_body: String,
    /// As it went.
    pub response_body: String,
    /// The other end of the connection.
    pub client_ip: String,
}

/// A call as it lies on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    call: Call,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
}

/// A call and what it is found by.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its rid.
    pub rid: Rid,
    /// Whether its caller had shown that it may speak for the account.
    pub sort: Sort,
    /// The account.
    pub appid: String,
    /// The platform that called in its name, and may see the call, too.
    pub platform: Option<String>,
    /// The call.
    pub call: Call,
}

impl Refused {
    /// Who made it.
    fn caller(&self) -> &str {
        self.platform.as_deref().unwrap_or(&self.appid)
    }

    fn is_for(&self, appid: &str) -> bool {
        self.appid == appid || self.platform.as_deref() == Some(appid)
    }
}

/// What is known of a rid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The call.
    Call(Box<Call>),
    /// Another account's.
    OfAnother,
    /// Nothing.
    Nothing,
}

/// All that is kept.
#[derive(Debug)]
pub struct RefusedCalls {
    shared: Arc<Shared>,
    /// Begins to write with the first call.
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    key: DataKey,
    clock: Clock,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    news: Condvar,
    /// Opened with the first call, and anew after a fault.
    book: Mutex<Option<Arc<Book>>>,
    /// Calls cannot be kept, and the log says so already.
    is_faulty: AtomicBool,
}

/// Calls that are not on disk yet, oldest first.
#[derive(Debug, Default)]
struct Waiting {
    calls: Vec<Arc<Refused>>,
    unproven: usize,
    is_ending: bool,
}

impl RefusedCalls {
    /// Those in this folder.
    pub fn new(folder: &Path, key: DataKey, clock: Clock, metrics: Arc<Metrics>) -> RefusedCalls {
        let shared = Shared {
            path: folder.join(FILE),
            key,
            clock,
            metrics,
            waiting: Mutex::default(),
            news: Condvar::new(),
            book: Mutex::default(),
            is_faulty: AtomicBool::new(false),
        };
        RefusedCalls { shared: Arc::new(shared), writer: Mutex::default() }
    }

    /// Keeps a call of an account or platform, made only if there is room for it. Waits for nothing.
    pub fn keep(&self, sort: Sort, caller: &str, make: impl FnOnce() -> Refused) {
        if !lock(&self.shared.waiting).has_room(sort, caller) {
            return self.shared.metrics.refused_call("full", 1);
        }
        let refused = Arc::new(make());
        let mut waiting = lock(&self.shared.waiting);
        if waiting.is_ending {
            return;
        }
        waiting.unproven += usize::from(sort == Sort::Unproven);
        waiting.calls.push(refused);
        let is_first = waiting.calls.len() == 1;
        drop(waiting);
        if is_first {
            self.shared.news.notify_all();
            lock(&self.writer).get_or_insert_with(|| {
                let shared = self.shared.clone();
                std::thread::spawn(move || shared.write_on())
            });
        }
    }

    /// Looks a call up.
    pub async fn find(&self, rid: Rid, appid: &str) -> Result<Found, String> {
        let waiting = lock(&self.shared.waiting).calls.iter().find(|refused| refused.rid == rid).cloned();
        if let Some(refused) = waiting {
            let is_for = refused.is_for(appid);
            return Ok(if is_for { Found::Call(Box::new(refused.call.clone())) } else { Found::OfAnother });
        }
        let (shared, appid) = (self.shared.clone(), appid.to_owned());
        let found = tokio::task::spawn_blocking(move || shared.find(rid, &appid));
        match tokio::time::timeout(FIND_WITHIN, found).await {
            Ok(found) => found.unwrap_or_else(|error| Err(error.to_string())),
            Err(_) => Err(format!("the disk did not answer within {} s", FIND_WITHIN.as_secs())),
        }
    }

    /// Writes what waits, and ends.
    pub fn stop(&self) {
        lock(&self.shared.waiting).is_ending = true;
        self.shared.news.notify_all();
        if let Some(writer) = lock(&self.writer).take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that keeps refused calls ended in a panic");
        }
        // The file is free for the next start.
        *lock(&self.shared.book) = None;
    }
}

impl Waiting {
    fn has_room(&self, sort: Sort, caller: &str) -> bool {
        match sort {
            Sort::Proven => {
                let of_caller = |call: &&Arc<Refused>| call.sort == sort && call.caller() == caller;
                self.calls.len() - self.unproven < WAITING_MAX
                    && self.calls.iter().filter(of_caller).count() < WAITING_OF_OWNER_MAX
            }
            Sort::Unproven => self.unproven < WAITING_UNPROVEN_MAX,
        }
    }
}

impl Shared {
    /// Writes until nothing more can come.
    fn write_on(&self) {
        loop {
            let calls = self.next_calls();
            if calls.is_empty() {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| self.write(&calls)));
            let done = done.unwrap_or_else(|_| Err("its pages make no sense".to_owned()));
            let result = if done.is_ok() { "kept" } else { "failed" };
            self.metrics.refused_call(result, calls.len() as u64);
            self.note(done.err());
            let mut waiting = lock(&self.waiting);
            waiting.calls.drain(..calls.len());
            waiting.unproven = waiting.calls.iter().filter(|call| call.sort == Sort::Unproven).count();
        }
    }

    /// What waits, once it has gathered; nothing at the end. It goes on waiting, where it is found, until it is written.
    fn next_calls(&self) -> Vec<Arc<Refused>> {
        let waiting = lock(&self.waiting);
        let waiting = self.news.wait_while(waiting, |waiting| waiting.calls.is_empty() && !waiting.is_ending);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let gathered = self.news.wait_timeout_while(waiting, GATHERING, |waiting| !waiting.is_ending);
        gathered.unwrap_or_else(PoisonError::into_inner).0.calls.clone()
    }

    fn write(&self, calls: &[Arc<Refused>]) -> Result<(), String> {
        let entries = calls.iter().map(|refused| self.entry(refused)).collect::<Result<Vec<_>, _>>()?;
        let book = self.book()?;
        book.add(&entries, self.clock.now_s()).map_err(|error| error.to_string())
    }

    /// Once, until it is mended: there may be hundreds a second.
    fn note(&self, fault: Option<String>) {
        let Some(error) = fault else { return self.is_faulty.store(false, Ordering::Relaxed) };
        // Opened anew for the next ones.
        *lock(&self.book) = None;
        if !self.is_faulty.swap(true, Ordering::Relaxed) {
            tracing::error!(path = %self.path.display(), error, "refused calls cannot be kept for rid/get");
        }
    }

    fn entry(&self, refused: &Refused) -> Result<Entry, String> {
        let kept = Kept { call: refused.call.clone(), platform: refused.platform.clone() };
        let text = serde_json::to_vec(&kept).map_err(|error| error.to_string())?;
        let sealed = self.key.seal(&seal_name(refused.rid), &text).map_err(|error| error.to_string())?;
        let owner = self.owner(&refused.appid);
        Ok(Entry { sort: refused.sort, rid: refused.rid, owner, sealed })
    }

    /// Stands for an account and does not name it.
    fn owner(&self, appid: &str) -> [u8; 16] {
        let mut owner = [0; 16];
        owner.copy_from_slice(&self.key.mac(&["refused call", appid])[..16]);
        owner
    }

    fn find(&self, rid: Rid, appid: &str) -> Result<Found, String> {
        if !self.path.exists() {
            return Ok(Found::Nothing);
        }
        let found =
            catch_unwind(AssertUnwindSafe(|| self.book()?.find(rid).map_err(|error| error.to_string())));
        let found = found.unwrap_or_else(|_| Err("its pages make no sense".to_owned()))?;
        let Some((owner, sealed)) = found else { return Ok(Found::Nothing) };
        let text = self.key.open(&seal_name(rid), &sealed).map_err(|error| error.to_string())?;
        let kept: Kept = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let is_for = owner == self.owner(appid) || kept.platform.as_deref() == Some(appid);
        Ok(if is_for { Found::Call(Box::new(kept.call)) } else { Found::OfAnother })
    }

    fn book(&self) -> Result<Arc<Book>, String> {
        let mut book = lock(&self.book);
        if let Some(book) = &*book {
            return Ok(book.clone());
        }
        if let Some(folder) = self.path.parent() {
            // A store that keeps nothing has made none.
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let opened = Arc::new(Book::open(&self.path)?);
        *book = Some(opened.clone());
        Ok(opened)
    }
}

fn seal_name(rid: Rid) -> String {
    format!("refused call/{rid}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rid::Rids;

    fn calls(folder: &Path) -> RefusedCalls {
        let key = DataKey::load_or_create(&folder.join("key")).unwrap();
        RefusedCalls::new(&folder.join("data"), key, Clock::starting_at(1_400_000_000), Arc::default())
    }

    fn refused(rid: Rid) -> Refused {
        let call = Call {
            invoke_time: 1_400_000_000,
            cost_in_ms: 1,
            request_url: "/datacube/getupstreammsg?access_token=***".to_owned(),
            request_body: "readable-body".to_owned(),
            response_body: "{}".to_owned(),
            client_ip: "192.0.2.1".to_owned(),
        };
        Refused {
            rid,
            sort: Sort::Proven,
            appid: "wx1".to_owned(),
            platform: Some("wxPlatform".to_owned()),
            call,
        }
    }

    fn find(calls: &RefusedCalls, rid: Rid, appid: &str) -> Result<Found, String> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(calls.find(rid, appid))
    }

    #[test]
    fn a_call_is_found_at_once_and_after_a_restart_by_its_account_and_its_platform_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = calls(folder.path());
        let rid = Rids::default().next(1_400_000_000);
        assert_eq!(find(&first, rid, "wx1"), Ok(Found::Nothing));
        first.keep(Sort::Proven, "wxPlatform", || refused(rid));
        for _ in 0..2 {
            for appid in ["wx1", "wxPlatform"] {
                assert_eq!(find(&first, rid, appid), Ok(Found::Call(Box::new(refused(rid).call))));
            }
            assert_eq!(find(&first, rid, "wx2"), Ok(Found::OfAnother));
            // The second time it is on disk.
            first.stop();
        }
        let second = calls(folder.path());
        for appid in ["wx1", "wxPlatform"] {
            assert_eq!(find(&second, rid, appid), Ok(Found::Call(Box::new(refused(rid).call))));
        }
        assert_eq!(find(&second, rid, "wx2"), Ok(Found::OfAnother));
        let bytes = std::fs::read(folder.path().join("data").join(FILE)).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"readable-body"));
    }

    #[test]
    fn a_flood_of_one_callers_calls_leaves_room_for_others() {
        let mut waiting = Waiting::default();
        while waiting.has_room(Sort::Proven, "wxPlatform") {
            waiting.calls.push(Arc::new(refused(Rids::default().next(1_400_000_000))));
        }
        assert_eq!(waiting.calls.len(), WAITING_OF_OWNER_MAX);
        assert!(waiting.has_room(Sort::Proven, "wx1") && waiting.has_room(Sort::Unproven, "wxPlatform"));
    }

    #[test]
    fn without_a_disk_nothing_is_kept_and_nobody_is_disturbed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data"), "a file, no folder").unwrap();
        let calls = calls(folder.path());
        let rids = Rids::default();
        for _ in 0..2000 {
            let rid = rids.next(1_400_000_000);
            calls.keep(Sort::Proven, "wxPlatform", || refused(rid));
        }
        calls.stop();
        assert_eq!(find(&calls, rids.next(1), "wx1"), Ok(Found::Nothing));
        let levels = crate::metrics::Levels::default();
        let text = calls.shared.metrics.text(levels);
        let count = |result: &str| -> u64 {
            let line = format!("msgcube_refused_calls_total{{result=\"{result}\"}} ");
            text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
        };
        assert!(
            count("failed") >= WAITING_OF_OWNER_MAX as u64 && count("failed") + count("full") == 2000,
            "{text}"
        );
    }
}
