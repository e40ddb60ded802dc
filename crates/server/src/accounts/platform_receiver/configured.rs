//! Changes to accounts of the configuration file while platforms bring messages. They happen in the order of the
//! queue, as all decisions about accounts do.

use std::{collections::HashMap, sync::Arc};

use storage::{
    decision::{Decided, Decision},
    store::{AccountNumber, Change, NotDurable, Outcome},
};
use system::sync::lock;

use super::{DurableFuture, Received, new_brought, platforms::ReceivedPlatforms};
use crate::accounts::registry::ServedAccount;

/// An account that is no longer in the file.
#[derive(Debug)]
pub struct RemovedAccount {
    /// The account as it was served.
    pub former: Arc<ServedAccount>,
    /// The account with this appid that was added at run time, if there is one. It is served instead.
    pub stored: Option<Arc<ServedAccount>>,
}

/// An account whose messages are newly accepted or no longer accepted. The time is set if other processes may have
/// accepted them before: since when this one did not, Unix seconds.
pub type MovedAccount = (AccountNumber, Option<i64>);

/// Accounts of the configuration file that this process does not serve, while others may.
#[derive(Debug)]
pub struct Unserved {
    /// When the process started, Unix seconds.
    started_s: i64,
    /// Since when it does not serve an account that it served before.
    since_s: HashMap<AccountNumber, i64>,
}

impl Unserved {
    /// At the start of a process, Unix seconds.
    pub fn new(started_s: i64) -> Unserved {
        Unserved { started_s, since_s: HashMap::new() }
    }
}

/// What is served for an appid, before and after.
struct ExchangeStep {
    appid: String,
    former: Option<Arc<ServedAccount>>,
    next: Option<Arc<ServedAccount>>,
    /// The account that platforms refer to from now on.
    for_platforms: Option<Arc<ServedAccount>>,
}

/// An exchange that is in the queue.
struct EnqueuedExchange {
    steps: Vec<ExchangeStep>,
    moved: Vec<AccountNumber>,
    done: DurableFuture<Vec<Outcome>>,
}

impl Received {
    /// Serves the accounts in `put` and stops serving those in `gone`, durably together with `changes`; on
    /// failure nothing changes. The result equals a start with the changed file. Returns the accounts whose
    /// messages are newly accepted or no longer accepted. If several processes share the store, the caller changes
    /// its own maps before it drops the second value.
    pub async fn exchange(
        &self,
        decision: Decision,
        put: Vec<Arc<ServedAccount>>,
        gone: Vec<RemovedAccount>,
        changes: Vec<Change>,
    ) -> Result<(Vec<MovedAccount>, Option<Decided>), NotDurable> {
        if self.store.is_shared() {
            return self.decide_exchange(decision, put, gone, changes).await;
        }
        let EnqueuedExchange { steps, moved, done } = self.enqueue_exchange(put, gone, changes)?;
        match done.await {
            Ok(_) => Ok((moved.into_iter().map(|account| (account, None)).collect(), None)),
            Err(error) => {
                self.undo(steps);
                Err(error)
            }
        }
    }

    async fn decide_exchange(
        &self,
        decision: Decision,
        put: Vec<Arc<ServedAccount>>,
        gone: Vec<RemovedAccount>,
        changes: Vec<Change>,
    ) -> Result<(Vec<MovedAccount>, Option<Decided>), NotDurable> {
        let (steps, served) = self.steps_of(&lock(&self.platforms), put, gone);
        let decided = decision.commit_serving(&self.ingest, &served, changes).await?;
        self.take(&mut lock(&self.platforms), &steps);
        let now_s = self.ingest.clock().now_s();
        let mut unserved = lock(&self.unserved);
        let moved = served.into_iter().map(|(account, is_served)| {
            if is_served {
                return (account, Some(unserved.since_s.remove(&account).unwrap_or(unserved.started_s)));
            }
            unserved.since_s.insert(account, now_s);
            (account, None)
        });
        Ok((moved.collect(), Some(decided)))
    }

    fn steps_of(
        &self,
        platforms: &ReceivedPlatforms,
        put: Vec<Arc<ServedAccount>>,
        gone: Vec<RemovedAccount>,
    ) -> (Vec<ExchangeStep>, Vec<(AccountNumber, bool)>) {
        let of_put = put.into_iter().map(|account| {
            let appid = account.config.appid.clone();
            let former = self.accounts.get(&appid);
            ExchangeStep { appid, former, for_platforms: Some(account.clone()), next: Some(account) }
        });
        let of_gone = gone.into_iter().map(|gone| self.step_of(platforms, gone));
        let steps: Vec<ExchangeStep> = of_put.chain(of_gone).collect();
        let served = steps.iter().filter_map(|step| step.change_of_serving(platforms)).collect();
        (steps, served)
    }

