//! What is wrong with a configuration as a whole.

use std::{net::SocketAddr, path::Path};

use msgcube_client::http::Address;

use super::{AccountConfig, CloudConfig, Config, ConfigError, ConfigFlaw, RelayConfig, check_text};

/// Limits of `memory_mib`.
const MEMORY_MIB_MIN: usize = 1;
const MEMORY_MIB_MAX: usize = 1 << 20;
/// Limit of `metrics_accounts`. Each account has up to 16 values in `/metrics`.
const METRICS_ACCOUNTS_MAX: usize = 10_000;

impl Config {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let flawed = |flaw: ConfigFlaw| ConfigError::Value { path: path.to_owned(), flaw };
        self.check_key_location().map_err(|what| flawed(ConfigFlaw::new("data_key_file", what)))?;
        if !(MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(&self.memory_mib) {
            let what = format!("must be {MEMORY_MIB_MIN} to {MEMORY_MIB_MAX}");
            return Err(flawed(ConfigFlaw::new("memory_mib", what)));
        }
        if self.metrics_accounts > METRICS_ACCOUNTS_MAX {
            let what = format!("must be 0 to {METRICS_ACCOUNTS_MAX}");
            return Err(flawed(ConfigFlaw::new("metrics_accounts", what)));
        }
        if let Some(key) = &self.admin_key {
            check_text(key.reveal()).map_err(|what| flawed(ConfigFlaw::new("admin_key", what)))?;
        }
        self.check_loops(&self.accounts.iter().collect::<Vec<_>>(), None).map_err(flawed)?;
        for (at, account) in self.accounts.iter().enumerate() {
            let of_account = |flaw: ConfigFlaw| {
                flawed(ConfigFlaw::new(format!("account {}: {}", at + 1, flaw.key), flaw.what))
            };
            if self.accounts[..at].iter().any(|other| other.appid == account.appid) {
                return Err(of_account(ConfigFlaw::new(
                    "appid",
                    format!("{} exists already", account.appid),
                )));
            }
        }
        self.check_components().and_then(|()| self.check_clouds()).map_err(flawed)
    }

    /// Checks that each appid is used once, by an account or by a platform.
    pub fn check_components(&self) -> Result<(), ConfigFlaw> {
        for (at, platform) in self.components.iter().enumerate() {
            let accounts = self.accounts.iter().map(|account| &account.appid);
            let mut others = accounts.chain(self.components[..at].iter().map(|other| &other.appid));
            if others.any(|appid| *appid == platform.appid) {
                let what = format!("{} exists already", platform.appid);
                return Err(ConfigFlaw::new(format!("component {}: appid", at + 1), what));
            }
        }
        Ok(())
    }

    fn check_clouds(&self) -> Result<(), ConfigFlaw> {
        for (at, cloud) in self.clouds.iter().enumerate() {
            let is_same = |other: &CloudConfig| other.env == cloud.env || other.secret_id == cloud.secret_id;
            if self.clouds[..at].iter().any(is_same) {
                let what = format!("{} with {} exists already", cloud.env, cloud.secret_id);
                return Err(ConfigFlaw::new(format!("cloud {}: env and secret_id", at + 1), what));
            }
        }
        Ok(())
    }

    /// Checks that nothing is passed on to this server itself, which would repeat forever. `bound` is the
    /// address that it listens on, if known.
    pub fn check_loops(
        &self,
        accounts: &[&AccountConfig],
        bound: Option<SocketAddr>,
    ) -> Result<(), ConfigFlaw> {
        let is_here = |address: &Address| {
            let sockets = [Some(self.listen), self.admin_listen, bound];
            sockets.into_iter().flatten().any(|socket| address.is_served_by(socket))
        };
        let what = "leads back to msgcube itself; name the address of the server behind it";
        if self.upstream.as_ref().is_some_and(|upstream| is_here(&upstream.base)) {
            return Err(ConfigFlaw::new("upstream.base", what));
        }
        for platform in &self.components {
            if platform.targets().any(is_here) {
                return Err(ConfigFlaw::new(
                    format!("component {}: push_url or relay", platform.appid),
                    what,
                ));
            }
        }
        for account in accounts {
            if account.relay.iter().flat_map(RelayConfig::targets).any(is_here) {
                return Err(ConfigFlaw::new(format!("account {}: relay", account.appid), what));
            }
        }
        Ok(())
    }
}
