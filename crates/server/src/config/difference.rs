//! Compares the active configuration with a new one, and decides which changes apply without a restart. It names
//! every setting, so a new setting does not compile until this is decided.

use serde::Serialize;

use super::{AccountConfig, Config, Datacube, PlatformConfig, TlsFiles, UpstreamConfig};

/// What changed, by name. Never a value, which may be a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Changes of accounts.
    pub accounts: AccountsChanged,
    /// Other settings that changed and are active now.
    pub settings: Vec<String>,
    /// Settings that keep their former value until a restart.
    pub needs_restart: Vec<String>,
}

/// Changes of accounts in the file, sorted by appid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountsChanged {
    /// Appids of new accounts.
    pub added: Vec<String>,
    /// Accounts with other settings.
    pub changed: Vec<ChangedAccount>,
    /// Appids of accounts that the file no longer has.
    pub removed: Vec<String>,
}

/// An account and its settings that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedAccount {
    /// The appid.
    pub appid: String,
    /// Names of the settings that differ.
    pub keys: Vec<String>,
}

/// The names of the fields that differ. The caller lists all fields of the type.
macro_rules! differing {
    ($type:ident { $($field:ident: $name:literal),* $(,)? }, $old:expr, $new:expr) => {{
        let $type { $($field: _),* } = $old;
        let all = [$(($old.$field != $new.$field, $name)),*];
        all.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name.to_owned()).collect::<Vec<String>>()
    }};
}

impl Config {
    /// The configuration to serve when the file says `new`, and what changes. Settings that need a restart keep
    /// their value.
    pub fn reloaded(&self, new: Config) -> (Config, Difference) {
        let Config {
            listen,
            admin_listen,
            public_url,
            ui_url,
            data_dir,
            data_key_file,
            admin_key,
            callback_max_age_s,
            memory_mib,
            metrics_accounts,
            proxies,
            tls,
            datacube,
            upstream,
            store,
            accounts,
            components,
            clouds,
        } = new;
        let mut found =
            Difference { accounts: accounts_changed(&self.accounts, &accounts), ..Difference::default() };
        let config = Config {
            listen: found.at_restart("listen", &self.listen, &listen),
            admin_listen: found.at_restart("admin_listen", &self.admin_listen, &admin_listen),
            public_url: found.at_once("public_url", &self.public_url, public_url),
            ui_url: found.at_once("ui_url", &self.ui_url, ui_url),
            data_dir: found.at_restart("data_dir", &self.data_dir, &data_dir),
            data_key_file: found.at_restart("data_key_file", &self.data_key_file, &data_key_file),
            admin_key: found.at_once("admin_key", &self.admin_key, admin_key),
            callback_max_age_s: found.at_once(
                "callback_max_age_s",
                &self.callback_max_age_s,
                callback_max_age_s,
            ),
            memory_mib: found.at_restart("memory_mib", &self.memory_mib, &memory_mib),
            metrics_accounts: found.at_restart("metrics_accounts", &self.metrics_accounts, &metrics_accounts),
            proxies: found.at_restart("proxies", &self.proxies, &proxies),
            tls: found.tls(self.tls.as_ref(), tls),
            datacube: found.datacube(&self.datacube, datacube),
            upstream: found.upstream(self.upstream.as_ref(), upstream),
            store: found.at_restart("store", &self.store, &store),
            accounts,
            components: found.components(&self.components, components),
            clouds: found.at_once("cloud", &self.clouds, clouds),
        };
        (config, found)
    }
}

