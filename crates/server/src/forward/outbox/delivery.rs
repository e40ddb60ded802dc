//! Delivers copies. Each target has one worker, which sends the oldest first, with growing pauses after failures.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    AGE_S_MAX, Destination, OutboxState,
    queue::{EntryKey, Queue, TargetId},
};
use crate::accounts::platform_issuer::event;

/// How often the manager checks the queue without a notification.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Limit of copies sent to one target at the same time.
const TOGETHER: usize = 16;
/// Longest time of one delivery.
const TIME_MAX: Duration = Duration::from_secs(10);
/// First pause after a pass in which the target refused some copies. Each further pause is twice as long.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);
/// First pause after a pass without any answer. Each further pause is twice as long.
const PAUSE_NO_ANSWER: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// When a failing target is tried again.
#[derive(Debug)]
struct TargetPause {
    pause: Duration,
    next: Instant,
}

/// Runs the workers of all targets, as long as the program runs.
pub async fn manage(shared: Arc<OutboxState>) {
    let mut pauses: HashMap<TargetId, TargetPause> = HashMap::new();
    let mut workers: JoinSet<(TargetId, PassResult)> = JoinSet::new();
    let mut busy: Vec<TargetId> = Vec::new();
    loop {
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(done) = workers.join_next(), if !workers.is_empty() => {
                if let Ok((target, pass)) = done {
                    busy.retain(|other| *other != target);
                    if pass != PassResult::AllDelivered && !pauses.contains_key(&target) {
                        warn_about(&shared, target, pass);
                    }
                    set_pause(&mut pauses, target, pass);
                }
            }
        }
        let Some(queue) = shared.queue().await else { continue };
        let waiting = queue.targets();
        if waiting.is_empty() {
            continue;
        }
        let destinations: HashMap<TargetId, Destination> = shared.targets().into_iter().collect();
        let now = Instant::now();
        let is_due = |target: &TargetId| pauses.get(target).is_none_or(|pause| pause.next <= now);
        for target in waiting.into_iter().filter(is_due) {
            if !busy.contains(&target) {
                busy.push(target);
                let destination = destinations.get(&target).cloned();
                workers.spawn(deliver_all(shared.clone(), queue.clone(), target, destination));
            }
        }
    }
}

/// Result of a pass over all copies of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassResult {
    AllDelivered,
    /// The target answered, but did not accept some.
    SomeRefused,
    NoAnswer,
}

/// Logs that a target accepts nothing. Called once until it accepts copies again.
fn warn_about(shared: &OutboxState, target: TargetId, pass: PassResult) {
    let Some((_, to)) = shared.targets().into_iter().find(|(id, _)| *id == target) else { return };
    let why = match pass {
        PassResult::NoAnswer => "no answer",
        _ => "not accepted; a platform accepts an event with status 200 and the body success",
    };
    tracing::warn!(to = %to.address, why, "deliveries to this address are retried, with growing pauses");
}

fn set_pause(pauses: &mut HashMap<TargetId, TargetPause>, target: TargetId, pass: PassResult) {
    let former = pauses.remove(&target).map_or(PAUSE_NO_ANSWER / 2, |former| former.pause);
    let pause = match pass {
        PassResult::AllDelivered => return,
        PassResult::SomeRefused => (former * 2).clamp(PAUSE_REFUSED, PAUSE_MAX),
        PassResult::NoAnswer => (former * 2).min(PAUSE_MAX),
    };
    pauses.insert(target, TargetPause { pause, next: Instant::now() + pause });
}

/// Result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeliveryResult {
    /// Delivered, or not wanted any more.
    Done,
    /// The target answered with an error. It may accept other copies.
    Refused,
    /// There was no answer.
    NoAnswer,
}

/// Delivers all copies that wait for the target, oldest first. Refused ones wait for the next pass. Ends early if there
/// is no answer.
async fn deliver_all(
    shared: Arc<OutboxState>,
    queue: Arc<Queue>,
    target: TargetId,
    destination: Option<Destination>,
) -> (TargetId, PassResult) {
    let together = if destination.as_ref().is_some_and(|to| to.is_in_order) { 1 } else { TOGETHER };
    let (mut after, mut pass) = (None, PassResult::AllDelivered);
    loop {
        let reader = queue.clone();
        let oldest = tokio::task::spawn_blocking(move || reader.oldest(&target, after, together)).await;
        let Ok(Ok(oldest)) = oldest else { return (target, PassResult::NoAnswer) };
        let Some((last, _)) = oldest.last() else { return (target, pass) };
        after = Some(*last);
        let results = deliver(&shared, destination.as_ref(), oldest).await;
        let over = results.iter().filter(|(.., result)| *result == DeliveryResult::Done);
        let over: Vec<(EntryKey, u64)> = over.map(|(key, bytes, _)| (*key, *bytes)).collect();
        if over.len() < results.len() {
            pass = PassResult::SomeRefused;
        }
        let is_no_answer = results.iter().all(|(.., result)| *result == DeliveryResult::NoAnswer);
        if is_no_answer || queue.remove(over).await.is_err() {
            return (target, PassResult::NoAnswer);
        }
    }
}

/// Sends entries concurrently.
async fn deliver(
    shared: &Arc<OutboxState>,
    destination: Option<&Destination>,
    entries: Vec<(EntryKey, Vec<u8>)>,
) -> Vec<(EntryKey, u64, DeliveryResult)> {
    let mut sending = JoinSet::new();
    for (key, sealed) in entries {
        let (shared, destination) = (shared.clone(), destination.cloned());
        let bytes = sealed.len() as u64;
        sending.spawn(async move {
            let (label, is_event, result) = deliver_one(&shared, destination.as_ref(), &sealed).await;
            if is_event {
                shared.metrics.pushed("event", label);
            } else {
                shared.metrics.copied(label, 1);
            }
            (key, bytes, result)
        });
    }
    sending.join_all().await
}

/// Delivers an entry. Returns the result as the metrics name it, and whether the entry is an event.
async fn deliver_one(
    shared: &OutboxState,
    destination: Option<&Destination>,
    sealed: &[u8],
) -> (&'static str, bool, DeliveryResult) {
    let entry = shared.unseal(sealed);
    let request = destination.zip(entry.as_ref()).and_then(|(to, entry)| {
        let address = entry.account.as_ref().map(|appid| to.address.for_account(appid));
        entry.callback.request(address.as_ref().unwrap_or(&to.address))
    });
    let is_event = entry.as_ref().is_some_and(|entry| entry.is_event);
    let (Some(entry), Some(request)) = (entry, request) else {
        // The data key was changed, or the target is no longer configured.
        return ("dropped", is_event, DeliveryResult::Done);
    };
    if shared.clock.now_s() - entry.queued_s > AGE_S_MAX {
        return ("too_old", is_event, DeliveryResult::Done);
    }
    let answered = async {
        let (parts, content) = shared.client.send(request).await.ok()?.into_parts();
        // A server error is retried. Any other answer of a listener counts as delivered.
        Some(if is_event {
            event::is_accepted(parts.status, content).await
        } else {
            !parts.status.is_server_error()
        })
    };
    match tokio::time::timeout(TIME_MAX, answered).await.ok().flatten() {
        Some(true) => ("delivered", is_event, DeliveryResult::Done),
        Some(false) => ("failed", is_event, DeliveryResult::Refused),
        None => ("failed", is_event, DeliveryResult::NoAnswer),
    }
}
