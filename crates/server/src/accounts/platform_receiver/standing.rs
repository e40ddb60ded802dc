//! How an account stands with a third-party platform, and how that is kept: sealed, one fact an account.

use serde::{Deserialize, Serialize};
use storage::store::Change;
use system::data_key::{DataKey, SealError};

/// What facts of this sort begin with.
pub const FACT_PREFIX: &str = "received/";

/// What the platform was told of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its messages come, and nothing says yet that it authorised the platform.
    Pending,
    /// It did.
    Authorized,
    /// It took that back.
    Unauthorized,
}

/// An account as a platform brings it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it was told last.
    pub status: Status,
    /// When that was decided, by WeChat's clock. An event that was decided earlier changes nothing.
    pub decided_s: i64,
    /// The `ToUserName` of its first message, and so of all.
    pub original_id: Option<String>,
    /// The account was an operator's own before the platform spoke of it, so the platform did not bring it.
    #[serde(default)]
    pub is_beside: bool,
}

impl Standing {
    /// Nothing is known of it but that it is there.
    pub fn pending() -> Standing {
        Standing { status: Status::Pending, decided_s: i64::MIN, original_id: None, is_beside: false }
    }

    /// True while its messages are to come.
    pub fn is_active(&self) -> bool {
        self.status != Status::Unauthorized
    }

    /// The same once this was decided then; none if it was overtaken, or is known. Of one second `unauthorized` holds:
    /// what is sent anew must not authorise anew.
    pub fn decided(&self, status: Status, decided_s: i64) -> Option<Standing> {
        let rank = |status: Status| status == Status::Unauthorized;
        let is_later = (decided_s, rank(status)) > (self.decided_s, rank(self.status));
        is_later.then(|| Standing { status, decided_s, ..self.clone() })
    }

    /// The same with its `ToUserName`.
    pub fn bound_to(&self, original_id: &str) -> Standing {
        Standing { original_id: Some(original_id.to_owned()), ..self.clone() }
    }

    /// What makes it durable.
    pub fn fact(&self, key: &DataKey, component: &str, appid: &str) -> Result<Change, SealError> {
        let name = fact_key(component, appid);
        let Ok(text) = serde_json::to_vec(self) else { unreachable!("a standing is JSON") };
        let sealed = key.seal(&name, &text)?;
        Ok(Change::Fact { key: name, value: Some(sealed) })
    }

    /// Reads what [`Standing::fact`] wrote.
    pub fn opened(key: &DataKey, fact: &str, sealed: &[u8]) -> Result<Standing, String> {
        let text = key.open(fact, sealed).map_err(|error| error.to_string())?;
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }
}

/// No appid has a blank, so no two pairs share a name.
pub fn fact_key(component: &str, appid: &str) -> String {
    format!("{FACT_PREFIX}{component} {appid}")
}

/// Platform and account of a fact.
pub fn pair_of<'a>(prefix: &str, fact: &'a str) -> Option<(&'a str, &'a str)> {
    fact.strip_prefix(prefix)?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_later_holds_in_whatever_order_it_is_heard() {
        let mut standing = Standing::pending();
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
            standing = standing.decided(status, decided_s).unwrap_or(standing);
            assert_eq!(standing.status, holds, "{status:?} of {decided_s}");
        }
    }
}
