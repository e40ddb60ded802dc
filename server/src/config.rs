//! The configuration file: what may stand in it, what it means, and what is wrong with it.

mod file;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use msgcube_client::DateProfile;

use crate::{
    callback::{AccountKeys, KeyError, KeySettings},
    secret::Secret,
};

/// Bounds of `memory_mib`.
const MEMORY_MIB_MIN: usize = 1;
const MEMORY_MIB_MAX: usize = 1 << 20;

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
    /// How the seven interfaces answer.
    pub datacube: Datacube,
    /// The accounts, by appid each once.
    pub accounts: Vec<AccountConfig>,
}

/// How the seven interfaces answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

/// One Official Account.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Its appid.
    pub appid: String,
    /// What token callers must show.
    pub secret: Secret,
    /// `gh_…`
    pub original_id: Option<String>,
    /// The callback token.
    pub token: Secret,
    /// The former one.
    pub token_previous: Option<Secret>,
    /// 43 characters.
    pub encoding_aes_key: Option<Secret>,
    /// The former one.
    pub encoding_aes_key_previous: Option<Secret>,
    /// Plain callbacks are refused.
    pub require_encryption: bool,
    /// What WeChat calls the account's type.
    pub kind: AccountKind,
    /// Verified by WeChat; only then do the seven answer.
    pub certified: bool,
}

/// What WeChat calls the account's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A service account.
    #[default]
    Service,
    /// A subscription account.
    Subscription,
    /// Neither: the seven answer 48001.
    Other,
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
    #[error("{path}: {key}: {what}")]
    Value { path: PathBuf, key: String, what: String },
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
        let known =
            || self.accounts.iter().map(|account| account.appid.as_str()).collect::<Vec<_>>().join(", ");
        match appid {
            Some(appid) => self
                .accounts
                .iter()
                .find(|account| account.appid == appid)
                .ok_or_else(|| format!("the configuration has no account {appid}; it has: {}", known())),
            None if self.accounts.len() == 1 => Ok(&self.accounts[0]),
            None => Err(format!("say which account with --appid; the configuration has: {}", known())),
        }
    }

    /// Things that are allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for account in &self.accounts {
            let hexadecimal = account
                .appid
                .strip_prefix("wx")
                .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if !hexadecimal {
                warnings.push(format!(
                    "account {}: WeChat's appids are wx and 16 hexadecimal digits",
                    account.appid
                ));
            }
            if account.secret.reveal().len() != 32 {
                warnings.push(format!("account {}: WeChat's secrets have 32 characters", account.appid));
            }
            if !account.require_encryption {
                warnings.push(format!(
                    "account {}: plain callbacks are taken, and nothing proves their content; set require_encryption = true",
                    account.appid
                ));
            }
        }
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
        format!("http://{address}")
    }

    /// The key must not lie in the data folder, whatever links lead there.
    pub fn check_key_place(&self) -> Result<(), String> {
        let real = |path: &Path| {
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or(path.to_owned())
        };
        let folder = self.data_key_file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if real(folder.unwrap_or(Path::new("."))).starts_with(real(&self.data_dir)) {
            let what =
                "data_key_file must not lie in data_dir: a backup would hold the key beside what it protects";
            return Err(format!("{what}; give data_dir a folder of its own"));
        }
        Ok(())
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let value = |key: String, what: String| ConfigError::Value { path: path.to_owned(), key, what };
        self.check_key_place().map_err(|what| value("data_key_file".to_owned(), what))?;
        if !(MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(&self.memory_mib) {
            let what = format!("must be {MEMORY_MIB_MIN} to {MEMORY_MIB_MAX}");
            return Err(value("memory_mib".to_owned(), what));
        }
        if let Some(key) = &self.admin_key {
            check_text(key.reveal()).map_err(|what| value("admin_key".to_owned(), what))?;
        }
        for (at, account) in self.accounts.iter().enumerate() {
            let key = |name: &str| format!("account {}: {name}", at + 1);
            account.check().map_err(|(name, what)| value(key(name), what))?;
            if self.accounts[..at].iter().any(|other| other.appid == account.appid) {
                return Err(value(key("appid"), format!("{} is there already", account.appid)));
            }
        }
        Ok(())
    }
}

impl AccountConfig {
    /// What its callbacks are checked with.
    pub fn keys(&self) -> Result<AccountKeys, KeyError> {
        AccountKeys::new(&KeySettings {
            appid: &self.appid,
            original_id: self.original_id.as_deref(),
            token: self.token.reveal(),
            token_previous: self.token_previous.as_ref().map(Secret::reveal),
            encoding_aes_key: self.encoding_aes_key.as_ref().map(Secret::reveal),
            encoding_aes_key_previous: self.encoding_aes_key_previous.as_ref().map(Secret::reveal),
            require_encryption: self.require_encryption,
        })
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        check_text(&self.appid).map_err(|what| ("appid", what))?;
        check_text(self.secret.reveal()).map_err(|what| ("secret", what))?;
        check_text(self.token.reveal()).map_err(|what| ("token", what))?;
        self.keys().map_err(|error| ("keys", error.to_string()))?;
        Ok(())
    }
}

/// What the contract asks of appids, secrets and tokens, and no more.
fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > 128 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be at most 128 printable ASCII characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