impl Difference {
    /// True if the new configuration equals the active one.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    fn at_once<T: PartialEq>(&mut self, name: &str, old: &T, new: T) -> T {
        if *old != new {
            self.settings.push(name.to_owned());
        }
        new
    }

    fn at_restart<T: PartialEq + Clone>(&mut self, name: &str, old: &T, new: &T) -> T {
        if old != new {
            self.needs_restart.push(name.to_owned());
        }
        old.clone()
    }

    /// The listeners are opened with or without TLS, so adding or removing it needs a restart.
    fn tls(&mut self, old: Option<&TlsFiles>, new: Option<TlsFiles>) -> Option<TlsFiles> {
        match (old, new) {
            (Some(old), Some(new)) => {
                self.settings.extend(differing!(TlsFiles { cert: "tls.cert", key: "tls.key" }, old, &new));
                Some(new)
            }
            (None, None) => None,
            (old, _) => {
                self.needs_restart.push("tls".to_owned());
                old.cloned()
            }
        }
    }

    fn datacube(&mut self, old: &Datacube, new: Datacube) -> Datacube {
        self.settings.extend(differing!(
            Datacube {
                live: "datacube.live",
                date_profile: "datacube.date_profile",
                user_source: "datacube.user_source",
                not_ready_before_minute: "datacube.not_ready_before",
                withhold_partial: "datacube.partial",
                bridge_s: "datacube.bridge_s",
            },
            old,
            &new
        ));
        new
    }

    fn upstream(
        &mut self,
        old: Option<&UpstreamConfig>,
        new: Option<UpstreamConfig>,
    ) -> Option<UpstreamConfig> {
        match (old, &new) {
            (Some(old), Some(new)) => self.settings.extend(differing!(
                UpstreamConfig {
                    base: "upstream.base",
                    token_url: "upstream.token_url",
                    expose_real_token: "upstream.expose_real_token",
                    passes_uncovered: "upstream.uncovered",
                },
                old,
                new
            )),
            (None, None) => {}
            _ => self.settings.push("upstream".to_owned()),
        }
        new
    }

    /// A platform's settings change at once. Adding or removing a platform, or changing its role, needs a
    /// restart, because the accounts it brings are read at the start.
    fn components(&mut self, old: &[PlatformConfig], mut new: Vec<PlatformConfig>) -> Vec<PlatformConfig> {
        let mut served = Vec::new();
        for old in old {
            let Some(at) = new.iter().position(|new| new.appid == old.appid) else {
                self.needs_restart.push(format!("component {}", old.appid));
                served.push(old.clone());
                continue;
            };
            let new = new.swap_remove(at);
            if new.role != old.role {
                self.needs_restart.push(format!("component {}: role", old.appid));
                served.push(old.clone());
                continue;
            }
            let names =
                platform_keys(old, &new).into_iter().map(|key| format!("component {}: {key}", old.appid));
            self.settings.extend(names);
            served.push(new);
        }
        self.needs_restart.extend(new.iter().map(|new| format!("component {}", new.appid)));
        served
    }
}

fn platform_keys(old: &PlatformConfig, new: &PlatformConfig) -> Vec<String> {
    differing!(
        PlatformConfig {
            appid: "appid",
            secret: "secret",
            token: "token",
            token_previous: "token_previous",
            encoding_aes_key: "encoding_aes_key",
            encoding_aes_key_previous: "encoding_aes_key_previous",
            role: "role",
            push_url: "push_url",
            relay: "relay",
        },
        old,
        new
    )
}

fn account_keys(old: &AccountConfig, new: &AccountConfig) -> Vec<String> {
    differing!(
        AccountConfig {
            appid: "appid",
            name: "name",
            secret: "secret",
            upstream_secret: "upstream_secret",
            original_id: "original_id",
            token: "token",
            token_previous: "token_previous",
            encoding_aes_key: "encoding_aes_key",
            encoding_aes_key_previous: "encoding_aes_key_previous",
            require_encryption: "require_encryption",
            kind: "kind",
            certified: "certified",
            quota_per_day: "quota_per_day",
            ip_allow: "ip_allow",
            secret_frozen: "secret_frozen",
            components: "components",
            relay: "relay",
        },
        old,
        new
    )
}

fn accounts_changed(old: &[AccountConfig], new: &[AccountConfig]) -> AccountsChanged {
    let mut former: std::collections::HashMap<&str, &AccountConfig> =
        old.iter().map(|account| (account.appid.as_str(), account)).collect();
    let mut found = AccountsChanged::default();
    for account in new {
        match former.remove(account.appid.as_str()).map(|former| account_keys(former, account)) {
            None => found.added.push(account.appid.clone()),
            Some(keys) if keys.is_empty() => {}
            Some(keys) => found.changed.push(ChangedAccount { appid: account.appid.clone(), keys }),
        }
    }
    found.removed = former.into_keys().map(ToOwned::to_owned).collect();
    found.added.sort();
    found.changed.sort_by(|one, other| one.appid.cmp(&other.appid));
    found.removed.sort();
    found
}

#[cfg(test)]
mod tests;
