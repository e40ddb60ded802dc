//! The format of the configuration file: TOML, with secrets inline or in separate files.

use std::path::{Path, PathBuf};

use datacube::DateProfile;
use msgcube_client::http::Address;
use serde::Deserialize;
use system::secret::Secret;

use super::{
    AccountTable, BRIDGE_S, BRIDGE_S_MAX, Config, ConfigError, ConfigFlaw, Datacube, Networks, SecretFiles,
    TlsFiles, UpstreamConfig, cloud::CloudTable, listen::Listen, optional_address, platform::PlatformTable,
    store::StoreTable,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default = "default_listen")]
    listen: Listen,
    admin_listen: Option<Listen>,
    #[serde(default)]
    public_url: String,
    #[serde(default)]
    ui_url: String,
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
    #[serde(default = "default_metrics_accounts")]
    metrics_accounts: usize,
    #[serde(default)]
    proxies: Vec<String>,
    tls: Option<TlsTable>,
    #[serde(default)]
    datacube: DatacubeTable,
    upstream: Option<UpstreamTable>,
    store: Option<StoreTable>,
    #[serde(default)]
    account: Vec<AccountTable>,
    #[serde(default)]
    component: Vec<PlatformTable>,
    #[serde(default)]
    cloud: Vec<CloudTable>,
}

fn default_listen() -> Listen {
    Listen(std::net::SocketAddr::from(([127, 0, 0, 1], 8060)))
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

fn default_metrics_accounts() -> usize {
    100
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DatacubeTable {
    live: bool,
    date_profile: DateProfileName,
    user_source: bool,
    not_ready_before: String,
    partial: Partial,
    bridge_s: u32,
}

impl Default for DatacubeTable {
    fn default() -> DatacubeTable {
        DatacubeTable {
            live: false,
            date_profile: DateProfileName::default(),
            user_source: false,
            not_ready_before: String::new(),
            partial: Partial::default(),
            bridge_s: BRIDGE_S,
        }
    }
}

#[derive(Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum DateProfileName {
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
struct TlsTable {
    cert: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamTable {
    #[serde(default = "default_base")]
    base: String,
    #[serde(default)]
    token_url: String,
    #[serde(default)]
    expose_real_token: bool,
    #[serde(default)]
    uncovered: Uncovered,
}

fn default_base() -> String {
    msgcube_client::WECHAT_BASE.to_owned()
}

#[derive(Clone, Copy, Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Uncovered {
    #[default]
    Upstream,
    Counted,
}

/// The file that is being read, for relative paths and errors.
struct ConfigSource<'a> {
    path: &'a Path,
    folder: &'a Path,
}

pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let source = ConfigSource { path, folder: path.parent().unwrap_or(Path::new("")) };
    let file: ConfigFile = toml::from_str(text).map_err(|error| source.toml_error(text, &error))?;
    let files = SecretFiles::In(source.folder);
    let accounts =
        (1..).zip(file.account).map(|(at, table)| source.check_entry("account", at, table.checked(files)));
    let components = (1..)
        .zip(file.component)
        .map(|(at, table)| source.check_entry("component", at, table.checked(files)));
    let clouds =
        (1..).zip(file.cloud).map(|(at, table)| source.check_entry("cloud", at, table.checked(files)));
    let store = file.store.map(|table| table.checked(files)).transpose();
    let admin_key = files.secret("admin_key", file.admin_key, file.admin_key_file);
    Ok(Config {
        listen: file.listen.0,
        admin_listen: file.admin_listen.map(|listen| listen.0),
        public_url: source.origin("public_url", &file.public_url)?,
        ui_url: source.origin("ui_url", &file.ui_url)?,
        data_dir: source.folder.join(&file.data_dir),
        data_key_file: source.folder.join(&file.data_key_file),
        admin_key: admin_key.map_err(|flaw| source.value_flaw(flaw))?,
        callback_max_age_s: file.callback_max_age_s,
        memory_mib: file.memory_mib,
        metrics_accounts: file.metrics_accounts,
        proxies: Networks::parse("proxies", &file.proxies).map_err(|flaw| source.value_flaw(flaw))?,
        tls: file.tls.map(|tls| source.tls(&tls)),
        datacube: source.datacube(&file.datacube)?,
        upstream: file.upstream.map(|upstream| source.upstream(&upstream)).transpose()?,
        store: store.map_err(|flaw| source.value_flaw(flaw))?,
        accounts: accounts.collect::<Result<_, _>>()?,
        components: components.collect::<Result<_, _>>()?,
        clouds: clouds.collect::<Result<_, _>>()?,
    })
}

impl ConfigSource<'_> {
    /// Line and message only: the content of the line may be a secret.
    fn toml_error(&self, text: &str, error: &toml::de::Error) -> ConfigError {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(text));
        let line = before.matches('\n').count() + 1;
        let message = error.message().to_owned();
        ConfigError::Toml { path: self.path.to_owned(), line, message }
    }

    fn value_flaw(&self, flaw: ConfigFlaw) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), flaw }
    }

    fn value_error(&self, key: &str, what: impl Into<String>) -> ConfigError {
        self.value_flaw(ConfigFlaw::new(key, what))
    }

    /// Parses an address that is only scheme, host and port. An empty text means none.
    fn origin(&self, key: &str, text: &str) -> Result<Option<Address>, ConfigError> {
        if text.is_empty() {
            return Ok(None);
        }
        let address = Address::parse_base(text).map_err(|what| self.value_error(key, what))?;
        if address.uri_text() != address.to_string() {
            let what = format!("must end after the host and port, without a path: {}", address.origin());
            return Err(self.value_error(key, what));
        }
        Ok(Some(address))
    }

    fn tls(&self, table: &TlsTable) -> TlsFiles {
        TlsFiles { cert: self.folder.join(&table.cert), key: self.folder.join(&table.key) }
    }

    fn upstream(&self, table: &UpstreamTable) -> Result<UpstreamConfig, ConfigError> {
        let base =
            Address::parse_base(&table.base).map_err(|what| self.value_error("upstream.base", what))?;
        let token_url = optional_address("upstream.token_url", &table.token_url);
        Ok(UpstreamConfig {
            base,
            token_url: token_url.map_err(|flaw| self.value_flaw(flaw))?,
            expose_real_token: table.expose_real_token,
            passes_uncovered: table.uncovered == Uncovered::Upstream,
        })
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
        if table.bridge_s > BRIDGE_S_MAX {
            let what = format!("must be 0 to {BRIDGE_S_MAX}");
            return Err(self.value_error("datacube.bridge_s", what));
        }
        Ok(Datacube {
            live: table.live,
            date_profile: match table.date_profile {
                DateProfileName::Lenient => DateProfile::Lenient,
                DateProfileName::Strict => DateProfile::Strict,
            },
            user_source: table.user_source,
            not_ready_before_minute,
            withhold_partial: table.partial == Partial::Withhold,
            bridge_s: table.bridge_s,
        })
    }

    /// Adds the list and the position in it to an error.
    fn check_entry<T>(
        &self,
        list: &str,
        at: usize,
        checked: Result<T, ConfigFlaw>,
    ) -> Result<T, ConfigError> {
        checked
            .map_err(|flaw| self.value_flaw(ConfigFlaw::new(format!("{list} {at}: {}", flaw.key), flaw.what)))
    }
}

fn minute_of_day(time: &str) -> Option<u32> {
    let (hours, minutes) = time.split_once(':')?;
    let two_digits = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
