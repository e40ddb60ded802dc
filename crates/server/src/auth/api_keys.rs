//! Keys for the admin API. Each has scopes and may expire. Only their hashes are stored.

use std::{
    fmt,
    str::FromStr,
    sync::{PoisonError, RwLock},
};

use hashbrown::HashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use subtle::ConstantTimeEq as _;
use system::{
    random::{self, RandomError},
    secret::Secret,
};

const FACT_PREFIX: &str = "api_key/";
const KEY_PREFIX: &str = "mk_";
/// Limit of keys.
const KEYS_MAX: usize = 10_000;
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
    hash: [u8; 32],
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
    /// The admin key with this SHA-256.
    Admin([u8; 32]),
    /// The API key with this id.
    Key(String),
}

impl KeyHolder {
    /// The holder of the configuration's admin key.
    pub fn of_admin_key(key: &Secret) -> KeyHolder {
        KeyHolder::Admin(hash(key.reveal()))
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
#[derive(Debug, Default)]
pub struct ApiKeys {
    keys: RwLock<HashMap<String, ApiKey, foldhash::fast::RandomState>>,
    changing: tokio::sync::Mutex<()>,
}

/// Why a key could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The limit is reached.
    #[error("the limit of {KEYS_MAX} keys is reached; remove some")]
    TooMany,
    /// There is no such key.
    #[error("no key has the id {0}; GET /v1/keys lists them")]
    Unknown(String),
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
    /// The system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
}

impl ApiKeys {
    /// Reads the stored keys.
    pub fn load(store: &Store) -> ApiKeys {
        let read = |(_, value): (String, Vec<u8>)| serde_json::from_slice::<ApiKey>(&value).ok();
        let keys = store.facts(FACT_PREFIX).into_iter().filter_map(read).map(|key| (key.id.clone(), key));
        ApiKeys { keys: RwLock::new(keys.collect()), ..ApiKeys::default() }
    }

    /// The id and the permissions of a key that a caller shows. None if it is unknown or expired.
    pub fn access(&self, shown: &str, now_s: i64) -> Option<(KeyHolder, Access)> {
        let id = id_of(shown)?;
        let keys = self.read();
        let is_right: bool = hash(shown).ct_eq(&keys.get(id)?.hash).into();
        drop(keys);
        let access = self.access_of(id, now_s).filter(|_| is_right)?;
        Some((KeyHolder::Key(id.to_owned()), access))
    }

    /// The permissions of the key with this id. None if it was revoked or has expired.
    pub fn access_of(&self, id: &str, now_s: i64) -> Option<Access> {
        let keys = self.read();
        let key = keys.get(id)?;
        let is_over = key.expires_s.is_some_and(|expires_s| now_s >= expires_s);
        (!is_over).then(|| Access(key.scopes.clone()))
    }

    /// The name of the key with this id.
    pub fn name_of(&self, id: &str) -> Option<String> {
        self.read().get(id).map(|key| key.name.clone())
    }

    /// All keys, oldest first.
    pub fn all(&self) -> Vec<ApiKey> {
        let mut keys: Vec<ApiKey> = self.read().values().cloned().collect();
        keys.sort_by(|one, other| (one.created_s, &one.id).cmp(&(other.created_s, &other.id)));
        keys
    }

    /// Makes a key, durably. This is the only time that its text is shown.
    pub async fn add(
        &self,
        name: String,
        scopes: Vec<Scope>,
        expires_s: Option<i64>,
        now_s: i64,
        ingest: &Ingest,
    ) -> Result<(ApiKey, Secret), ApiKeyError> {
        let _one_at_a_time = self.changing.lock().await;
        if self.read().len() >= KEYS_MAX {
            return Err(ApiKeyError::TooMany);
        }
        let id = random::hexadecimal(6)?;
        let text = format!("{KEY_PREFIX}{id}_{}", random::alphanumeric(40)?);
        let key = ApiKey { id, name, scopes, created_s: now_s, expires_s, hash: hash(&text) };
        let fact = Change::fact(fact_key(&key.id), &key);
        ingest.submit_all(vec![fact])?.await?;
        self.write().insert(key.id.clone(), key.clone());
        Ok((key, Secret::new(text)))
    }

    /// Revokes a key, durably.
    pub async fn remove(&self, id: &str, ingest: &Ingest) -> Result<(), ApiKeyError> {
        let _one_at_a_time = self.changing.lock().await;
        let key = self.write().remove(id).ok_or_else(|| ApiKeyError::Unknown(id.to_owned()))?;
        let done = async { ingest.submit_all(vec![Change::Fact { key: fact_key(id), value: None }])?.await };
        if let Err(error) = done.await {
            self.write().insert(key.id.clone(), key);
            return Err(error.into());
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, ApiKey, foldhash::fast::RandomState>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, ApiKey, foldhash::fast::RandomState>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id in the text of a key. None if the text is not that of an API key.
pub fn id_of(shown: &str) -> Option<&str> {
    let (id, _) = shown.strip_prefix(KEY_PREFIX)?.split_once('_')?;
    Some(id)
}

fn fact_key(id: &str) -> String {
    format!("{FACT_PREFIX}{id}")
}

/// A key is random, so its hash cannot be reversed by guessing.
fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
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
