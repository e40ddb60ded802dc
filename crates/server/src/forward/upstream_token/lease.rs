//! Which of several processes fetches an account's real token. A fact with an end, so that a process that died delays
//! the others only for a while.

use serde::{Deserialize, Serialize};
use storage::store::Change;
use system::random::{self, RandomError};

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "upstream_lease/";
/// How long it holds, in seconds. Longer than one request to WeChat may take.
const LIFE_S: i64 = 15;

/// The right to fetch the token of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Random, new for each lease.
    holder: String,
    /// Until when it holds, Unix seconds.
    pub until_s: i64,
}

impl Lease {
    pub fn new(now_s: i64) -> Result<Lease, RandomError> {
        Ok(Lease { holder: random::hexadecimal(8)?, until_s: now_s + LIFE_S })
    }

    /// For another request of the same holder.
    pub fn extended(&self, now_s: i64) -> Lease {
        Lease { holder: self.holder.clone(), until_s: now_s + LIFE_S }
    }

    /// The change that stores it.
    pub fn fact(&self, appid: &str) -> Change {
        Change::fact(format!("{FACT_PREFIX}{appid}"), self)
    }

    /// The change that ends it.
    pub fn end(appid: &str) -> Change {
        Change::Fact { key: format!("{FACT_PREFIX}{appid}"), value: None }
    }
}
