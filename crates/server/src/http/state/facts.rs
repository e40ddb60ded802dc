//! Facts that other processes changed go to the maps in memory, each to the one that caches it. This is the only list of
//! the prefixes of all facts.

use std::sync::Arc;

use storage::decision::FactChange;

use super::App;
use crate::{
    accounts::{platform_issuer, platform_receiver, registry::settings},
    auth::{access_token, api_keys, quota, sessions, share_links, upstream_token_index},
    forward::upstream_token,
    key_binding,
};

/// Takes over a fact that was set, or removed if there is no value.
type ApplyFact = fn(&App, &str, Option<&[u8]>);

/// The maps, by the prefix of their facts.
const MAPS: [(&str, ApplyFact); 15] = [
    (access_token::FACT_PREFIX, |app, key, value| app.tokens.apply_fact(key, value)),
    (api_keys::FACT_PREFIX, |app, key, value| app.api_keys.apply_fact(key, value)),
    (share_links::FACT_PREFIX, |app, key, value| app.share_links.apply_fact(key, value)),
    (sessions::FACT_PREFIX, |app, key, value| app.sessions.apply_fact(key, value)),
    (quota::FACT_PREFIX, |app, key, value| app.accounts.quotas.apply_fact(key, value)),
    (upstream_token_index::FACT_PREFIX, |app, key, value| app.upstream_token_index.apply_fact(key, value)),
    (settings::FACT_PREFIX, receiver),
    (platform_receiver::FACT_PREFIXES[0], receiver),
    (platform_receiver::FACT_PREFIXES[1], receiver),
    (platform_receiver::FACT_PREFIXES[2], receiver),
    (platform_issuer::FACT_PREFIXES[0], issuer),
    (platform_issuer::FACT_PREFIXES[1], issuer),
    (upstream_token::FACT_PREFIXES[0], real_tokens),
    (upstream_token::FACT_PREFIXES[1], real_tokens),
    (key_binding::FACT, |app, _, value| key_binding::follow(&app.key, value)),
];

fn receiver(app: &App, key: &str, value: Option<&[u8]>) {
    app.platform_receiver.apply_fact(key, value);
}

fn issuer(app: &App, key: &str, value: Option<&[u8]>) {
    app.platforms.apply_fact(key, value);
}

/// Without `[upstream]` there is no map. A reload that adds it reads the facts.
fn real_tokens(app: &App, key: &str, value: Option<&[u8]>) {
    if let Some(upstream) = app.upstream() {
        upstream.apply_fact(key, value);
    }
}

/// Lets the store tell the maps of changes. The store must not keep the state alive.
pub fn follow(app: App) -> Arc<App> {
    let app = Arc::new(app);
    let app_of_store = Arc::downgrade(&app);
    app.store.on_facts(Box::new(move |changes| {
        if let Some(app) = app_of_store.upgrade() {
            apply(&app, changes);
        }
    }));
    app
}

/// Applies changes in their order.
fn apply(app: &App, changes: &[FactChange]) {
    for (key, value) in changes {
        let map = MAPS.iter().find(|(prefix, _)| key.starts_with(prefix));
        // Another process may have a newer version, with facts that this one does not know.
        if let Some((_, apply_fact)) = map {
            apply_fact(app, key, value.as_deref());
        }
    }
}

#[cfg(test)]
mod tests;
