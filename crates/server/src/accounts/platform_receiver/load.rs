//! What the store knows of the accounts that platforms bring, read at the start.

use std::sync::Arc;

use storage::store::Store;
use system::data_key::DataKey;

use super::{
    brought,
    platforms::ReceivedPlatforms,
    standing::{self, Standing, pair_of},
    ticket::{self, Ticket},
};
use crate::{
    accounts::{
        platform_issuer::Platforms,
        registry::{Accounts, StoredAccountError},
    },
    config::Role,
};

/// What is on disk, before anybody is served.
#[derive(Debug)]
pub struct Loaded(pub(super) ReceivedPlatforms);

/// Reads what the platforms of the configuration brought, and serves those accounts beside the others.
pub fn load(
    store: &Store,
    key: &DataKey,
    components: &Platforms,
    accounts: &Accounts,
) -> Result<Loaded, StoredAccountError> {
    let mut platforms = ReceivedPlatforms::default();
    for component in components.all().into_iter().filter(|component| component.config.role == Role::Receive) {
        platforms.0.entry(component.config.appid.clone()).or_default();
    }
    for (fact, sealed) in store.facts(standing::FACT_PREFIX) {
        let Some((component, appid)) = pair_of(standing::FACT_PREFIX, &fact) else { continue };
        let Some(platform) = platforms.0.get_mut(component) else { continue };
        let read = Standing::opened(key, &fact, &sealed).and_then(|standing| {
            let account =
                accounts.get(appid).map_or_else(|| brought(store, accounts, appid).map(Arc::new), Ok)?;
            Ok((standing, account))
        });
        let (standing, account) = read.map_err(|what| StoredAccountError::new(appid, what))?;
        accounts.put_if_new(&account);
        platform.put(appid, &account, standing);
        platform.seats.get_mut(appid).into_iter().for_each(|seat| seat.durable = seat.version);
    }
    platforms.load_removals(store);
    load_tickets(store, key, &mut platforms);
    Ok(Loaded(platforms))
}

fn load_tickets(store: &Store, key: &DataKey, platforms: &mut ReceivedPlatforms) {
    for (fact, sealed) in store.facts(ticket::FACT_PREFIX) {
        let component = fact.strip_prefix(ticket::FACT_PREFIX).unwrap_or_default();
        let Some(platform) = platforms.0.get_mut(component) else { continue };
        match Ticket::opened(key, &fact, &sealed) {
            Ok(ticket) => platform.ticket = Some(ticket),
            // The next one comes within ten minutes.
            Err(error) => tracing::warn!(component, error, "the kept ticket cannot be read"),
        }
    }
}

impl Loaded {
    /// Whether any platform brings messages of this account.
    pub fn is_active(&self, appid: &str) -> bool {
        self.0.is_active(appid)
    }
}
