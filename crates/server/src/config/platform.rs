//! The settings of a third-party platform.

use std::path::PathBuf;

use msgcube_client::http::Address;
use serde::Deserialize;
use system::secret::Secret;
use wechat::callback::{AccountKeys, KeyError, KeySettings};

use super::{
    ConfigFlaw, RelayConfig,
    account::RelayTable,
    check_texts, optional_address,
    secrets::{SecretFiles, WechatSecrets, needed, table_with_secrets},
};

/// One third-party platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformConfig {
    /// The platform's appid.
    pub appid: String,
    /// The secret that it sends to get its token.
    pub secret: Secret,
    /// The token that its pushes are signed with.
    pub token: Secret,
    /// The former token. Pushes signed with it are accepted too.
    pub token_previous: Option<Secret>,
    /// The key that its pushes are encrypted with, 43 characters.
    pub encoding_aes_key: Secret,
    /// The former key. Pushes encrypted with it are accepted too.
    pub encoding_aes_key_previous: Option<Secret>,
    /// Which side msgcube plays.
    pub role: Role,
    /// Where its events are sent, or passed on to.
    pub push_url: Option<Address>,
    /// Where its accounts' messages are passed on to. `$APPID$` in a path stands for the account.
    pub relay: Option<RelayConfig>,
}

/// The side that msgcube plays for a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// WeChat: it issues tickets and tokens.
    Serve,
    /// The platform: it receives WeChat's pushes for real accounts, and issues nothing.
    Receive,
}

table_with_secrets! {
    /// A platform as written in the file.
    pub struct PlatformTable {
        #[serde(default = "serve")]
        role: Role,
        #[serde(default)]
        push_url: String,
        relay: Option<RelayTable>,
    }
}

fn serve() -> Role {
    Role::Serve
}

impl PlatformTable {
    /// Checks the settings.
    pub fn checked(mut self, files: SecretFiles<'_>) -> Result<PlatformConfig, ConfigFlaw> {
        let push_url = optional_address("push_url", &self.push_url)?;
        if self.role == Role::Serve && self.relay.is_some() {
            let what = "only role = \"receive\" takes messages; with \"serve\" each [[account]] has a relay of its own";
            return Err(ConfigFlaw::new("relay", what));
        }
        let secrets = self.take_secrets(files)?;
        let platform = PlatformConfig {
            secret: needed("secret", secrets.secret)?,
            token: needed("token", secrets.token)?,
            token_previous: secrets.token_previous,
            encoding_aes_key: needed("encoding_aes_key", secrets.encoding_aes_key)?,
            encoding_aes_key_previous: secrets.encoding_aes_key_previous,
            appid: self.appid,
            role: self.role,
            push_url,
            relay: self.relay.map(RelayTable::checked).transpose()?,
        };
        platform.check()?;
        Ok(platform)
    }
}

impl PlatformConfig {
    /// The keys that its pushes are made and checked with. Encryption is required.
    pub fn keys(&self) -> Result<AccountKeys, KeyError> {
        AccountKeys::new(&KeySettings {
            appid: &self.appid,
            original_id: None,
            token: self.token.reveal(),
            token_previous: self.token_previous.as_ref().map(Secret::reveal),
            encoding_aes_key: Some(self.encoding_aes_key.reveal()),
            encoding_aes_key_previous: self.encoding_aes_key_previous.as_ref().map(Secret::reveal),
            require_encryption: true,
        })
    }

    /// All addresses that something is sent to.
    pub fn targets(&self) -> impl Iterator<Item = &Address> {
        self.push_url.iter().chain(self.relay.iter().flat_map(RelayConfig::targets))
    }

    fn check(&self) -> Result<(), ConfigFlaw> {
        let (secret, token) = (self.secret.reveal(), self.token.reveal());
        check_texts([("appid", self.appid.as_str()), ("secret", secret), ("token", token)])?;
        self.keys().map_err(|error| ConfigFlaw::new("keys", error.to_string()))?;
        Ok(())
    }
}
