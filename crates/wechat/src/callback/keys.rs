//! The tokens and keys for an account's callbacks. Hidden in `Debug`, wiped from memory when dropped.

use std::fmt;

use zeroize::Zeroizing;

use super::cipher::{AesKey, AesKeyError};

/// The callback settings of one account, as configured.
#[derive(Clone, Copy, Default)]
pub struct KeySettings<'a> {
    /// The account's appid.
    pub appid: &'a str,
    /// The account's original id (`gh_…`). If set, callbacks with another `ToUserName` are refused.
    pub original_id: Option<&'a str>,
    /// The callback token.
    pub token: &'a str,
    /// The previous token, while the token is being changed.
    pub token_previous: Option<&'a str>,
    /// The EncodingAESKey, 43 characters.
    pub encoding_aes_key: Option<&'a str>,
    /// The previous EncodingAESKey, while the key is being changed.
    pub encoding_aes_key_previous: Option<&'a str>,
    /// Whether plain callbacks are refused.
    pub require_encryption: bool,
}

/// The tokens and keys that open an account's callbacks.
pub struct AccountKeys {
    ciphertext_appid: Box<str>,
    original_id: Option<Box<str>>,
    tokens: RotatedSecret<Zeroizing<String>>,
    aes_keys: Option<RotatedSecret<AesKey>>,
    require_encryption: bool,
}

/// A secret, and the previous one while it is being changed.
struct RotatedSecret<T> {
    current: T,
    previous: Option<T>,
}

impl<T> RotatedSecret<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// Why callback settings are not valid. Names the setting, not its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The token is empty, so that anyone could sign.
    #[error("{0} is empty: set it to the Token of the account's server configuration")]
    EmptyToken(&'static str),
    /// A setting is not an EncodingAESKey.
    #[error("{setting}: {error}")]
    AesKey {
        /// The name of the setting.
        setting: &'static str,
        /// What is wrong with it.
        error: AesKeyError,
    },
    /// There is a previous key and no current key.
    #[error("encoding_aes_key_previous is set without encoding_aes_key: set the present key, too")]
    OnlyPreviousKey,
    /// Encryption is required and there is no key, so every callback would be refused.
    #[error(
        "require_encryption is true but there is no encoding_aes_key: set the 43-character EncodingAESKey"
    )]
    NoKeyToRequire,
}

impl AccountKeys {
    /// Checks the settings of an account.
    ///
    /// # Errors
    /// A setting is missing or not valid.
    pub fn new(settings: &KeySettings<'_>) -> Result<AccountKeys, KeyError> {
        let aes_keys = aes_keys(settings)?;
        if settings.require_encryption && aes_keys.is_none() {
            return Err(KeyError::NoKeyToRequire);
        }
        Ok(AccountKeys {
            ciphertext_appid: settings.appid.into(),
            original_id: settings.original_id.map(Into::into),
            tokens: RotatedSecret {
                current: token("token", settings.token)?,
                previous: settings.token_previous.map(|text| token("token_previous", text)).transpose()?,
            },
            aes_keys,
            require_encryption: settings.require_encryption,
        })
    }

    /// The appid that each ciphertext must end with.
    pub fn ciphertext_appid(&self) -> &str {
        &self.ciphertext_appid
    }

    /// The only accepted `ToUserName` (`gh_…`), if set.
    pub fn original_id(&self) -> Option<&str> {
        self.original_id.as_deref()
    }

    /// Whether there is a key, so that encrypted callbacks can be opened.
    pub fn has_aes_key(&self) -> bool {
        self.aes_keys.is_some()
    }

    /// Whether plain callbacks are refused.
    pub fn require_encryption(&self) -> bool {
        self.require_encryption
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.tokens.iter().map(|token| token.as_bytes())
    }

    pub(super) fn aes_keys(&self) -> impl Iterator<Item = &AesKey> {
        self.aes_keys.iter().flat_map(RotatedSecret::iter)
    }
}

impl fmt::Debug for AccountKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountKeys")
            .field("ciphertext_appid", &self.ciphertext_appid)
            .field("original_id", &self.original_id)
            .field("has_aes_key", &self.has_aes_key())
            .field("require_encryption", &self.require_encryption)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeySettings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySettings").field("appid", &self.appid).finish_non_exhaustive()
    }
}

fn token(setting: &'static str, text: &str) -> Result<Zeroizing<String>, KeyError> {
    if text.is_empty() { Err(KeyError::EmptyToken(setting)) } else { Ok(Zeroizing::new(text.to_owned())) }
}

fn aes_keys(settings: &KeySettings<'_>) -> Result<Option<RotatedSecret<AesKey>>, KeyError> {
    let key = |setting, text| AesKey::parse(text).map_err(|error| KeyError::AesKey { setting, error });
    let Some(current) = settings.encoding_aes_key else {
        return if settings.encoding_aes_key_previous.is_some() {
            Err(KeyError::OnlyPreviousKey)
        } else {
            Ok(None)
        };
    };
    let previous =
        settings.encoding_aes_key_previous.map(|text| key("encoding_aes_key_previous", text)).transpose()?;
    Ok(Some(RotatedSecret { current: key("encoding_aes_key", current)?, previous }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    fn settings() -> KeySettings<'static> {
        KeySettings { appid: "wx1", token: "s3cret", encoding_aes_key: Some(KEY), ..KeySettings::default() }
    }

    #[test]
    fn settings_that_refuse_or_accept_everything_are_errors() {
        let error = |settings: KeySettings<'_>| AccountKeys::new(&settings).unwrap_err().to_string();
        assert!(error(KeySettings { token: "", ..settings() }).starts_with("token is empty"));
        assert!(error(KeySettings { token_previous: Some(""), ..settings() }).starts_with("token_previous"));
        let no_key = KeySettings { encoding_aes_key: None, ..settings() };
        assert!(error(KeySettings { require_encryption: true, ..no_key }).starts_with("require_encryption"));
        assert!(error(KeySettings { encoding_aes_key_previous: Some(KEY), ..no_key }).contains("without"));
        let short = KeySettings { encoding_aes_key: Some("abc"), ..settings() };
        assert_eq!(
            error(short),
            "encoding_aes_key: 3 characters instead of 43: copy the EncodingAESKey of the account's server configuration"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?} {:?}", AccountKeys::new(&settings()).unwrap(), settings());
        assert!(shown.contains("wx1") && !shown.contains("s3cret") && !shown.contains("abcdef"), "{shown}");
    }
}
