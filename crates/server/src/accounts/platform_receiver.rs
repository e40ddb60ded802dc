//! Accounts that third-party platforms bring (role "receive"): made by their first message or by the event that says
//! they authorised the platform, bound to the `ToUserName` of their first message, durable before anybody is answered.

mod belonging;
mod configured;
mod load;
mod platforms;
mod removed;
mod standing;
mod ticket;

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
    accounts::registry::{Account, Accounts},
    config::check_text,
};

pub use configured::Gone;
pub use load::{Loaded, load};
use platforms::{ReceivedPlatforms, Verdict};
use standing::Standing;
pub use standing::Status;
pub use ticket::Ticket;

/// What the facts begin with that are sealed with the data key.
pub const SEALED_FACTS: [&str; 2] = [standing::FACT_PREFIX, ticket::FACT_PREFIX];

/// All of them.
#[derive(Debug)]
pub struct Received {
    platforms: Mutex<ReceivedPlatforms>,
    store: Arc<Store>,
    ingest: Ingest,
    key: DataKey,
    accounts: Arc<Accounts>,
}

/// Whether a message that came through a platform is taken.
#[derive(Clone, Debug)]
pub enum Admission {
    /// For this account.
    Taken(Arc<Account>),
    /// It is not this account's.
    WrongToUser,
    /// It is known to be another account's of the platform.
    OfAnother,
    /// The account's messages do not come through this platform.
    NotOfPlatform,
    /// It would make an account, and there are too many.
    TooMany,
}

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// Something new, durably.
    News,
    /// Nothing: it was known, or overtaken.
    Replayed,
}

/// Why what an event says is not known.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The disk.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// Too many accounts.
    #[error("the platform brought {} accounts already, which is the most", platforms::ACCOUNTS_MAX)]
    TooMany,
    /// An operator removed the account later than that was decided.
    #[error("the account was removed since")]
    Removed,
    /// Not what WeChat sends.
    #[error("it names no appid that could be one")]
    Implausible,
}

/// How an account stands with a platform, to be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The platform.
    pub component: String,
    /// What it was told last.
    pub status: Status,
    /// `gh_…`, by its first message.
    pub original_id: Option<String>,
}

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T, NotDurable>> + Send>>;

/// Whether a text from outside can be an appid.
pub fn is_sane(appid: &str) -> bool {
    check_text(appid).is_ok()
}

/// An account with nothing but its appid.
fn brought(store: &Store, accounts: &Accounts, appid: &str) -> Result<Account, String> {
    Account::brought(store.reserve(appid), appid, &accounts.quotas).map_err(|error| error.to_string())
}

impl Received {
    /// Goes on from what was loaded.
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

    /// How an account stands with each platform, in order.
    pub fn standings(&self, appid: &str) -> Vec<Shown> {
        let platforms = lock(&self.platforms);
        let seats = platforms.0.iter().filter_map(|(component, platform)| {
            let seat = platform.seats.get(appid).filter(|seat| seat.durable > 0)?;
            let Standing { status, original_id, .. } = seat.standing.clone();
            Some(Shown { component: component.clone(), status, original_id })
        });
        let mut shown: Vec<Shown> = seats.collect();
        shown.sort_by(|one, other| one.component.cmp(&other.component));
        shown
    }

    /// Whether an account took back what it gave a platform. One that was removed and is there again by a message has given
    /// nothing yet.
    pub fn is_withdrawn(&self, component: &str, appid: &str) -> bool {
        let platforms = lock(&self.platforms);
        let Some(platform) = platforms.0.get(component) else { return false };
        platform.seats.get(appid).is_some_and(|seat| match seat.standing.status {
            Status::Unauthorized => true,
            Status::Pending => platform.removals.contains_key(appid),
            Status::Authorized => false,
        })
    }

    /// The newest ticket that a platform was sent.
    pub fn ticket(&self, component: &str) -> Option<Ticket> {
        lock(&self.platforms).0.get(component)?.ticket.clone()
    }

    /// How many accounts of a platform stand how.
    pub fn numbers(&self, component: &str) -> BTreeMap<Status, usize> {
        let platforms = lock(&self.platforms);
        let seats = platforms.0.get(component).into_iter().flat_map(|platform| platform.seats.values());
        let statuses = seats.filter(|seat| seat.durable > 0).map(|seat| seat.standing.status);
        let mut numbers = BTreeMap::new();
        statuses.for_each(|status| *numbers.entry(status).or_default() += 1);
        numbers
    }

