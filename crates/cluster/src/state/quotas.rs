//! What all processes count together: calls of a day, clearings of a month, tries. Each is one statement.

use std::collections::BTreeMap;

use super::{error::StateError, pool::Pools};

/// Does not wait for the disk, so that many calls of one account do not wait for each other. If PostgreSQL crashes, it
/// forgets the calls of the last second, as the embedded store does.
const SPEND: &str = "
INSERT INTO quota (appid, interface, day, used)
SELECT $1::text, $2::text, $3::integer, 1
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick (setting) WHERE setting = 'off'
ON CONFLICT (appid, interface, day) DO UPDATE SET used = quota.used + 1 WHERE $4::bigint = 0 OR quota.used < $4
RETURNING used";
const ADD: &str = "
INSERT INTO quota (appid, interface, day, used)
SELECT added.* FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[]) AS added,
  (SELECT set_config('synchronous_commit', 'off', true)) AS quick (setting) WHERE setting = 'off'
ON CONFLICT (appid, interface, day) DO UPDATE SET used = quota.used + excluded.used";
const CLEAR: &str = "
WITH taken AS (
  INSERT INTO clearing (appid, month, times) VALUES ($1, $3, 1)
  ON CONFLICT (appid, month) DO UPDATE SET times = clearing.times + 1 WHERE clearing.times < $4 RETURNING times),
cleared AS (DELETE FROM quota WHERE appid = $1 AND day = $2 AND EXISTS (SELECT FROM taken))
SELECT times FROM taken";
/// A refused try writes nothing.
const TRY: &str = "
INSERT INTO attempt (name, times, until) VALUES ($1, 1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (name) DO UPDATE SET
  times = CASE WHEN attempt.until <= clock_timestamp() THEN 1 ELSE attempt.times + 1 END,
  until = CASE WHEN attempt.until <= clock_timestamp() THEN excluded.until ELSE attempt.until END
  WHERE attempt.until <= clock_timestamp() OR attempt.times < $3
RETURNING times";

/// Calls of an account on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedCalls {
    /// The account.
    pub appid: String,
    /// The interface's name.
    pub interface: String,
    /// The day's number.
    pub day: i32,
    /// How many calls to add.
    pub calls: u32,
}

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

/// Adds calls without a limit.
pub async fn add(pools: &Pools, calls: &[UsedCalls]) -> Result<(), StateError> {
    // Sorted, so that two processes never wait for each other; and each row once.
    let mut sums: BTreeMap<(&str, &str, i32), i64> = BTreeMap::new();
    for used in calls {
        *sums.entry((&used.appid, &used.interface, used.day)).or_default() += i64::from(used.calls);
    }
    if sums.is_empty() {
        return Ok(());
    }
    let appids: Vec<&str> = sums.keys().map(|key| key.0).collect();
    let interfaces: Vec<&str> = sums.keys().map(|key| key.1).collect();
    let days: Vec<i32> = sums.keys().map(|key| key.2).collect();
    let counts: Vec<i64> = sums.values().copied().collect();
    pools.ask(ADD, &[&appids, &interfaces, &days, &counts]).await.map(drop)
}

/// How often each interface was called on a day.
pub async fn used(pools: &Pools, appid: &str, day: i32) -> Result<Vec<(String, u32)>, StateError> {
    let statement = "SELECT interface, used FROM quota WHERE appid = $1 AND day = $2 ORDER BY interface";
    let rows = pools.ask(statement, &[&appid, &day]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, clamped(row.try_get(1)?)))).collect()
}

/// Clears the calls of a day, if the month has a clearing left. Returns the clearings of the month.
pub async fn clear(
    pools: &Pools,
    appid: &str,
    (day, month): (i32, i32),
    limit: u32,
) -> Result<Option<u32>, StateError> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    if limit == 0 {
        return Ok(None);
    }
    let rows = pools.ask(CLEAR, &[&appid, &day, &month, &limit]).await?;
    rows.first().map(|row| Ok(clamped(i64::from(row.try_get::<_, i32>(0)?)))).transpose()
}

/// How often the calls were cleared in a month.
pub async fn clearings(pools: &Pools, appid: &str, month: i32) -> Result<u32, StateError> {
    let rows =
        pools.ask("SELECT times FROM clearing WHERE appid = $1 AND month = $2", &[&appid, &month]).await?;
    rows.first().map_or(Ok(0), |row| Ok(clamped(i64::from(row.try_get::<_, i32>(0)?))))
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
