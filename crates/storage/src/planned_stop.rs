//! Planned stops. The process writes an end mark when it stops, and the next start decides from it whether there is a
//! gap. Pure.

use serde::{Deserialize, Serialize};
use system::clock::Moment;

use crate::store::{Change, Store};

/// Key of the fact that holds the mark. The next start removes it before it accepts a connection.
const FACT: &str = "planned_stop";
/// Allowed difference in seconds between wall clock and boot clock. If it is larger, the wall clock was set during the
/// stop.
const DRIFT_S_MAX: i64 = 2;

/// Proof of a planned stop: every accepted connection was served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndMark {
    /// Id of the boot. After another boot `boot_ms` and `socket` mean nothing.
    boot_id: Option<String>,
    /// When the last connection was accepted, in milliseconds since the boot.
    boot_ms: u64,
    /// When the last connection was accepted, in Unix seconds. Time is covered until then.
    end_s: i64,
    /// Inode of the listening socket, if there is one.
    socket: Option<u64>,
}

/// How a stop counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedStop {
    /// The listening socket stayed open and connections waited in it. No gap.
    SocketKept {
        /// Unix seconds until which the last process covered time.
        end_s: i64,
    },
    /// No socket was open for a short time. WeChat's retries cover it, so there is no gap.
    Bridged {
        /// Unix seconds until which the last process covered time.
        end_s: i64,
    },
    /// There was no planned stop, or it proves nothing. The text says why.
    Unproven(&'static str),
}

/// The socket that accepts connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListeningSocket {
    /// Its inode. It stays the same while any process has the socket open.
    pub inode: Option<u64>,
    /// The socket was already open when this process started.
    pub is_handed_over: bool,
}

impl EndMark {
    /// The mark of a stop that accepted its last connection at `last_accept`. `end_s`: covered until then, in Unix
    /// seconds.
    pub fn new(last_accept: &Moment, end_s: i64, socket: Option<u64>) -> EndMark {
        let boot_id = last_accept.boot_id.as_deref().map(str::to_owned);
        EndMark { boot_id, boot_ms: last_accept.boot_ms, end_s, socket }
    }

    /// Reads the mark of the last process, if it left one.
    pub fn load(store: &Store) -> Option<EndMark> {
        let (_, value) = store.facts(FACT).into_iter().find(|(key, _)| key == FACT)?;
        serde_json::from_slice(&value).ok()
    }

    /// The change that stores the mark.
    pub fn to_change(&self) -> Option<Change> {
        let value = serde_json::to_vec(self).ok()?;
        Some(Change::Fact { key: FACT.to_owned(), value: Some(value) })
    }

    /// The change that removes the mark, so that no later start relies on it.
    pub fn removal() -> Change {
        Change::Fact { key: FACT.to_owned(), value: None }
    }

    /// How long no connection was accepted, in milliseconds. None if both times are not of the same boot.
    fn stopped_ms(&self, now: &Moment) -> Option<u64> {
        let is_same_boot = self.boot_id.is_some() && self.boot_id.as_deref() == now.boot_id.as_deref();
        now.boot_ms.checked_sub(self.boot_ms).filter(|_| is_same_boot)
    }

    /// Classifies the stop at the next start. `bridge_s`: how many seconds the stop may have taken.
    pub fn classify(&self, now: &Moment, socket: ListeningSocket, bridge_s: u32) -> PlannedStop {
        if bridge_s == 0 {
            return PlannedStop::Unproven("bridge_s is 0");
        }
        let Some(stopped_ms) = self.stopped_ms(now) else {
            return PlannedStop::Unproven("the machine was restarted, or its boot id is unknown");
        };
        if stopped_ms > u64::from(bridge_s) * 1000 {
            return PlannedStop::Unproven("the stop took longer than bridge_s");
        }
        let stopped_s = i64::try_from(stopped_ms / 1000).unwrap_or(i64::MAX);
        let drift_s = now.unix_s.saturating_sub(self.end_s).saturating_sub(stopped_s);
        if drift_s.abs() > DRIFT_S_MAX {
            return PlannedStop::Unproven("the machine's clock was set during the stop");
        }
        let end_s = self.end_s;
        let is_same = socket.is_handed_over && socket.inode.is_some() && socket.inode == self.socket;
        if is_same { PlannedStop::SocketKept { end_s } } else { PlannedStop::Bridged { end_s } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END_S: i64 = 1_700_000_000;

    fn moment(boot: &str, after_ms: u64, unix_s: i64) -> Moment {
        Moment { unix_s, boot_ms: 50_000 + after_ms, boot_id: Some(boot.into()) }
    }

    fn after(after_ms: u64) -> Moment {
        moment("a", after_ms, END_S + i64::try_from(after_ms / 1000).unwrap())
    }

    fn kept(inode: u64) -> ListeningSocket {
        ListeningSocket { inode: Some(inode), is_handed_over: true }
    }

    #[test]
    fn only_the_same_socket_within_the_time_on_the_same_boot_leaves_no_gap() {
        let end = EndMark::new(&moment("a", 0, END_S), END_S, Some(7));
        let own = ListeningSocket { inode: Some(7), is_handed_over: false };
        let (is_kept, is_bridged) =
            (PlannedStop::SocketKept { end_s: END_S }, PlannedStop::Bridged { end_s: END_S });
        assert_eq!(end.classify(&after(0), kept(7), 4), is_kept);
        assert_eq!(end.classify(&after(4000), kept(7), 4), is_kept);
        assert_eq!(end.classify(&after(4000), kept(8), 4), is_bridged, "another socket");
        assert_eq!(
            end.classify(&after(4000), own, 4),
            is_bridged,
            "a socket of its own with a number used again"
        );
        let is_unproven = |now: &Moment, socket, bridge_s| {
            assert!(
                matches!(end.classify(now, socket, bridge_s), PlannedStop::Unproven(_)),
                "{now:?} {bridge_s}"
            );
        };
        for socket in [kept(7), kept(8), own] {
            is_unproven(&after(0), socket, 0);
            is_unproven(&after(4001), socket, 4);
            is_unproven(&after(11_000), socket, 4);
            is_unproven(&moment("b", 1000, END_S + 1), socket, 4);
            is_unproven(&Moment { boot_id: None, ..after(1000) }, socket, 4);
            is_unproven(&Moment { boot_ms: 0, ..after(1000) }, socket, 4);
            is_unproven(&moment("a", 1000, END_S + 3600), socket, 300);
            is_unproven(&moment("a", 1000, END_S - 3600), socket, 300);
        }
        let nameless = EndMark { socket: None, ..end.clone() };
        let unknown = ListeningSocket { inode: None, is_handed_over: true };
        assert_eq!(nameless.classify(&after(0), unknown, 4), is_bridged);
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_only_until_it_is_removed() {
        let store = Store::Memory(crate::store::Memory::default());
        let end = EndMark::new(&moment("a", 0, END_S), END_S, Some(7));
        assert_eq!(EndMark::load(&store), None);
        store.commit(&[end.to_change().unwrap()]).unwrap();
        assert_eq!(EndMark::load(&store), Some(end));
        store.commit(&[EndMark::removal()]).unwrap();
        assert_eq!(EndMark::load(&store), None);
    }
}
