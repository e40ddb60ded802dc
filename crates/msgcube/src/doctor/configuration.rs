//! The configuration: settings that are allowed but probably a mistake, and who can read the secrets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use i18n::{Text, text};
use msgcube_client::http::Address;
use server::config::{AccountConfig, Config, Oddity};
use system::data_key::{DataKey, DataKeyError};

use super::{finding::Finding, installation::Installation};

/// Settings that hold a secret. With `_file` at the end of the name they name a file with the secret.
const SECRETS: [&str; 10] = [
    "admin_key",
    "secret",
    "secret_key",
    "upstream_secret",
    "token",
    "token_previous",
    "encoding_aes_key",
    "encoding_aes_key_previous",
    "password",
    "state",
];

/// The finding for a configuration that cannot be used.
pub fn unusable(why: &str) -> Finding {
    let remedy = text!("correct it; `msgcube serve` would not start with it");
    Finding::problem("configuration", Text::from_english(why), remedy)
}

/// Checks the whole file. `path` is its path.
pub fn check(installation: &Installation, path: &Path) -> Vec<Finding> {
    let mut findings = vec![
        read(installation, path),
        readable(installation, path),
        data_key(installation),
        admin_key(installation),
    ];
    findings.extend(ui_origin(&installation.config));
    if installation.config.accounts.is_empty() {
        let found = text!("no [[account]] in it");
        findings.push(Finding::note("accounts", found));
    }
    findings
}

fn read(installation: &Installation, path: &Path) -> Finding {
    let (accounts, listen, path) =
        (installation.config.accounts.len(), installation.config.listen, path.display());
    let found = text!("{path}: read; accounts: {accounts}; listens on {listen}", path, accounts, listen);
    Finding::ok("configuration", found)
}

/// Files with secrets that every user of the machine can read. Group access is fine: a service may read files of root
/// that way.
fn readable(installation: &Installation, path: &Path) -> Finding {
    let mut files = secret_files(path);
    files.extend(installation.config.tls.as_ref().map(|tls| tls.key.clone()));
    let total = files.len();
    let open: Vec<String> =
        files.iter().filter(|file| is_open(file)).map(|file| file.display().to_string()).collect();
    if open.is_empty() {
        let found = text!("files with secrets: {total}, none readable by every user of this machine", total);
        return Finding::ok("secret_files", found);
    }
    let names = open.join(" ");
    let found = text!("every user of this machine can read secrets in {open}", open = open.join(", "));
    Finding::warning("secret_files", found, format!("chmod o-rwx {names}"))
}

/// Whether all users may read the file and enter its folders.
fn is_open(file: &Path) -> bool {
    let has = |path: &Path, bit| fs::metadata(path).is_ok_and(|about| about.permissions().mode() & bit != 0);
    let file = file.canonicalize().unwrap_or(file.to_owned());
    has(&file, 0o004) && file.ancestors().skip(1).all(|folder| has(folder, 0o001))
}

/// The files with secrets that a configuration names, and the configuration file if it holds secrets.
fn secret_files(path: &Path) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let Ok(table) = toml::from_str::<toml::Table>(&text) else { return Vec::new() };
    let arrays = ["account", "component", "cloud"].into_iter().filter_map(|name| table.get(name)?.as_array());
    let store = table.get("store").and_then(toml::Value::as_table);
    let tables: Vec<&toml::Table> =
        arrays.flatten().filter_map(toml::Value::as_table).chain(store).chain([&table]).collect();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for (key, value) in tables.iter().flat_map(|table| table.iter()) {
        let Some(text) = value.as_str() else { continue };
        if SECRETS.contains(&key.as_str()) {
            files.push(path.to_owned());
        } else if key.strip_suffix("_file").is_some_and(|name| SECRETS.contains(&name)) {
            files.push(folder.join(text));
        }
    }
    files.sort();
    files.dedup();
    files
}

