//! The settings of one account, from the configuration file or from a request at run time.

use std::path::PathBuf;

use msgcube_client::http::Address;
use serde::Deserialize;
use system::secret::Secret;
use wechat::callback::{AccountKeys, KeyError, KeySettings};

use super::{
    ConfigFlaw, Networks, address, check_texts,
    secrets::{SecretFiles, WechatSecrets, table_with_secrets},
};

/// Limit of listeners of an account.
const LISTENERS_MAX: usize = 8;
/// Limit of an account's name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 64;
/// Limit of platforms that an account names.
const COMPONENTS_MAX: usize = 64;

/// One Official Account.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// The account's appid.
    pub appid: String,
    /// What people call it. May be empty.
    pub name: String,
    /// The secret that token callers must send. Empty, which matches nothing: an account that a platform
    /// brought has none.
    pub secret: Secret,
    /// The secret that WeChat knows, if it is another.
    pub upstream_secret: Option<Secret>,
    /// `gh_…`
    pub original_id: Option<String>,
    /// The callback token. Empty: an account that a platform brought has none, and so no callback path of its
    /// own.
    pub token: Secret,
    /// The former token. Callbacks signed with it are accepted too.
    pub token_previous: Option<Secret>,
    /// 43 characters.
    pub encoding_aes_key: Option<Secret>,
    /// The former key. Callbacks encrypted with it are accepted too.
    pub encoding_aes_key_previous: Option<Secret>,
    /// Plain callbacks are refused.
    pub require_encryption: bool,
    /// WeChat's name for the type of account.
    pub kind: AccountKind,
    /// Verified by WeChat. The seven interfaces answer only for verified accounts.
    pub certified: bool,
    /// Limit of calls of each interface on a day in Beijing. 0: no limit.
    pub quota_per_day: u32,
    /// The addresses that tokens may be requested from. Empty: all.
    pub ip_allow: Networks,
    /// The secret yields no tokens.
    pub secret_frozen: bool,
    /// The third-party platforms (role "receive") that its messages may come through. None: the platform that
    /// brought it.
    pub components: Option<Vec<String>>,
    /// Where its callbacks are passed on to.
    pub relay: Option<RelayConfig>,
}

/// A setting that is allowed but probably unintended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oddity {
    /// The appid does not look like one of WeChat's.
    #[error("WeChat's appids are wx and 16 hexadecimal digits")]
    AppidForm,
    /// The secret does not have the length of WeChat's.
    #[error("WeChat's secrets have 32 characters")]
    SecretLength,
    /// Plain callbacks are accepted: `require_encryption` is not set.
    #[error("plain callbacks are taken, and nothing proves their content; set require_encryption = true")]
    PlainTaken,
}

/// Whether an appid looks like one of WeChat's.
pub fn has_usual_form(appid: &str) -> bool {
    let digits = appid.strip_prefix("wx");
    digits.is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// WeChat's type of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A service account.
    #[default]
    Service,
    /// A subscription account.
    Subscription,
    /// Another type: the seven interfaces answer 48001.
    Other,
}

/// Where an account's callbacks are passed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// The bot. Its reply goes back to WeChat.
    pub url: Address,
    /// What happens while messages cannot be made durable.
    pub when_not_durable: WhenNotDurable,
    /// WeChat's answer if the bot is late.
    pub on_late: OnLate,
    /// Further targets. Their replies are ignored.
    pub listeners: Vec<Address>,
}

impl RelayConfig {
    /// All its addresses.
    pub fn targets(&self) -> impl Iterator<Item = &Address> {
        std::iter::once(&self.url).chain(&self.listeners)
    }

    /// The relay of a platform with an account's appid in its addresses.
    #[must_use]
    pub fn for_account(&self, appid: &str) -> RelayConfig {
        let listeners = self.listeners.iter().map(|listener| listener.for_account(appid));
        RelayConfig { url: self.url.for_account(appid), listeners: listeners.collect(), ..self.clone() }
    }
}

/// What a relay does while messages cannot be made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenNotDurable {
    /// The callback goes to the bot anyway. What is not counted becomes a gap.
    #[default]
    Answer,
    /// Only durable callbacks go to the bot.
    Refuse,
}

