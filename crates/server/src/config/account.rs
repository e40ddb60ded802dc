//! One account's settings, the same whether they stand in the configuration file or come in at run time.

use std::path::PathBuf;

use msgcube_client::http::Address;
use serde::Deserialize;
use system::secret::Secret;
use wechat::callback::{AccountKeys, KeyError, KeySettings};

use super::{
    Flaw, Networks, address, check_texts,
    secrets::{SecretFiles, WechatSecrets, table_with_secrets},
};

/// Most targets that only listen to an account's callbacks.
const LISTENERS_MAX: usize = 8;
/// Most platforms that an account names.
const COMPONENTS_MAX: usize = 64;

/// One Official Account.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Its appid.
    pub appid: String,
    /// What token callers must show. Empty, which nobody can show: none, of an account that a platform brought.
    pub secret: Secret,
    /// What WeChat must be shown, if that differs.
    pub upstream_secret: Option<Secret>,
    /// `gh_…`
    pub original_id: Option<String>,
    /// The callback token. Empty: none, so it has no callback address of its own; the same accounts.
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
    /// Calls of each interface on a day in Beijing; 0: any number.
    pub quota_per_day: u32,
    /// Where tokens may be asked for from; empty: anywhere.
    pub ip_allow: Networks,
    /// The secret gives no tokens.
    pub secret_frozen: bool,
    /// The third-party platforms (role "receive") that its messages come through, and no others. None: the one that
    /// brought it.
    pub components: Option<Vec<String>>,
    /// Who else is told of each callback, and answers it.
    pub relay: Option<RelayConfig>,
}

/// Something that is allowed and probably not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// Not as WeChat's are.
    #[error("WeChat's appids are wx and 16 hexadecimal digits")]
    AppidForm,
    /// Not as WeChat's are.
    #[error("WeChat's secrets have 32 characters")]
    SecretLength,
    /// Without `require_encryption`.
    #[error("plain callbacks are taken, and nothing proves their content; set require_encryption = true")]
    PlainTaken,
}

/// Whether an appid looks like those of WeChat.
pub fn has_usual_form(appid: &str) -> bool {
    let digits = appid.strip_prefix("wx");
    digits.is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What WeChat calls the account's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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

/// Where an account's callbacks are passed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// The bot, whose reply goes back to WeChat.
    pub url: Address,
    /// What happens while messages cannot be made durable.
    pub when_not_durable: WhenNotDurable,
    /// What WeChat hears if the bot is late.
    pub on_late: OnLate,
    /// Further targets, whose replies nobody reads.
    pub listeners: Vec<Address>,
}

impl RelayConfig {
    /// Everywhere that it leads.
    pub fn targets(&self) -> impl Iterator<Item = &Address> {
        std::iter::once(&self.url).chain(&self.listeners)
    }

    /// The same for one account of a platform.
    #[must_use]
    pub fn for_account(&self, appid: &str) -> RelayConfig {
        let listeners = self.listeners.iter().map(|listener| listener.for_account(appid));
        RelayConfig { url: self.url.for_account(appid), listeners: listeners.collect(), ..self.clone() }
    }
}

/// What happens while messages cannot be made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenNotDurable {
    /// The bot answers all the same; what is not counted is a gap.
    #[default]
    Answer,
    /// The bot hears of nothing that is not durable.
    Refuse,
}

/// What WeChat hears if the bot is late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLate {
    /// Nothing, so that it sends the callback again.
    #[default]
    Close,
    /// `success`, so that it does not.
    Success,
}

