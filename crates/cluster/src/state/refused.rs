//! Refused calls, so that any process can explain a request id. The newest 64 MiB are kept; all may be lost.

use super::{error::StateError, pool::Pools};

/// All calls together.
const BYTES_MAX: i64 = 64 << 20;
/// What a row takes beside its texts.
const ROW_BYTES: usize = 100;

/// The oldest rows are those that end furthest before the newest one, so the sum needs no count.
const REMEMBER: &str = "
WITH place AS (
  INSERT INTO refused_end (upto) VALUES ($4)
  ON CONFLICT (one) DO UPDATE SET upto = refused_end.upto + $4 RETURNING upto),
gone AS (DELETE FROM refused WHERE upto <= (SELECT upto FROM place) - $5)
INSERT INTO refused (upto, rid, appid, body) SELECT upto, $1, $2, $3 FROM place";
const FIND: &str = "SELECT appid, body FROM refused WHERE rid = $1 ORDER BY upto DESC LIMIT 1";

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// Whose call it was.
    pub appid: String,
    /// What the caller stored.
    pub body: Vec<u8>,
}

/// Keeps a call.
pub async fn remember(pools: &Pools, rid: &str, appid: &str, body: &[u8]) -> Result<(), StateError> {
    let bytes = i64::try_from(rid.len() + appid.len() + body.len() + ROW_BYTES).unwrap_or(i64::MAX);
    if bytes > BYTES_MAX {
        return Ok(());
    }
    pools.ask(REMEMBER, &[&rid, &appid, &body, &bytes, &BYTES_MAX]).await.map(drop)
}

/// The call of a request id.
pub async fn find(pools: &Pools, rid: &str) -> Result<Option<RefusedCall>, StateError> {
    let rows = pools.ask(FIND, &[&rid]).await?;
    rows.first().map(|row| Ok(RefusedCall { appid: row.try_get(0)?, body: row.try_get(1)? })).transpose()
}