/// WeChat's answer if the bot is late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLate {
    /// No answer, so that WeChat retries.
    #[default]
    Close,
    /// `success`, so that WeChat does not retry.
    Success,
}

table_with_secrets! {
    /// An account as written in the file.
    pub struct AccountTable {
        #[serde(default)]
        name: String,
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
    /// Checks the settings.
    pub fn checked(self, files: SecretFiles<'_>) -> Result<AccountConfig, ConfigFlaw> {
        let account = self.read(files)?;
        for (key, secret) in [("secret", &account.secret), ("token", &account.token)] {
            if secret.reveal().is_empty() {
                return Err(ConfigFlaw::new(key, format!("{key} (or {key}_file) is missing, or empty")));
            }
        }
        Ok(account)
    }

    /// Checks the settings of an account that a third-party platform brought. It needs neither secret nor
    /// token.
    pub fn checked_brought(self) -> Result<AccountConfig, ConfigFlaw> {
        self.read(SecretFiles::Nowhere)
    }

    fn read(mut self, files: SecretFiles<'_>) -> Result<AccountConfig, ConfigFlaw> {
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
            name: self.name,
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
    /// Checks the settings.
    pub fn checked(self) -> Result<RelayConfig, ConfigFlaw> {
        if self.listeners.len() > LISTENERS_MAX {
            return Err(ConfigFlaw::new("relay.listeners", format!("at most {LISTENERS_MAX} are told")));
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
    /// The keys that callbacks to its own path are checked with. None without a token.
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

    /// The secret that callers send, if WeChat knows another: it must not be sent to WeChat.
    pub fn own_secret(&self) -> Option<&Secret> {
        let is_wechats = |secret: &Secret| secret.matches(self.upstream_secret().reveal());
        Some(&self.secret).filter(|secret| !secret.reveal().is_empty() && !is_wechats(secret))
    }

    /// Settings that are allowed but probably unintended.
    pub fn oddities(&self) -> Vec<Oddity> {
        let all = [
            (!has_usual_form(&self.appid), Oddity::AppidForm),
            (!matches!(self.secret.reveal().len(), 0 | 32), Oddity::SecretLength),
            (!self.require_encryption && !self.token.reveal().is_empty(), Oddity::PlainTaken),
        ];
        all.into_iter().filter(|(is_there, _)| *is_there).map(|(_, oddity)| oddity).collect()
    }

    /// The oddities as log lines.
    pub fn warnings(&self) -> Vec<String> {
        self.oddities().iter().map(|oddity| format!("account {}: {oddity}", self.appid)).collect()
    }

    fn check(&self) -> Result<(), ConfigFlaw> {
        let upstream = self.upstream_secret.as_ref().map(|secret| ("upstream_secret", secret.reveal()));
        let optional = [("secret", self.secret.reveal()), ("token", self.token.reveal())];
        // Whether they are required depends on the source of the settings; see `checked`.
        let optional = optional.into_iter().filter(|(_, text)| !text.is_empty());
        check_name(&self.name)?;
        check_texts(optional.chain([("appid", self.appid.as_str())]).chain(upstream))?;
        let components = self.components.as_deref().unwrap_or_default();
        if components.len() > COMPONENTS_MAX {
            return Err(ConfigFlaw::new("components", format!("at most {COMPONENTS_MAX} are named")));
        }
        check_texts(components.iter().map(|component| ("components", component.as_str())))?;
        self.keys().map_err(|error| ConfigFlaw::new("keys", error.to_string()))?;
        Ok(())
    }
}

/// A name is shown in tables and on pages. It must not change how the text around it is shown.
fn check_name(name: &str) -> Result<(), ConfigFlaw> {
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(ConfigFlaw::new("name", format!("at most {NAME_CHARACTERS_MAX} characters")));
    }
    if name.contains(i18n::format::disturbs) {
        let what = "line breaks, control characters and characters that change the writing direction are not allowed";
        return Err(ConfigFlaw::new("name", what));
    }
    Ok(())
}
