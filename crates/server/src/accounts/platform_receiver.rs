//! Accounts that third-party platforms bring (role "receive"). Their first message, or the event that they
//! authorised the platform, creates them. The first message binds them to its `ToUserName`. All of it is durable
//! before WeChat gets an answer.

mod authorization_state;
mod configured;
mod decided;
mod feed;
mod load;
mod ownership;
mod platforms;
mod queued;
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
use configured::Unserved;
pub use configured::{MovedAccount, RemovedAccount};
pub use load::{Loaded, load};
use platforms::{MessageVerdict, ReceivedPlatforms};
pub use ticket::Ticket;

/// Prefixes of the keys of facts that are sealed with the data key.
pub const SEALED_FACTS: [&str; 2] = [authorization_state::FACT_PREFIX, ticket::FACT_PREFIX];

/// Prefixes of the keys of all facts of this module.
pub const FACT_PREFIXES: [&str; 3] =
    [authorization_state::FACT_PREFIX, tombstones::FACT_PREFIX, ticket::FACT_PREFIX];

/// All accounts that platforms bring.
#[derive(Debug)]
pub struct Received {
    platforms: Mutex<ReceivedPlatforms>,
    store: Arc<Store>,
    ingest: Ingest,
    key: DataKey,
    accounts: Arc<Accounts>,
    unserved: Mutex<Unserved>,
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

fn overtaken() -> NotDurable {
    NotDurable("another message changed the account first".to_owned())
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
        let unserved = Mutex::new(Unserved::new(ingest.clock().now_s()));
        Received { platforms: Mutex::new(loaded.0), store, ingest, key, accounts, unserved }
    }

    /// True if several processes share the accounts.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// After this, everything is known that other processes decided before the call.
    pub async fn fresh(&self) -> Result<(), NotDurable> {
        self.store.fresh().await
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
            MessageVerdict::WithState(_) if self.store.is_shared() => {
                Ok(self.bind_and_enqueue(component, &account.config.appid, to_user, change))
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
            | MessageVerdict::TooMany => Err(overtaken()),
        }
    }

    /// Applies an event durably.
    pub async fn apply_event(
        self: &Arc<Self>,
        component: &str,
        event: PlatformEvent,
    ) -> Result<EventEffect, EventError> {
        if self.store.is_shared() {
            return self.decide_event(component, event).await;
        }
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
        let Some((account, state)) = self.confirmed(&platforms, component, appid) else { return };
        if self.store.is_shared() {
            self.decide_confirmed(component, appid);
        } else if let Err(error) = self.submit(&mut platforms, component, &account, state, None) {
            tracing::warn!(%error, appid, "an account's authorization of a platform could not be stored");
        }
    }
}

#[cfg(test)]
mod tests;
