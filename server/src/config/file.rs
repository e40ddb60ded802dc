//! The configuration as it is written: TOML, secrets inline or in files of their own.

use std::path::{Path, PathBuf};

use msgcube_client::DateProfile;
use serde::Deserialize;

use super::{AccountConfig, AccountKind, Config, ConfigError, Datacube};
use crate::secret::Secret;

/// Keys of things that are still to come; `[]` stands for each table of a list.
const NOT_BUILT_YET: [&str; 10] = [
    "tls",
    "upstream",
    "component",
    "cloud",
    "store",
    "account[].upstream_secret",
    "account[].quota_per_day",
    "account[].ip_allow",
    "account[].secret_frozen",
    "account[].relay",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default = "default_listen")]
    listen: std::net::SocketAddr,
    admin_listen: Option<std::net::SocketAddr>,
    #[serde(default = "default_data_dir")]
    data_dir: PathBuf,
    #[serde(default = "default_data_key_file")]
    data_key_file: PathBuf,
    admin_key: Option<Secret>,
    admin_key_file: Option<PathBuf>,
    #[serde(default = "default_callback_max_age_s")]
    callback_max_age_s: u32,
    #[serde(default = "default_memory_mib")]
    memory_mib: usize,
    #[serde(default)]
    datacube: DatacubeTable,
    #[serde(default)]
    account: Vec<AccountTable>,
}

fn default_listen() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 8060))
}

fn default_data_dir() -> PathBuf {
    "data".into()
}

fn default_data_key_file() -> PathBuf {
    "msgcube.key".into()
}

fn default_callback_max_age_s() -> u32 {
    3600
}

fn default_memory_mib() -> usize {
    512
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct DatacubeTable {
    live: bool,
    date_profile: Profile,
    user_source: bool,
    not_ready_before: String,
    partial: Partial,
}

#[derive(Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Profile {
    #[default]
    Lenient,
    Strict,
}

#[derive(Clone, Copy, Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Partial {
    #[default]
    Answer,
    Withhold,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    appid: String,
    secret: Option<Secret>,
    secret_file: Option<PathBuf>,
    original_id: Option<String>,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    token_previous: Option<Secret>,
    token_previous_file: Option<PathBuf>,
    encoding_aes_key: Option<Secret>,
    encoding_aes_key_file: Option<PathBuf>,
    encoding_aes_key_previous: Option<Secret>,
    encoding_aes_key_previous_file: Option<PathBuf>,
    #[serde(default)]
    require_encryption: bool,
    #[serde(default)]
    kind: AccountKind,
    #[serde(default = "yes")]
    certified: bool,
}

fn yes() -> bool {
    true
}

/// Where a configuration is read from, for paths and errors.
struct Place<'a> {
    path: &'a Path,
    folder: &'a Path,
}

pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let place = Place { path, folder: path.parent().unwrap_or(Path::new("")) };
    let table: toml::Table = toml::from_str(text).map_err(|error| place.toml_error(text, &error))?;
    if let Some(key) = NOT_BUILT_YET.into_iter().find(|key| is_set(&table, key)) {
        return Err(ConfigError::NotBuiltYet { path: path.to_owned(), key: key.replace("[]", "") });
    }
    let file: ConfigFile = toml::from_str(text).map_err(|error| place.toml_error(text, &error))?;
    Ok(Config {
        listen: file.listen,
        admin_listen: file.admin_listen,
        data_dir: place.folder.join(&file.data_dir),
        data_key_file: place.folder.join(&file.data_key_file),
        admin_key: place.secret("admin_key", file.admin_key, file.admin_key_file)?,
        callback_max_age_s: file.callback_max_age_s,
        memory_mib: file.memory_mib,
        datacube: place.datacube(&file.datacube)?,
        accounts: file.account.into_iter().map(|account| place.account(account)).collect::<Result<_, _>>()?,
    })
}

fn is_set(table: &toml::Table, key: &str) -> bool {
    match key.split_once("[].") {
        None => table.contains_key(key),
        Some((list, key)) => {
            let tables = table.get(list).and_then(toml::Value::as_array).into_iter().flatten();
            tables.filter_map(toml::Value::as_table).any(|table| table.contains_key(key))
        }
    }
}

impl Place<'_> {
    /// Line and message only: the line itself may hold a secret.
    fn toml_error(&self, text: &str, error: &toml::de::Error) -> ConfigError {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(text));
        let line = before.matches('\n').count() + 1;
        let message = error.message().to_owned();
        ConfigError::Toml { path: self.path.to_owned(), line, message }
    }

    fn value_error(&self, key: &str, what: impl Into<String>) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), key: key.to_owned(), what: what.into() }
    }

    fn secret(
        &self,
        key: &str,
        inline: Option<Secret>,
        file: Option<PathBuf>,
    ) -> Result<Option<Secret>, ConfigError> {
        match (inline, file) {
            (Some(_), Some(_)) => {
                Err(self.value_error(key, format!("give either {key} or {key}_file, not both")))
            }
            (inline, None) => Ok(inline),
            (None, Some(file)) => {
                let path = self.folder.join(file);
                let text =
                    std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path, source })?;
                Ok(Some(Secret::new(text.trim_end())))
            }
        }
    }

    fn needed(
        &self,
        key: &str,
        inline: Option<Secret>,
        file: Option<PathBuf>,
    ) -> Result<Secret, ConfigError> {
        let secret = self.secret(key, inline, file)?;
        secret.ok_or_else(|| self.value_error("account", format!("{key} (or {key}_file) is missing")))
    }

    fn datacube(&self, table: &DatacubeTable) -> Result<Datacube, ConfigError> {
        let not_ready_before_minute = match table.not_ready_before.as_str() {
            "" => None,
            time => Some(minute_of_day(time).ok_or_else(|| {
                self.value_error(
                    "datacube.not_ready_before",
                    "must be a time of day such as \"08:00\", or \"\"",
                )
            })?),
        };
        Ok(Datacube {
            live: table.live,
            date_profile: match table.date_profile {
                Profile::Lenient => DateProfile::Lenient,
                Profile::Strict => DateProfile::Strict,
            },
            user_source: table.user_source,
            not_ready_before_minute,
            withhold_partial: table.partial == Partial::Withhold,
        })
    }

    fn account(&self, table: AccountTable) -> Result<AccountConfig, ConfigError> {
        Ok(AccountConfig {
            secret: self.needed("secret", table.secret, table.secret_file)?,
            token: self.needed("token", table.token, table.token_file)?,
            token_previous: self.secret("token_previous", table.token_previous, table.token_previous_file)?,
            encoding_aes_key: self.secret(
                "encoding_aes_key",
                table.encoding_aes_key,
                table.encoding_aes_key_file,
            )?,
            encoding_aes_key_previous: self.secret(
                "encoding_aes_key_previous",
                table.encoding_aes_key_previous,
                table.encoding_aes_key_previous_file,
            )?,
            appid: table.appid,
            original_id: table.original_id.filter(|id| !id.is_empty()),
            require_encryption: table.require_encryption,
            kind: table.kind,
            certified: table.certified,
        })
    }
}

fn minute_of_day(time: &str) -> Option<u32> {
    let (hours, minutes) = time.split_once(':')?;
    let two_digits = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
