//! One shard: which of its replicas is asked, and what happens if one does not answer.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clickhouse::{Client, RowOwned, RowRead, query::Query};
use tokio::time::{Instant, sleep};

use super::{
    error::ClickHouseError,
    failure::ReplicaFailure,
    questions::AnswerPart,
    replica::{Replica, Stored},
    schema::MessageTable,
};

/// If no replica stored rows, the next round begins after this time.
const PAUSE: Duration = Duration::from_millis(100);
/// A replica has at least this time to store rows, if there is as much.
const ATTEMPT_MIN: Duration = Duration::from_millis(1500);
/// A replica has at most this time to store rows if there are others.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// With less time an insert does not begin.
const USEFUL_MIN: Duration = Duration::from_millis(20);

/// A question, as a statement for a server.
pub type Question = dyn Fn(&Client) -> Query + Send + Sync;

/// The replicas of one shard.
#[derive(Debug)]
pub struct Shard {
    /// Its number, from 1 on, as it is shown.
    number: usize,
    /// Its path in ZooKeeper or ClickHouse Keeper. Empty without a cluster.
    pub path: String,
    /// How many replicas must have rows before they are confirmed: the majority.
    quorum: usize,
    replicas: RwLock<Vec<Arc<Replica>>>,
    /// The replica that answered last.
    asked: AtomicUsize,
    /// The replica that stored last.
    stored: AtomicUsize,
}

impl Shard {
    /// The shard at an index. `replicas` is how many replicas the cluster gives it, whether they are reached or not.
    pub fn new(index: usize, path: String, replicas: usize, reached: Vec<Arc<Replica>>) -> Shard {
        // Processes begin with different replicas.
        let start = usize::try_from(RandomState::new().hash_one(index) % 1024).unwrap_or(0);
        Shard {
            number: index + 1,
            path,
            quorum: replicas / 2 + 1,
            replicas: RwLock::new(reached),
            asked: AtomicUsize::new(start),
            stored: AtomicUsize::new(start),
        }
    }

    /// Adds a replica that was not reached before.
    pub fn add(&self, replica: Arc<Replica>) {
        self.replicas.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(replica);
    }

    /// The replicas with their index, the last good one first.
    fn last_good_first(&self, good: &AtomicUsize) -> Vec<(usize, Arc<Replica>)> {
        let replicas = self.replicas.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = replicas.len().max(1);
        let first = good.load(Ordering::Relaxed) % count;
        let mut replicas: Vec<_> = replicas.iter().cloned().enumerate().collect();
        replicas.rotate_left(first);
        replicas
    }

    /// Asks the replicas one after the other until one answers in full.
    ///
    /// # Errors
    /// If none does, or the question is too large for any.
    pub async fn ask<T>(&self, table: MessageTable, question: &Question) -> Result<Vec<T>, ClickHouseError>
    where
        AnswerPart<T>: RowOwned + RowRead,
    {
        let mut failures = Vec::new();
        for (index, replica) in self.last_good_first(&self.asked) {
            match replica.ask(table, question).await {
                Ok(rows) => {
                    self.asked.store(index, Ordering::Relaxed);
                    return Ok(rows);
                }
                Err(failure) if failure.is_of_the_question() => {
                    return Err(ClickHouseError::Unanswered(format!(
                        "the question is too large, ask for a shorter range: {failure}"
                    )));
                }
                Err(failure) => {
                    if let Some(failures) = replica.unanswered.failed() {
                        tracing::warn!(
                            shard = self.number,
                            failures,
                            "ClickHouse did not answer; the next replica is asked, if there is one: {failure}"
                        );
                    }
                    failures.push(failure);
                }
            }
        }
        let what = texts(failures.iter());
        Err(ClickHouseError::Unanswered(format!("no replica of shard {} answers: {what}", self.number)))
    }

    /// Stores rows, on one replica after the other until one confirms it. Rows find their repeats themselves, so storing
    /// them again is safe.
    ///
    /// # Errors
    /// If none confirmed it in time. They may be stored nevertheless.
    pub async fn store<R: Stored>(&self, rows: &[R], until: Instant) -> Result<(), ClickHouseError> {
        let mut failures: BTreeMap<usize, ReplicaFailure> = BTreeMap::new();
        loop {
            for (index, replica) in self.last_good_first(&self.stored) {
                let left = until.saturating_duration_since(Instant::now());
                if left < USEFUL_MIN {
                    let what = texts(failures.values());
                    return Err(ClickHouseError::NotStored(format!("shard {}: {what}", self.number)));
                }
                let time = attempt(left, self.quorum > 1);
                match replica.store(rows, self.quorum, time).await {
                    Ok(()) => {
                        self.stored.store(index, Ordering::Relaxed);
                        return Ok(());
                    }
                    Err(failure) => {
                        if let Some(failures) = replica.unconfirmed.failed() {
                            tracing::warn!(
                                shard = self.number,
                                failures,
                                rows = rows.len(),
                                "ClickHouse did not confirm rows, trying again: {failure}"
                            );
                        }
                        // Without enough time it only says that there was not enough.
                        if time >= ATTEMPT_MIN || !failures.contains_key(&index) {
                            failures.insert(index, failure);
                        }
                    }
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            sleep(PAUSE.min(left)).await;
        }
    }
}

/// How long one replica may take to store rows: half of the time that is left, so that another one can try.
fn attempt(left: Duration, has_others: bool) -> Duration {
    if has_others { (left / 2).clamp(ATTEMPT_MIN, ATTEMPT_MAX).min(left) } else { left }
}

fn texts<'a>(failures: impl Iterator<Item = &'a ReplicaFailure>) -> String {
    let texts: Vec<String> = failures.map(ToString::to_string).collect();
    if texts.is_empty() { "there was no time left".to_owned() } else { texts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quorum_is_the_majority_of_all_replicas_of_the_cluster() {
        let quorum = |replicas| Shard::new(0, String::new(), replicas, Vec::new()).quorum;
        assert_eq!([1, 2, 3, 4, 5].map(quorum), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_replica_leaves_time_for_another_one() {
        let millis = |left, has_others| attempt(Duration::from_millis(left), has_others).as_millis();
        assert_eq!([4_500, 4_000, 2_000, 900].map(|left| millis(left, true)), [2_250, 2_000, 1_500, 900]);
        assert_eq!((millis(60_000, true), millis(60_000, false)), (10_000, 60_000));
    }
}
