//! Keys for the admin API. Each has scopes and may expire. Only their hashes are stored.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use storage::{store::Store, writer::Ingest};
use system::{random, secret::Secret};

use super::{
    digest::SecretDigest,
    revocable::{KEYS_MAX, Revocable, RevocableError, Revocables},
};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "api_key/";
const KEY_PREFIX: &str = "mk_";
/// Limit of scopes of one key.
pub const SCOPES_MAX: usize = 1000;
/// Limit of bytes of a key's name.
pub const NAME_BYTES_MAX: usize = 128;

/// Something that a key permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read figures of this account, or of all.
    Read(Option<String>),
    /// Send messages for this account, or for all.
    Write(Option<String>),
    /// Everything, including accounts and keys.
    Admin,
}

impl Scope {
    /// True if this scope includes the requested one.
    fn covers(&self, asked: &Scope) -> bool {
        let of = |held: &Option<String>, asked: &Option<String>| held.is_none() || held == asked;
        match (self, asked) {
            (Scope::Admin, _) => true,
            (Scope::Read(held), Scope::Read(asked)) | (Scope::Write(held), Scope::Write(asked)) => {
                of(held, asked)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Read(None) => f.write_str("read"),
            Scope::Read(Some(appid)) => write!(f, "read:{appid}"),
            Scope::Write(None) => f.write_str("write"),
            Scope::Write(Some(appid)) => write!(f, "write:{appid}"),
            Scope::Admin => f.write_str("admin"),
        }
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Scope, Self::Err> {
        match text.split_once(':') {
            None if text == "read" => Ok(Scope::Read(None)),
            None if text == "write" => Ok(Scope::Write(None)),
            None if text == "admin" => Ok(Scope::Admin),
            Some(("read", appid)) if !appid.is_empty() => Ok(Scope::Read(Some(appid.to_owned()))),
            Some(("write", appid)) if !appid.is_empty() => Ok(Scope::Write(Some(appid.to_owned()))),
            _ => Err("a scope is read, read:APPID, write, write:APPID or admin"),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key as it is stored: without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Also part of the key's text.
    pub id: String,
    /// The name that people gave it.
    pub name: String,
    /// What it permits.
    pub scopes: Vec<Scope>,
    /// Unix seconds.
    pub created_s: i64,
    /// Unix seconds. None: it does not expire.
    pub expires_s: Option<i64>,
    hash: SecretDigest,
}

impl Revocable for ApiKey {
    const FACT_PREFIX: &'static str = FACT_PREFIX;
    const MAX: usize = KEYS_MAX;
    const TOO_MANY: RevocableError = RevocableError::TooManyKeys;

    fn unknown(id: &str) -> RevocableError {
        RevocableError::UnknownKey(id.to_owned())
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    /// Expired keys stay listed until somebody removes them.
    fn is_over(&self, _: i64) -> bool {
        false
    }
}

/// The permissions of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access(Vec<Scope>);

impl Access {
    /// The permissions of the configuration's admin key.
    pub fn everything() -> Access {
        Access(vec![Scope::Admin])
    }

    /// Permission to read one account.
    pub fn reading(appid: &str) -> Access {
        Access(vec![Scope::Read(Some(appid.to_owned()))])
    }

    /// The permissions of a key with these scopes.
    #[cfg(test)]
    pub fn for_tests(scopes: &[&str]) -> Access {
        Access(scopes.iter().map(|scope| scope.parse().unwrap()).collect())
    }

    /// Whether a scope is permitted.
    pub fn allows(&self, asked: &Scope) -> bool {
        self.0.iter().any(|scope| scope.covers(asked))
    }
}

/// Which key somebody has shown. It does not contain the key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyHolder {
    /// The admin key with this hash.
    Admin(SecretDigest),
    /// The API key with this id.
    Key(String),
}

impl KeyHolder {
    /// The holder of the configuration's admin key.
    pub fn of_admin_key(key: &Secret) -> KeyHolder {
        KeyHolder::Admin(SecretDigest::of(key.reveal()))
    }
}

/// For the log: the id of the key, which is no secret.
impl fmt::Display for KeyHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyHolder::Admin(_) => "admin_key",
            KeyHolder::Key(id) => id,
        })
    }
}