/// Only reads the data key. The server creates it.
fn data_key(installation: &Installation) -> Finding {
    let path = installation.config.data_key_file.display();
    match DataKey::load(&installation.config.data_key_file) {
        Ok(Some(_)) => {
            let found = text!("{path}: complete, readable only by its owner, outside data_dir", path);
            Finding::ok("data_key", found)
        }
        Ok(None) if has_data(&installation.config.data_dir) => {
            let found = text!("{path} is missing, and there is data that belongs to it", path);
            let remedy = text!(
                "restore it from its backup; msgcube serve does not start without it, and says how to go on with another"
            );
            Finding::problem("data_key", found, remedy)
        }
        Ok(None) if installation.config.store.is_some() => {
            let found = text!("{path} is not there", path);
            let remedy = text!(
                "copy it from another process of this store; only the first start of the first process makes it"
            );
            Finding::warning("data_key", found, remedy)
        }
        Ok(None) => {
            let found = text!("{path} is not there yet; the first start makes it", path);
            Finding::note("data_key", found)
        }
        Err(error) => unusable_key(&error),
    }
}

fn has_data(folder: &Path) -> bool {
    ["pages.redb", "log"].iter().any(|name| folder.join(name).exists())
}

fn unusable_key(error: &DataKeyError) -> Finding {
    let (found, remedy) = match error {
        DataKeyError::File { path, source } => (
            text!("{path}: {source}", path = path.display(), source = Text::from_english(source)),
            text!("run msgcube doctor as the user that serves, or as root"),
        ),
        DataKeyError::Length { path, found } => (
            text!("{path} has {found} bytes instead of 32", path = path.display(), found),
            text!("restore it from a backup, or remove it: a new one is made, and all tokens become invalid"),
        ),
        DataKeyError::Open { path, mode } => (
            text!(
                "{path} can be read by others (mode {mode})",
                path = path.display(),
                mode = format_args!("{mode:o}")
            ),
            Text::plain(format!("chmod 600 {}", path.display())),
        ),
    };
    Finding::problem("data_key", found, remedy)
}

fn admin_key(installation: &Installation) -> Finding {
    if installation.config.admin_key.is_some() {
        return Finding::ok("admin_key", text!("set"));
    }
    let found = text!("no admin_key: /v1 and /metrics are closed");
    let remedy = text!("set admin_key_file, or MSGCUBE_ADMIN_KEY for this command as for the server");
    Finding::warning("admin_key", found, remedy)
}

/// With `[upstream]`, answers of another server come from `listen`. Browsers should not take them for pages of `/ui`.
fn ui_origin(config: &Config) -> Option<Finding> {
    let origin = |address: &Option<Address>| address.as_ref().map(Address::origin);
    let has_own_host = config.ui_url.is_some() && origin(&config.ui_url) != origin(&config.public_url);
    if config.upstream.is_none() || config.admin_listen.is_some() || has_own_host {
        return None;
    }
    let found =
        text!("the pages (/ui) have the same address as answers that [upstream] passes on from WeChat");
    let remedy =
        text!("better give them an address of their own: set admin_listen, or a host of their own in ui_url");
    Some(Finding::note("ui_origin", found).with_remedy(remedy))
}

/// Checks one account's settings.
pub fn account(account: &AccountConfig) -> Vec<Finding> {
    let oddities = account.oddities();
    let mut findings: Vec<Finding> = oddities.iter().map(|oddity| oddity_finding(account, *oddity)).collect();
    if !oddities.contains(&Oddity::PlainTaken) {
        let found = text!("plain callbacks are refused");
        findings.push(Finding::ok("require_encryption", found));
    }
    findings
}

fn oddity_finding(account: &AccountConfig, oddity: Oddity) -> Finding {
    match oddity {
        Oddity::AppidForm => {
            Finding::note("appid_form", text!("WeChat's appids are wx and 16 hexadecimal digits"))
        }
        Oddity::SecretLength => Finding::note(
            "secret_length",
            text!("the secret does not have 32 characters like WeChat's; your own value is fine"),
        ),
        Oddity::PlainTaken if account.encoding_aes_key.is_none() => Finding::warning(
            "require_encryption",
            text!("no encoding_aes_key: plain callbacks only, and nothing proves their content"),
            text!("choose safe mode at WeChat, set encoding_aes_key and require_encryption = true"),
        ),
        Oddity::PlainTaken => Finding::warning(
            "require_encryption",
            text!("plain callbacks are accepted, too, and nothing proves their content"),
            text!("choose safe mode at WeChat and set require_encryption = true"),
        ),
    }
}
