//! Reads the stored state of the accounts that platforms bring, at the start.

use std::sync::Arc;

use storage::store::Store;
use system::data_key::DataKey;

use super::{
    authorization_state::{self, AuthorizationState, pair_of},
    new_brought,
    platforms::ReceivedPlatforms,
    ticket::{self, Ticket},
};
use crate::{
    accounts::{
        platform_issuer::Platforms,
        registry::{Accounts, StoredAccountError},
    },
    config::Role,
};

/// The stored state, before connections are accepted.
#[derive(Debug)]
pub struct Loaded(pub(super) ReceivedPlatforms);

/// Reads the accounts that the configured platforms brought, and serves them.
pub fn load(
    store: &Store,
    key: &DataKey,
    configured: &Platforms,
    accounts: &Accounts,
) -> Result<Loaded, StoredAccountError> {
    let mut platforms = ReceivedPlatforms::default();
    for platform in configured.all().into_iter().filter(|platform| platform.config.role == Role::Receive) {
        platforms.0.entry(platform.config.appid.clone()).or_default();
    }
    for (fact, sealed) in store.facts(authorization_state::FACT_PREFIX) {
        let Some((component, appid)) = pair_of(authorization_state::FACT_PREFIX, &fact) else { continue };
        let Some(platform) = platforms.0.get_mut(component) else { continue };
        let read = AuthorizationState::opened(key, &fact, &sealed).and_then(|state| {
            let account =
                accounts.get(appid).map_or_else(|| new_brought(store, accounts, appid).map(Arc::new), Ok)?;
            Ok((state, account))
        });
        let (state, account) = read.map_err(|what| StoredAccountError::new(appid, what))?;
        accounts.put_if_new(&account);
        platform.put(appid, &account, state);
        platform.accounts.get_mut(appid).into_iter().for_each(|member| member.durable = member.version);
    }
    platforms.load_tombstones(store);
    load_tickets(store, key, &mut platforms);
    Ok(Loaded(platforms))
}

fn load_tickets(store: &Store, key: &DataKey, platforms: &mut ReceivedPlatforms) {
    for (fact, sealed) in store.facts(ticket::FACT_PREFIX) {
        let component = fact.strip_prefix(ticket::FACT_PREFIX).unwrap_or_default();
        let Some(platform) = platforms.0.get_mut(component) else { continue };
        match Ticket::opened(key, &fact, &sealed) {
            Ok(ticket) => platform.ticket = Some(ticket),
            // WeChat sends the next one within ten minutes.
            Err(error) => tracing::warn!(component, error, "the stored ticket cannot be read"),
        }
    }
}

impl Loaded {
    /// Whether any platform brings messages of this account.
    pub fn is_active(&self, appid: &str) -> bool {
        self.0.is_active(appid)
    }
}
