//! Refused calls, so that any process can explain a request id. The newest 48 MiB that owners made themselves and 16 MiB of
//! others are kept; all may be lost.

use super::{error::StateError, pool::Pools};

/// All calls that owners of accounts and platforms made.
const BYTES_OF_OWNERS_MAX: i64 = 48 << 20;
/// All calls of others.
const BYTES_OF_OTHERS_MAX: i64 = 16 << 20;
/// What a row takes beside its texts.
const ROW_BYTES: usize = 100;

/// The oldest rows are those that end furthest before the newest one, so the sum needs no count.
const REMEMBER: &str = "
WITH place AS (
  INSERT INTO refused_end (is_by_owner, upto) VALUES ($6, $4)
  ON CONFLICT (is_by_owner) DO UPDATE SET upto = refused_end.upto + $4 RETURNING upto),
gone AS (DELETE FROM refused WHERE is_by_owner = $6 AND upto <= (SELECT upto FROM place) - $5)
INSERT INTO refused (is_by_owner, upto, rid, appid, body) SELECT $6, upto, $1, $2, $3 FROM place";
/// No two calls have the same id, unless somebody repeats one on purpose.
const FIND: &str =
    "SELECT appid, body FROM refused WHERE rid = $1 ORDER BY is_by_owner DESC, upto DESC LIMIT 1";

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// Whose call it was.
    pub appid: String,
    /// What the caller stored.
    pub body: Vec<u8>,
}

/// Keeps a call.
pub async fn remember(
    pools: &Pools,
    (rid, appid): (&str, &str),
    is_by_owner: bool,
    body: &[u8],
) -> Result<(), StateError> {
    let bytes_max = if is_by_owner { BYTES_OF_OWNERS_MAX } else { BYTES_OF_OTHERS_MAX };
    let bytes = i64::try_from(rid.len() + appid.len() + body.len() + ROW_BYTES).unwrap_or(i64::MAX);
    if bytes > bytes_max {
        return Ok(());
    }
    pools.ask(REMEMBER, &[&rid, &appid, &body, &bytes, &bytes_max, &is_by_owner]).await.map(drop)
}

/// The call of a request id.
pub async fn find(pools: &Pools, rid: &str) -> Result<Option<RefusedCall>, StateError> {
    let rows = pools.ask(FIND, &[&rid]).await?;
    rows.first().map(|row| Ok(RefusedCall { appid: row.try_get(0)?, body: row.try_get(1)? })).transpose()
}
