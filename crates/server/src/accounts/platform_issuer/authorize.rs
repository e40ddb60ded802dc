//! What changes authorizations: given, taken back, exchanged for tokens. Each change is durable before it holds, and they
//! come one after the other.

use std::sync::{Arc, PoisonError};

use datacube::ErrorCode;
use storage::{
    store::{Change, NotDurable},
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
    Authorization, Platforms, RefreshTokens,
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
    pub accounts: &'a Accounts,
    pub tokens: &'a Tokens,
    pub ingest: &'a Ingest,
    pub clock: &'a Clock,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// What was shown is not good for it.
    #[error("{0:?}")]
    Refused(ErrorCode),
    /// Too many codes are kept.
    #[error("too many authorisation codes were used in the last half hour; try again later")]
    TooMany,
    /// The disk.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// The system.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// The cipher.
    #[error("what the platform is told cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// It ended early.
    #[error("it broke off: {0}")]
    Broken(String),
}

/// An account's yes to a platform. Not shown: it holds a code.
#[derive(Clone)]
pub struct Approval {
    pub component: String,
    pub account: String,
    pub permission_sets: Vec<u32>,
    /// What the page was opened with; none where no page was.
    pub pre_auth_code: Option<String>,
}

/// What a platform gets for a code or a refresh token. Not shown: it holds tokens.
#[derive(Clone)]
pub struct Handed {
    pub authorization: Arc<Authorization>,
    pub access_token: Issued,
    pub refresh_token: String,
}

/// Authorizations that are about to end, with others' changes. Until it is dropped nothing is authorised.
#[derive(Debug)]
pub struct Ending<'a> {
    components: &'a Platforms,
    authorizations: Vec<Arc<Authorization>>,
    now_s: i64,
    _changing: tokio::sync::MutexGuard<'a, ()>,
}

impl Ending<'_> {
    /// What makes it durable.
    pub fn changes(&self) -> Result<Vec<Change>, SealError> {
        let told = self.events().map(|event| event.told_later(&self.components.key));
        let gone = self.authorizations.iter().map(|authorization| Ok(authorization.gone()));
        gone.chain(told).collect()
    }

    /// Once it is durable; what the platforms are told.
    pub fn complete(self) -> Vec<Event> {
        self.authorizations.iter().for_each(|authorization| self.components.forget(authorization));
        self.events().collect()
    }

    fn events(&self) -> impl Iterator<Item = Event> + '_ {
        let event = |authorization: &Arc<Authorization>| Event::unauthorized(authorization, self.now_s);
        self.authorizations.iter().map(event).filter(|event| self.components.are_told(event))
    }
}

impl Platforms {
    /// A new pre-auth code of a platform.
    pub fn pre_auth_code(&self, component: &str, now_s: i64) -> Result<String, RandomError> {
        let code = Code::new(CodeKind::PreAuth, "", "", now_s)?;
        Ok(code.text(CodeKind::PreAuth, component, &self.key))
    }

    /// The present ticket of a platform.
    pub fn ticket(&self, component: &str, now_s: i64) -> String {
        super::ticket::ticket(component, &self.key, now_s)
    }

    /// Whether a ticket is good.
    pub fn check_ticket(&self, ticket: &str, component: &str, now_s: i64) -> Result<(), ErrorCode> {
        super::ticket::check(ticket, component, &self.key, now_s)
    }

    /// A code of this platform that was not used and is not too old.
    pub fn check_code(
        &self,
        kind: CodeKind,
        text: &str,
        component: &str,
        now_s: i64,
    ) -> Result<Code, ErrorCode> {
        let code = Code::read(kind, text, component, &self.key, now_s)?;
        if lock(&self.used).has(component, &code) { Err(ErrorCode::CODE_EXPIRED) } else { Ok(code) }
    }

