//! Sessions as facts of a shared store. Each is sealed with the data key: it holds the hash of the admin key, which people
//! choose themselves, so the hash could be guessed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use storage::store::{Change, NotDurable};
use system::data_key::DataKey;

use super::{super::digest::SecretDigest, KeyHolder, OpenSession, SessionHash};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "session/";

/// The use of a session is told to the other processes at most so often, in seconds. For them a session may end so much
/// earlier.
pub const TOLD_EVERY_S: i64 = 60;

#[derive(Debug, Serialize, Deserialize)]
struct StoredSession {
    /// The id of the key that it was opened with.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The hash of the admin key, if it was opened with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<SecretDigest>,
    opened_s: i64,
    used_s: i64,
}

/// The session that a fact is about.
pub fn hash_in(fact_key: &str) -> Option<SessionHash> {
    let bytes = URL_SAFE_NO_PAD.decode(fact_key.strip_prefix(FACT_PREFIX)?).ok()?;
    SessionHash::try_from(bytes).ok()
}

/// Opens the value of a fact. None if another data key sealed it, or if this version cannot read it.
pub fn open(fact_key: &str, sealed: &[u8], key: &DataKey) -> Option<OpenSession> {
    let plain = key.open(fact_key, sealed).ok()?;
    let StoredSession { key, admin, opened_s, used_s } = serde_json::from_slice(&plain).ok()?;
    let holder = key.map(KeyHolder::Key).or(admin.map(KeyHolder::Admin))?;
    Some(OpenSession { holder, opened_s, used_s, told_s: used_s })
}

/// The change that stores a session.
pub fn fact(hash: &SessionHash, session: &OpenSession, key: &DataKey) -> Result<Change, NotDurable> {
    let OpenSession { holder, opened_s, used_s, .. } = session.clone();
    let (id, admin) = match holder {
        KeyHolder::Key(id) => (Some(id), None),
        KeyHolder::Admin(digest) => (None, Some(digest)),
    };
    let stored = StoredSession { key: id, admin, opened_s, used_s };
    let name = fact_key(hash);
    let plain = serde_json::to_vec(&stored).map_err(|error| NotDurable(error.to_string()))?;
    let sealed = key.seal(&name, &plain).map_err(|error| NotDurable(error.to_string()))?;
    Ok(Change::Fact { key: name, value: Some(sealed) })
}

/// The change that removes a session.
pub fn deletion(hash: &SessionHash) -> Change {
    Change::Fact { key: fact_key(hash), value: None }
}

/// The key of the fact of a session.
pub fn fact_key(hash: &SessionHash) -> String {
    format!("{FACT_PREFIX}{}", URL_SAFE_NO_PAD.encode(hash))
}
