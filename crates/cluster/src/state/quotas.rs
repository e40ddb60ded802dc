//! What all processes count together: calls of a day, and tries. Each is one statement.

use super::{error::StateError, pool::Pools};

/// Does not wait for the disk, so that many calls of one account do not wait for each other. If PostgreSQL crashes, it
/// forgets the calls of the last second, as the embedded store does.
const SPEND: &str = "
INSERT INTO quota (appid, interface, day, used)
SELECT $1::text, $2::text, $3::integer, 1
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick (setting) WHERE setting = 'off'
ON CONFLICT (appid, interface, day) DO UPDATE SET used = quota.used + 1 WHERE $4::bigint = 0 OR quota.used < $4
RETURNING used";
/// A refused try writes nothing.
const TRY: &str = "
INSERT INTO attempt (name, times, until) VALUES ($1, 1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (name) DO UPDATE SET
  times = CASE WHEN attempt.until <= clock_timestamp() THEN 1 ELSE attempt.times + 1 END,
  until = CASE WHEN attempt.until <= clock_timestamp() THEN excluded.until ELSE attempt.until END
  WHERE attempt.until <= clock_timestamp() OR attempt.times < $3
RETURNING times";

/// Counts a call if one is left; returns how many were used with it. A limit of 0 means no limit.
pub async fn spend(
    pools: &Pools,
    (appid, interface): (&str, &str),
    day: i32,
    limit: u32,
) -> Result<Option<u32>, StateError> {
    let rows = pools.ask(SPEND, &[&appid, &interface, &day, &i64::from(limit)]).await?;
    rows.first().map(|row| Ok(clamped(row.try_get(0)?))).transpose()
}

/// How often each interface was called on a day.
pub async fn used(pools: &Pools, appid: &str, day: i32) -> Result<Vec<(String, u32)>, StateError> {
    let statement = "SELECT interface, used FROM quota WHERE appid = $1 AND day = $2 ORDER BY interface";
    let rows = pools.ask(statement, &[&appid, &day]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, clamped(row.try_get(1)?)))).collect()
}

/// Counts a try, if fewer than `limit` were counted in its window. The window begins with its first try.
pub async fn try_count(pools: &Pools, name: &str, window_s: u32, limit: u32) -> Result<bool, StateError> {
    if limit == 0 {
        return Ok(false);
    }
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    Ok(!pools.ask(TRY, &[&name, &f64::from(window_s), &limit]).await?.is_empty())
}

fn clamped(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