/// Without the hash of the admin key: people choose that key themselves, so it could be guessed.
impl fmt::Debug for KeyHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHolder({self})")
    }
}

/// All keys.
#[derive(Debug)]
pub struct ApiKeys(Revocables<ApiKey>);

impl ApiKeys {
    /// Reads the stored keys.
    pub fn load(store: &Arc<Store>) -> ApiKeys {
        ApiKeys(Revocables::load(store))
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        self.0.apply_fact(key, value);
    }

    /// The id and the permissions of a key that a caller shows. None if it is unknown or expired.
    pub fn access(&self, shown: &str, now_s: i64) -> Option<(KeyHolder, Access)> {
        let id = id_of(shown)?;
        let is_right = self.0.get(id, |key| key.hash.matches(shown))?;
        let access = self.access_of(id, now_s).filter(|_| is_right)?;
        Some((KeyHolder::Key(id.to_owned()), access))
    }

    /// The permissions of the key with this id. None if it was revoked or has expired.
    pub fn access_of(&self, id: &str, now_s: i64) -> Option<Access> {
        let access = |key: &ApiKey| {
            let is_over = key.expires_s.is_some_and(|expires_s| now_s >= expires_s);
            (!is_over).then(|| Access(key.scopes.clone()))
        };
        self.0.get(id, access).flatten()
    }

    /// The name of the key with this id.
    pub fn name_of(&self, id: &str) -> Option<String> {
        self.0.get(id, |key| key.name.clone())
    }

    /// All keys, oldest first.
    pub fn all(&self) -> Vec<ApiKey> {
        self.0.all()
    }

    /// Makes a key, durably. This is the only time that its text is shown.
    pub async fn add(
        &self,
        name: String,
        scopes: Vec<Scope>,
        expires_s: Option<i64>,
        now_s: i64,
        ingest: &Ingest,
    ) -> Result<(ApiKey, Secret), RevocableError> {
        let id = random::hexadecimal(6)?;
        let text = format!("{KEY_PREFIX}{id}_{}", random::alphanumeric(40)?);
        let key = ApiKey { id, name, scopes, created_s: now_s, expires_s, hash: SecretDigest::of(&text) };
        self.0.add(key.clone(), || Ok(()), now_s, ingest).await?;
        Ok((key, Secret::new(text)))
    }

    /// Revokes a key, durably.
    pub async fn remove(&self, id: &str, ingest: &Ingest) -> Result<(), RevocableError> {
        self.0.remove(id, ingest).await
    }
}

/// The id in the text of a key. None if the text is not that of an API key.
pub fn id_of(shown: &str) -> Option<&str> {
    let (id, _) = shown.strip_prefix(KEY_PREFIX)?.split_once('_')?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_itself_and_what_lies_below_it() {
        let scope = |text: &str| text.parse::<Scope>().unwrap();
        let allowed = |held: &str, asked: &str| Access(vec![scope(held)]).allows(&scope(asked));
        for (held, asked) in [
            ("admin", "write:a"),
            ("admin", "admin"),
            ("read", "read:a"),
            ("read:a", "read:a"),
            ("write", "write:b"),
        ] {
            assert!(allowed(held, asked), "{held} allows {asked}");
        }
        for (held, asked) in [
            ("read", "admin"),
            ("read:a", "read:b"),
            ("read:a", "read"),
            ("write", "read:a"),
            ("read", "write:a"),
            ("write:a", "write:b"),
        ] {
            assert!(!allowed(held, asked), "{held} does not allow {asked}");
        }
        for text in ["", "read:", "all", "admin:a", "Read"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
