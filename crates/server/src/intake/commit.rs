//! The commit of a callback that goes on to a bot. The bot need not wait until it is complete.

use std::sync::Arc;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{Intake, PendingMessage};

/// Whether a callback that goes on to a bot is durable.
#[derive(Debug)]
pub enum Commit {
    /// It is durable.
    Durable,
    /// It is not durable. If it is a loss, the gap is recorded.
    Failed,
    /// The commit is still running. The task returns true if the callback becomes durable.
    Pending(JoinHandle<bool>),
}

impl Commit {
    /// Whether the callback is durable by now.
    pub async fn is_durable(self) -> bool {
        match self {
            Commit::Durable => true,
            Commit::Failed => false,
            Commit::Pending(commit) => commit.is_finished() && commit.await.unwrap_or(false),
        }
    }
}

impl Intake {
    /// Puts a message into the queue and waits for the disk. After `until` the wait continues in its own task.
    pub(super) async fn commit_until(self: &Arc<Self>, message: PendingMessage, until: Instant) -> Commit {
        let awaited = message.awaited.clone();
        let settled = |settled| if settled { Commit::Durable } else { Commit::Failed };
        let mut commit = match self.enqueue(message) {
            Ok(commit) => commit,
            Err(error) => return settled(self.count_commit(&awaited, Err(error)).is_ok()),
        };
        if let Ok(committed) = timeout_at(until, &mut commit).await {
            return settled(self.count_commit(&awaited, committed).is_ok());
        }
        let intake = self.clone();
        Commit::Pending(tokio::spawn(async move { intake.count_commit(&awaited, commit.await).is_ok() }))
    }
}
