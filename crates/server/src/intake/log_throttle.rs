//! How often a refused callback is worth a line in the log: anyone can send one, and the log shares the disk.

use std::sync::Mutex;

use hashbrown::HashMap;
use system::sync::lock;

/// Seconds between two lines about the same account, reason and fault; the metrics count them all.
const PAUSE_S: i64 = 60;

/// What tells refusals of one reason apart, such as `("missing", "MsgId")`. Written in the program, so they are few.
pub type Fault = (&'static str, &'static str);

/// When each account, reason and fault was last logged. As many entries as accounts times faults at most.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<HashMap<(String, &'static str, Fault), i64, foldhash::fast::RandomState>>);

impl LogThrottle {
    /// True if nothing of the sort was logged in the last minute; notes that it is now.
    pub fn may_log(&self, appid: &str, reason: &'static str, now_s: i64) -> bool {
        self.may_log_fault(appid, reason, ("", ""), now_s)
    }

    /// The same where one reason has several faults, which do not hide each other.
    pub fn may_log_fault(&self, appid: &str, reason: &'static str, fault: Fault, now_s: i64) -> bool {
        let mut logged = lock(&self.0);
        let last = logged.entry((appid.to_owned(), reason, fault)).or_insert(i64::MIN);
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
        let refusals = LogThrottle::default();
        let lines =
            (0..120).filter(|second| refusals.may_log("wx1", "wrong_signature", 1_000 + second)).count();
        assert_eq!(lines, 2);
        assert!(refusals.may_log("wx2", "wrong_signature", 1_000), "accounts do not hide each other");
        let may_log = |fault| refusals.may_log_fault("wx1", "malformed", fault, 1_000);
        assert!(may_log(("missing", "MsgId")) && may_log(("invalid", "MsgId")) && may_log(("json", "x")));
        assert!(!may_log(("missing", "MsgId")));
    }
}
