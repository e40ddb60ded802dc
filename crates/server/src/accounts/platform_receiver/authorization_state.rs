//! The authorization state of an account with a third-party platform. Stored sealed, one fact for each account.

use serde::{Deserialize, Serialize};
use storage::store::Change;
use system::data_key::{DataKey, SealError};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "received/";

/// Whether an account authorised a platform, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its messages arrive, but it is not known to have authorised the platform.
    Pending,
    /// It authorised the platform.
    Authorized,
    /// It withdrew the authorization.
    Unauthorized,
}

/// The authorization state of an account with a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationState {
    /// The newest known status.
    pub status: Status,
    /// When WeChat decided the status, Unix seconds. An event that was decided earlier changes nothing.
    pub decided_s: i64,
    /// The `ToUserName` of its first message, and so of all its messages.
    pub original_id: Option<String>,
    /// The account was an operator's own before the platform named it, so the platform did not bring it.
    #[serde(default, rename = "is_beside")]
    pub is_operators: bool,
}

impl AuthorizationState {
    /// The state before any event.
    pub fn pending() -> AuthorizationState {
        AuthorizationState {
            status: Status::Pending,
            decided_s: i64::MIN,
            original_id: None,
            is_operators: false,
        }
    }

    /// True unless the authorization was withdrawn.
    pub fn is_active(&self) -> bool {
        self.status != Status::Unauthorized
    }

    /// The state after a decision. None if the state is newer or the same. Within one second `unauthorized`
    /// takes precedence: a retried event must not authorise again.
    pub fn decided(&self, status: Status, decided_s: i64) -> Option<AuthorizationState> {
        let rank = |status: Status| status == Status::Unauthorized;
        let is_later = (decided_s, rank(status)) > (self.decided_s, rank(self.status));
        is_later.then(|| AuthorizationState { status, decided_s, ..self.clone() })
    }

    /// The state with its `ToUserName` set.
    pub fn bound_to(&self, original_id: &str) -> AuthorizationState {
        AuthorizationState { original_id: Some(original_id.to_owned()), ..self.clone() }
    }

    /// The change that stores the state, sealed.
    pub fn fact(&self, key: &DataKey, component: &str, appid: &str) -> Result<Change, SealError> {
        let name = fact_key(component, appid);
        let Ok(text) = serde_json::to_vec(self) else { unreachable!("a state is JSON") };
        let sealed = key.seal(&name, &text)?;
        Ok(Change::Fact { key: name, value: Some(sealed) })
    }

    /// Reads what [`AuthorizationState::fact`] wrote.
    pub fn opened(key: &DataKey, fact: &str, sealed: &[u8]) -> Result<AuthorizationState, String> {
        let text = key.open(fact, sealed).map_err(|error| error.to_string())?;
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }
}

/// An appid has no space, so different pairs have different keys.
pub fn fact_key(component: &str, appid: &str) -> String {
    format!("{FACT_PREFIX}{component} {appid}")
}

/// Splits the key of a fact into platform and account.
pub fn pair_of<'a>(prefix: &str, fact: &'a str) -> Option<(&'a str, &'a str)> {
    fact.strip_prefix(prefix)?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_later_holds_in_whatever_order_it_is_heard() {
        let mut state = AuthorizationState::pending();
        let heard = [
            (Status::Authorized, 5, Status::Authorized),
            (Status::Unauthorized, 9, Status::Unauthorized),
            (Status::Authorized, 5, Status::Unauthorized),
            (Status::Authorized, 9, Status::Unauthorized),
            (Status::Authorized, 10, Status::Authorized),
            (Status::Unauthorized, 9, Status::Authorized),
            (Status::Unauthorized, 10, Status::Unauthorized),
        ];
        for (status, decided_s, holds) in heard {
            state = state.decided(status, decided_s).unwrap_or(state);
            assert_eq!(state.status, holds, "{status:?} of {decided_s}");
        }
    }
}
