//! A real token as it is kept, in memory and, sealed, in the store.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::store::Change;
use system::{
    data_key::{DataKey, SealError},
    secret::Secret,
};
use zeroize::{Zeroize as _, Zeroizing};

pub const FACT_PREFIX: &str = "upstream/";
/// A token is renewed this long before its end: from then on `stable_token` gives another. Source: its page.
const RENEW_BEFORE_S: i64 = 300;
/// How long a former token is good for those who have it. Source: WeChat's page on access_token.
const OVERLAP_S: i64 = 300;
/// No token of WeChat's lives longer, whatever a server says.
const LIFE_S_MAX: i64 = 7200;
/// Forcing is allowed once in this time. Source: the contract.
const FORCE_EVERY_S: i64 = 30;
/// And as often as this in any 24 hours. Source: the contract.
const FORCED_MAX: usize = 10;
const DAY_S: i64 = 24 * 3600;

/// A real token.
#[derive(Clone, Debug)]
pub struct Kept {
    pub token: Secret,
    pub fetched_s: i64,
    pub expires_s: i64,
    /// From then on another is fetched.
    pub renew_s: i64,
    /// A code of what it was fetched with.
    pub origin: [u8; 32],
    /// Of the token.
    pub hash: [u8; 32],
}

/// What a token is looked up by.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// When tokens were forced, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forced(Vec<i64>);

/// Both as they are stored.
#[derive(Debug, Default)]
pub struct Record {
    pub kept: Option<Kept>,
    pub forced: Forced,
}

#[derive(Serialize, Deserialize)]
struct Written {
    token: String,
    fetched_s: i64,
    expires_s: i64,
    origin: [u8; 32],
    forced: Forced,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Kept {
    /// A token that was just given, for so many seconds.
    pub fn new(token: Secret, expires_in_s: i64, now_s: i64, origin: [u8; 32]) -> Kept {
        let life_s = expires_in_s.clamp(1, LIFE_S_MAX);
        Kept::until(token, now_s, now_s + life_s, origin)
    }

    fn until(token: Secret, fetched_s: i64, expires_s: i64, origin: [u8; 32]) -> Kept {
        // A short life is used for half of it at least.
        let renew_s = expires_s - RENEW_BEFORE_S.min((expires_s - fetched_s) / 2);
        Kept { hash: hash(token.reveal()), token, fetched_s, expires_s, renew_s, origin }
    }

    /// False after its end, and if the clock was set back.
    pub fn is_good(&self, now_s: i64) -> bool {
        (1..=LIFE_S_MAX).contains(&(self.expires_s - now_s))
    }

    /// Another took its place.
    #[must_use]
    pub fn superseded(self, now_s: i64) -> Kept {
        Kept { expires_s: self.expires_s.min(now_s + OVERLAP_S), ..self }
    }
}

impl Forced {
    /// Whether forcing is allowed now. What seems to lie ahead was noted before the clock was set back, and counts.
    pub fn may_force(&self, now_s: i64) -> bool {
        let lately = self.0.iter().filter(|at_s| now_s - **at_s < DAY_S).count();
        lately < FORCED_MAX && self.0.last().is_none_or(|last_s| now_s - last_s >= FORCE_EVERY_S)
    }

    /// Notes that it happens.
    pub fn note(&mut self, now_s: i64) {
        self.0.retain(|at_s| now_s - at_s < DAY_S);
        self.0.push(now_s);
    }
}

/// What makes a record durable.
pub fn fact(key: &DataKey, appid: &str, kept: Option<&Kept>, forced: &Forced) -> Result<Change, RecordError> {
    let name = format!("{FACT_PREFIX}{appid}");
    let mut written = Written {
        token: kept.map_or_else(String::new, |kept| kept.token.reveal().to_owned()),
        fetched_s: kept.map_or(0, |kept| kept.fetched_s),
        expires_s: kept.map_or(0, |kept| kept.expires_s),
        origin: kept.map_or([0; 32], |kept| kept.origin),
        forced: forced.clone(),
    };
    let text = Zeroizing::new(serde_json::to_vec(&written)?);
    written.token.zeroize();
    let sealed = key.seal(&name, &text)?;
    Ok(Change::Fact { key: name, value: Some(sealed) })
}

/// Reads a record.
pub fn opened(key: &DataKey, name: &str, sealed: &[u8]) -> Result<Record, RecordError> {
    let text = key.open(name, sealed)?;
    let written: Written = serde_json::from_slice(&text)?;
    let is_there = !written.token.is_empty();
    let kept = Kept::until(Secret::new(written.token), written.fetched_s, written.expires_s, written.origin);
    Ok(Record { kept: is_there.then_some(kept), forced: written.forced })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_its_end_and_never_trusted_beyond_two_hours() {
        let renewed = |expires_in_s| {
            let kept = Kept::new(Secret::new("t"), expires_in_s, 1000, [0; 32]);
            (kept.renew_s - 1000, kept.expires_s - 1000)
        };
        let cases = [
            (7200, (6900, 7200)),
            (300, (150, 300)),
            (345, (173, 345)),
            (0, (1, 1)),
            (i64::MAX, (6900, 7200)),
        ];
        for (expires_in_s, expected) in cases {
            assert_eq!(renewed(expires_in_s), expected, "{expires_in_s}");
        }
        let kept = Kept::new(Secret::new("t"), 7200, 1000, [0; 32]);
        assert!(kept.is_good(1000) && kept.is_good(8199) && !kept.is_good(8200) && !kept.is_good(900));
    }

    #[test]
    fn forcing_is_allowed_once_in_thirty_seconds_and_ten_times_a_day() {
        let mut forced = Forced::default();
        let mut times = 0;
        for now_s in 0..DAY_S {
            if forced.may_force(now_s) {
                forced.note(now_s);
                times += 1;
                assert!(!forced.may_force(now_s + 29));
            }
        }
        assert_eq!(times, 10);
        assert!(forced.may_force(DAY_S), "the first is a day old");
        forced.note(DAY_S);
        assert!(!forced.may_force(DAY_S + 29));
    }
}
