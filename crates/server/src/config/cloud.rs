//! The settings of one cloud environment for cloud calls: its keys, and the accounts that it may query.

use std::path::PathBuf;

use serde::Deserialize;
use system::secret::Secret;

use super::{
    ConfigFlaw, Networks, check_texts,
    secrets::{SecretFiles, needed},
};

/// One cloud environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudConfig {
    /// The name of the environment.
    pub env: String,
    /// The id of the key.
    pub secret_id: String,
    /// The key that calls are signed with.
    pub secret_key: Secret,
    /// The accounts that it may query. A call that names none means the first.
    pub appids: Vec<String>,
    /// The addresses that may call without a token.
    pub allow_from: Networks,
}

/// An environment as written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudTable {
    env: String,
    secret_id: String,
    secret_key: Option<Secret>,
    secret_key_file: Option<PathBuf>,
    appids: Vec<String>,
    #[serde(default)]
    allow_from: Vec<String>,
}

impl CloudTable {
    /// Checks the settings.
    pub fn checked(self, files: SecretFiles<'_>) -> Result<CloudConfig, ConfigFlaw> {
        let cloud = CloudConfig {
            secret_key: needed(
                "secret_key",
                files.secret("secret_key", self.secret_key, self.secret_key_file)?,
            )?,
            allow_from: Networks::parse("allow_from", &self.allow_from)?,
            env: self.env,
            secret_id: self.secret_id,
            appids: self.appids,
        };
        let texts = [
            ("env", cloud.env.as_str()),
            ("secret_id", &cloud.secret_id),
            ("secret_key", cloud.secret_key.reveal()),
        ];
        let appids = cloud.appids.iter().map(|appid| ("appids", appid.as_str()));
        check_texts(texts.into_iter().chain(appids))?;
        if cloud.appids.is_empty() {
            return Err(ConfigFlaw::new("appids", "name the accounts that it may ask for"));
        }
        Ok(cloud)
    }
}
