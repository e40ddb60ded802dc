//! Limits how often a refused callback is logged. Anyone can send one, and the log shares the disk with the data.

use std::sync::Mutex;

use hashbrown::HashMap;
use system::sync::lock;

/// Seconds between two log lines about the same account, reason and detail. The metrics count every refusal.
const PAUSE_S: i64 = 60;

/// Tells refusals with the same reason apart, such as `("missing", "MsgId")`. All are written in the program, so
/// they are few.
pub type RefusalDetail = (&'static str, &'static str);

/// When each account, reason and detail was last logged. At most accounts times details entries.
#[derive(Debug, Default)]
pub struct LogThrottle(
    Mutex<HashMap<(String, &'static str, RefusalDetail), i64, foldhash::fast::RandomState>>,
);

impl LogThrottle {
    /// True if this account and reason were not logged in the last minute. Records that they are logged now.
    pub fn may_log(&self, appid: &str, reason: &'static str, now_s: i64) -> bool {
        self.may_log_detail(appid, reason, ("", ""), now_s)
    }

    /// Like [`Self::may_log`], for a reason with several details. One detail does not hide another.
    pub fn may_log_detail(
        &self,
        appid: &str,
        reason: &'static str,
        detail: RefusalDetail,
        now_s: i64,
    ) -> bool {
        let mut logged = lock(&self.0);
        let last = logged.entry((appid.to_owned(), reason, detail)).or_insert(i64::MIN);
        let due = now_s.saturating_sub(*last) >= PAUSE_S;
        if due {
            *last = now_s;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute() {
        let throttle = LogThrottle::default();
        let lines =
            (0..120).filter(|second| throttle.may_log("wx1", "wrong_signature", 1_000 + second)).count();
        assert_eq!(lines, 2);
        assert!(throttle.may_log("wx2", "wrong_signature", 1_000), "accounts do not hide each other");
        let may_log = |detail| throttle.may_log_detail("wx1", "malformed", detail, 1_000);
        assert!(may_log(("missing", "MsgId")) && may_log(("invalid", "MsgId")) && may_log(("json", "x")));
        assert!(!may_log(("missing", "MsgId")));
    }
}
