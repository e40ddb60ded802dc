//! The configuration of the demo's server, also as a file for commands that ask the server.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use i18n::{Lang, text};
use server::config::{AccountConfig, AccountKind, Config, Datacube, Networks};
use system::secret::Secret;

use super::{DemoArgs, account::DemoAccount};

/// The configuration of the demo's server. Its data is in `folder`.
pub fn config(
    args: &DemoArgs,
    accounts: &[DemoAccount],
    folder: &Path,
    admin_key: &str,
    lang: Lang,
) -> Config {
    Config {
        listen: args.listen,
        admin_listen: None,
        public_url: None,
        ui_url: None,
        data_dir: folder.join("data"),
        data_key_file: folder.join("msgcube.key"),
        admin_key: Some(Secret::new(admin_key)),
        callback_max_age_s: 3600,
        memory_mib: 512,
        metrics_accounts: 100,
        proxies: Networks::default(),
        tls: None,
        datacube: Datacube { live: true, ..Datacube::default() },
        upstream: None,
        accounts: accounts.iter().map(|account| account_config(account, lang)).collect(),
        components: Vec::new(),
        store: None,
        clouds: Vec::new(),
    }
}

fn account_config(account: &DemoAccount, lang: Lang) -> AccountConfig {
    AccountConfig {
        appid: account.appid.clone(),
        name: lang.pick(account.name_en, account.name_zh).to_owned(),
        secret: Secret::new(&*account.secret),
        upstream_secret: None,
        // Without it `msgcube send` needs only appid, token and key.
        original_id: None,
        token: Secret::new(&*account.token),
        token_previous: None,
        encoding_aes_key: Some(Secret::new(&*account.encoding_aes_key)),
        encoding_aes_key_previous: None,
        require_encryption: false,
        kind: AccountKind::Service,
        certified: true,
        quota_per_day: 0,
        ip_allow: Networks::default(),
        secret_frozen: false,
        components: None,
        relay: None,
    }
}

/// Writes the part of the configuration that other commands need: where the server listens, and its secrets.
///
/// # Errors
/// The file cannot be written.
pub fn write_file(path: &Path, config: &Config, address: SocketAddr, lang: Lang) -> io::Result<()> {
    // One of an earlier demo in the same folder names another address.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(file_text(config, address, lang).as_bytes())
}

fn file_text(config: &Config, address: SocketAddr, lang: Lang) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let line = |key: &str, value: &str| format!("{key} = {}\n", quoted(value));
    let comment = text!("Names the running demo to other commands: --config THIS_FILE.");
    let mut text = format!("# {}\n", comment.in_lang(lang)) + &line("listen", &address.to_string());
    text.extend(config.admin_key.iter().map(|key| line("admin_key", key.reveal())));
    for account in &config.accounts {
        text += "\n[[account]]\n";
        text += &line("appid", &account.appid);
        text += &line("name", &account.name);
        text += &line("secret", account.secret.reveal());
        text += &line("token", account.token.reveal());
        text.extend(account.encoding_aes_key.iter().map(|key| line("encoding_aes_key", key.reveal())));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::demo::year;

    #[test]
    fn the_file_names_the_server_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let args = DemoArgs {
            seed: 1,
            scale: 1.0,
            accounts: 3,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: None,
            once: false,
        };
        let year = year(1, 0.001, 3, 1_795_329_000);
        let config = config(&args, year.accounts(), folder.path(), "KEY", Lang::Zh);
        let path = folder.path().join("demo.toml");
        for port in [1, 2] {
            write_file(&path, &config, SocketAddr::from(([127, 0, 0, 1], port)), Lang::Zh).unwrap();
            let read = Config::parse(&fs::read_to_string(&path).unwrap(), &path, |_| None).unwrap();
            assert_eq!(read.base_url(), format!("http://127.0.0.1:{port}"));
            assert_eq!(read.admin_key, config.admin_key);
            assert_eq!(read.accounts.len(), 3);
            for (found, account) in read.accounts.iter().zip(&config.accounts) {
                assert_eq!((&found.appid, &found.name), (&account.appid, &account.name));
                assert_eq!((&found.secret, &found.token), (&account.secret, &account.token));
                assert_eq!(found.encoding_aes_key, account.encoding_aes_key);
            }
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
