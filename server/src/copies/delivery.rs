//! Delivering copies: for each target one worker, oldest first, with growing pauses while the target takes nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    AGE_S_MAX, Shared,
    queue::{Entry, EntryKey, Queue, TargetId},
};
use crate::{http::relay, outbound::Address};

/// How often the manager looks, if nothing tells it to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Copies sent to one target at the same time.
const TOGETHER: usize = 16;
/// One delivery.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The pause after a first failure; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How a target fares.
#[derive(Debug)]
struct Fare {
    pause: Duration,
    next: Instant,
}

/// Looks after all targets for as long as the program runs.
pub async fn manage(shared: Arc<Shared>) {
    let mut fares: HashMap<TargetId, Fare> = HashMap::new();
    let mut workers: JoinSet<(TargetId, bool)> = JoinSet::new();
    let mut busy: Vec<TargetId> = Vec::new();
    loop {
        tokio::select! {
            () = shared.news.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(done) = workers.join_next(), if !workers.is_empty() => {
                if let Ok((target, all_taken)) = done {
                    busy.retain(|other| *other != target);
                    note(&mut fares, target, all_taken);
                }
            }
        }
        let Some(queue) = shared.queue() else { continue };
        let waiting = queue.targets();
        if waiting.is_empty() {
            continue;
        }
        let addresses: HashMap<TargetId, Address> = shared.targets().into_iter().collect();
        let now = Instant::now();
        let is_due = |target: &TargetId| fares.get(target).is_none_or(|fare| fare.next <= now);
        for target in waiting.into_iter().filter(is_due) {
            if !busy.contains(&target) {
                busy.push(target);
                let address = addresses.get(&target).cloned();
                workers.spawn(work(shared.clone(), queue.clone(), target, address));
            }
        }
    }
}

fn note(fares: &mut HashMap<TargetId, Fare>, target: TargetId, all_taken: bool) {
    if all_taken {
        fares.remove(&target);
        return;
    }
    let former = fares.get(&target).map_or(PAUSE_FIRST / 2, |fare| fare.pause);
    let pause = (former * 2).min(PAUSE_MAX);
    fares.insert(target, Fare { pause, next: Instant::now() + pause });
}

/// Delivers until nothing waits for the target, or it takes nothing. True if all was taken.
async fn work(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    target: TargetId,
    address: Option<Address>,
) -> (TargetId, bool) {
    loop {
        let reader = queue.clone();
        let oldest = tokio::task::spawn_blocking(move || reader.oldest(&target, TOGETHER)).await;
        let Ok(Ok(oldest)) = oldest else { return (target, false) };
        if oldest.is_empty() {
            return (target, true);
        }
        let many = oldest.len();
        let over = deliver(&shared, address.as_ref(), oldest).await;
        let all_over = over.len() == many;
        if !over.is_empty() && queue.remove(over).await.is_err() || !all_over {
            return (target, false);
        }
    }
}

/// Sends entries; those that are over, since they were taken or nobody wants them any more, with their bytes.
async fn deliver(
    shared: &Arc<Shared>,
    address: Option<&Address>,
    entries: Vec<(EntryKey, Vec<u8>)>,
) -> Vec<(EntryKey, u64)> {
    let mut sending = JoinSet::new();
    for (key, sealed) in entries {
        let (shared, address) = (shared.clone(), address.cloned());
        let bytes = sealed.len() as u64;
        sending.spawn(async move {
            let result = settle(&shared, address.as_ref(), &sealed).await;
            shared.metrics.copied(result, 1);
            (result != "failed").then_some((key, bytes))
        });
    }
    sending.join_all().await.into_iter().flatten().collect()
}

/// What becomes of one entry; "failed" is tried again.
async fn settle(shared: &Shared, address: Option<&Address>, sealed: &[u8]) -> &'static str {
    let entry = shared.key.open("copy", sealed).ok().and_then(|bytes| Entry::read(&bytes));
    let (Some(entry), Some(address)) = (entry, address) else {
        // The data key was changed, or the listener is not configured any more.
        return "dropped";
    };
    if shared.clock.now_s() - entry.queued_s > AGE_S_MAX {
        return "too_old";
    }
    let Some(request) = relay::request(address, &entry.incoming) else { return "dropped" };
    match tokio::time::timeout(TIME_MAX, shared.client.send(request)).await {
        // A server in trouble gets it again; any other answer is its business.
        Ok(Ok(response)) if !response.status().is_server_error() => "delivered",
        _ => "failed",
    }
}
