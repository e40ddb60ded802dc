//! Accounts that third-party platforms bring (role "receive"). Their first message, or the event that they
//! authorised the platform, creates them. The first message binds them to its `ToUserName`. All of it is durable
//! before WeChat gets an answer.

mod authorization_state;
mod configured;
mod load;
mod ownership;
mod platforms;
mod ticket;
mod tombstones;

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
};

use storage::{
    store::{Change, NotDurable, Outcome, Store},
    writer::Ingest,
};
use system::{data_key::DataKey, sync::lock};
use wechat::callback::{Info, PlatformEvent};

use crate::{
    accounts::registry::{Accounts, ServedAccount},
    config::check_text,
};

use authorization_state::AuthorizationState;
pub use authorization_state::Status;
pub use configured::RemovedAccount;
pub use load::{Loaded, load};
use platforms::{MessageVerdict, ReceivedPlatforms};
pub use ticket::Ticket;

/// Prefixes of the keys of facts that are sealed with the data key.
pub const SEALED_FACTS: [&str; 2] = [authorization_state::FACT_PREFIX, ticket::FACT_PREFIX];

/// All accounts that platforms bring.
#[derive(Debug)]
pub struct Received {
    platforms: Mutex<ReceivedPlatforms>,
    store: Arc<Store>,
    ingest: Ingest,
    key: DataKey,
    accounts: Arc<Accounts>,
}

/// Whether a message that came through a platform is accepted.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It is accepted for this account.
    Accepted(Arc<ServedAccount>),
    /// Its `ToUserName` is not this account's.
    WrongToUser,
    /// Its `ToUserName` is another account's of the platform.
    OfAnother,
    /// The account's messages do not come through this platform.
    NotOfPlatform,
    /// It would create an account, and the limit is reached.
    TooMany,
}

/// Result of applying an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEffect {
    /// The state changed, durably.
    Changed,
    /// Nothing changed: the state was known already, or a later event was applied before.
    Unchanged,
}

/// Why an event was not applied.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// Too many accounts.
    #[error("the limit of {} accounts of the platform is reached", platforms::ACCOUNTS_MAX)]
    TooMany,
    /// The event is older than an operator's removal of the account.
    #[error("the account was removed since")]
    Removed,
    /// WeChat does not send such an event.
    #[error("it names no appid that could be one")]
    Implausible,
}

/// An account's authorization state with a platform, as the API shows it.
#[derive(Clone, Debug)]
pub struct PlatformStatus {
    /// The platform's appid.
    pub component: String,
    /// The newest known status.
    pub status: Status,
    /// `gh_…`, from the account's first message.
    pub original_id: Option<String>,
}

type DurableFuture<T> = Pin<Box<dyn Future<Output = Result<T, NotDurable>> + Send>>;

/// Whether a text from outside can be an appid.
pub fn is_sane(appid: &str) -> bool {
    check_text(appid).is_ok()
}

/// Makes an account with only its appid.
fn new_brought(store: &Store, accounts: &Accounts, appid: &str) -> Result<ServedAccount, String> {
    ServedAccount::brought(store.reserve(appid), appid, accounts).map_err(|error| error.to_string())
}

impl Received {
    /// Continues from what was loaded.
    pub fn new(
        loaded: Loaded,
        store: Arc<Store>,
        ingest: Ingest,
        key: DataKey,
        accounts: Arc<Accounts>,
    ) -> Received {
        Received { platforms: Mutex::new(loaded.0), store, ingest, key, accounts }
    }

    /// Whether any platform brings messages of this account.
    pub fn is_active(&self, appid: &str) -> bool {
        lock(&self.platforms).is_active(appid)
    }

