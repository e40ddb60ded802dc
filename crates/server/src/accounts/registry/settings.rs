//! The settings of accounts that were added at run time: checked, and stored sealed with the data key.

use serde_json::{Map, Value};
use storage::store::{Change, Store};
use system::data_key::DataKey;

use super::AccountError;
use crate::config::{AccountConfig, AccountTable, SecretFiles};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "account/";

/// An account's settings as they were received, under the names of the configuration file. They include secrets.
pub type Settings = Map<String, Value>;

/// Where an account comes from.
#[derive(Clone, Copy)]
pub enum Origin {
    /// An operator added it.
    Own,
    /// A third-party platform brought it.
    Brought,
}

/// Checks the settings of an account.
pub fn parse_settings(settings: Settings, origin: Origin) -> Result<AccountConfig, AccountError> {
    let table: AccountTable = serde_json::from_value(Value::Object(settings))
        .map_err(|error| AccountError::Unreadable(error.to_string()))?;
    Ok(match origin {
        Origin::Own => table.checked(SecretFiles::Nowhere)?,
        Origin::Brought => table.checked_brought()?,
    })
}

/// Applies changes to settings. A null removes a setting.
pub fn merge_settings(mut settings: Settings, changes: Settings) -> Settings {
    for (name, value) in changes {
        if value.is_null() { drop(settings.remove(&name)) } else { drop(settings.insert(name, value)) }
    }
    settings
}

/// The change that stores the settings, sealed.
pub fn settings_fact(appid: &str, settings: &Settings, key: &DataKey) -> Result<Change, AccountError> {
    let name = format!("{FACT_PREFIX}{appid}");
    let text = zeroize::Zeroizing::new(Value::Object(settings.clone()).to_string());
    let sealed = key.seal(&name, text.as_bytes())?;
    Ok(Change::Fact { key: name, value: Some(sealed) })
}

/// Reads the stored settings of an account.
pub fn stored_settings(appid: &str, store: &Store, key: &DataKey) -> Result<Settings, AccountError> {
    let name = format!("{FACT_PREFIX}{appid}");
    let facts = store.facts(&name);
    let sealed = facts.iter().find(|(fact, _)| *fact == name);
    match sealed {
        Some((fact, sealed)) => open_settings(fact, sealed, key),
        // A platform brought it, and no operator added settings yet.
        None => Ok(Settings::from_iter([("appid".to_owned(), Value::from(appid))])),
    }
}

/// Opens what [`settings_fact`] sealed.
pub fn open_settings(fact: &str, sealed: &[u8], key: &DataKey) -> Result<Settings, AccountError> {
    let text = key.open(fact, sealed)?;
    serde_json::from_slice(&text).map_err(|error| AccountError::Unreadable(error.to_string()))
}
