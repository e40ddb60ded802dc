//! Calls answered with an error, kept in memory for `rid/get`: without secrets, the newest of each account, for at most
//! seven days. A restart loses them. A shared store keeps them too.

pub mod redaction;
mod shared;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use system::sync::lock;
use tokio::sync::Semaphore;
use wechat::request_id::Rid;

/// How long a call is kept, in seconds. Source: WeChat's page on rid/get.
pub const AGE_S_MAX: i64 = 7 * 24 * 3600;
const OWNER_LIMITS: RingLimits = RingLimits { calls_per_account: 1000, bytes: 56 << 20 };
const OTHERS_LIMITS: RingLimits = RingLimits { calls_per_account: 100, bytes: 8 << 20 };
/// Upper bound of an entry's bytes besides its strings: the entry, its index entries, and what the allocator rounds up.
const ENTRY_BYTES: usize = 512;
/// Calls that are being told to the other processes.
const SHARING_MAX: usize = 8;
/// Files in the data folder that earlier versions used for these calls.
const FORMER_FILES: [&str; 2] = ["refused.redb", "refused.damaged"];

/// A call as `rid/get` returns it. The field names are WeChat's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedCall {
    /// When the call came, in Unix seconds.
    pub invoke_time: i64,
    /// Milliseconds until the answer.
    pub cost_in_ms: u64,
    /// Path and query, without secrets.
    pub request_url: String,
    /// The request body, without secrets.
    pub request_body: String,
    /// The response body.
    pub response_body: String,
    /// The peer's address.
    pub client_ip: String,
}

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// The account or platform itself, proven by its token or secret.
    Owner,
    /// Anyone else. These calls have their own limits, so that they cannot displace the owner's calls.
    Others,
}

/// A logged call, and the keys to find it.
#[derive(Clone, Debug)]
pub struct LoggedError {
    /// The request id in the error answer.
    pub rid: Rid,
    /// Which limits apply.
    pub made_by: MadeBy,
    /// The account or platform that owns the call.
    pub appid: String,
    /// The platform that called for the account and may also read the call.
    pub platform: Option<String>,
    /// Request and response.
    pub call: LoggedCall,
}

/// Result of looking up a request id.
#[derive(Clone, Debug)]
pub enum Found {
    /// The call, which this caller may read.
    Call(Arc<LoggedError>),
    /// The call belongs to another account.
    OfAnother,
    /// No call with this request id is kept.
    Nothing,
}

/// The logged calls of all accounts.
#[derive(Debug)]
pub struct ErrorLog {
    by_owner: Mutex<Ring>,
    by_others: Mutex<Ring>,
    sharing: Semaphore,
}

/// How many calls a ring keeps.
#[derive(Clone, Copy, Debug)]
struct RingLimits {
    calls_per_account: usize,
    /// For all accounts together.
    bytes: usize,
}

/// Calls in the order of arrival. Beyond a limit the oldest one is removed.
#[derive(Debug)]
struct Ring {
    limits: RingLimits,
    /// The number of the next call.
    next: u64,
    /// Calls by number.
    calls: BTreeMap<u64, Arc<LoggedError>>,
    numbers: HashMap<Rid, u64>,
    /// The numbers of each account's calls, oldest first.
    of_account: HashMap<String, VecDeque<u64>>,
    bytes: usize,
}

impl Default for ErrorLog {
    fn default() -> ErrorLog {
        ErrorLog {
            by_owner: Mutex::new(Ring::new(OWNER_LIMITS)),
            by_others: Mutex::new(Ring::new(OTHERS_LIMITS)),
            sharing: Semaphore::new(SHARING_MAX),
        }
    }
}

impl ErrorLog {
    /// Logs a call in this process.
    fn add(&self, logged: LoggedError, now_s: i64) {
        let ring = match logged.made_by {
            MadeBy::Owner => &self.by_owner,
            MadeBy::Others => &self.by_others,
        };
        lock(ring).add(logged, now_s);
    }

    /// Looks up a call of this process for the account or platform `appid`.
    fn find(&self, rid: Rid, appid: &str, now_s: i64) -> Found {
        let found =
            [&self.by_owner, &self.by_others].into_iter().find_map(|ring| lock(ring).find(rid, now_s));
        found.map_or(Found::Nothing, |logged| Found::of(logged, appid, now_s))
    }
}

impl Found {
    fn of(logged: Arc<LoggedError>, appid: &str, now_s: i64) -> Found {
        match logged.is_too_old(now_s) {
            true => Found::Nothing,
            false if logged.is_for(appid) => Found::Call(logged),
            false => Found::OfAnother,
        }
    }
}

impl LoggedError {
    fn is_for(&self, appid: &str) -> bool {
        self.appid == appid || self.platform.as_deref() == Some(appid)
    }

