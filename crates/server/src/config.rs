//! The configuration file: what may stand in it, what it means, and what is wrong with it.

mod account;
mod cloud;
mod difference;
mod file;
mod listen;
mod networks;
mod platform;
mod secrets;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use datacube::DateProfile;
use msgcube_client::http::Address;
use system::secret::Secret;

pub use account::{
    AccountConfig, AccountKind, AccountTable, Oddity, OnLate, RelayConfig, WhenNotDurable, has_usual_form,
};
pub use cloud::CloudConfig;
pub use difference::{AccountsChanged, ChangedAccount, Difference};
pub use listen::{ListenError, listen_address};
pub use networks::Networks;
pub use platform::{PlatformConfig, Role};
pub use secrets::SecretFiles;

/// Bounds of `memory_mib`.
const MEMORY_MIB_MIN: usize = 1;
const MEMORY_MIB_MAX: usize = 1 << 20;

/// WeChat waits 5 s for an answer: whoever waits in a socket that is kept is answered within that time.
pub const BRIDGE_S: u32 = 4;
/// For machines that start slowly, with a proxy in front that waits as long.
pub const BRIDGE_S_MAX: u32 = 300;

/// A checked configuration. Paths are absolute or relative to the working folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is served.
    pub listen: SocketAddr,
    /// Where `/v1` and `/metrics` are served, too.
    pub admin_listen: Option<SocketAddr>,
    /// The store's folder.
    pub data_dir: PathBuf,
    /// The file with 32 bytes that tokens are made from.
    pub data_key_file: PathBuf,
    /// What callers of `/v1` and `/metrics` must show; without one they are closed.
    pub admin_key: Option<Secret>,
    /// Largest difference in seconds between a plain callback's timestamp and now; 0: any.
    pub callback_max_age_s: u32,
    /// Memory for users and pages in MiB before pages are let go.
    pub memory_mib: usize,
    /// Proxies in front: each stands for many callers, so that shares by address do not hold for it.
    pub proxies: Networks,
    /// HTTPS on `listen`; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How the seven interfaces answer.
    pub datacube: Datacube,
    /// WeChat itself; none: nothing is passed on.
    pub upstream: Option<UpstreamConfig>,
    /// The accounts, by appid each once.
    pub accounts: Vec<AccountConfig>,
    /// Third-party platforms, by appid each once.
    pub components: Vec<PlatformConfig>,
    /// Cloud environments, by name each once.
    pub clouds: Vec<CloudConfig>,
}

/// How the seven interfaces answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datacube {
    /// Open periods are answered, too, and end_date may be today.
    pub live: bool,
    /// Which of the two documented spans hold.
    pub date_profile: DateProfile,
    /// Rows carry `"user_source":0`.
    pub user_source: bool,
    /// Minute of the day before which an end_date of yesterday is not ready.
    pub not_ready_before_minute: Option<u32>,
    /// Periods not fully covered are left out.
    pub withhold_partial: bool,
    /// How many seconds a planned stop may take without being a gap; 0: every stop is one.
    pub bridge_s: u32,
}

impl Default for Datacube {
    fn default() -> Datacube {
        Datacube {
            live: false,
            date_profile: DateProfile::default(),
            user_source: false,
            not_ready_before_minute: None,
            withhold_partial: false,
            bridge_s: BRIDGE_S,
        }
    }
}

/// HTTPS by the program itself: where certificate and key stand, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// WeChat itself, for everything that is not answered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Where its interface is.
    pub base: Address,
    /// A token server, asked instead of `stable_token`.
    pub token_url: Option<Address>,
    /// The token endpoints hand out the real token.
    pub expose_real_token: bool,
    /// Questions about time that is not covered at all are passed on, too.
    pub passes_uncovered: bool,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct Flaw {
    /// The setting.
    pub key: String,
    /// What is wrong, and what would be right. Never shows a secret.
    pub what: String,
}

impl Flaw {
    fn new(key: impl Into<String>, what: impl Into<String>) -> Flaw {
        Flaw { key: key.into(), what: what.into() }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}; the README has a configuration to start from, --config names another file")]
    Read { path: PathBuf, source: std::io::Error },
    /// It is no TOML, or a key is unknown or of the wrong type.
    #[error("{path}, line {line}: {message}")]
    Toml { path: PathBuf, line: usize, message: String },
    /// A key of something that is still to come.
    #[error("{path}: {key} is not built yet; remove it to start")]
    NotBuiltYet { path: PathBuf, key: String },
    /// A value that cannot be.
    #[error("{path}: {flaw}")]
    Value { path: PathBuf, flaw: Flaw },
}

impl Config {
    /// Reads a file. `environment` looks up a variable.
    pub fn read(path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Config::parse(&text, path, environment)
    }

