//! Accounts of the configuration file that change while platforms bring messages: in the order of the queue, as all that
//! is decided of accounts.

use std::sync::Arc;

use storage::store::{AccountNumber, Change, NotDurable, Outcome};
use system::sync::lock;

use super::{Received, Waiting, brought, platforms::ReceivedPlatforms};
use crate::accounts::registry::Account;

/// An account that is no longer in the file.
#[derive(Debug)]
pub struct Gone {
    /// As it was served.
    pub former: Arc<Account>,
    /// The one that was added at run time, if there is one: it is served in its place.
    pub stored: Option<Arc<Account>>,
}

/// What is served for an appid, before and after.
struct Step {
    appid: String,
    former: Option<Arc<Account>>,
    next: Option<Arc<Account>>,
    /// What a platform is to know of it from now on.
    seated: Option<Arc<Account>>,
}

/// An exchange in the queue.
struct Enqueued {
    steps: Vec<Step>,
    moved: Vec<AccountNumber>,
    done: Waiting<Vec<Outcome>>,
}

impl Received {
    /// Serves these accounts, and others no longer, durably together with these changes; or nothing of it holds. What is
    /// served afterwards is what a start with the changed file serves. Returned are those whose messages are taken from
    /// now on, and those whose are no longer.
    pub async fn exchange(
        &self,
        put: Vec<Arc<Account>>,
        gone: Vec<Gone>,
        changes: Vec<Change>,
    ) -> Result<Vec<AccountNumber>, NotDurable> {
        let Enqueued { steps, moved, done } = self.enqueue_exchange(put, gone, changes)?;
        match done.await {
            Ok(_) => Ok(moved),
            Err(error) => {
                self.undo(steps);
                Err(error)
            }
        }
    }

    fn enqueue_exchange(
        &self,
        put: Vec<Arc<Account>>,
        gone: Vec<Gone>,
        changes: Vec<Change>,
    ) -> Result<Enqueued, NotDurable> {
        let mut platforms = lock(&self.platforms);
        let of_put = put.into_iter().map(|account| {
            let appid = account.config.appid.clone();
            let former = self.accounts.get(&appid);
            Step { appid, former, seated: Some(account.clone()), next: Some(account) }
        });
        let of_gone = gone.into_iter().map(|gone| self.step_of(&platforms, gone));
        let steps: Vec<Step> = of_put.chain(of_gone).collect();
        let served: Vec<(AccountNumber, bool)> =
            steps.iter().filter_map(|step| step.change_of_serving(&platforms)).collect();
        let done: Waiting<Vec<Outcome>> = if served.is_empty() && changes.is_empty() {
            Box::pin(std::future::ready(Ok(Vec::new())))
        } else {
            Box::pin(self.ingest.enqueue_serving_all(&served, changes)?)
        };
        for step in &steps {
            match &step.next {
                Some(account) => self.accounts.put(account.clone()),
                None => self.accounts.take_out(&step.appid),
            }
            platforms.seat(&step.appid, step.seated.as_ref());
        }
        let moved = served.into_iter().map(|(account, _)| account).collect();
        Ok(Enqueued { steps, moved, done })
    }

    fn step_of(&self, platforms: &ReceivedPlatforms, Gone { former, stored }: Gone) -> Step {
        let appid = former.config.appid.clone();
        let (seated, next) = match &stored {
            Some(stored) => (Some(stored.clone()), Some(stored.clone())),
            None => self.brought_of(platforms, &appid),
        };
        Step { appid, former: Some(former), next, seated }
    }

    /// An account as platforms know it, and as it is served if nobody else knows it.
    fn brought_of(
        &self,
        platforms: &ReceivedPlatforms,
        appid: &str,
    ) -> (Option<Arc<Account>>, Option<Arc<Account>>) {
        let mut seats = platforms.0.values().filter_map(|platform| platform.seats.get(appid)).peekable();
        if seats.peek().is_none() {
            return (None, None);
        }
        let account = brought(&self.store, &self.accounts, appid).ok().map(Arc::new);
        // What is not durable yet may come to nothing.
        let is_durable = seats.any(|seat| seat.durable > 0);
        (account.clone(), account.filter(|_| is_durable))
    }

    fn undo(&self, steps: Vec<Step>) {
        let mut platforms = lock(&self.platforms);
        for Step { appid, former, next, .. } in steps {
            let is_taken = former.as_ref().is_some_and(|former| former.keys.is_some());
            if let Some(account) = former.as_ref().or(next.as_ref()) {
                self.ingest.set_served(account.number, is_taken || platforms.is_active(&appid));
            }
            let (seated, served) = match former {
                Some(former) => (Some(former.clone()), Some(former)),
                None => self.brought_of(&platforms, &appid),
            };
            match served {
                Some(account) => self.accounts.put(account),
                None => self.accounts.take_out(&appid),
            }
            platforms.seat(&appid, seated.as_ref());
        }
    }
}

impl Step {
    /// Whether its messages are taken from now on, if that changes.
    fn change_of_serving(&self, platforms: &ReceivedPlatforms) -> Option<(AccountNumber, bool)> {
        let is_brought = platforms.is_active(&self.appid);
        let has_keys =
            |account: &Option<Arc<Account>>| account.as_ref().is_some_and(|account| account.keys.is_some());
        let (was_taken, is_taken) =
            (is_brought || has_keys(&self.former), is_brought || has_keys(&self.next));
        let account = self.next.as_ref().or(self.former.as_ref())?;
        (was_taken != is_taken).then_some((account.number, is_taken))
    }
}

impl ReceivedPlatforms {
    /// What platforms know of an account, wherever they know it.
    fn seat(&mut self, appid: &str, account: Option<&Arc<Account>>) {
        let seats = self.0.values_mut().filter_map(|platform| platform.seats.get_mut(appid));
        for (seat, account) in seats.zip(std::iter::repeat(account)) {
            seat.account = account.unwrap_or(&seat.account).clone();
        }
    }
}
