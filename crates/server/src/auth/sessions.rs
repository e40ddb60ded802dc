//! Sessions of the pages below `/ui`. They are in memory only, so a restart signs everyone out. Only a hash of a
//! session's id is kept.

use std::sync::{Mutex, OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::HashMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use system::{
    random::{self, RandomError},
    secret::Secret,
    sync::lock,
};

use super::api_keys::{Access, KeyHolder};

/// A session that was not used for so many seconds has ended: 8 hours.
pub const IDLE_MAX_S: i64 = 8 * 3600;
/// A session ends at this age in seconds: 7 days.
pub const AGE_MAX_S: i64 = 7 * 24 * 3600;
/// Beyond this, the session that was unused for longest ends.
const SESSIONS_MAX: usize = 10_000;
/// Limit of open sessions of one key. A further one ends the one that was not used for the longest time.
const SESSIONS_OF_KEY_MAX: usize = 100;
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

#[derive(Debug)]
struct OpenSession {
    holder: KeyHolder,
    /// Unix seconds.
    opened_s: i64,
    used_s: i64,
}

impl OpenSession {
    fn is_over(&self, now_s: i64) -> bool {
        now_s - self.used_s > IDLE_MAX_S || now_s - self.opened_s > AGE_MAX_S
    }
}

/// All open sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<SessionHash, OpenSession, foldhash::fast::RandomState>>,
    local_token: OnceLock<Secret>,
}

impl Sessions {
    /// Opens a session and returns its id, which only the browser keeps.
    pub fn open(&self, holder: KeyHolder, now_s: i64) -> Result<Secret, RandomError> {
        let id = Secret::new(random::alphanumeric(ID_CHARACTERS)?);
        let mut open = lock(&self.open);
        if open.len() >= SESSIONS_MAX {
            open.retain(|_, session| !session.is_over(now_s));
        }
        // One key must not push out the sessions of others.
        let of_key = open.values().filter(|session| session.holder == holder).count();
        let is_full = open.len() >= SESSIONS_MAX;
        if is_full || of_key >= SESSIONS_OF_KEY_MAX {
            let candidates = open.iter().filter(|(_, session)| is_full || session.holder == holder);
            let oldest = candidates.min_by_key(|(_, session)| session.used_s).map(|(hash, _)| *hash);
            oldest.map(|oldest| open.remove(&oldest));
        }
        open.insert(hash(id.reveal()), OpenSession { holder, opened_s: now_s, used_s: now_s });
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
        if let Some(open) = lock(&self.open).get_mut(&id_hash) {
            open.used_s = now_s;
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
        let mut open = lock(&self.open);
        let session = open.get(id_hash)?;
        let Some(access) = access(&session.holder).filter(|_| !session.is_over(now_s)) else {
            open.remove(id_hash);
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

    /// Ends a session.
    pub fn end(&self, id_hash: &SessionHash) {
        lock(&self.open).remove(id_hash);
    }
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
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "the function that says what a key allows may say: nothing")]
    fn everything(_: &KeyHolder) -> Option<Access> {
        Some(Access::everything())
    }

    fn key(id: &str) -> KeyHolder {
        KeyHolder::Key(id.to_owned())
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
        let sessions = Sessions::default();
        let id = sessions.open(key("k"), 0).unwrap();
        let mut now_s = 0;
        while now_s + IDLE_MAX_S <= AGE_MAX_S {
            now_s += IDLE_MAX_S;
            assert!(sessions.use_now(id.reveal(), now_s, everything).is_some(), "{now_s}");
        }
        assert_eq!(now_s, AGE_MAX_S, "the last use was in its last second");
        assert!(sessions.use_now(id.reveal(), AGE_MAX_S + 1, everything).is_none());
        let id = sessions.open(key("k"), 0).unwrap();
        let used = sessions.use_now(id.reveal(), 10, everything).unwrap();
        assert!(sessions.look_up(&used.id_hash, 10 + IDLE_MAX_S, everything).is_some());
        assert!(sessions.use_now(id.reveal(), 11 + IDLE_MAX_S, everything).is_none(), "a stream is no use");
        assert!(sessions.use_now(id.reveal(), 12, everything).is_none(), "it does not come back");
        assert!(lock(&sessions.open).is_empty());
    }

    #[test]
    fn a_session_without_access_or_after_sign_out_does_not_come_back() {
        let sessions = Sessions::default();
        for end_by_key in [true, false] {
            let id = sessions.open(key("k"), 0).unwrap();
            let used = sessions.use_now(id.reveal(), 1, everything).unwrap();
            if end_by_key {
                assert!(sessions.look_up(&used.id_hash, 1, |_| None).is_none());
            } else {
                sessions.end(&used.id_hash);
            }
            assert!(sessions.use_now(id.reveal(), 1, everything).is_none());
        }
    }

    #[test]
    fn the_session_that_was_unused_for_longest_makes_room() {
        let sessions = Sessions::default();
        let of_key = |now_s: i64| sessions.open(key(&now_s.to_string()), now_s).unwrap();
        let ids: Vec<Secret> = (1..=10_000).map(of_key).collect();
        assert!(sessions.use_now(ids[0].reveal(), 10_000, everything).is_some());
        sessions.open(key("k"), 10_001).unwrap();
        let is_open = |at: usize| sessions.use_now(ids[at].reveal(), 10_001, everything).is_some();
        assert_eq!((is_open(0), is_open(1), is_open(2)), (true, false, true));
        assert_eq!(lock(&sessions.open).len(), 10_000);
    }

    #[test]
    fn tokens_of_forms_differ_for_each_session_and_an_empty_one_is_never_right() {
        let (one, other) = (csrf_token("one"), csrf_token("other"));
        assert!(one.len() == 43 && one != other && is_csrf_token(&one, &one));
        for wrong in [other.as_str(), "", &one[1..]] {
            assert!(!is_csrf_token(&one, wrong), "{wrong}");
        }
        assert!(!is_csrf_token("", ""));
    }

    #[test]
    fn a_key_pushes_out_only_its_own_sessions() {
        let sessions = Sessions::default();
        let other = sessions.open(key("other"), 0).unwrap();
        let ids: Vec<Secret> = (1..=100).map(|now_s| sessions.open(key("k"), now_s).unwrap()).collect();
        sessions.open(key("k"), 101).unwrap();
        let works = |id: &Secret| sessions.use_now(id.reveal(), 102, everything).is_some();
        assert!(!works(&ids[0]) && works(&ids[1]) && works(&other));
    }
}