    fn is_too_old(&self, now_s: i64) -> bool {
        self.rid.at_s() < now_s - AGE_S_MAX
    }

    fn bytes(&self) -> usize {
        let LoggedCall { request_url, request_body, response_body, client_ip, .. } = &self.call;
        let texts = [&self.appid, request_url, request_body, response_body, client_ip];
        // The index `of_account` holds the appid again.
        let texts = texts.into_iter().chain([&self.appid]).chain(&self.platform);
        texts.map(String::capacity).sum::<usize>() + ENTRY_BYTES
    }
}

impl Ring {
    fn new(limits: RingLimits) -> Ring {
        let (calls, numbers, of_account) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Ring { limits, next: 0, calls, numbers, of_account, bytes: 0 }
    }

    fn add(&mut self, logged: LoggedError, now_s: i64) {
        self.expire(now_s);
        let of_account = self.of_account.entry(logged.appid.clone()).or_default();
        of_account.push_back(self.next);
        let too_many = (of_account.len() > self.limits.calls_per_account).then(|| of_account[0]);
        self.numbers.insert(logged.rid, self.next);
        self.bytes += logged.bytes();
        self.calls.insert(self.next, Arc::new(logged));
        self.next += 1;
        too_many.into_iter().for_each(|oldest| self.remove(oldest));
        while self.bytes > self.limits.bytes
            && let Some((oldest, _)) = self.calls.first_key_value()
        {
            self.remove(*oldest);
        }
    }

    fn find(&mut self, rid: Rid, now_s: i64) -> Option<Arc<LoggedError>> {
        self.expire(now_s);
        self.calls.get(self.numbers.get(&rid)?).filter(|logged| !logged.is_too_old(now_s)).cloned()
    }

    fn expire(&mut self, now_s: i64) {
        while let Some((oldest, logged)) = self.calls.first_key_value()
            && logged.is_too_old(now_s)
        {
            self.remove(*oldest);
        }
    }

    /// Removes a call. It must be the oldest of its account.
    fn remove(&mut self, number: u64) {
        let Some(logged) = self.calls.remove(&number) else { return };
        self.bytes -= logged.bytes();
        self.numbers.remove(&logged.rid);
        if let Some(of_account) = self.of_account.get_mut(&logged.appid) {
            of_account.pop_front();
            if of_account.is_empty() {
                self.of_account.remove(&logged.appid);
            }
        }
    }
}

