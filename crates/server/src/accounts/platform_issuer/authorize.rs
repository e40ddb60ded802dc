//! Changes authorizations: grants them, withdraws them, exchanges codes and refresh tokens. Changes run one at a
//! time, over all processes that share the store, and each is durable before it takes effect.

use std::sync::{Arc, PoisonError};

use datacube::ErrorCode;
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use subtle::ConstantTimeEq as _;
use system::{
    clock::Clock,
    data_key::SealError,
    random::{self, RandomError},
    sync::lock,
};

use super::{
    AccountAuthorization, Platforms, RefreshTokens,
    code::{Code, CodeKind},
    event::Event,
};
use crate::{
    accounts::registry::Accounts,
    auth::access_token::{Holder, Issued, Tokens},
};

/// What changing authorizations needs.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationContext<'a> {
    /// The accounts being served.
    pub accounts: &'a Accounts,
    /// The access tokens.
    pub tokens: &'a Tokens,
    /// Where decisions are taken.
    pub store: &'a Store,
    /// Queue of the writer.
    pub ingest: &'a Ingest,
    /// Gives the time of a change.
    pub clock: &'a Clock,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// A code, token or appid was not accepted.
    #[error("{0:?}")]
    Refused(ErrorCode),
    /// Too many used codes are stored.
    #[error("too many authorisation codes were used in the last half hour; try again later")]
    TooMany,
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// The system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// Encryption failed.
    #[error("the event for the platform cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// The task of the change ended early.
    #[error("the request ended early: {0}")]
    Broken(String),
}

/// An account's approval of a platform. No Debug: it holds a code.
#[derive(Clone)]
pub struct Approval {
    /// Appid of the platform.
    pub component: String,
    /// Appid of the account.
    pub account: String,
    /// Ids of the permission sets that were granted.
    pub permission_sets: Vec<u32>,
    /// The code that the approval page was opened with. None if there was no page.
    pub pre_auth_code: Option<String>,
}

/// What a platform gets for a code or a refresh token. No Debug: it holds tokens.
#[derive(Clone)]
pub struct IssuedTokens {
    /// The authorization that the code or the refresh token belongs to.
    pub authorization: Arc<AccountAuthorization>,
    /// The platform's access token for the account.
    pub access_token: Issued,
    /// The current refresh token. It replaces the one that was sent, if that was rotated.
    pub refresh_token: String,
}

/// Authorizations that are about to end, as part of a larger change. Until it is dropped, no other authorization
/// changes.
#[derive(Debug)]
pub struct EndingAuthorizations<'a> {
    platforms: &'a Platforms,
    authorizations: Vec<Arc<AccountAuthorization>>,
    now_s: i64,
    _changing: tokio::sync::MutexGuard<'a, ()>,
}

impl EndingAuthorizations<'_> {
    /// The changes that make the end durable.
    pub fn changes(&self) -> Result<Vec<Change>, SealError> {
        let told = self.events().map(|event| event.pending_fact(&self.platforms.key));
        let gone = self.authorizations.iter().map(|authorization| Ok(authorization.deletion()));
        gone.chain(told).collect()
    }

    /// Applies the end once it is durable. Returns the events for the platforms.
    pub fn complete(self) -> Vec<Event> {
        self.authorizations.iter().for_each(|authorization| {
            self.platforms.forget(&authorization.component, &authorization.account);
        });
        self.events().collect()
    }

    fn events(&self) -> impl Iterator<Item = Event> + '_ {
        let event =
            |authorization: &Arc<AccountAuthorization>| Event::unauthorized(authorization, self.now_s);
        self.authorizations.iter().map(event).filter(|event| self.platforms.has_push_url(event))
    }
}

impl Platforms {
    /// Makes a new pre-auth code for a platform.
    pub fn pre_auth_code(&self, component: &str, now_s: i64) -> Result<String, RandomError> {
        let code = Code::new(CodeKind::PreAuth, "", "", now_s)?;
        Ok(code.encode(CodeKind::PreAuth, component, &self.key))
    }

    /// The current ticket of a platform.
    pub fn ticket(&self, component: &str, now_s: i64) -> String {
        super::ticket::ticket(component, &self.key, now_s)
    }

