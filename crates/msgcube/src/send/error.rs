//! Errors of `msgcube send`, with the next step.

use std::{fmt, io};

use i18n::{Lang, Text, text};
use server::config::{Config, Role};
use wechat::callback::cipher::AesKeyError;

use crate::admin::AdminError;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The configuration cannot be used; the text says why.
    #[error("{0}")]
    Config(String),
    /// No account was given.
    #[error("no account: pass --appid, or --config with the account in it")]
    NoAppid,
    /// The configuration has no account, or several.
    #[error("say which account with --appid; the configuration has {configured}")]
    WhichAccount {
        /// The accounts and platforms that it has.
        configured: ConfiguredTargets,
    },
    /// The account is not in the configuration.
    #[error(
        "the configuration has no account {appid}; it has {configured}. An account added at run time is not in it: give its token and key by options, without --config"
    )]
    NoAccount {
        /// The account asked for.
        appid: String,
        /// The accounts and platforms that it has.
        configured: ConfiguredTargets,
    },
    /// The platform is not in the configuration, or has the other role.
    #[error("the configuration has no platform {appid} with role = \"receive\"; it has {configured}")]
    NoPlatform {
        /// The platform asked for.
        appid: String,
        /// The accounts and platforms that it has.
        configured: ConfiguredTargets,
    },
    /// A default ToUserName would bind the account to a wrong original id.
    #[error(
        "an account of a platform needs --to gh_…: the server binds the account to the first ToUserName that it is sent, and counts no message with another. Give the account's own original id: its console shows it and, once a message came, `msgcube account show APPID`"
    )]
    NoToUser,
    /// No callback token was given.
    #[error("no token: pass --config, or set MSGCUBE_CALLBACK_TOKEN")]
    NoToken,
    /// The callback is encrypted, but no key was given.
    #[error(
        "--safe needs a key, and so does an account of a platform: set encoding_aes_key in --config, or MSGCUBE_ENCODING_AES_KEY"
    )]
    NoKey,
    /// The server would refuse the callback and record a permanent gap.
    #[error(
        "the account has require_encryption = true: it refuses a plain callback, and that moment stays a gap in its coverage. Send it with --safe, or with --force anyway"
    )]
    RequiresEncryption,
    /// The EncodingAESKey is malformed.
    #[error("encoding_aes_key: {0}")]
    Key(#[from] AesKeyError),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The callback address is not a URL.
    #[error("{0} is not a URL: {1}; write it like http://127.0.0.1:8060")]
    Url(String, String),
    /// The admin key cannot be read, or the server cannot be asked.
    #[error("{0}")]
    Admin(#[from] AdminError),
    /// Printing failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl SendError {
    /// The error in a language.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            SendError::WhichAccount { configured } => {
                text!(
                    "say which account with --appid; the configuration has {configured}",
                    configured = configured.text()
                )
                .in_lang(lang)
            }
            SendError::NoAccount { appid, configured } => text!(
                "the configuration has no account {appid}; it has {configured}. An account added at run time is not in it: give its token and key by options, without --config",
                appid,
                configured = configured.text()
            )
            .in_lang(lang),
            SendError::NoPlatform { appid, configured } => text!(
                "the configuration has no platform {appid} with role = \"receive\"; it has {configured}",
                appid,
                configured = configured.text()
            )
            .in_lang(lang),
            SendError::Admin(error) => error.in_lang(lang),
            other => i18n::translated(lang, &other.to_string()),
        }
    }
}

/// The accounts and platforms of a configuration that callbacks can be sent to.
#[derive(Debug)]
pub struct ConfiguredTargets {
    accounts: Vec<String>,
    platforms: Vec<String>,
}

impl ConfiguredTargets {
    pub(super) fn of(config: &Config) -> ConfiguredTargets {
        let platforms = config.components.iter().filter(|component| component.role == Role::Receive);
        ConfiguredTargets {
            accounts: config.accounts.iter().map(|account| account.appid.clone()).collect(),
            platforms: platforms.map(|component| component.appid.clone()).collect(),
        }
    }

    fn text(&self) -> Text {
        let mut parts = Vec::new();
        if !self.accounts.is_empty() {
            parts.push(text!("the accounts {accounts}", accounts = self.accounts.join(", ")));
        }
        parts.extend(self.platforms.iter().map(|platform| {
            text!(
                "the platform {platform}, for whose accounts: --component {platform} --appid APPID --to gh_…",
                platform
            )
        }));
        if parts.is_empty() {
            text!("neither an [[account]] nor a [[component]] with role = \"receive\"")
        } else {
            Text::list(parts, text!("; "))
        }
    }
}

impl fmt::Display for ConfiguredTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().english())
    }
}
