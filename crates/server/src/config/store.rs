//! The section `[store]`: several processes that share ClickHouse and PostgreSQL.

use std::path::PathBuf;

use msgcube_client::http::Address;
use serde::Deserialize;
use system::secret::Secret;

use super::{ConfigFlaw, SecretFiles, secrets::needed};

/// Limit of `urls`.
const URLS_MAX: usize = 64;
/// Limit of the names of database, cluster and user, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The store that several processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The HTTP interfaces of the ClickHouse servers: all replicas of all shards.
    pub urls: Vec<Address>,
    /// The user of ClickHouse.
    pub user: String,
    /// The user's password. It may be empty.
    pub password: Secret,
    /// The database in ClickHouse.
    pub database: String,
    /// The cluster in ClickHouse's configuration. None: one server, without replication.
    pub cluster: Option<String>,
    /// The URL of PostgreSQL. It may contain a password.
    pub state: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreTable {
    kind: String,
    urls: Vec<String>,
    #[serde(default = "default_user")]
    user: String,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    #[serde(default = "default_database")]
    database: String,
    cluster: Option<String>,
    state: Option<Secret>,
    state_file: Option<PathBuf>,
}

fn default_user() -> String {
    "default".to_owned()
}

fn default_database() -> String {
    "msgcube".to_owned()
}

impl StoreTable {
    pub fn checked(self, files: SecretFiles<'_>) -> Result<StoreConfig, ConfigFlaw> {
        if self.kind != "clickhouse" {
            let what = "must be \"clickhouse\"; remove [store] for the store in data_dir";
            return Err(ConfigFlaw::new("store.kind", what));
        }
        if self.urls.is_empty() || self.urls.len() > URLS_MAX {
            let what = format!("must name 1 to {URLS_MAX} servers: each replica of each shard");
            return Err(ConfigFlaw::new("store.urls", what));
        }
        let urls = self.urls.iter().map(|url| Address::parse_base(url));
        let urls = urls.collect::<Result<_, _>>().map_err(|what| ConfigFlaw::new("store.urls", what))?;
        check_name("store.user", &self.user)?;
        check_name("store.database", &self.database)?;
        self.cluster.iter().try_for_each(|cluster| check_name("store.cluster", cluster))?;
        let state = needed("store.state", files.secret("store.state", self.state, self.state_file)?)?;
        if !["postgres://", "postgresql://"].iter().any(|start| state.reveal().starts_with(start)) {
            let what = "must begin with postgres://, as in postgres://user:password@host:5432/database";
            return Err(ConfigFlaw::new("store.state", what));
        }
        Ok(StoreConfig {
            urls,
            user: self.user,
            password: files.secret("store.password", self.password, self.password_file)?.unwrap_or_default(),
            database: self.database,
            cluster: self.cluster,
            state,
        })
    }
}

/// Names are written into statements, so only names that need no quotes are taken.
fn check_name(key: &str, name: &str) -> Result<(), ConfigFlaw> {
    let is_first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.len() <= NAME_BYTES_MAX && name.as_bytes().first().is_some_and(is_first) && is_plain {
        return Ok(());
    }
    let what = format!(
        "must be at most {NAME_BYTES_MAX} ASCII letters, digits and underscores, and not start with a digit"
    );
    Err(ConfigFlaw::new(key, what))
}