    /// Checks a ticket.
    pub fn check_ticket(&self, ticket: &str, component: &str, now_s: i64) -> Result<(), ErrorCode> {
        super::ticket::check(ticket, component, &self.key, now_s)
    }

    /// Checks a code of this platform: authentic, not used, not expired.
    pub fn check_code(
        &self,
        kind: CodeKind,
        text: &str,
        component: &str,
        now_s: i64,
    ) -> Result<Code, ErrorCode> {
        let code = Code::decode(kind, text, component, &self.key, now_s)?;
        if lock(&self.used).has(component, &code) { Err(ErrorCode::CODE_EXPIRED) } else { Ok(code) }
    }

    /// Grants permission sets of an account to a platform, durably. Returns an authorization code, and the
    /// event for the platform if anything changed.
    pub async fn authorize(
        &self,
        approval: Approval,
        context: AuthorizationContext<'_>,
    ) -> Result<(String, Option<Event>), PlatformError> {
        let decision = context.store.decide().await?;
        let _one_at_a_time = self.changing.lock().await;
        let now_s = decision.now_s(context.clock);
        let Approval { component, account, permission_sets, pre_auth_code } = approval;
        if context.accounts.get(&account).is_none() {
            return Err(PlatformError::Refused(ErrorCode::INVALID_APPID));
        }
        let mut changes = Vec::new();
        let used = match &pre_auth_code {
            Some(text) => {
                let code = self.check_code(CodeKind::PreAuth, text, &component, now_s);
                Some(self.add_use_changes(
                    &component,
                    code.map_err(PlatformError::Refused)?,
                    &mut changes,
                    now_s,
                )?)
            }
            None => None,
        };
        let former = self.authorization(&component, &account);
        let authorization = match &former {
            Some(former) => AccountAuthorization {
                permission_sets,
                authorized_s: now_s,
                ..AccountAuthorization::clone(former)
            },
            None => AccountAuthorization {
                id: random::hexadecimal(8)?,
                refresh: RefreshTokens::new(random::hexadecimal(16)?),
                component,
                account,
                permission_sets,
                authorized_s: now_s,
            },
        };
        let mut codes = Vec::new();
        for _ in 0..2 {
            let code = Code::new(CodeKind::Auth, &authorization.account, &authorization.id, now_s)?;
            codes.push(code.encode(CodeKind::Auth, &authorization.component, &self.key));
        }
        let event = Event::of_approval(former.as_deref(), &authorization, codes.pop(), pre_auth_code, now_s);
        changes.push(authorization.fact());
        let event = event.filter(|event| self.has_push_url(event));
        changes.extend(event.as_ref().map(|event| event.pending_fact(&self.key)).transpose()?);
        // Tokens from before a withdrawal must not become valid again.
        let holder = Holder::authorizer(&authorization.account, &authorization.component);
        let is_renewed = former.is_none();
        let revocation = context.tokens.revocation(|other| is_renewed && *other == holder).await;
        changes.extend(revocation.changes());
        let decided = decision.commit(context.ingest, changes).await?;
        revocation.complete();
        used.iter().for_each(|code| lock(&self.used).record_use(&authorization.component, code, now_s));
        self.remember(authorization);
        drop(decided);
        Ok((codes.pop().unwrap_or_default(), event))
    }

    /// Withdraws what an account granted to a platform, durably.
    pub async fn withdraw(
        &self,
        component: &str,
        account: &str,
        context: AuthorizationContext<'_>,
    ) -> Result<Option<Event>, PlatformError> {
        let decision = context.store.decide().await?;
        let _one_at_a_time = self.changing.lock().await;
        let authorization = self.authorized(component, account)?;
        let event = Event::unauthorized(&authorization, decision.now_s(context.clock));
        let event = Some(event).filter(|event| self.has_push_url(event));
        let told = event.as_ref().map(|event| event.pending_fact(&self.key)).transpose()?;
        let changes = [authorization.deletion()].into_iter().chain(told).collect();
        let decided = decision.commit(context.ingest, changes).await?;
        self.forget(component, account);
        drop(decided);
        Ok(event)
    }

    /// Whether the platform of an event has an address for events.
    fn has_push_url(&self, event: &Event) -> bool {
        self.get(&event.component).is_some_and(|platform| platform.config.push_url.is_some())
    }