    /// An account's authorization state with each platform, sorted by platform.
    pub fn authorization_states(&self, appid: &str) -> Vec<PlatformStatus> {
        let platforms = lock(&self.platforms);
        let accounts = platforms.0.iter().filter_map(|(component, platform)| {
            let member = platform.accounts.get(appid).filter(|member| member.durable > 0)?;
            let AuthorizationState { status, original_id, .. } = member.state.clone();
            Some(PlatformStatus { component: component.clone(), status, original_id })
        });
        let mut shown: Vec<PlatformStatus> = accounts.collect();
        shown.sort_by(|one, other| one.component.cmp(&other.component));
        shown
    }

    /// Whether an account withdrew its authorization of a platform. An account that was removed and brought
    /// back by a message counts as withdrawn until it authorises again.
    pub fn is_withdrawn(&self, component: &str, appid: &str) -> bool {
        let platforms = lock(&self.platforms);
        let Some(platform) = platforms.0.get(component) else { return false };
        platform.accounts.get(appid).is_some_and(|member| match member.state.status {
            Status::Unauthorized => true,
            Status::Pending => platform.tombstones.contains_key(appid),
            Status::Authorized => false,
        })
    }

    /// The newest ticket that WeChat sent to a platform.
    pub fn ticket(&self, component: &str) -> Option<Ticket> {
        lock(&self.platforms).0.get(component)?.ticket.clone()
    }

    /// How many accounts of a platform have each status.
    pub fn numbers(&self, component: &str) -> BTreeMap<Status, usize> {
        let platforms = lock(&self.platforms);
        let accounts = platforms.0.get(component).into_iter().flat_map(|platform| platform.accounts.values());
        let statuses = accounts.filter(|member| member.durable > 0).map(|member| member.state.status);
        let mut numbers = BTreeMap::new();
        statuses.for_each(|status| *numbers.entry(status).or_default() += 1);
        numbers
    }

    /// Whether a message is accepted. Changes nothing durable yet.
    pub fn admit(&self, component: &str, appid: &str, to_user: &str) -> Admission {
        let platforms = lock(&self.platforms);
        let account = self.accounts.get(appid);
        match platforms.judge(component, appid, to_user, account.as_deref()) {
            MessageVerdict::WrongToUser => return Admission::WrongToUser,
            MessageVerdict::OfAnother => return Admission::OfAnother,
            MessageVerdict::NotOfPlatform => return Admission::NotOfPlatform,
            MessageVerdict::TooMany => return Admission::TooMany,
            MessageVerdict::Unchanged | MessageVerdict::WithState(_) => {}
        }
        match self.account_or_new(&platforms, component, appid) {
            Ok(account) => Admission::Accepted(account),
            Err(_) => Admission::WrongToUser,
        }
    }

    /// Finds the account of an appid, or makes it.
    fn account_or_new(
        &self,
        platforms: &ReceivedPlatforms,
        component: &str,
        appid: &str,
    ) -> Result<Arc<ServedAccount>, NotDurable> {
        let member = || Some(platforms.0.get(component)?.accounts.get(appid)?.account.clone());
        let known = self.accounts.get(appid).or_else(member);
        known
            .map_or_else(|| new_brought(&self.store, &self.accounts, appid).map(Arc::new), Ok)
            .map_err(NotDurable)
    }

    /// Puts an accepted message into the queue, together with what it changes about its account. The future
    /// only waits.
    pub fn enqueue(
        self: &Arc<Self>,
        component: &str,
        account: &Arc<ServedAccount>,
        to_user: &str,
        change: Change,
    ) -> Result<DurableFuture<Outcome>, NotDurable> {
        let mut platforms = lock(&self.platforms);
        match platforms.judge(component, &account.config.appid, to_user, Some(account)) {
            MessageVerdict::Unchanged => {
                let waiting = self.ingest.enqueue(change)?;
                Ok(Box::pin(waiting))
            }
            MessageVerdict::WithState(state) => {
                // If the account was removed after `admit`, recreate it without the operator's
                // settings.
                let account = self.account_or_new(&platforms, component, &account.config.appid)?;
                let outcomes = self.submit(&mut platforms, component, &account, state, Some(change))?;
                let none = || NotDurable("no outcome".to_owned());
                Ok(Box::pin(async move { outcomes.await?.into_iter().nth(1).ok_or_else(none) }))
            }
            // Another message changed the state first. WeChat retries, and gets the reason then.
            MessageVerdict::WrongToUser
            | MessageVerdict::OfAnother
            | MessageVerdict::NotOfPlatform
            | MessageVerdict::TooMany => {
                Err(NotDurable("another message changed the account first".to_owned()))
            }
        }
    }

