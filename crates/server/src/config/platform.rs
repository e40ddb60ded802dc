//! A third-party platform's settings.

use std::path::PathBuf;

use msgcube_client::http::Address;
use serde::Deserialize;
use system::secret::Secret;
use wechat::callback::{AccountKeys, KeyError, KeySettings};

use super::{
    Flaw, RelayConfig,
    account::RelayTable,
    check_texts, optional_address,
    secrets::{SecretFiles, WechatSecrets, needed, table_with_secrets},
};

/// One third-party platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformConfig {
    /// Its appid.
    pub appid: String,
    /// What it shows to get its token.
    pub secret: Secret,
    /// What its pushes are signed with.
    pub token: Secret,
    /// The former one.
    pub token_previous: Option<Secret>,
    /// What its pushes are encrypted with, 43 characters.
    pub encoding_aes_key: Secret,
    /// The former one.
    pub encoding_aes_key_previous: Option<Secret>,
    /// Which side msgcube is.
    pub role: Role,
    /// Where its events are sent, or passed on to.
    pub push_url: Option<Address>,
    /// Where its accounts' messages are passed on to; `$APPID$` in the path stands for the account.
    pub relay: Option<RelayConfig>,
}

/// Which side of a platform msgcube is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// WeChat's: it issues tickets and tokens.
    Serve,
    /// The platform's: it takes WeChat's pushes for real accounts, and never issues.
    Receive,
}

table_with_secrets! {
    /// A platform as it is written.
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
    /// The settings, checked.
    pub fn checked(mut self, files: SecretFiles<'_>) -> Result<PlatformConfig, Flaw> {
        let push_url = optional_address("push_url", &self.push_url)?;
        if self.role == Role::Serve && self.relay.is_some() {
            let what = "only role = \"receive\" takes messages; with \"serve\" each [[account]] has a relay of its own";
            return Err(Flaw::new("relay", what));
        }
        let secrets = self.take_secrets(files)?;
        let component = PlatformConfig {
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
        component.check()?;
        Ok(component)
    }
}

impl PlatformConfig {
    /// What its pushes are checked with, and made with: always encrypted.
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

    /// Where something of it goes.
    pub fn targets(&self) -> impl Iterator<Item = &Address> {
        self.push_url.iter().chain(self.relay.iter().flat_map(RelayConfig::targets))
    }

    fn check(&self) -> Result<(), Flaw> {
        let (secret, token) = (self.secret.reveal(), self.token.reveal());
        check_texts([("appid", self.appid.as_str()), ("secret", secret), ("token", token)])?;
        self.keys().map_err(|error| Flaw::new("keys", error.to_string()))?;
        Ok(())
    }
}
