//! Hashes of secrets. Only they are kept of what callers show later.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The SHA-256 of a secret. If the secret is random, nobody can find it from its hash by guessing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The hash of a secret.
    pub fn of(secret: &str) -> SecretDigest {
        SecretDigest(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether this is the hash of what a caller shows. Takes the same time for every wrong one.
    pub fn matches(&self, shown: &str) -> bool {
        SecretDigest::of(shown).0.ct_eq(&self.0).into()
    }
}