    /// Applies an event durably.
    pub async fn apply_event(
        self: &Arc<Self>,
        component: &str,
        event: PlatformEvent,
    ) -> Result<EventEffect, EventError> {
        let PlatformEvent { create_time, info } = event;
        match info {
            Info::Ticket(text) => {
                self.store_ticket(component, Ticket { text: text.into(), created_s: create_time }).await
            }
            Info::Authorized(appid) => {
                self.store_decision(component, &appid, Status::Authorized, create_time).await
            }
            Info::Unauthorized(appid) => {
                self.store_decision(component, &appid, Status::Unauthorized, create_time).await
            }
            Info::Probe | Info::Other => Ok(EventEffect::Changed),
        }
    }

    /// WeChat issued a token for an account of unknown status: so it authorised the platform. Any event
    /// overrides this, since it has a time from WeChat.
    pub fn confirm(self: &Arc<Self>, component: &str, appid: &str) {
        let mut platforms = lock(&self.platforms);
        let member = platforms.0.get(component).and_then(|platform| platform.accounts.get(appid));
        let Some(member) = member.filter(|member| member.state.status == Status::Pending) else {
            return;
        };
        let account = self.accounts.get(appid).unwrap_or_else(|| member.account.clone());
        if let Some(state) = member.state.decided(Status::Authorized, i64::MIN + 1)
            && let Err(error) = self.submit(&mut platforms, component, &account, state, None)
        {
            tracing::warn!(%error, appid, "an account's authorization of a platform could not be stored");
        }
    }

    async fn store_decision(
        self: &Arc<Self>,
        component: &str,
        appid: &str,
        status: Status,
        decided_s: i64,
    ) -> Result<EventEffect, EventError> {
        match self.enqueue_decision(component, appid, status, decided_s)? {
            None => Ok(EventEffect::Unchanged),
            Some(outcomes) => Ok(outcomes.await.map(|_| EventEffect::Changed)?),
        }
    }

    fn enqueue_decision(
        self: &Arc<Self>,
        component: &str,
        appid: &str,
        status: Status,
        decided_s: i64,
    ) -> Result<Option<DurableFuture<Vec<Outcome>>>, EventError> {
        let mut platforms = lock(&self.platforms);
        let platform = platforms.0.get(component).filter(|_| is_sane(appid));
        let platform = platform.ok_or(EventError::Implausible)?;
        match platform.tombstones.get(appid).filter(|tombstone| decided_s <= tombstone.at_s) {
            Some(tombstone) if tombstone.is_durable => return Err(EventError::Removed),
            Some(_) => return Err(NotDurable("its removal is not durable yet".to_owned()).into()),
            None => {}
        }
        let member = platform.accounts.get(appid);
        if member.is_none() && platform.has_no_room() {
            return Err(EventError::TooMany);
        }
        let former = member.map_or_else(AuthorizationState::pending, |member| member.state.clone());
        let state = match former.decided(status, decided_s) {
            Some(state) => state,
            None if member.is_none_or(platforms::PlatformAccount::is_durable) => return Ok(None),
            // Known in memory only: store it again.
            None => former,
        };
        let account = self.account_or_new(&platforms, component, appid)?;
        Ok(Some(self.submit(&mut platforms, component, &account, state, None)?))
    }

