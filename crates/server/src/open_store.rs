//! Opens the store that the configuration names.

#[cfg(feature = "clickhouse")]
use storage::store::{ClickHouseOptions, Shared, SharedOptions, StateOptions};
use storage::store::{Embedded, Options, Store, StoreError};
use system::clock::Clock;

use crate::config::{Config, StoreConfig};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The store itself says why.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The program was built without the feature `clickhouse`.
    #[error(
        "this msgcube is built without ClickHouse and PostgreSQL; use one from the packages, or build it with --features clickhouse"
    )]
    NotBuiltIn,
}

/// Opens the store. Blocks for the disk or the servers.
///
/// # Errors
/// See [`OpenStoreError`].
pub fn open_store(config: &Config, clock: &Clock) -> Result<Store, OpenStoreError> {
    if let Some(store) = &config.store {
        return open_shared(config, store, clock);
    }
    let options = Options { memory_bytes: config.memory_mib << 20, ..Options::default() };
    Ok(Store::Embedded(Box::new(Embedded::open(&config.data_dir, &options)?)))
}

#[cfg(feature = "clickhouse")]
fn open_shared(config: &Config, store: &StoreConfig, clock: &Clock) -> Result<Store, OpenStoreError> {
    let (messages, state) = servers(store);
    let options = SharedOptions { messages, state, folder: config.data_dir.clone() };
    Ok(Store::Shared(Box::new(Shared::open(options, clock.clone())?)))
}

#[cfg(not(feature = "clickhouse"))]
fn open_shared(_: &Config, _: &StoreConfig, _: &Clock) -> Result<Store, OpenStoreError> {
    Err(OpenStoreError::NotBuiltIn)
}

/// The two servers of a shared store.
#[cfg(feature = "clickhouse")]
pub fn servers(store: &StoreConfig) -> (ClickHouseOptions, StateOptions) {
    let messages = ClickHouseOptions {
        urls: store.urls.iter().map(ToString::to_string).collect(),
        user: store.user.clone(),
        password: store.password.clone(),
        database: store.database.clone(),
        cluster: store.cluster.clone(),
    };
    (messages, StateOptions { url: store.state.clone() })
}
