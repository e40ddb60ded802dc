//! Decisions of the only process. Memory changes at once, under the lock, so that the order in the queue is the order of
//! the decisions.

use std::sync::Arc;

use storage::store::{Change, NotDurable, Outcome};
use system::sync::lock;

use super::{
    DurableFuture, EventEffect, EventError, Received,
    authorization_state::{AuthorizationState, Status},
    platforms::{PlatformAccount, ReceivedPlatforms},
    ticket::Ticket,
};
use crate::accounts::registry::ServedAccount;

/// A new authorization state, and what it changes.
pub struct PlannedState {
    pub state: AuthorizationState,
    /// The change that stores it.
    pub fact: Change,
    /// Whether the account's messages are accepted from now on. None if that does not change.
    pub serves: Option<bool>,
}

impl Received {
    pub(super) async fn store_decision(
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
        let Some(state) = platforms.judge_event(component, appid, status, decided_s)? else {
            return Ok(None);
        };
        let account = self.account_or_new(&platforms, component, appid)?;
        Ok(Some(self.submit(&mut platforms, component, &account, state, None)?))
    }

    /// Queues an authorization state, with the message that causes it. Memory changes at once, under the lock,
    /// so that the order in the queue is the order of the decisions.
    pub(super) fn submit(
        self: &Arc<Self>,
        platforms: &mut ReceivedPlatforms,
        component: &str,
        account: &Arc<ServedAccount>,
        state: AuthorizationState,
        message: Option<Change>,
    ) -> Result<DurableFuture<Vec<Outcome>>, NotDurable> {
        let appid = &account.config.appid;
        let PlannedState { state, fact, serves } = self.plan(platforms, component, account, state)?;
        let changes: Vec<Change> = [fact].into_iter().chain(message).collect();
        let waiting: DurableFuture<Vec<Outcome>> = match serves {
            None => Box::pin(self.ingest.submit_all(changes)?),
            Some(serves) => Box::pin(self.ingest.enqueue_serving(account.number, serves, changes)?),
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

    pub(super) async fn store_ticket(
        &self,
        component: &str,
        ticket: Ticket,
    ) -> Result<EventEffect, EventError> {
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

    /// What a new state changes.
    pub(super) fn plan(
        &self,
        platforms: &ReceivedPlatforms,
        component: &str,
        account: &ServedAccount,
        mut state: AuthorizationState,
    ) -> Result<PlannedState, NotDurable> {
        let appid = &account.config.appid;
        if platforms.0.get(component).is_some_and(|platform| !platform.accounts.contains_key(appid)) {
            state.is_operators = account.is_own();
        }
        let is_taken_elsewhere = account.keys.is_some() || platforms.is_active_elsewhere(component, appid);
        let was_taken = account.keys.is_some() || platforms.is_active(appid);
        let will_be_taken = is_taken_elsewhere || state.is_active();
        let fact = state.fact(&self.key, component, appid);
        let fact = fact.map_err(|error| NotDurable(error.to_string()))?;
        Ok(PlannedState { state, fact, serves: (was_taken != will_be_taken).then_some(will_be_taken) })
    }

    /// The account and its state once WeChat issued a token for it. None if its status was known already.
    pub(super) fn confirmed(
        &self,
        platforms: &ReceivedPlatforms,
        component: &str,
        appid: &str,
    ) -> Option<(Arc<ServedAccount>, AuthorizationState)> {
        let member = platforms.0.get(component)?.accounts.get(appid)?;
        let member = Some(member).filter(|member| member.state.status == Status::Pending)?;
        let account = self.accounts.get(appid).unwrap_or_else(|| member.account.clone());
        Some((account, member.state.decided(Status::Authorized, i64::MIN + 1)?))
    }
}

impl ReceivedPlatforms {
    /// The state of an account after an event. None if nothing changes.
    pub fn judge_event(
        &self,
        component: &str,
        appid: &str,
        status: Status,
        decided_s: i64,
    ) -> Result<Option<AuthorizationState>, EventError> {
        let platform = self.0.get(component).filter(|_| super::is_sane(appid));
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
        match former.decided(status, decided_s) {
            None if member.is_none_or(PlatformAccount::is_durable) => Ok(None),
            // If it is known in memory only, it is stored again.
            decided => Ok(Some(decided.unwrap_or(former))),
        }
    }
}
