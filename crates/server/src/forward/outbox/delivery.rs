//! Delivering copies: for each target one worker, oldest first, with growing pauses while the target takes nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    AGE_S_MAX, Destination, Shared,
    queue::{EntryKey, Queue, TargetId},
};
use crate::accounts::platform_issuer::event;

/// How often the manager looks, if nothing tells it to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Copies sent to one target at the same time.
const TOGETHER: usize = 16;
/// One delivery.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The pause after a pass in which some were refused; each further one is twice as long.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);
/// The pause after nobody answered; each further one is twice as long.
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
    let mut workers: JoinSet<(TargetId, Pass)> = JoinSet::new();
    let mut busy: Vec<TargetId> = Vec::new();
    loop {
        tokio::select! {
            () = shared.news.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(done) = workers.join_next(), if !workers.is_empty() => {
                if let Ok((target, pass)) = done {
                    busy.retain(|other| *other != target);
                    if pass != Pass::AllTaken && !fares.contains_key(&target) {
                        warn_of(&shared, target, pass);
                    }
                    note(&mut fares, target, pass);
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
        let is_due = |target: &TargetId| fares.get(target).is_none_or(|fare| fare.next <= now);
        for target in waiting.into_iter().filter(is_due) {
            if !busy.contains(&target) {
                busy.push(target);
                let destination = destinations.get(&target).cloned();
                workers.spawn(work(shared.clone(), queue.clone(), target, destination));
            }
        }
    }
}

/// How a pass over all that waits for a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    AllTaken,
    /// The target is there, and refused some.
    SomeRefused,
    NobodyAnswers,
}

/// Says once that a target takes nothing, until it does again.
fn warn_of(shared: &Shared, target: TargetId, pass: Pass) {
    let Some((_, to)) = shared.targets().into_iter().find(|(id, _)| *id == target) else { return };
    let why = match pass {
        Pass::NobodyAnswers => "nobody answers",
        _ => "not taken; an event is only by status 200 and the body success",
    };
    tracing::warn!(to = %to.address, why, "what waits for this address is sent again, with growing pauses");
}

fn note(fares: &mut HashMap<TargetId, Fare>, target: TargetId, pass: Pass) {
    let former = fares.remove(&target).map_or(PAUSE_FIRST / 2, |fare| fare.pause);
    let pause = match pass {
        Pass::AllTaken => return,
        Pass::SomeRefused => (former * 2).clamp(PAUSE_REFUSED, PAUSE_MAX),
        Pass::NobodyAnswers => (former * 2).min(PAUSE_MAX),
    };
    fares.insert(target, Fare { pause, next: Instant::now() + pause });
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// Taken, or nobody wants it any more.
    Over,
    /// The target answered that it is in trouble: the others may fare better.
    Refused,
    /// Nobody answered.
    Lost,
}

/// Delivers all that waits for the target, oldest first; what it refuses is tried again the next time. Ends early when
/// nobody answers.
async fn work(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    target: TargetId,
    destination: Option<Destination>,
) -> (TargetId, Pass) {
    let together = if destination.as_ref().is_some_and(|to| to.is_in_order) { 1 } else { TOGETHER };
    let (mut behind, mut pass) = (None, Pass::AllTaken);
    loop {
        let reader = queue.clone();
        let oldest = tokio::task::spawn_blocking(move || reader.oldest(&target, behind, together)).await;
        let Ok(Ok(oldest)) = oldest else { return (target, Pass::NobodyAnswers) };
        let Some((last, _)) = oldest.last() else { return (target, pass) };
        behind = Some(*last);
        let settled = deliver(&shared, destination.as_ref(), oldest).await;
        let over = settled.iter().filter(|(.., settled)| *settled == Settled::Over);
        let over: Vec<(EntryKey, u64)> = over.map(|(key, bytes, _)| (*key, *bytes)).collect();
        if over.len() < settled.len() {
            pass = Pass::SomeRefused;
        }
        let nobody_answers = settled.iter().all(|(.., settled)| *settled == Settled::Lost);
        if nobody_answers || queue.remove(over).await.is_err() {
            return (target, Pass::NobodyAnswers);
        }
    }
}

/// Sends entries at the same time.
async fn deliver(
    shared: &Arc<Shared>,
    destination: Option<&Destination>,
    entries: Vec<(EntryKey, Vec<u8>)>,
) -> Vec<(EntryKey, u64, Settled)> {
    let mut sending = JoinSet::new();
    for (key, sealed) in entries {
        let (shared, destination) = (shared.clone(), destination.cloned());
        let bytes = sealed.len() as u64;
        sending.spawn(async move {
            let (result, is_event, settled) = settle(&shared, destination.as_ref(), &sealed).await;
            if is_event {
                shared.metrics.pushed("event", result);
            } else {
                shared.metrics.copied(result, 1);
            }
            (key, bytes, settled)
        });
    }
    sending.join_all().await
}

/// What became of an entry, as in the metrics, and whether it is an event.
async fn settle(
    shared: &Shared,
    destination: Option<&Destination>,
    sealed: &[u8],
) -> (&'static str, bool, Settled) {
    let entry = shared.opened(sealed);
    let request = destination.zip(entry.as_ref()).and_then(|(to, entry)| {
        let address = entry.account.as_ref().map(|appid| to.address.for_account(appid));
        entry.callback.request(address.as_ref().unwrap_or(&to.address))
    });
    let is_event = entry.as_ref().is_some_and(|entry| entry.is_event);
    let (Some(entry), Some(request)) = (entry, request) else {
        // The data key was changed, or the target is not configured any more.
        return ("dropped", is_event, Settled::Over);
    };
    if shared.clock.now_s() - entry.queued_s > AGE_S_MAX {
        return ("too_old", is_event, Settled::Over);
    }
    let answered = async {
        let (parts, content) = shared.client.send(request).await.ok()?.into_parts();
        // A server in trouble gets it again; any other answer of a listener is its business.
        Some(if is_event {
            event::is_taken(parts.status, content).await
        } else {
            !parts.status.is_server_error()
        })
    };
    match tokio::time::timeout(TIME_MAX, answered).await.ok().flatten() {
        Some(true) => ("delivered", is_event, Settled::Over),
        Some(false) => ("failed", is_event, Settled::Refused),
        None => ("failed", is_event, Settled::Lost),
    }
}
