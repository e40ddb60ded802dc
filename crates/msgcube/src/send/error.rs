//! Why nothing was sent, in both languages.

use std::{fmt, io};

use i18n::Lang;
use i18n::text;
use server::config::{Config, Role};
use wechat::callback::cipher::AesKeyError;

use crate::admin::AdminError;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The configuration cannot be used; the text is its own.
    #[error("{0}")]
    Config(String),
    /// No account to send to.
    #[error("no account: pass --appid, or --config with the account in it")]
    NoAppid,
    /// The configuration has none or several.
    #[error("say which account with --appid; the configuration has {0}")]
    WhichAccount(There),
    /// Not in the configuration.
    #[error(
        "the configuration has no account {0}; it has {1}. One that was added at run time is not in it: give its token and key by options, without --config"
    )]
    NoAccount(String, There),
    /// Not in the configuration, or of the other role.
    #[error("the configuration has no platform {0} with role = \"receive\"; it has {1}")]
    NoPlatform(String, There),
    /// It would be bound to whatever was made up.
    #[error(
        "an account of a platform needs --to gh_…: the server binds the account to the first ToUserName that it is sent, and counts no message with another. Give the account's own original id: its console shows it and, once a message came, `msgcube account show APPID`"
    )]
    NoToUser,
    /// No token.
    #[error("no token: pass --config, or set MSGCUBE_CALLBACK_TOKEN")]
    NoToken,
    /// Encrypted, and no key.
    #[error(
        "--safe needs a key, and so does an account of a platform: set encoding_aes_key in --config, or MSGCUBE_ENCODING_AES_KEY"
    )]
    NoKey,
    /// The server refuses it, which makes a gap for good.
    #[error(
        "the account has require_encryption = true: it refuses a plain callback, and that moment stays a gap in its coverage for good. Send it with --safe, or with --force all the same"
    )]
    RequiresEncryption,
    /// Not an EncodingAESKey.
    #[error("encoding_aes_key: {0}")]
    Key(#[from] AesKeyError),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// No address.
    #[error("{0} is no URL: {1}; write it like http://127.0.0.1:8060")]
    Url(String, String),
    /// The admin key cannot be read, or its server not be asked.
    #[error("{0}")]
    Admin(#[from] AdminError),
    /// Printing failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl SendError {
    /// The same in the language of the terminal.
    pub fn text(&self, lang: Lang) -> String {
        let zh = match self {
            SendError::NoAppid => "未指定账号：请用 --appid，或用 --config 指定含有该账号的配置文件".to_owned(),
            SendError::WhichAccount(there) => {
                format!("请用 --appid 指定账号；配置中有：{}", there.text(Lang::Zh))
            }
            SendError::NoAccount(appid, there) => format!(
                "配置中没有账号 {appid}；配置中有：{}。运行时添加的账号不在配置中：请不用 --config，直接用选项给出其 Token 和密钥",
                there.text(Lang::Zh)
            ),
            SendError::NoPlatform(appid, there) => format!(
                "配置中没有 role = \"receive\" 的平台 {appid}；配置中有：{}",
                there.text(Lang::Zh)
            ),
            SendError::NoToUser => "平台的账号需要 --to gh_…：服务端会把账号与收到的第一个 ToUserName 绑定，此后不计入其他 ToUserName 的消息。\
                 请填该账号自己的原始 ID：公众号后台可查，收到过消息后 `msgcube account show APPID` 也会显示"
                .to_owned(),
            SendError::NoToken => {
                "缺少 Token：请用 --config 指定配置文件，或设置环境变量 MSGCUBE_CALLBACK_TOKEN".to_owned()
            }
            SendError::NoKey => {
                "--safe 和平台的账号都需要密钥：请在配置文件中设置 encoding_aes_key，或设置环境变量 MSGCUBE_ENCODING_AES_KEY".to_owned()
            }
            SendError::RequiresEncryption => {
                "该账号设置了 require_encryption = true：明文回调会被拒绝，该时刻会成为覆盖范围中永久的缺口。请加 --safe；确要发送明文，请加 --force".to_owned()
            }
            SendError::Key(_) => "EncodingAESKey 应为 43 个字母或数字：请从公众号后台的服务器配置中复制".to_owned(),
            SendError::Admin(error) => error.in_lang(lang),
            _ => self.to_string(),
        };
        lang.pick(self.to_string(), zh)
    }
}

/// Whom a configuration knows that callbacks can be sent to.
#[derive(Debug)]
pub struct There {
    accounts: Vec<String>,
    platforms: Vec<String>,
}

impl There {
    pub(super) fn of(config: &Config) -> There {
        let platforms = config.components.iter().filter(|component| component.role == Role::Receive);
        There {
            accounts: config.accounts.iter().map(|account| account.appid.clone()).collect(),
            platforms: platforms.map(|component| component.appid.clone()).collect(),
        }
    }

    fn text(&self, lang: Lang) -> String {
        let mut parts = Vec::new();
        if !self.accounts.is_empty() {
            parts.push(text!("the accounts {accounts}", accounts = self.accounts.join(", ")).in_lang(lang));
        }
        parts.extend(self.platforms.iter().map(|platform| {
            text!(
                "the platform {platform}, for whose accounts: --component {platform} --appid APPID --to gh_…",
                platform
            )
            .in_lang(lang)
        }));
        if parts.is_empty() {
            text!("neither an [[account]] nor a [[component]] with role = \"receive\"").in_lang(lang)
        } else {
            parts.join(&text!("; ").in_lang(lang))
        }
    }
}

impl fmt::Display for There {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}
