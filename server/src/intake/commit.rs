//! The way of a message into the queue and to the disk, and what is noted once it is known to be durable or lost.

use std::{pin::Pin, sync::Arc};

use msgcube_cube::Reason;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{BroughtBy, Intake, PendingMessage};
use crate::{
    accounts::Account,
    store::{self, NotDurable},
};

/// Whether a callback that goes on to a bot is durable.
#[derive(Debug)]
pub enum Commit {
    /// It is.
    Durable,
    /// It is not, and is noted as lost if it should be.
    Failed,
    /// The commit goes on; true if the callback is durable in the end.
    Pending(JoinHandle<bool>),
}

impl Commit {
    /// Whether it is durable by now.
    pub async fn is_durable(self) -> bool {
        match self {
            Commit::Durable => true,
            Commit::Failed => false,
            Commit::Pending(commit) => commit.is_finished() && commit.await.unwrap_or(false),
        }
    }
}

/// Waits for the disk. The commit does not depend on it: dropping it does not take the message out of the queue.
type Committed = Pin<Box<dyn Future<Output = Result<store::Outcome, NotDurable>> + Send>>;

impl Intake {
    /// Puts a message into the queue.
    pub(super) fn enqueue(&self, message: PendingMessage) -> Result<Committed, NotDurable> {
        match message.brought_by {
            None => Ok(Box::pin(self.ingest.enqueue(message.change)?)),
            Some(BroughtBy { platform, to_user }) => {
                self.received.enqueue(&platform, &message.account, &to_user, message.change)
            }
        }
    }

    /// Puts a message into the queue and waits for the disk. After `until` the wait goes on in a task of its own.
    pub(super) async fn commit_until(self: &Arc<Self>, message: PendingMessage, until: Instant) -> Commit {
        let (account, quarantined_for) = (message.account.clone(), message.quarantined_for);
        let settled = |settled| if settled { Commit::Durable } else { Commit::Failed };
        let mut commit = match self.enqueue(message) {
            Ok(commit) => commit,
            Err(error) => return settled(self.settle(&account, Err(error), quarantined_for).is_ok()),
        };
        if let Ok(committed) = timeout_at(until, &mut commit).await {
            return settled(self.settle(&account, committed, quarantined_for).is_ok());
        }
        let intake = self.clone();
        Commit::Pending(tokio::spawn(async move {
            intake.settle(&account, commit.await, quarantined_for).is_ok()
        }))
    }

    /// Counts a message that is durable. The time of one that is not is lost; the error says why.
    pub(super) fn settle(
        &self,
        account: &Account,
        committed: Result<store::Outcome, NotDurable>,
        quarantined_for: Option<&'static str>,
    ) -> Result<(), &'static str> {
        let reason = quarantined_for.unwrap_or("");
        let failed = match committed {
            Ok(store::Outcome::Counted) => {
                self.metrics.callback("counted", reason);
                self.metrics.counted(1);
                return Ok(());
            }
            Ok(store::Outcome::Repeat) => {
                self.metrics.callback("repeat", reason);
                self.metrics.repeated(1);
                return Ok(());
            }
            Ok(store::Outcome::Noted) => {
                self.metrics.callback("aside", reason);
                self.metrics.kept_aside(reason);
                return Ok(());
            }
            Ok(store::Outcome::Failed(error)) => {
                tracing::error!(%error, appid = account.config.appid, "a message could not be counted");
                "store"
            }
            Err(_) => "not_durable",
        };
        self.lose_lately(account, Reason::NotDurable);
        Err(failed)
    }
}