    /// Gives a platform an account's permission sets, durably. What the platform is told of it comes back, too, unless
    /// nothing changed.
    pub async fn authorize(
        &self,
        approval: Approval,
        desk: AuthorizationContext<'_>,
    ) -> Result<(String, Option<Event>), PlatformError> {
        let _one_at_a_time = self.changing.lock().await;
        let now_s = desk.clock.now_s();
        let Approval { component, account, permission_sets, pre_auth_code } = approval;
        if desk.accounts.get(&account).is_none() {
            return Err(PlatformError::Refused(ErrorCode::INVALID_APPID));
        }
        let mut changes = Vec::new();
        let used = match &pre_auth_code {
            Some(text) => {
                let code = self.check_code(CodeKind::PreAuth, text, &component, now_s);
                Some(self.using(&component, code.map_err(PlatformError::Refused)?, &mut changes, now_s)?)
            }
            None => None,
        };
        let former = self.authorization(&component, &account);
        let authorization = match &former {
            Some(former) => {
                Authorization { permission_sets, authorized_s: now_s, ..Authorization::clone(former) }
            }
            None => Authorization {
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
            codes.push(code.text(CodeKind::Auth, &authorization.component, &self.key));
        }
        let event = Event::of_approval(former.as_deref(), &authorization, codes.pop(), pre_auth_code, now_s);
        changes.push(authorization.fact());
        let event = event.filter(|event| self.are_told(event));
        changes.extend(event.as_ref().map(|event| event.told_later(&self.key)).transpose()?);
        // Tokens from before it was taken back do not come to life again.
        let holder = Holder::authorizer(&authorization.account, &authorization.component);
        let is_renewed = former.is_none();
        let revocation = desk.tokens.revocation(|other| is_renewed && *other == holder).await;
        changes.extend(revocation.changes());
        desk.ingest.submit_all(changes)?.await?;
        revocation.complete();
        used.iter().for_each(|code| lock(&self.used).note(&authorization.component, code, now_s));
        self.remember(authorization);
        Ok((codes.pop().unwrap_or_default(), event))
    }

    /// Takes back what an account gave a platform, durably.
    pub async fn withdraw(
        &self,
        component: &str,
        account: &str,
        desk: AuthorizationContext<'_>,
    ) -> Result<Option<Event>, PlatformError> {
        let _one_at_a_time = self.changing.lock().await;
        let authorization = self.authorized(component, account)?;
        let event = Event::unauthorized(&authorization, desk.clock.now_s());
        let event = Some(event).filter(|event| self.are_told(event));
        let told = event.as_ref().map(|event| event.told_later(&self.key)).transpose()?;
        desk.ingest.submit_all([authorization.gone()].into_iter().chain(told).collect())?.await?;
        self.forget(&authorization);
        Ok(event)
    }

    /// Whether the platform of an event has an address for events.
    fn are_told(&self, event: &Event) -> bool {
        self.get(&event.component).is_some_and(|component| component.config.push_url.is_some())
    }

    /// The end of all that an account gave to anyone.
    pub async fn ending(&self, account: &str, now_s: i64) -> Ending<'_> {
        let changing = self.changing.lock().await;
        let all = self.authorizations.read().unwrap_or_else(PoisonError::into_inner);
        let authorizations = all.values().filter_map(|of_component| of_component.get(account)).cloned();
        Ending { components: self, authorizations: authorizations.collect(), now_s, _changing: changing }
    }

    /// Exchanges an authorization code for tokens. Of two that show it at the same time one gets them.
    pub async fn redeem(
        &self,
        component: &str,
        code: &str,
        desk: AuthorizationContext<'_>,
    ) -> Result<Handed, PlatformError> {
        let _one_at_a_time = self.changing.lock().await;
        let now_s = desk.clock.now_s();
        let code = self.check_code(CodeKind::Auth, code, component, now_s).map_err(PlatformError::Refused)?;
        let authorization = self.authorized(component, &code.account)?;
        if desk.accounts.get(&code.account).is_none() {
            return Err(PlatformError::Refused(ErrorCode::COMPONENT_NOT_AUTHORIZED));
        }
        if authorization.id != code.authorization {
            return Err(PlatformError::Refused(ErrorCode::CODE_EXPIRED));
        }
        let mut along = Vec::new();
        let code = self.using(component, code, &mut along, now_s)?;
        let holder = Holder::authorizer(&authorization.account, component);
        let access_token = desk.tokens.issue(holder, along, desk.ingest, desk.clock).await?;
        lock(&self.used).note(component, &code, now_s);
        Ok(Handed { refresh_token: self.refresh_token(&authorization), authorization, access_token })
    }

    /// Exchanges a refresh token for an access token and the current refresh token.
    pub async fn refresh(
        &self,
        component: &str,
        account: &str,
        refresh_token: &str,
        desk: AuthorizationContext<'_>,
    ) -> Result<Handed, PlatformError> {
        let _one_at_a_time = self.changing.lock().await;
        let now_s = desk.clock.now_s();
        let authorization = self.authorized(component, account)?;
        if desk.accounts.get(account).is_none() {
            return Err(PlatformError::Refused(ErrorCode::COMPONENT_NOT_AUTHORIZED));
        }
        let is_shown = |nonce: &&str| {
            let good = self.refresh_token_of(&authorization, nonce);
            bool::from(good.as_bytes().ct_eq(refresh_token.as_bytes()))
        };
        let shown = authorization.refresh.good(now_s).find(is_shown);
        let shown = shown.ok_or(PlatformError::Refused(ErrorCode::REFRESH_TOKEN_INVALID))?;
        let refresh = authorization.refresh.used(shown, random::hexadecimal(16)?, now_s);
        let next = Authorization { refresh, ..Authorization::clone(&authorization) };
        let along = if next.refresh == authorization.refresh { Vec::new() } else { vec![next.fact()] };
        let holder = Holder::authorizer(account, component);
        let access_token = desk.tokens.issue(holder, along, desk.ingest, desk.clock).await?;
        self.remember(next.clone());
        Ok(Handed { refresh_token: self.refresh_token(&next), authorization: Arc::new(next), access_token })
    }

    fn authorized(&self, component: &str, account: &str) -> Result<Arc<Authorization>, PlatformError> {
        let authorization = self.authorization(component, account);
        authorization.ok_or(PlatformError::Refused(ErrorCode::COMPONENT_NOT_AUTHORIZED))
    }

    /// Adds what makes a code's use durable.
    fn using(
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
