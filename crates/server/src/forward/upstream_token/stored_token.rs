//! A real token, in memory and as it is stored, sealed.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storage::store::Change;
use system::{
    data_key::{DataKey, SealError},
    secret::Secret,
};
use zeroize::{Zeroize as _, Zeroizing};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "upstream/";
/// A token is renewed this many seconds before it expires: from then on `stable_token` returns another. Source:
/// WeChat's page on stable_token.
const RENEW_BEFORE_S: i64 = 300;
/// Seconds for which a former token stays valid. Source: WeChat's page on access_token.
const OVERLAP_S: i64 = 300;
/// Longest life of a WeChat token in seconds. A longer one from a server is shortened.
const LIFE_S_MAX: i64 = 7200;
/// Least seconds between two forced tokens. Source: the contract.
const FORCE_EVERY_S: i64 = 30;
/// Limit of forced tokens in 24 hours. Source: the contract.
const FORCED_MAX: usize = 10;
const DAY_S: i64 = 24 * 3600;

/// A real token.
#[derive(Clone, Debug)]
pub struct UpstreamToken {
    /// The token.
    pub token: Secret,
    /// When it was fetched, Unix seconds.
    pub fetched_s: i64,
    /// End of validity, Unix seconds.
    pub expires_s: i64,
    /// From this Unix second on it is renewed.
    pub renew_s: i64,
    /// MAC of the settings that it was fetched with.
    pub origin: [u8; 32],
    /// SHA-256 of the token.
    pub hash: [u8; 32],
}

/// The hash by which a token is looked up.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// When tokens were forced, Unix seconds, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedTimes(Vec<i64>);

/// The token of an account and the times of forcing.
#[derive(Clone, Debug, Default)]
pub struct TokenRecord {
    pub token: Option<UpstreamToken>,
    /// The token before it, for callers that still have it. Stored only if several processes share the store.
    pub previous: Option<UpstreamToken>,
    pub forced: ForcedTimes,
}

#[derive(Serialize, Deserialize)]
struct StoredToken {
    token: String,
    fetched_s: i64,
    expires_s: i64,
    origin: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct StoredRecord {
    token: String,
    fetched_s: i64,
    expires_s: i64,
    origin: [u8; 32],
    forced: ForcedTimes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<StoredToken>,
}

/// Why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl UpstreamToken {
    /// A token that was just received and has `expires_in_s` seconds left.
    pub fn new(token: Secret, expires_in_s: i64, now_s: i64, origin: [u8; 32]) -> UpstreamToken {
        let life_s = expires_in_s.clamp(1, LIFE_S_MAX);
        UpstreamToken::until(token, now_s, now_s + life_s, origin)
    }

    fn until(token: Secret, fetched_s: i64, expires_s: i64, origin: [u8; 32]) -> UpstreamToken {
        // A token with a short life is used for at least half of it.
        let renew_s = expires_s - RENEW_BEFORE_S.min((expires_s - fetched_s) / 2);
        UpstreamToken { hash: hash(token.reveal()), token, fetched_s, expires_s, renew_s, origin }
    }

    /// False after it expired, and if the clock was set back. `ahead_s_max`: by how much the clock of the process that
    /// fetched it may be ahead.
    pub fn is_good(&self, now_s: i64, ahead_s_max: i64) -> bool {
        (1..=LIFE_S_MAX + ahead_s_max).contains(&(self.expires_s - now_s))
    }

    /// How many seconds it is valid for.
    pub fn left_s(&self, now_s: i64) -> i64 {
        (self.expires_s - now_s).clamp(0, LIFE_S_MAX)
    }

    /// The token after another replaced it.
    #[must_use]
    pub fn superseded(self, now_s: i64) -> UpstreamToken {
        UpstreamToken { expires_s: self.expires_s.min(now_s + OVERLAP_S), ..self }
    }
}

impl ForcedTimes {
    /// Whether forcing is allowed now. Times in the future were recorded before the clock was set back; they
    /// count.
    pub fn may_force(&self, now_s: i64) -> bool {
        let lately = self.0.iter().filter(|at_s| now_s - **at_s < DAY_S).count();
        lately < FORCED_MAX && self.0.last().is_none_or(|last_s| now_s - last_s >= FORCE_EVERY_S)
    }