    /// Whether a message is taken. Says nothing durable yet.
    pub fn admit(&self, component: &str, appid: &str, to_user: &str) -> Admission {
        let platforms = lock(&self.platforms);
        let account = self.accounts.get(appid);
        match platforms.judge(component, appid, to_user, account.as_deref()) {
            Verdict::WrongToUser => return Admission::WrongToUser,
            Verdict::OfAnother => return Admission::OfAnother,
            Verdict::NotOfPlatform => return Admission::NotOfPlatform,
            Verdict::TooMany => return Admission::TooMany,
            Verdict::Known | Verdict::With(_) => {}
        }
        match self.account(&platforms, component, appid) {
            Ok(account) => Admission::Taken(account),
            Err(_) => Admission::WrongToUser,
        }
    }

    /// The account of an appid, made if there is none.
    fn account(
        &self,
        platforms: &ReceivedPlatforms,
        component: &str,
        appid: &str,
    ) -> Result<Arc<Account>, NotDurable> {
        let seat = || Some(platforms.0.get(component)?.seats.get(appid)?.account.clone());
        let known = self.accounts.get(appid).or_else(seat);
        known
            .map_or_else(|| brought(&self.store, &self.accounts, appid).map(Arc::new), Ok)
            .map_err(NotDurable)
    }

    /// Puts a message that was admitted into the queue, and with it what it says of its account. The future only waits.
    pub fn enqueue(
        self: &Arc<Self>,
        component: &str,
        account: &Arc<Account>,
        to_user: &str,
        change: Change,
    ) -> Result<Waiting<Outcome>, NotDurable> {
        let mut platforms = lock(&self.platforms);
        match platforms.judge(component, &account.config.appid, to_user, Some(account)) {
            Verdict::Known => {
                let waiting = self.ingest.enqueue(change)?;
                Ok(Box::pin(waiting))
            }
            Verdict::With(standing) => {
                // If it was removed since it was admitted, nothing that an operator gave it comes back.
                let account = self.account(&platforms, component, &account.config.appid)?;
                let outcomes = self.submit(&mut platforms, component, &account, standing, Some(change))?;
                let none = || NotDurable("no outcome".to_owned());
                Ok(Box::pin(async move { outcomes.await?.into_iter().nth(1).ok_or_else(none) }))
            }
            // Another was quicker; WeChat sends it again, and hears why it is refused.
            Verdict::WrongToUser | Verdict::OfAnother | Verdict::NotOfPlatform | Verdict::TooMany => {
                Err(NotDurable("another message was quicker to say whose it is".to_owned()))
            }
        }
    }

    /// Acts on an event, durably.
    pub async fn learn(
        self: &Arc<Self>,
        component: &str,
        event: PlatformEvent,
    ) -> Result<Learnt, EventError> {
        let PlatformEvent { create_time, info } = event;
        match info {
            Info::Ticket(text) => self.keep_ticket(component, Ticket { text, created_s: create_time }).await,
            Info::Authorized(appid) => self.decide(component, &appid, Status::Authorized, create_time).await,
            Info::Unauthorized(appid) => {
                self.decide(component, &appid, Status::Unauthorized, create_time).await
            }
            Info::Probe | Info::Other => Ok(Learnt::News),
        }
    }

    /// WeChat itself gave out a token for an account that nothing was known of: it authorised the platform.
    /// Any event says more: it has a time of WeChat's.
    pub fn confirm(self: &Arc<Self>, component: &str, appid: &str) {
        let mut platforms = lock(&self.platforms);
        let seat = platforms.0.get(component).and_then(|platform| platform.seats.get(appid));
        let Some(seat) = seat.filter(|seat| seat.standing.status == Status::Pending) else { return };
        let account = self.accounts.get(appid).unwrap_or_else(|| seat.account.clone());
        if let Some(standing) = seat.standing.decided(Status::Authorized, i64::MIN + 1)
            && let Err(error) = self.submit(&mut platforms, component, &account, standing, None)
        {
            tracing::warn!(%error, appid, "that an account authorised a platform could not be kept");
        }
    }

    async fn decide(
        self: &Arc<Self>,
        component: &str,
        appid: &str,
        status: Status,
        decided_s: i64,
    ) -> Result<Learnt, EventError> {
        match self.enqueue_decision(component, appid, status, decided_s)? {
            None => Ok(Learnt::Replayed),
            Some(outcomes) => Ok(outcomes.await.map(|_| Learnt::News)?),
        }
    }

