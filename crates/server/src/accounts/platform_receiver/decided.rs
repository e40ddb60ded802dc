//! Decisions about accounts that platforms bring, if several processes share the store. Each is taken in a turn: facts
//! become durable first, then memory changes, then a message is queued. So an account may exist without its first
//! message, if the process dies in between. WeChat sends that message again.

use std::sync::Arc;

use storage::{
    decision::Decision,
    store::{AccountNumber, Change, NotDurable, Outcome},
};
use system::sync::lock;
use wechat::callback::{Info, PlatformEvent};

use super::{
    DurableFuture, EventEffect, EventError, Received,
    authorization_state::{AuthorizationState, Status},
    overtaken,
    platforms::{MessageVerdict, ReceivedPlatforms},
    queued::PlannedState,
    ticket::Ticket,
};
use crate::accounts::registry::ServedAccount;

/// Facts to make durable, and what they change about serving.
struct PlannedFacts {
    facts: Vec<Change>,
    served: Vec<(AccountNumber, bool)>,
}

impl Received {
    /// Binds an account to its first message, then queues the message. Runs to its end even if nobody waits.
    pub(super) fn bind_and_enqueue(
        self: &Arc<Self>,
        component: &str,
        appid: &str,
        to_user: &str,
        message: Change,
    ) -> DurableFuture<Outcome> {
        let received = self.clone();
        let (component, appid, to_user) = (component.to_owned(), appid.to_owned(), to_user.to_owned());
        let bound = tokio::spawn(async move {
            received.bind(&component, &appid, &to_user).await?;
            received.ingest.enqueue(message)?.await
        });
        Box::pin(async move { bound.await.unwrap_or_else(|error| Err(NotDurable(error.to_string()))) })
    }

    async fn bind(&self, component: &str, appid: &str, to_user: &str) -> Result<(), NotDurable> {
        let decision = self.store.decide().await?;
        let planned = {
            let platforms = lock(&self.platforms);
            let account = self.accounts.get(appid);
            match platforms.judge(component, appid, to_user, account.as_deref()) {
                MessageVerdict::Unchanged => return Ok(()),
                MessageVerdict::WithState(state) => {
                    let account = self.account_or_new(&platforms, component, appid)?;
                    self.plan_facts(&platforms, component, &account, state)?
                }
                _ => return Err(overtaken()),
            }
        };
        self.commit(decision, planned).await
    }

    /// Applies an event durably. Runs to its end even if the caller stops waiting.
    pub(super) async fn decide_event(
        self: &Arc<Self>,
        component: &str,
        event: PlatformEvent,
    ) -> Result<EventEffect, EventError> {
        let (received, component) = (self.clone(), component.to_owned());
        let decided = tokio::spawn(async move { received.decide_event_now(&component, event).await });
        decided.await.unwrap_or_else(|error| Err(NotDurable(error.to_string()).into()))
    }

    async fn decide_event_now(
        &self,
        component: &str,
        event: PlatformEvent,
    ) -> Result<EventEffect, EventError> {
        let (status, appid) = match event.info {
            Info::Ticket(text) => {
                let ticket = Ticket { text: text.into(), created_s: event.create_time };
                return self.decide_ticket(component, &ticket).await;
            }
            Info::Authorized(appid) => (Status::Authorized, appid),
            Info::Unauthorized(appid) => (Status::Unauthorized, appid),
            Info::Probe | Info::Other => return Ok(EventEffect::Changed),
        };
        let decision = self.store.decide().await?;
        let planned = {
            let platforms = lock(&self.platforms);
            let Some(state) = platforms.judge_event(component, &appid, status, event.create_time)? else {
                return Ok(EventEffect::Unchanged);
            };
            let account = self.account_or_new(&platforms, component, &appid)?;
            self.plan_facts(&platforms, component, &account, state)?
        };
        self.commit(decision, planned).await?;
        Ok(EventEffect::Changed)
    }

    async fn decide_ticket(&self, component: &str, ticket: &Ticket) -> Result<EventEffect, EventError> {
        let decision = self.store.decide().await?;
        let fact = {
            let platforms = lock(&self.platforms);
            let platform = platforms.0.get(component).ok_or(EventError::Implausible)?;
            if platform.ticket.as_ref().is_some_and(|kept| ticket.created_s <= kept.created_s) {
                return Ok(EventEffect::Unchanged);
            }
            ticket.fact(&self.key, component).map_err(NotDurable)?
        };
        self.commit(decision, PlannedFacts { facts: vec![fact], served: Vec::new() }).await?;
        Ok(EventEffect::Changed)
    }

    /// WeChat issued a token for an account. Nobody waits for this.
    pub(super) fn decide_confirmed(self: &Arc<Self>, component: &str, appid: &str) {
        let (received, component, appid) = (self.clone(), component.to_owned(), appid.to_owned());
        tokio::spawn(async move {
            if let Err(error) = received.decide_confirmed_now(&component, &appid).await {
                tracing::warn!(%error, appid, "an account's authorization of a platform could not be stored");
            }
        });
    }

    async fn decide_confirmed_now(&self, component: &str, appid: &str) -> Result<(), NotDurable> {
        let decision = self.store.decide().await?;
        let planned = {
            let platforms = lock(&self.platforms);
            let Some((account, state)) = self.confirmed(&platforms, component, appid) else { return Ok(()) };
            self.plan_facts(&platforms, component, &account, state)?
        };
        self.commit(decision, planned).await
    }

    fn plan_facts(
        &self,
        platforms: &ReceivedPlatforms,
        component: &str,
        account: &ServedAccount,
        state: AuthorizationState,
    ) -> Result<PlannedFacts, NotDurable> {
        let PlannedState { fact, serves, .. } = self.plan(platforms, component, account, state)?;
        let served = serves.map(|serves| (account.number, serves)).into_iter().collect();
        Ok(PlannedFacts { facts: vec![fact], served })
    }

    async fn commit(&self, decision: Decision, planned: PlannedFacts) -> Result<(), NotDurable> {
        let PlannedFacts { facts, served } = planned;
        let decided = decision.commit_serving(&self.ingest, &served, facts.clone()).await?;
        self.apply_changes(&facts);
        drop(decided);
        Ok(())
    }
}
