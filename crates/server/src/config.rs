//! The configuration: its keys, their meaning, and what is wrong with a file.

mod account;
mod check;
mod cloud;
mod difference;
mod file;
mod listen;
mod networks;
mod platform;
mod secrets;
mod store;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use datacube::DateProfile;
use msgcube_client::http::Address;
use system::secret::Secret;

pub use account::{
    AccountConfig, AccountKind, AccountTable, NAME_CHARACTERS_MAX, Oddity, OnLate, RelayConfig,
    WhenNotDurable, has_usual_form,
};
pub use cloud::CloudConfig;
pub use difference::{AccountsChanged, ChangedAccount, Difference};
pub use listen::{ListenError, listen_address};
pub use networks::Networks;
pub use platform::{PlatformConfig, Role};
pub use secrets::SecretFiles;
pub use store::StoreConfig;

/// Default of `bridge_s`. WeChat waits 5 s for an answer, so a connection that waits in the socket meanwhile is
/// still answered in time.
pub const BRIDGE_S: u32 = 4;
/// Limit of `bridge_s`: for machines that start slowly behind a proxy that waits as long.
pub const BRIDGE_S_MAX: u32 = 300;

/// A checked configuration. Paths are absolute or relative to the working folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the main listener.
    pub listen: SocketAddr,
    /// A second address for `/v1` and `/metrics`. If it is set, `/ui` is only there.
    pub admin_listen: Option<SocketAddr>,
    /// How WeChat reaches `listen`: scheme, host and port.
    pub public_url: Option<Address>,
    /// How browsers reach `/ui`: scheme, host and port. None: as `public_url` says.
    pub ui_url: Option<Address>,
    /// The folder of the store.
    pub data_dir: PathBuf,
    /// The file with the data key (32 bytes), from which tokens are made.
    pub data_key_file: PathBuf,
    /// The key for `/v1` and `/metrics`. Without one they are closed.
    pub admin_key: Option<Secret>,
    /// Largest difference in seconds between the timestamp of a plain callback and now. 0: no limit.
    pub callback_max_age_s: u32,
    /// Memory for users and pages in MiB before pages are evicted.
    pub memory_mib: usize,
    /// So many accounts have metrics of their own. Those of all others are summed.
    pub metrics_accounts: usize,
    /// Proxies in front. Each forwards many callers, so limits by address do not apply to it.
    pub proxies: Networks,
    /// HTTPS on `listen`. None: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How the seven interfaces answer.
    pub datacube: Datacube,
    /// The connection to WeChat. None: nothing is passed on.
    pub upstream: Option<UpstreamConfig>,
    /// The store that several processes share. None: the embedded store in `data_dir`.
    pub store: Option<StoreConfig>,
    /// The accounts. Each appid occurs once.
    pub accounts: Vec<AccountConfig>,
    /// Third-party platforms. Each appid occurs once.
    pub components: Vec<PlatformConfig>,
    /// Cloud environments. No name and no `secret_id` occurs twice.
    pub clouds: Vec<CloudConfig>,
}

/// How the seven interfaces answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datacube {
    /// Periods that are not over are answered too, and end_date may be today.
    pub live: bool,
    /// Which of the two documented limits of a date range apply.
    pub date_profile: DateProfile,
    /// Rows contain `"user_source":0`.
    pub user_source: bool,
    /// Minute of the day before which yesterday is not ready as end_date.
    pub not_ready_before_minute: Option<u32>,
    /// Periods that are not fully covered are left out.
    pub withhold_partial: bool,
    /// Seconds that a planned stop may take without becoming a gap. 0: every stop is a gap.
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

/// HTTPS: the PEM files of certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The connection to WeChat, for everything that is not answered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Base URL of WeChat's interfaces.
    pub base: Address,
    /// A token server that is asked instead of `stable_token`.
    pub token_url: Option<Address>,
    /// The token endpoints hand out the real token.
    pub expose_real_token: bool,
    /// Queries about time without any coverage are passed on too.
    pub passes_uncovered: bool,
}

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct ConfigFlaw {
    /// The name of the setting.
    pub key: String,
    /// What is wrong and how to fix it. Never contains a secret.
    pub what: String,
}

impl ConfigFlaw {
    fn new(key: impl Into<String>, what: impl Into<String>) -> ConfigFlaw {
        ConfigFlaw { key: key.into(), what: what.into() }
    }
}

/// Why a configuration was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}; the README has a configuration to start from, --config names another file")]
    Read {
        /// The configuration file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not TOML, or a key is unknown or of the wrong type.
    #[error("{path}, line {line}: {message}")]
    Toml {
        /// The configuration file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The parser's message. It does not quote the line, which may contain a secret.
        message: String,
    },
    /// A value is invalid.
    #[error("{path}: {flaw}")]
    Value {
        /// The configuration file.
        path: PathBuf,
        /// The setting, and what is wrong with it.
        flaw: ConfigFlaw,
    },
}

impl Config {
    /// Reads a file. `environment` returns the value of an environment variable.
    pub fn read(path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Config::parse(&text, path, environment)
    }

    /// Reads a text. Relative paths in it are relative to the folder of `path`.
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

    /// Finds an account by its appid. Without an appid, returns the only account.
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

    /// Settings that are allowed but probably unintended.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        warnings.extend(self.accounts.iter().flat_map(AccountConfig::warnings));
        if self.admin_key.is_none() {
            warnings.push("no admin_key: /v1 and /metrics are closed".to_owned());
        }
        if self.store.as_ref().is_some_and(|store| store.cluster.is_none()) {
            let what = "[store] names no cluster, so messages are on one ClickHouse server without replication: if its disk is lost, they are lost";
            warnings.push(what.to_owned());
        }
        warnings
    }

    /// The URL of the server from this machine, if it listens as configured.
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

    /// The URL of the admin API from this machine: that of `admin_listen`, if it is set.
    pub fn own_url(&self) -> String {
        match self.admin_listen.filter(|address| address.port() != 0) {
            Some(address) if address.ip().is_loopback() => format!("http://{address}"),
            _ => self.base_url(),
        }
    }

    /// How browsers reach `/ui`, if the configuration says it.
    pub fn ui_origin(&self) -> Option<&Address> {
        self.ui_url.as_ref().or(self.public_url.as_ref())
    }

    /// Whether browsers certainly reach `/ui` by https.
    pub fn has_https_ui(&self) -> bool {
        match self.ui_origin() {
            Some(origin) => origin.is_https(),
            None => self.tls.is_some() && self.admin_listen.is_none(),
        }
    }

    /// Checks that the data key is not in the data folder, even through links.
    pub fn check_key_location(&self) -> Result<(), String> {
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
}

/// Checks a text against the contract's rules for appids, secrets and tokens.
pub fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > 128 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be at most 128 printable ASCII characters".to_owned());
    }
    Ok(())
}

/// Checks several texts. The error names the setting.
fn check_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), ConfigFlaw> {
    texts.into_iter().try_for_each(|(key, text)| check_text(text).map_err(|what| ConfigFlaw::new(key, what)))
}

fn address(key: &str, text: &str) -> Result<Address, ConfigFlaw> {
    Address::parse(text).map_err(|what| ConfigFlaw::new(key, what))
}

/// Parses an address. An empty text means none.
fn optional_address(key: &str, text: &str) -> Result<Option<Address>, ConfigFlaw> {
    if text.is_empty() { Ok(None) } else { address(key, text).map(Some) }
}

#[cfg(test)]
mod tests;
