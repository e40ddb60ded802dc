//! The settings of cloud calls: of one cloud environment, its keys, and the accounts that it may ask for.

use std::path::PathBuf;

use serde::Deserialize;
use system::secret::Secret;

use super::{
    Flaw, Networks, check_texts,
    secrets::{SecretFiles, needed},
};

/// One cloud environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudConfig {
    /// Its name.
    pub env: String,
    /// The name of the key.
    pub secret_id: String,
    /// The key that calls are signed with.
    pub secret_key: Secret,
    /// The accounts that it may ask for; the first is meant where a call names none.
    pub appids: Vec<String>,
    /// Who may call without a token.
    pub allow_from: Networks,
}

/// An environment as it is written.
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
    /// The settings, checked.
    pub fn checked(self, files: SecretFiles<'_>) -> Result<CloudConfig, Flaw> {
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
            return Err(Flaw::new("appids", "name the accounts that it may ask for"));
        }
        Ok(cloud)
    }
}