table_with_secrets! {
    /// An account as it is written.
    pub struct AccountTable {
        upstream_secret: Option<Secret>,
        upstream_secret_file: Option<PathBuf>,
        original_id: Option<String>,
        #[serde(default)]
        require_encryption: bool,
        #[serde(default)]
        kind: AccountKind,
        #[serde(default = "yes")]
        certified: bool,
        #[serde(default)]
        quota_per_day: u32,
        #[serde(default)]
        ip_allow: Vec<String>,
        #[serde(default)]
        secret_frozen: bool,
        components: Option<Vec<String>>,
        relay: Option<RelayTable>,
    }
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayTable {
    url: String,
    #[serde(default)]
    when_not_durable: WhenNotDurable,
    #[serde(default)]
    on_late: OnLate,
    #[serde(default)]
    listeners: Vec<String>,
}

impl AccountTable {
    /// The settings, checked.
    pub fn checked(self, files: SecretFiles<'_>) -> Result<AccountConfig, Flaw> {
        let account = self.read(files)?;
        for (key, secret) in [("secret", &account.secret), ("token", &account.token)] {
            if secret.reveal().is_empty() {
                return Err(Flaw::new(key, format!("{key} (or {key}_file) is missing, or empty")));
            }
        }
        Ok(account)
    }

    /// The same of an account that a third-party platform brought: it needs neither secret nor token.
    pub fn checked_brought(self) -> Result<AccountConfig, Flaw> {
        self.read(SecretFiles::Nowhere)
    }

    fn read(mut self, files: SecretFiles<'_>) -> Result<AccountConfig, Flaw> {
        let secrets = self.take_secrets(files)?;
        let account = AccountConfig {
            secret: secrets.secret.unwrap_or_default(),
            upstream_secret: files.secret(
                "upstream_secret",
                self.upstream_secret,
                self.upstream_secret_file,
            )?,
            token: secrets.token.unwrap_or_default(),
            token_previous: secrets.token_previous,
            encoding_aes_key: secrets.encoding_aes_key,
            encoding_aes_key_previous: secrets.encoding_aes_key_previous,
            appid: self.appid,
            original_id: self.original_id.filter(|id| !id.is_empty()),
            require_encryption: self.require_encryption,
            kind: self.kind,
            certified: self.certified,
            quota_per_day: self.quota_per_day,
            ip_allow: Networks::parse("ip_allow", &self.ip_allow)?,
            secret_frozen: self.secret_frozen,
            components: self.components,
            relay: self.relay.map(RelayTable::checked).transpose()?,
        };
        account.check()?;
        Ok(account)
    }
}

impl RelayTable {
    /// The settings, checked.
    pub fn checked(self) -> Result<RelayConfig, Flaw> {
        if self.listeners.len() > LISTENERS_MAX {
            return Err(Flaw::new("relay.listeners", format!("at most {LISTENERS_MAX} are told")));
        }
        let listeners = self.listeners.iter().map(|url| address("relay.listeners", url));
        Ok(RelayConfig {
            url: address("relay.url", &self.url)?,
            when_not_durable: self.when_not_durable,
            on_late: self.on_late,
            listeners: listeners.collect::<Result<_, _>>()?,
        })
    }
}

impl AccountConfig {
    /// What callbacks to its own address are checked with; none without a token.
    pub fn keys(&self) -> Result<Option<AccountKeys>, KeyError> {
        if self.token.reveal().is_empty() {
            return Ok(None);
        }
        let keys = AccountKeys::new(&KeySettings {
            appid: &self.appid,
            original_id: self.original_id.as_deref(),
            token: self.token.reveal(),
            token_previous: self.token_previous.as_ref().map(Secret::reveal),
            encoding_aes_key: self.encoding_aes_key.as_ref().map(Secret::reveal),
            encoding_aes_key_previous: self.encoding_aes_key_previous.as_ref().map(Secret::reveal),
            require_encryption: self.require_encryption,
        });
        keys.map(Some)
    }

    /// The secret that WeChat knows.
    pub fn upstream_secret(&self) -> &Secret {
        self.upstream_secret.as_ref().unwrap_or(&self.secret)
    }

    /// What callers show, where WeChat knows another secret: it must not get there.
    pub fn own_secret(&self) -> Option<&Secret> {
        let is_wechats = |secret: &Secret| secret.is(self.upstream_secret().reveal());
        Some(&self.secret).filter(|secret| !secret.reveal().is_empty() && !is_wechats(secret))
    }

    /// Things that are allowed and probably not meant.
    pub fn oddities(&self) -> Vec<Oddity> {
        let all = [
            (!has_usual_form(&self.appid), Oddity::AppidForm),
            (!matches!(self.secret.reveal().len(), 0 | 32), Oddity::SecretLength),
            (!self.require_encryption && !self.token.reveal().is_empty(), Oddity::PlainTaken),
        ];
        all.into_iter().filter(|(is_there, _)| *is_there).map(|(_, oddity)| oddity).collect()
    }

    /// The same as lines of the log.
    pub fn warnings(&self) -> Vec<String> {
        self.oddities().iter().map(|oddity| format!("account {}: {oddity}", self.appid)).collect()
    }

    fn check(&self) -> Result<(), Flaw> {
        let upstream = self.upstream_secret.as_ref().map(|secret| ("upstream_secret", secret.reveal()));
        let optional = [("secret", self.secret.reveal()), ("token", self.token.reveal())];
        // Whether they must be there depends on where the settings come from.
        let optional = optional.into_iter().filter(|(_, text)| !text.is_empty());
        check_texts(optional.chain([("appid", self.appid.as_str())]).chain(upstream))?;
        let components = self.components.as_deref().unwrap_or_default();
        if components.len() > COMPONENTS_MAX {
            return Err(Flaw::new("components", format!("at most {COMPONENTS_MAX} are named")));
        }
        check_texts(components.iter().map(|component| ("components", component.as_str())))?;
        self.keys().map_err(|error| Flaw::new("keys", error.to_string()))?;
        Ok(())
    }
}
