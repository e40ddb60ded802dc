//! Secrets in the tables of accounts and platforms: written in the table, or in separate files.

use std::path::{Path, PathBuf};

use system::secret::Secret;

use super::ConfigFlaw;

/// Where secrets may be read from.
#[derive(Clone, Copy)]
pub enum SecretFiles<'a> {
    /// From files, relative to this folder.
    In(&'a Path),
    /// Not from files: a request from the network must not name files of this machine.
    Nowhere,
}

impl SecretFiles<'_> {
    /// The secret in the table, or the content of its file.
    pub fn secret(
        self,
        key: &str,
        inline: Option<Secret>,
        file: Option<PathBuf>,
    ) -> Result<Option<Secret>, ConfigFlaw> {
        match (inline, file, self) {
            (Some(_), Some(_), _) => {
                Err(ConfigFlaw::new(key, format!("give either {key} or {key}_file, not both")))
            }
            (inline, None, _) => Ok(inline),
            (None, Some(_), SecretFiles::Nowhere) => Err(ConfigFlaw::new(
                format!("{key}_file"),
                format!("files are not read here: give {key} itself"),
            )),
            (None, Some(file), SecretFiles::In(folder)) => {
                let path = folder.join(file);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    ConfigFlaw::new(format!("{key}_file"), format!("{}: {error}", path.display()))
                })?;
                Ok(Some(Secret::new(text.trim_end())))
            }
        }
    }
}

/// Requires a secret.
pub fn needed(key: &str, secret: Option<Secret>) -> Result<Secret, ConfigFlaw> {
    secret.ok_or_else(|| ConfigFlaw::new(key, format!("{key} (or {key}_file) is missing")))
}

/// The secrets that accounts and platforms have in common.
pub struct WechatSecrets {
    pub secret: Option<Secret>,
    pub token: Option<Secret>,
    pub token_previous: Option<Secret>,
    pub encoding_aes_key: Option<Secret>,
    pub encoding_aes_key_previous: Option<Secret>,
}

/// Defines a table with an appid, these secrets, and further fields. A macro, because serde's `flatten` loses the
/// line of an error and accepts unknown keys.
macro_rules! table_with_secrets {
    ($(#[$attribute:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $(#[$attribute])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            appid: String,
            secret: Option<Secret>,
            secret_file: Option<PathBuf>,
            token: Option<Secret>,
            token_file: Option<PathBuf>,
            token_previous: Option<Secret>,
            token_previous_file: Option<PathBuf>,
            encoding_aes_key: Option<Secret>,
            encoding_aes_key_file: Option<PathBuf>,
            encoding_aes_key_previous: Option<Secret>,
            encoding_aes_key_previous_file: Option<PathBuf>,
            $($fields)*
        }

        impl $name {
            fn take_secrets(&mut self, files: SecretFiles<'_>) -> Result<WechatSecrets, ConfigFlaw> {
                macro_rules! take {
                    ($key:ident, $file:ident) => {
                        files.secret(stringify!($key), self.$key.take(), self.$file.take())?
                    };
                }
                Ok(WechatSecrets {
                    secret: take!(secret, secret_file),
                    token: take!(token, token_file),
                    token_previous: take!(token_previous, token_previous_file),
                    encoding_aes_key: take!(encoding_aes_key, encoding_aes_key_file),
                    encoding_aes_key_previous: take!(encoding_aes_key_previous, encoding_aes_key_previous_file),
                })
            }
        }
    };
}
pub(super) use table_with_secrets;