    /// Prepares the end of everything that an account granted, in a decision that the caller has taken before.
    pub async fn end_authorizations(&self, account: &str, now_s: i64) -> EndingAuthorizations<'_> {
        let changing = self.changing.lock().await;
        let all = self.authorizations.read().unwrap_or_else(PoisonError::into_inner);
        let authorizations = all.values().filter_map(|of_platform| of_platform.get(account)).cloned();
        EndingAuthorizations {
            platforms: self,
            authorizations: authorizations.collect(),
            now_s,
            _changing: changing,
        }
    }

    /// Exchanges an authorization code for tokens. If two requests use it at the same time, one succeeds.
    pub async fn redeem(
        &self,
        component: &str,
        code: &str,
        context: AuthorizationContext<'_>,
    ) -> Result<IssuedTokens, PlatformError> {
        let decision = context.store.decide().await?;
        let _one_at_a_time = self.changing.lock().await;
        let now_s = decision.now_s(context.clock);
        let code = self.check_code(CodeKind::Auth, code, component, now_s).map_err(PlatformError::Refused)?;
        let authorization = self.authorized(component, &code.account)?;
        if context.accounts.get(&code.account).is_none() {
            return Err(PlatformError::Refused(ErrorCode::COMPONENT_NOT_AUTHORIZED));
        }
        if authorization.id != code.authorization {
            return Err(PlatformError::Refused(ErrorCode::CODE_EXPIRED));
        }
        let mut extra_changes = Vec::new();
        let code = self.add_use_changes(component, code, &mut extra_changes, now_s)?;
        let holder = Holder::authorizer(&authorization.account, component);
        let issued = context.tokens.issue_in(decision, holder, extra_changes, context.ingest, context.clock);
        let (access_token, decided) = issued.await?;
        lock(&self.used).record_use(component, &code, now_s);
        drop(decided);
        Ok(IssuedTokens { refresh_token: self.refresh_token(&authorization), authorization, access_token })
    }

    /// Exchanges a refresh token for an access token and the current refresh token.
    pub async fn refresh(
        &self,
        component: &str,
        account: &str,
        refresh_token: &str,
        context: AuthorizationContext<'_>,
    ) -> Result<IssuedTokens, PlatformError> {
        let decision = context.store.decide().await?;
        let _one_at_a_time = self.changing.lock().await;
        let now_s = decision.now_s(context.clock);
        let authorization = self.authorized(component, account)?;
        if context.accounts.get(account).is_none() {
            return Err(PlatformError::Refused(ErrorCode::COMPONENT_NOT_AUTHORIZED));
        }
        let is_shown = |nonce: &&str| {
            let good = self.refresh_token_of(&authorization, nonce);
            bool::from(good.as_bytes().ct_eq(refresh_token.as_bytes()))
        };
        let shown = authorization.refresh.valid(now_s).find(is_shown);
        let shown = shown.ok_or(PlatformError::Refused(ErrorCode::REFRESH_TOKEN_INVALID))?;
        let refresh = authorization.refresh.after_use(shown, random::hexadecimal(16)?, now_s);
        let next = AccountAuthorization { refresh, ..AccountAuthorization::clone(&authorization) };
        let extra_changes =
            if next.refresh == authorization.refresh { Vec::new() } else { vec![next.fact()] };
        let holder = Holder::authorizer(account, component);
        let issued = context.tokens.issue_in(decision, holder, extra_changes, context.ingest, context.clock);
        let (access_token, decided) = issued.await?;
        self.remember(next.clone());
        drop(decided);
        Ok(IssuedTokens {
            refresh_token: self.refresh_token(&next),
            authorization: Arc::new(next),
            access_token,
        })
    }

    fn authorized(&self, component: &str, account: &str) -> Result<Arc<AccountAuthorization>, PlatformError> {
        let authorization = self.authorization(component, account);
        authorization.ok_or(PlatformError::Refused(ErrorCode::COMPONENT_NOT_AUTHORIZED))
    }

    /// Adds the changes that record the use of a code.
    fn add_use_changes(
        &self,
        component: &str,
        code: Code,
        changes: &mut Vec<Change>,
        now_s: i64,
    ) -> Result<Code, PlatformError> {
        let used = lock(&self.used);
        if !used.has_room(component, now_s) {
            return Err(PlatformError::TooMany);
        }
        changes.extend(used.changes(component, &code, now_s));
        Ok(code)
    }
}
