//! A secret text: wiped from memory when dropped, hidden in `Debug`, compared in constant time.
//!
//! `secrecy` does the first two. This type adds the comparison, and a `Deserialize` whose errors do not quote the value.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;

/// A secret text.
#[derive(Clone, Debug, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into().into())
    }

    /// The text itself. The caller must not log or show it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Compares in constant time; only the length shows. An empty secret matches nothing, not even an empty text.
    pub fn matches(&self, other: &str) -> bool {
        !self.reveal().is_empty() && self.reveal().as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// Compares in constant time; only the length shows. Two empty secrets are equal.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.reveal().as_bytes().ct_eq(other.reveal().as_bytes()).into()
    }
}

impl Eq for Secret {}

impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Secret {
        Secret(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        // serde's own error for a wrong type quotes the value.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Secret::new(text)),
            _ => Err(serde::de::Error::custom("a secret must be a text in quotes")),
        }
    }
}