/// Removes the files of earlier versions: sealed calls that this version does not read.
pub fn remove_former_files(data_dir: &Path) {
    for path in FORMER_FILES.map(|name| data_dir.join(name)) {
        match std::fs::remove_file(&path) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "removed the error log of an earlier version; it is now in memory only");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the error log of an earlier version cannot be removed; nothing reads it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wechat::request_id::RidGenerator;

    const NOW_S: i64 = 1_400_000_000;

    fn logged(rids: &RidGenerator, made_by: MadeBy, appid: &str, at_s: i64, bytes: usize) -> LoggedError {
        let call = LoggedCall {
            invoke_time: at_s,
            cost_in_ms: 1,
            request_url: "/datacube/getupstreammsg?access_token=***".to_owned(),
            request_body: "x".repeat(bytes),
            response_body: "{}".to_owned(),
            client_ip: "192.0.2.1".to_owned(),
        };
        let platform = Some("wxPlatform".to_owned());
        LoggedError { rid: rids.next(at_s), made_by, appid: appid.to_owned(), platform, call }
    }

    fn is_there(calls: &ErrorLog, logged: &LoggedError) -> bool {
        match calls.find(logged.rid, &logged.appid, NOW_S) {
            Found::Call(found) => found.call == logged.call,
            _ => false,
        }
    }

    fn keep_all(calls: &ErrorLog, all: &[LoggedError]) {
        all.iter().for_each(|logged| calls.add(logged.clone(), NOW_S));
    }

    /// Whether the indexes and the byte count match the calls.
    fn is_consistent(calls: &ErrorLog) -> bool {
        [&calls.by_owner, &calls.by_others].into_iter().all(|ring| {
            let ring = lock(ring);
            let numbers: usize = ring.of_account.values().map(VecDeque::len).sum();
            ring.bytes == ring.calls.values().map(|logged| logged.bytes()).sum::<usize>()
                && ring.bytes <= ring.limits.bytes
                && (numbers, ring.numbers.len()) == (ring.calls.len(), ring.calls.len())
        })
    }

    #[test]
    fn a_call_is_found_by_its_account_and_its_platform_alone() {
        let (calls, rids) = (ErrorLog::default(), RidGenerator::default());
        for made_by in [MadeBy::Owner, MadeBy::Others] {
            let kept = logged(&rids, made_by, "wx1", NOW_S, 10);
            assert!(matches!(calls.find(kept.rid, "wx1", NOW_S), Found::Nothing));
            calls.add(kept.clone(), NOW_S);
            for appid in ["wx1", "wxPlatform"] {
                let Found::Call(found) = calls.find(kept.rid, appid, NOW_S) else { panic!("{appid}") };
                assert_eq!(found.call, kept.call);
            }
            assert!(matches!(calls.find(kept.rid, "wx2", NOW_S), Found::OfAnother));
        }
    }

    #[test]
    fn an_account_keeps_its_newest_thousand_calls_and_other_accounts_keep_theirs() {
        let (calls, rids) = (ErrorLog::default(), RidGenerator::default());
        let other = logged(&rids, MadeBy::Owner, "wx2", NOW_S - 100, 10);
        // All calls have the same second: those that came first are removed first.
        let many: Vec<LoggedError> =
            (0..1003).map(|_| logged(&rids, MadeBy::Owner, "wx1", NOW_S, 10)).collect();
        let anyone: Vec<LoggedError> =
            (0..150).map(|_| logged(&rids, MadeBy::Others, "wx1", NOW_S, 10)).collect();
        keep_all(&calls, std::slice::from_ref(&other));
        keep_all(&calls, &many);
        keep_all(&calls, &anyone);
        assert!(is_there(&calls, &other));
        for (all, gone) in [(many, 3), (anyone, 50)] {
            assert!(all[..gone].iter().all(|logged| !is_there(&calls, logged)));
            assert!(all[gone..].iter().all(|logged| is_there(&calls, logged)));
        }
        assert!(is_consistent(&calls));
    }

    #[test]
    fn calls_of_others_never_displace_calls_of_the_owner() {
        let (calls, rids) = (ErrorLog::default(), RidGenerator::default());
        let owners = logged(&rids, MadeBy::Owner, "wx1", NOW_S, 10);
        keep_all(&calls, std::slice::from_ref(&owners));
        let flood: Vec<LoggedError> =
            (0..10).map(|n| logged(&rids, MadeBy::Others, &format!("wx{n}"), NOW_S + n, 1 << 20)).collect();
        keep_all(&calls, &flood);
        assert!(is_there(&calls, &owners));
        let kept: Vec<bool> = flood.iter().map(|logged| is_there(&calls, logged)).collect();
        assert_eq!(kept, [false, false, false, true, true, true, true, true, true, true], "8 MiB hold seven");
        assert!(is_consistent(&calls));
    }

    #[test]
    fn all_calls_together_keep_within_64_mib() {
        let (calls, rids) = (ErrorLog::default(), RidGenerator::default());
        for n in 0..2000 {
            for made_by in [MadeBy::Owner, MadeBy::Others] {
                calls.add(logged(&rids, made_by, &format!("wx{n}"), NOW_S + n, 64 << 10), NOW_S);
            }
        }
        // A call that is larger than the limit of all calls together.
        calls.add(logged(&rids, MadeBy::Others, "wxlarge", NOW_S, 9 << 20), NOW_S);
        assert!(is_consistent(&calls));
        let bytes = [&calls.by_owner, &calls.by_others].map(|ring| lock(ring).bytes);
        assert!(bytes[0] > 55 << 20 && bytes[1] == 0, "{bytes:?}");
    }

    #[test]
    fn a_call_is_removed_after_seven_days() {
        for made_by in [MadeBy::Owner, MadeBy::Others] {
            let (calls, rids) = (ErrorLog::default(), RidGenerator::default());
            let old = logged(&rids, made_by, "wx1", NOW_S, 10);
            calls.add(old.clone(), NOW_S);
            calls.add(logged(&rids, made_by, "wx2", NOW_S, 10), NOW_S + AGE_S_MAX);
            assert!(matches!(calls.find(old.rid, "wx1", NOW_S + AGE_S_MAX), Found::Call(_)));
            assert!(matches!(calls.find(old.rid, "wx1", NOW_S + AGE_S_MAX + 1), Found::Nothing));
            let (owner, others) = (lock(&calls.by_owner), lock(&calls.by_others));
            assert_eq!(owner.calls.len() + others.calls.len() + owner.bytes + others.bytes, 0);
            assert!(owner.of_account.is_empty() && others.of_account.is_empty());
        }
    }

    #[test]
    fn only_the_files_of_former_versions_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["pages.redb", "refused.damaged", "refused.redb"];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "x").unwrap());
        remove_former_files(folder.path());
        let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["pages.redb"]);
        // A folder of that name, or nothing: the start continues.
        std::fs::create_dir(folder.path().join("refused.redb")).unwrap();
        remove_former_files(folder.path());
    }
}