    /// Records that a token is forced.
    pub fn record(&mut self, now_s: i64) {
        self.0.retain(|at_s| now_s - at_s < DAY_S);
        self.0.push(now_s);
    }
}

impl TokenRecord {
    /// Makes this the current token.
    pub fn replace(&mut self, token: UpstreamToken) {
        let is_other = self.token.as_ref().is_some_and(|now| !now.token.matches(token.token.reveal()));
        if is_other {
            self.previous = self.token.take().map(|now| now.superseded(token.fetched_s));
        }
        self.token = Some(token);
    }

    /// The change that stores the record, sealed.
    pub fn fact(&self, key: &DataKey, appid: &str) -> Result<Change, RecordError> {
        let name = format!("{FACT_PREFIX}{appid}");
        let StoredToken { token, fetched_s, expires_s, origin } = StoredToken::of(self.token.as_ref());
        let previous = self.previous.as_ref().map(|previous| StoredToken::of(Some(previous)));
        let forced = self.forced.clone();
        let mut written = StoredRecord { token, fetched_s, expires_s, origin, forced, previous };
        let text = Zeroizing::new(serde_json::to_vec(&written)?);
        written.token.zeroize();
        written.previous.iter_mut().for_each(|previous| previous.token.zeroize());
        let sealed = key.seal(&name, &text)?;
        Ok(Change::Fact { key: name, value: Some(sealed) })
    }

    /// Opens what [`TokenRecord::fact`] sealed.
    pub fn opened(key: &DataKey, name: &str, sealed: &[u8]) -> Result<TokenRecord, RecordError> {
        let text = key.open(name, sealed)?;
        let StoredRecord { token, fetched_s, expires_s, origin, forced, previous } =
            serde_json::from_slice(&text)?;
        let token = StoredToken { token, fetched_s, expires_s, origin }.read();
        Ok(TokenRecord { token, previous: previous.and_then(StoredToken::read), forced })
    }
}

impl StoredToken {
    fn of(token: Option<&UpstreamToken>) -> StoredToken {
        StoredToken {
            token: token.map_or_else(String::new, |token| token.token.reveal().to_owned()),
            fetched_s: token.map_or(0, |token| token.fetched_s),
            expires_s: token.map_or(0, |token| token.expires_s),
            origin: token.map_or([0; 32], |token| token.origin),
        }
    }

    fn read(self) -> Option<UpstreamToken> {
        let is_there = !self.token.is_empty();
        let token =
            UpstreamToken::until(Secret::new(self.token), self.fetched_s, self.expires_s, self.origin);
        is_there.then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_its_end_and_never_trusted_beyond_two_hours() {
        let renewed = |expires_in_s| {
            let token = UpstreamToken::new(Secret::new("t"), expires_in_s, 1000, [0; 32]);
            (token.renew_s - 1000, token.expires_s - 1000)
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
        let token = UpstreamToken::new(Secret::new("t"), 7200, 1000, [0; 32]);
        let is_good = |now_s| token.is_good(now_s, 0);
        assert!(is_good(1000) && is_good(8199) && !is_good(8200) && !is_good(999));
        assert_eq!([970, 1000, 1001, 8200, 8300].map(|now_s| token.left_s(now_s)), [7200, 7200, 7199, 0, 0]);
        assert!(token.is_good(970, 30) && !token.is_good(969, 30) && !token.is_good(8200, 30));
    }

    #[test]
    fn forcing_is_allowed_once_in_thirty_seconds_and_ten_times_a_day() {
        let mut forced = ForcedTimes::default();
        let mut times = 0;
        for now_s in 0..DAY_S {
            if forced.may_force(now_s) {
                forced.record(now_s);
                times += 1;
                assert!(!forced.may_force(now_s + 29));
            }
        }
        assert_eq!(times, 10);
        assert!(forced.may_force(DAY_S), "the first is a day old");
        forced.record(DAY_S);
        assert!(!forced.may_force(DAY_S + 29));
    }
}