    /// Queues an authorization state, with the message that causes it. Memory changes at once, under the lock,
    /// so that the order in the queue is the order of the decisions.
    fn submit(
        self: &Arc<Self>,
        platforms: &mut ReceivedPlatforms,
        component: &str,
        account: &Arc<ServedAccount>,
        mut state: AuthorizationState,
        message: Option<Change>,
    ) -> Result<DurableFuture<Vec<Outcome>>, NotDurable> {
        let appid = &account.config.appid;
        if platforms.0.get(component).is_some_and(|platform| !platform.accounts.contains_key(appid)) {
            state.is_operators = account.is_own();
        }
        let is_taken_elsewhere = account.keys.is_some() || platforms.is_active_elsewhere(component, appid);
        let was_taken = account.keys.is_some() || platforms.is_active(appid);
        let will_be_taken = is_taken_elsewhere || state.is_active();
        let fact = state.fact(&self.key, component, appid);
        let fact = fact.map_err(|error| NotDurable(error.to_string()))?;
        let changes: Vec<Change> = [fact].into_iter().chain(message).collect();
        let waiting: DurableFuture<Vec<Outcome>> = if was_taken == will_be_taken {
            Box::pin(self.ingest.submit_all(changes)?)
        } else {
            Box::pin(self.ingest.enqueue_serving(account.number, will_be_taken, changes)?)
        };
        let Some(platform) = platforms.0.get_mut(component) else { return Ok(waiting) };
        let version = platform.put(appid, account, state);
        platform.accounts.get_mut(appid).into_iter().for_each(|member| member.in_flight += 1);
        let (received, component, appid) = (self.clone(), component.to_owned(), appid.clone());
        // Runs to its end even if the caller stops waiting: memory and disk must agree.
        let settled = tokio::spawn(async move {
            let outcomes = waiting.await;
            received.settle(&component, &appid, version, outcomes.is_ok());
            outcomes
        });
        Ok(Box::pin(async move { settled.await.unwrap_or_else(|error| Err(NotDurable(error.to_string()))) }))
    }

    fn settle(&self, component: &str, appid: &str, version: u64, is_durable: bool) {
        let mut platforms = lock(&self.platforms);
        let Some(platform) = platforms.0.get_mut(component) else { return };
        let Some(member) = platform.accounts.get_mut(appid).filter(|member| version >= member.born) else {
            return;
        };
        member.in_flight = member.in_flight.saturating_sub(1);
        if is_durable {
            member.durable = member.durable.max(version);
            self.accounts.put_if_new(&member.account);
        } else if member.durable == 0 && member.in_flight == 0 {
            // Nothing of this account is on disk. Later messages store its state again.
            let member = platform.remove(appid);
            let is_taken = platforms.is_active(appid);
            if let Some(member) = member.filter(|member| member.account.keys.is_none() && !is_taken) {
                self.ingest.set_served(member.account.number, false);
            }
        }
    }

    async fn store_ticket(&self, component: &str, ticket: Ticket) -> Result<EventEffect, EventError> {
        let waiting = {
            let mut platforms = lock(&self.platforms);
            let platform = platforms.0.get_mut(component).ok_or(EventError::Implausible)?;
            let is_newer = |kept: &Ticket| ticket.created_s > kept.created_s;
            let is_news = platform.ticket.as_ref().is_none_or(is_newer);
            let kept = platform.ticket.as_ref().filter(|_| !is_news);
            if kept.is_some() && !platform.is_ticket_new {
                return Ok(EventEffect::Unchanged);
            }
            let ticket = kept.cloned().unwrap_or(ticket);
            let fact = ticket.fact(&self.key, component).map_err(NotDurable)?;
            let waiting = self.ingest.enqueue(fact)?;
            (platform.ticket, platform.is_ticket_new) = (Some(ticket), true);
            waiting
        };
        waiting.await?;
        let mut platforms = lock(&self.platforms);
        platforms.0.get_mut(component).into_iter().for_each(|platform| platform.is_ticket_new = false);
        Ok(EventEffect::Changed)
    }
}

#[cfg(test)]
mod tests;