    fn enqueue_decision(
        self: &Arc<Self>,
        component: &str,
        appid: &str,
        status: Status,
        decided_s: i64,
    ) -> Result<Option<Waiting<Vec<Outcome>>>, EventError> {
        let mut platforms = lock(&self.platforms);
        let platform = platforms.0.get(component).filter(|_| is_sane(appid));
        let platform = platform.ok_or(EventError::Implausible)?;
        match platform.removals.get(appid).filter(|removal| decided_s <= removal.at_s) {
            Some(removal) if removal.is_durable => return Err(EventError::Removed),
            Some(_) => return Err(NotDurable("its removal is on its way to the disk".to_owned()).into()),
            None => {}
        }
        let seat = platform.seats.get(appid);
        if seat.is_none() && platform.has_no_room() {
            return Err(EventError::TooMany);
        }
        let former = seat.map_or_else(Standing::pending, |seat| seat.standing.clone());
        let standing = match former.decided(status, decided_s) {
            Some(standing) => standing,
            None if seat.is_none_or(platforms::PlatformAccount::is_durable) => return Ok(None),
            // Known in memory only: once more.
            None => former,
        };
        let account = self.account(&platforms, component, appid)?;
        Ok(Some(self.submit(&mut platforms, component, &account, standing, None)?))
    }

    /// Puts a standing into the queue, with the message that says it; memory follows at once, so that the order in the
    /// queue is that of the decisions.
    fn submit(
        self: &Arc<Self>,
        platforms: &mut ReceivedPlatforms,
        component: &str,
        account: &Arc<Account>,
        mut standing: Standing,
        message: Option<Change>,
    ) -> Result<Waiting<Vec<Outcome>>, NotDurable> {
        let appid = &account.config.appid;
        if platforms.0.get(component).is_some_and(|platform| !platform.seats.contains_key(appid)) {
            standing.is_beside = account.is_own();
        }
        let is_taken_beside = account.keys.is_some() || platforms.is_active_beside(component, appid);
        let was_taken = account.keys.is_some() || platforms.is_active(appid);
        let will_be_taken = is_taken_beside || standing.is_active();
        let fact = standing.fact(&self.key, component, appid);
        let fact = fact.map_err(|error| NotDurable(error.to_string()))?;
        let changes: Vec<Change> = [fact].into_iter().chain(message).collect();
        let waiting: Waiting<Vec<Outcome>> = if was_taken == will_be_taken {
            Box::pin(self.ingest.submit_all(changes)?)
        } else {
            Box::pin(self.ingest.enqueue_serving(account.number, will_be_taken, changes)?)
        };
        let Some(platform) = platforms.0.get_mut(component) else { return Ok(waiting) };
        let version = platform.put(appid, account, standing);
        platform.seats.get_mut(appid).into_iter().for_each(|seat| seat.in_flight += 1);
        let (received, component, appid) = (self.clone(), component.to_owned(), appid.clone());
        // Runs to its end whoever waits: memory and disk must agree.
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
        let Some(seat) = platform.seats.get_mut(appid).filter(|seat| version >= seat.born) else { return };
        seat.in_flight = seat.in_flight.saturating_sub(1);
        if is_durable {
            seat.durable = seat.durable.max(version);
            self.accounts.put_if_new(&seat.account);
        } else if seat.durable == 0 && seat.in_flight == 0 {
            // Nothing of it is on the disk. What else did not become durable goes there with the next word of it.
            let seat = platform.remove(appid);
            let is_taken = platforms.is_active(appid);
            if let Some(seat) = seat.filter(|seat| seat.account.keys.is_none() && !is_taken) {
                self.ingest.set_served(seat.account.number, false);
            }
        }
    }

    async fn keep_ticket(&self, component: &str, ticket: Ticket) -> Result<Learnt, EventError> {
        let waiting = {
            let mut platforms = lock(&self.platforms);
            let platform = platforms.0.get_mut(component).ok_or(EventError::Implausible)?;
            let is_newer = |kept: &Ticket| ticket.created_s > kept.created_s;
            let is_news = platform.ticket.as_ref().is_none_or(is_newer);
            let kept = platform.ticket.as_ref().filter(|_| !is_news);
            if kept.is_some() && !platform.is_ticket_new {
                return Ok(Learnt::Replayed);
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
        Ok(Learnt::News)
    }
}

#[cfg(test)]
mod tests;
