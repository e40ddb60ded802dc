//! Texts that must never be shown: wiped from memory when dropped, left out of `Debug`, compared in constant time.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret text.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Whoever calls this keeps it from being shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that tells nothing but the length. An empty one is none, which nothing is.
    pub fn is(&self, other: &str) -> bool {
        !self.0.is_empty() && self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// The same text, found in a time that tells nothing but the length.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        // The usual error for a wrong type quotes the value.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Secret::new(text)),
            _ => Err(serde::de::Error::custom("a secret must be a text in quotes")),
        }
    }
}
