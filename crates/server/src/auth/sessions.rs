//! Sessions of the pages below `/ui`. Only a hash of a session's id is kept. In memory only, so a restart signs everyone
//! out; with a shared store also as facts, so that every process knows them.

mod stored;

use std::sync::{Arc, Mutex, OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::HashMap;
use sha2::{Digest as _, Sha256};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use subtle::ConstantTimeEq as _;
use system::{
    data_key::DataKey,
    random::{self, RandomError},
    secret::Secret,
    sync::lock,
};

use super::api_keys::{Access, KeyHolder};

pub use stored::FACT_PREFIX;

/// A session that was not used for so many seconds has ended: 8 hours.
pub const IDLE_MAX_S: i64 = 8 * 3600;
/// A session ends at this age in seconds: 7 days.
pub const AGE_MAX_S: i64 = 7 * 24 * 3600;
/// Beyond this, the session that was unused for longest ends.
const SESSIONS_MAX: usize = 10_000;
/// Limit of open sessions of one key. A further one ends the one that was not used for the longest time.
const SESSIONS_OF_KEY_MAX: usize = 100;
/// Sessions that are over and are removed with each new one.
const REMOVED_TOGETHER: usize = 64;
/// Letters and digits of a session's id: 256 random bits.
const ID_CHARACTERS: usize = 43;

/// Identifies a session, and cannot be used to enter it.
pub type SessionHash = [u8; 32];

/// A session of somebody who signed in with a key.
#[derive(Clone, Debug)]
pub struct Session {
    /// Also the key of the limits on its streams.
    pub id_hash: SessionHash,
    /// The key that it was opened with.
    pub holder: KeyHolder,
    /// What the key allows now.
    pub access: Access,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenSession {
    holder: KeyHolder,
    /// Unix seconds.
    opened_s: i64,
    used_s: i64,
    /// With a shared store: the time of use that the other processes know.
    told_s: i64,
}

impl OpenSession {
    fn is_over(&self, now_s: i64) -> bool {
        now_s - self.used_s > IDLE_MAX_S || now_s - self.opened_s > AGE_MAX_S
    }
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSessionError {
    /// The system gave no random numbers.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// A shared store could not keep it.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
}

type SessionMap = HashMap<SessionHash, OpenSession, foldhash::fast::RandomState>;

/// All open sessions. With a shared store the map in memory is a cache of the stored facts.
#[derive(Debug)]
pub struct Sessions {
    table: SessionTable,
    local_token: OnceLock<Secret>,
}

#[derive(Clone, Debug)]
struct SessionTable {
    open: Arc<Mutex<SessionMap>>,
    key: DataKey,
    store: Arc<Store>,
    ingest: Ingest,
}

impl Sessions {
    /// Reads the stored sessions. `key` seals them: the hash of the admin key could be guessed.
    pub fn load(key: DataKey, store: &Arc<Store>, ingest: &Ingest) -> Sessions {
        let (store, ingest) = (store.clone(), ingest.clone());
        let facts = store.facts(FACT_PREFIX);
        let table = SessionTable { open: Arc::default(), key, store, ingest };
        let sessions = Sessions { table, local_token: OnceLock::new() };
        facts.iter().for_each(|(key, value)| sessions.apply_fact(key, Some(value)));
        sessions
    }

    /// Takes over a stored fact that was set, or removed if there is no value.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) {
        let Some(hash) = stored::hash_in(key) else { return };
        let stored = value.and_then(|value| stored::open(key, value, &self.table.key));
        let mut open = lock(&self.table.open);
        match stored {
            Some(mut session) => {
                // This process may know of a later use.
                session.used_s = open.get(&hash).map_or(i64::MIN, |known| known.used_s).max(session.used_s);
                open.insert(hash, session);
            }
            None => drop(open.remove(&hash)),
        }
    }

    /// Opens a session and returns its id, which only the browser keeps.
    pub async fn open(&self, holder: KeyHolder, now_s: i64) -> Result<Secret, OpenSessionError> {
        let id = Secret::new(random::alphanumeric(ID_CHARACTERS)?);
        let hash = hash(id.reveal());
        let SessionTable { open, key, store, ingest } = &self.table;
        let decision = store.decide().await?;
        let leaving = leaving(&lock(open), &holder, now_s);
        let session = OpenSession { holder, opened_s: now_s, used_s: now_s, told_s: now_s };
        let _decided = if store.is_shared() {
            let mut changes: Vec<Change> = leaving.iter().map(stored::deletion).collect();
            changes.push(stored::fact(&hash, &session, key)?);
            Some(decision.commit(ingest, changes).await?)
        } else {
            None
        };
        let mut open = lock(open);
        leaving.iter().for_each(|hash| drop(open.remove(hash)));
        open.insert(hash, session);
        drop(open);
        Ok(id)
    }

    /// The session with this id, which counts as used now. `access` says what its key allows now; without any access
    /// the session ends.
    pub fn use_now(
        &self,
        id: &str,
        now_s: i64,
        access: impl FnOnce(&KeyHolder) -> Option<Access>,
    ) -> Option<Session> {
        let id_hash = hash(id);
        let session = self.look_up(&id_hash, now_s, access)?;
        if let Some(open) = lock(&self.table.open).get_mut(&id_hash) {
            open.used_s = now_s;
            if self.table.store.is_shared() && now_s - open.told_s >= stored::TOLD_EVERY_S {
                open.told_s = now_s;
                let table = self.table.clone();
                tokio::spawn(async move { warn_of(table.tell_use(&id_hash).await) });
            }
        }
        Some(session)
    }

    /// Like [`Sessions::use_now`], for a stream that goes on without its user: it does not count as used.
    pub fn look_up(
        &self,
        id_hash: &SessionHash,
        now_s: i64,
        access: impl FnOnce(&KeyHolder) -> Option<Access>,
    ) -> Option<Session> {
        let mut open = lock(&self.table.open);
        let session = open.get(id_hash)?;
        let Some(access) = access(&session.holder).filter(|_| !session.is_over(now_s)) else {
            open.remove(id_hash);
            if self.table.store.is_shared() {
                let (table, id_hash) = (self.table.clone(), *id_hash);
                tokio::spawn(async move { warn_of(table.tell_end(&id_hash).await) });
            }
            return None;
        };
        Some(Session { id_hash: *id_hash, holder: session.holder.clone(), access })
    }

    /// Signs in as admin whoever opens the pages from this machine. For the demo.
    ///
    /// # Errors
    /// The operating system gave no random numbers.
    pub fn sign_in_local_viewers(&self) -> Result<(), RandomError> {
        let _ = self.local_token.set(Secret::new(random::hexadecimal(32)?));
        Ok(())
    }

    /// The token of the forms of everybody on this machine. None unless they are signed in without a key.
    pub fn local_token(&self) -> Option<&Secret> {
        self.local_token.get()
    }

    /// Ends a session. In this process it has ended in any case.
    ///
    /// # Errors
    /// If a shared store cannot be reached. Then other processes may still know the session.
    pub async fn end(&self, id_hash: &SessionHash) -> Result<(), NotDurable> {
        lock(&self.table.open).remove(id_hash);
        if self.table.store.is_shared() { self.table.tell_end(id_hash).await } else { Ok(()) }
    }
}

impl SessionTable {
    /// Tells the other processes when a session was used.
    async fn tell_use(&self, id_hash: &SessionHash) -> Result<(), NotDurable> {
        let decision = self.store.decide().await?;
        // Another process may have ended it. Then it must not come back.
        let Some(session) = lock(&self.open).get(id_hash).cloned() else { return Ok(()) };
        let change = stored::fact(id_hash, &session, &self.key)?;
        decision.commit(&self.ingest, vec![change]).await.map(drop)
    }

    /// Tells the other processes that a session has ended.
    async fn tell_end(&self, id_hash: &SessionHash) -> Result<(), NotDurable> {
        let decision = self.store.decide().await?;
        let _decided = decision.commit(&self.ingest, vec![stored::deletion(id_hash)]).await?;
        // Another process may have told of its use meanwhile.
        lock(&self.open).remove(id_hash);
        Ok(())
    }
}

fn warn_of(told: Result<(), NotDurable>) {
    if let Err(error) = told {
        tracing::warn!(%error, "the other processes do not know of the use or the end of a session");
    }
}

/// The sessions that make room for a new one: some of those that are over, and one more if there are too many.
fn leaving(open: &SessionMap, holder: &KeyHolder, now_s: i64) -> Vec<SessionHash> {
    let (mut leaving, mut of_key) = (Vec::new(), 0);
    for (hash, session) in open {
        if leaving.len() < REMOVED_TOGETHER && session.is_over(now_s) {
            leaving.push(*hash);
        } else if session.holder == *holder {
            of_key += 1;
        }
    }
    let is_full = open.len() - leaving.len() >= SESSIONS_MAX;
    if is_full || of_key >= SESSIONS_OF_KEY_MAX {
        // One key must not push out the sessions of others.
        let candidates = open
            .iter()
            .filter(|(hash, session)| (is_full || session.holder == *holder) && !leaving.contains(*hash));
        let oldest = candidates.min_by_key(|(_, session)| session.used_s).map(|(hash, _)| *hash);
        leaving.extend(oldest);
    }
    leaving
}

/// An id is random, so its hash cannot be reversed by guessing.
fn hash(id: &str) -> SessionHash {
    Sha256::digest(id.as_bytes()).into()
}

/// The token that every form of a session must send, so that no other site can make its browser send one. It is made
/// from the session's id, which it does not tell.
pub fn csrf_token(id: &str) -> String {
    let digest = Sha256::new().chain_update(b"msgcube csrf token\0").chain_update(id.as_bytes()).finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Compares a form's token with the right one, in constant time.
pub fn is_csrf_token(right: &str, shown: &str) -> bool {
    !right.is_empty() && bool::from(right.as_bytes().ct_eq(shown.as_bytes()))
}

#[cfg(test)]
mod tests;
