//! Begin and end of receiving messages: what happens between two processes.

use std::time::Duration;

use counting::Reason;
use system::sync::lock;

use super::Ingest;
use crate::{
    planned_stop::{EndMark, ListeningSocket, PlannedStop},
    store::Change,
};

/// Pause before a start that is not durable is tried again.
const AGAIN_EVERY: Duration = Duration::from_millis(200);

impl Ingest {
    /// Messages are received from now on. The time since the last mark becomes a gap.
    pub fn begin_anew(&self) {
        let mut queue = lock(&self.shared.queue);
        queue.has_begun = true;
        queue.serve_anew(Reason::NotRunning);
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Messages are received from now on, through this socket. The time since the last process is a gap, unless that
    /// process stopped as planned, at most `bridge_s` seconds ago. Await this before the first connection is accepted:
    /// it removes the last process's end mark, which must not be used for this process.
    pub async fn begin(&self, socket: ListeningSocket, bridge_s: u32) {
        let accounts = {
            let mut queue = lock(&self.shared.queue);
            queue.socket = socket.inode;
            if queue.has_begun {
                return;
            }
            queue.served.clone()
        };
        let end = EndMark::load(&self.shared.store);
        let store = &self.shared.store;
        // New accounts cannot miss anything yet.
        let is_new = accounts.iter().all(|account| store.coverage(*account, |known| !known.has_begun()));
        // Waiting for the disk below does not lengthen the stop, because the socket queues the connections.
        let mut stop = self.stop_before(end.as_ref(), socket, bridge_s);
        loop {
            let at_s = self.shared.clock.now_s() + 1;
            let accounts = accounts.clone();
            let begins = match stop {
                PlannedStop::SocketKept { end_s } => {
                    Change::Resume { end_s, at_s, accounts, is_bridged: false }
                }
                PlannedStop::Bridged { end_s } => Change::Resume { end_s, at_s, accounts, is_bridged: true },
                PlannedStop::Unproven(_) => Change::Serve { at_s, accounts, reason: Reason::NotRunning },
            };
            let done = async { self.submit_all(vec![begins, EndMark::removal()])?.await }.await;
            if done.is_ok() {
                lock(&self.shared.queue).has_begun = true;
                // A store that others share knows better what happened meanwhile.
                if !is_new && !store.is_shared() {
                    log_stop(stop);
                }
                return;
            }
            // No connection is accepted while a later start could still trust the old mark.
            stop = self.stop_before(end.as_ref(), socket, bridge_s);
            if let PlannedStop::Unproven(_) = stop {
                return self.begin_anew();
            }
            tokio::time::sleep(AGAIN_EVERY).await;
        }
    }

    fn stop_before(&self, end: Option<&EndMark>, socket: ListeningSocket, bridge_s: u32) -> PlannedStop {
        let unplanned = PlannedStop::Unproven("the last stop was not planned");
        end.map_or(unplanned, |end| end.classify(&self.shared.clock.moment(), socket, bridge_s))
    }

    /// Records that no connection is accepted from now on, as planned. Accepted connections will still be served.
    pub fn stop_listening(&self) {
        lock(&self.shared.queue).last_accept.get_or_insert(self.shared.clock.moment());
    }
}

fn log_stop(stop: PlannedStop) {
    match stop {
        PlannedStop::SocketKept { .. } => {
            tracing::info!("the listening socket stayed open during the planned stop: no gap");
        }
        PlannedStop::Bridged { .. } => {
            tracing::info!("a short planned stop: WeChat's retries cover it, no gap");
        }
        PlannedStop::Unproven(why) => tracing::info!(
            reason = Reason::NotRunning.name(),
            "{why}: the time since the last mark is a gap for accounts that were served before"
        ),
    }
}
