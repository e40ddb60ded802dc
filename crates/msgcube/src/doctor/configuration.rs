//! The configuration: what is allowed and probably not meant, and who can read the secrets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use i18n::Lang;
use i18n::text;
use server::config::{AccountConfig, Oddity};
use system::data_key::{DataKey, DataKeyError};

use super::{finding::Finding, installation::Installation};

/// Settings that are secrets themselves, where their name does not end in `_file`.
const SECRETS: [&str; 8] = [
    "admin_key",
    "secret",
    "secret_key",
    "upstream_secret",
    "token",
    "token_previous",
    "encoding_aes_key",
    "encoding_aes_key_previous",
];

/// A configuration that cannot be used: the one thing to say.
pub fn unusable(lang: Lang, why: &str) -> Finding {
    let remedy = text!("correct it; `msgcube serve` would not start with it").in_lang(lang);
    Finding::problem("configuration", i18n::translated(lang, why), remedy)
}

/// What can be said of the whole file. `path` is where it stands.
pub fn check(scene: &Installation, path: &Path) -> Vec<Finding> {
    let mut findings = vec![read(scene, path), readable(scene, path), data_key(scene), admin_key(scene)];
    if scene.config.accounts.is_empty() {
        let found = text!("no [[account]] in it").in_lang(scene.lang);
        findings.push(Finding::note("accounts", found));
    }
    findings
}

fn read(scene: &Installation, path: &Path) -> Finding {
    let (accounts, listen, path) = (scene.config.accounts.len(), scene.config.listen, path.display());
    let found = text!("{path}: read; accounts: {accounts}; listens on {listen}", path, accounts, listen)
        .in_lang(scene.lang);
    Finding::ok("configuration", found)
}

/// Everyone on the machine could read them. A group may: that is how a service gets at files of root.
fn readable(scene: &Installation, path: &Path) -> Finding {
    let mut files = secret_files(path);
    files.extend(scene.config.tls.as_ref().map(|tls| tls.key.clone()));
    let total = files.len();
    let open: Vec<String> =
        files.iter().filter(|file| is_open(file)).map(|file| file.display().to_string()).collect();
    if open.is_empty() {
        let found = text!("files with secrets: {total}, none readable by every user of this machine", total)
            .in_lang(scene.lang);
        return Finding::ok("secret_files", found);
    }
    let names = open.join(" ");
    let found = text!("every user of this machine can read secrets in {open}", open = open.join(", "))
        .in_lang(scene.lang);
    Finding::warning("secret_files", found, format!("chmod o-rwx {names}"))
}

/// Readable for all, in folders that all may enter.
fn is_open(file: &Path) -> bool {
    let has = |path: &Path, bit| fs::metadata(path).is_ok_and(|about| about.permissions().mode() & bit != 0);
    let file = file.canonicalize().unwrap_or(file.to_owned());
    has(&file, 0o004) && file.ancestors().skip(1).all(|folder| has(folder, 0o001))
}

/// The files with secrets that a configuration names, and itself if it holds some.
fn secret_files(path: &Path) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let Ok(table) = toml::from_str::<toml::Table>(&text) else { return Vec::new() };
    let arrays = ["account", "component", "cloud"].into_iter().filter_map(|name| table.get(name)?.as_array());
    let tables: Vec<&toml::Table> =
        arrays.flatten().filter_map(toml::Value::as_table).chain(std::iter::once(&table)).collect();
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

/// It is only looked at: making one is the server's business.
fn data_key(scene: &Installation) -> Finding {
    let path = scene.config.data_key_file.display();
    match DataKey::load(&scene.config.data_key_file) {
        Ok(Some(_)) => {
            let found = text!("{path}: whole, readable for its owner only, outside data_dir", path)
                .in_lang(scene.lang);
            Finding::ok("data_key", found)
        }
        Ok(None) if has_data(&scene.config.data_dir) => {
            let found =
                text!("{path} is missing, and there is data that belongs to it", path).in_lang(scene.lang);
            let remedy = text!("restore it from its backup; msgcube serve does not start without it, and says how to go on with another").in_lang(scene.lang);
            Finding::problem("data_key", found, remedy)
        }
        Ok(None) => {
            let found = text!("{path} is not there yet; the first start makes it", path).in_lang(scene.lang);
            Finding::note("data_key", found)
        }
        Err(error) => unusable_key(scene.lang, &error),
    }
}

fn has_data(folder: &Path) -> bool {
    ["pages.redb", "log"].iter().any(|name| folder.join(name).exists())
}

fn unusable_key(lang: Lang, error: &DataKeyError) -> Finding {
    let (found, remedy) = match error {
        DataKeyError::File { path, source } => (
            format!("{}: {source}", path.display()),
            text!("run msgcube doctor as the user that serves, or as root").in_lang(lang),
        ),
        DataKeyError::Length { path, found } => (
            text!("{path} has {found} bytes instead of 32", path = path.display(), found).in_lang(lang),
            text!("restore it from a backup, or remove it: a new one is made, and all tokens end")
                .in_lang(lang),
        ),
        DataKeyError::Open { path, mode } => (
            text!(
                "{path} can be read by others (mode {mode})",
                path = path.display(),
                mode = format_args!("{mode:o}")
            )
            .in_lang(lang),
            format!("chmod 600 {}", path.display()),
        ),
    };
    Finding::problem("data_key", found, remedy)
}

fn admin_key(scene: &Installation) -> Finding {
    let lang = scene.lang;
    if scene.config.admin_key.is_some() {
        return Finding::ok("admin_key", text!("set").in_lang(lang));
    }
    let found = text!("no admin_key: /v1 and /metrics are closed").in_lang(lang);
    let remedy =
        text!("set admin_key_file, or MSGCUBE_ADMIN_KEY for this command as for the server").in_lang(lang);
    Finding::warning("admin_key", found, remedy)
}

/// What can be said of one account's settings.
pub fn account(lang: Lang, account: &AccountConfig) -> Vec<Finding> {
    let oddities = account.oddities();
    let mut findings: Vec<Finding> = oddities.iter().map(|oddity| odd(lang, account, *oddity)).collect();
    if !oddities.contains(&Oddity::PlainTaken) {
        let found = text!("plain callbacks are refused").in_lang(lang);
        findings.push(Finding::ok("require_encryption", found));
    }
    findings
}

fn odd(lang: Lang, account: &AccountConfig, oddity: Oddity) -> Finding {
    match oddity {
        Oddity::AppidForm => Finding::note(
            "appid_form",
            text!("WeChat's appids are wx and 16 hexadecimal digits").in_lang(lang),
        ),
        Oddity::SecretLength => Finding::note(
            "secret_length",
            text!("the secret has not 32 characters, as WeChat's have; a value of your own is fine")
                .in_lang(lang),
        ),
        Oddity::PlainTaken if account.encoding_aes_key.is_none() => Finding::warning(
            "require_encryption",
            text!("no encoding_aes_key: plain callbacks only, and nothing proves their content")
                .in_lang(lang),
            text!("choose safe mode at WeChat, set encoding_aes_key and require_encryption = true")
                .in_lang(lang),
        ),
        Oddity::PlainTaken => Finding::warning(
            "require_encryption",
            text!("plain callbacks are taken, too, and nothing proves their content").in_lang(lang),
            text!("choose safe mode at WeChat and set require_encryption = true").in_lang(lang),
        ),
    }
}