    fn take(&self, platforms: &mut ReceivedPlatforms, steps: &[ExchangeStep]) {
        for step in steps {
            match &step.next {
                Some(account) => self.accounts.put(account.clone()),
                None => self.accounts.remove(&step.appid),
            }
            platforms.set_account(&step.appid, step.for_platforms.as_ref());
        }
    }

    fn enqueue_exchange(
        &self,
        put: Vec<Arc<ServedAccount>>,
        gone: Vec<RemovedAccount>,
        changes: Vec<Change>,
    ) -> Result<EnqueuedExchange, NotDurable> {
        let mut platforms = lock(&self.platforms);
        let (steps, served) = self.steps_of(&platforms, put, gone);
        let done: DurableFuture<Vec<Outcome>> = if served.is_empty() && changes.is_empty() {
            Box::pin(std::future::ready(Ok(Vec::new())))
        } else {
            Box::pin(self.ingest.enqueue_serving_all(&served, changes)?)
        };
        self.take(&mut platforms, &steps);
        let moved = served.into_iter().map(|(account, _)| account).collect();
        Ok(EnqueuedExchange { steps, moved, done })
    }

    fn step_of(
        &self,
        platforms: &ReceivedPlatforms,
        RemovedAccount { former, stored }: RemovedAccount,
    ) -> ExchangeStep {
        let appid = former.config.appid.clone();
        let (for_platforms, next) = match &stored {
            Some(stored) => (Some(stored.clone()), Some(stored.clone())),
            None => self.brought_of(platforms, &appid),
        };
        ExchangeStep { appid, former: Some(former), next, for_platforms }
    }

    /// The account as platforms refer to it, and the account that is served if only platforms know it.
    pub(super) fn brought_of(
        &self,
        platforms: &ReceivedPlatforms,
        appid: &str,
    ) -> (Option<Arc<ServedAccount>>, Option<Arc<ServedAccount>>) {
        let mut accounts =
            platforms.0.values().filter_map(|platform| platform.accounts.get(appid)).peekable();
        if accounts.peek().is_none() {
            return (None, None);
        }
        let account = new_brought(&self.store, &self.accounts, appid).ok().map(Arc::new);
        // What is not durable yet may still fail.
        let is_durable = accounts.any(|member| member.durable > 0);
        (account.clone(), account.filter(|_| is_durable))
    }

    fn undo(&self, steps: Vec<ExchangeStep>) {
        let mut platforms = lock(&self.platforms);
        for ExchangeStep { appid, former, next, .. } in steps {
            let is_taken = former.as_ref().is_some_and(|former| former.keys.is_some());
            if let Some(account) = former.as_ref().or(next.as_ref()) {
                self.ingest.set_served(account.number, is_taken || platforms.is_active(&appid));
            }
            let (for_platforms, served) = match former {
                Some(former) => (Some(former.clone()), Some(former)),
                None => self.brought_of(&platforms, &appid),
            };
            match served {
                Some(account) => self.accounts.put(account),
                None => self.accounts.remove(&appid),
            }
            platforms.set_account(&appid, for_platforms.as_ref());
        }
    }
}

impl ExchangeStep {
    /// Whether the account's messages are accepted from now on. None if that does not change.
    fn change_of_serving(&self, platforms: &ReceivedPlatforms) -> Option<(AccountNumber, bool)> {
        let is_brought = platforms.is_active(&self.appid);
        let has_keys = |account: &Option<Arc<ServedAccount>>| {
            account.as_ref().is_some_and(|account| account.keys.is_some())
        };
        let (was_taken, is_taken) =
            (is_brought || has_keys(&self.former), is_brought || has_keys(&self.next));
        let account = self.next.as_ref().or(self.former.as_ref())?;
        (was_taken != is_taken).then_some((account.number, is_taken))
    }
}

impl ReceivedPlatforms {
    /// Sets the account in every platform that knows it.
    pub fn set_account(&mut self, appid: &str, account: Option<&Arc<ServedAccount>>) {
        let accounts = self.0.values_mut().filter_map(|platform| platform.accounts.get_mut(appid));
        for (member, account) in accounts.zip(std::iter::repeat(account)) {
            member.account = account.unwrap_or(&member.account).clone();
        }
    }
}