    /// Checks a text; relative paths in it are relative to the folder of `path`.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut config = file::parse(text, path)?;
        if config.admin_key.is_none() {
            config.admin_key =
                environment("MSGCUBE_ADMIN_KEY").filter(|key| !key.is_empty()).map(Secret::new);
        }
        config.check(path)?;
        Ok(config)
    }

    /// The account of this appid; without an appid the only one.
    pub fn account(&self, appid: Option<&str>) -> Result<&AccountConfig, String> {
        let known = || match self.accounts.as_slice() {
            [] => "no [[account]]".to_owned(),
            accounts => accounts.iter().map(|account| account.appid.as_str()).collect::<Vec<_>>().join(", "),
        };
        match appid {
            Some(appid) => self
                .accounts
                .iter()
                .find(|account| account.appid == appid)
                .ok_or_else(|| format!("the configuration has no account {appid} (one that was added at run time is not in it: give its keys by options); it has: {}", known())),
            None if self.accounts.len() == 1 => Ok(&self.accounts[0]),
            None if self.accounts.is_empty() => {
                Err("the configuration has no [[account]]; say which account with --appid and its secret".to_owned())
            }
            None => Err(format!("say which account with --appid; the configuration has: {}", known())),
        }
    }

    /// Things that are allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        warnings.extend(self.accounts.iter().flat_map(AccountConfig::warnings));
        if self.admin_key.is_none() {
            warnings.push("no admin_key: /v1 and /metrics are closed".to_owned());
        }
        warnings
    }

    /// Where this very machine reaches the server, if it listens where the configuration says.
    pub fn base_url(&self) -> String {
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{}://{address}", if self.tls.is_some() { "https" } else { "http" })
    }

    /// Where this very machine reaches the own interface: the operator's address, if there is one.
    pub fn own_url(&self) -> String {
        match self.admin_listen.filter(|address| address.port() != 0) {
            Some(address) if address.ip().is_loopback() => format!("http://{address}"),
            _ => self.base_url(),
        }
    }

    /// The key must not lie in the data folder, whatever links lead there.
    pub fn check_key_place(&self) -> Result<(), String> {
        let real = |path: &Path| {
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or(path.to_owned())
        };
        let folder = self.data_key_file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if real(folder.unwrap_or(Path::new("."))).starts_with(real(&self.data_dir)) {
            let what = "data_key_file must not lie in data_dir: a backup would hold the key beside what it protects; \
                        give data_dir a folder of its own";
            return Err(what.to_owned());
        }
        Ok(())
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let flawed = |flaw: Flaw| ConfigError::Value { path: path.to_owned(), flaw };
        self.check_key_place().map_err(|what| flawed(Flaw::new("data_key_file", what)))?;
        if !(MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(&self.memory_mib) {
            let what = format!("must be {MEMORY_MIB_MIN} to {MEMORY_MIB_MAX}");
            return Err(flawed(Flaw::new("memory_mib", what)));
        }
        if let Some(key) = &self.admin_key {
            check_text(key.reveal()).map_err(|what| flawed(Flaw::new("admin_key", what)))?;
        }
        self.check_loops(&self.accounts.iter().collect::<Vec<_>>(), None).map_err(flawed)?;
        for (at, account) in self.accounts.iter().enumerate() {
            let of_account =
                |flaw: Flaw| flawed(Flaw::new(format!("account {}: {}", at + 1, flaw.key), flaw.what));
            if self.accounts[..at].iter().any(|other| other.appid == account.appid) {
                return Err(of_account(Flaw::new("appid", format!("{} is there already", account.appid))));
            }
        }
        self.check_components().and_then(|()| self.check_clouds()).map_err(flawed)
    }

    /// An appid is an account's or a platform's, and only once.
    pub fn check_components(&self) -> Result<(), Flaw> {
        for (at, component) in self.components.iter().enumerate() {
            let accounts = self.accounts.iter().map(|account| &account.appid);
            let mut others = accounts.chain(self.components[..at].iter().map(|other| &other.appid));
            if others.any(|appid| *appid == component.appid) {
                let what = format!("{} is there already", component.appid);
                return Err(Flaw::new(format!("component {}: appid", at + 1), what));
            }
        }
        Ok(())
    }

    fn check_clouds(&self) -> Result<(), Flaw> {
        for (at, cloud) in self.clouds.iter().enumerate() {
            let is_same = |other: &CloudConfig| other.env == cloud.env || other.secret_id == cloud.secret_id;
            if self.clouds[..at].iter().any(is_same) {
                let what = format!("{} with {} is there already", cloud.env, cloud.secret_id);
                return Err(Flaw::new(format!("cloud {}: env and secret_id", at + 1), what));
            }
        }
        Ok(())
    }

    /// What goes on to ourselves would go on again, and so on. `bound` is the socket in use, if it is known already.
    pub fn check_loops(&self, accounts: &[&AccountConfig], bound: Option<SocketAddr>) -> Result<(), Flaw> {
        let is_here = |address: &Address| {
            let sockets = [Some(self.listen), self.admin_listen, bound];
            sockets.into_iter().flatten().any(|socket| address.leads_to(socket))
        };
        let what = "leads back to msgcube itself; name the address of the server behind it";
        if self.upstream.as_ref().is_some_and(|upstream| is_here(&upstream.base)) {
            return Err(Flaw::new("upstream.base", what));
        }
        for component in &self.components {
            if component.targets().any(is_here) {
                return Err(Flaw::new(format!("component {}: push_url or relay", component.appid), what));
            }
        }
        for account in accounts {
            if account.relay.iter().flat_map(RelayConfig::targets).any(is_here) {
                return Err(Flaw::new(format!("account {}: relay", account.appid), what));
            }
        }
        Ok(())
    }
}

/// What the contract asks of appids, secrets and tokens, and no more.
pub fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > 128 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be at most 128 printable ASCII characters".to_owned());
    }
    Ok(())
}

/// The same of several settings.
fn check_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), Flaw> {
    texts.into_iter().try_for_each(|(key, text)| check_text(text).map_err(|what| Flaw::new(key, what)))
}

fn address(key: &str, text: &str) -> Result<Address, Flaw> {
    Address::parse(text).map_err(|what| Flaw::new(key, what))
}

/// Empty: none.
fn optional_address(key: &str, text: &str) -> Result<Option<Address>, Flaw> {
    if text.is_empty() { Ok(None) } else { address(key, text).map(Some) }
}

#[cfg(test)]
mod tests;
