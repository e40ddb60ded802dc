//! Deletes what nobody needs any more.

use super::{error::StateError, pool::Pools};

/// Removed facts go together with their turns, so a process that still needs them misses the turn, and reads all facts
/// again. The newest turn always stays. At most this many turns at once.
const TURNS: &str = "
WITH old AS (
  SELECT max(seq) AS seq FROM (SELECT seq, at FROM turn ORDER BY seq LIMIT 20000) oldest
  WHERE at < clock_timestamp() - make_interval(secs => $1) AND seq < (SELECT max(seq) FROM turn)),
facts AS (DELETE FROM fact USING old WHERE fact.value IS NULL AND fact.seq <= old.seq)
DELETE FROM turn USING old WHERE turn.seq <= old.seq";
/// Batches that were never ended: their days get a new generation for the last time.
const LATE: &str = "
WITH old AS (DELETE FROM late WHERE until < clock_timestamp() - interval '1h' RETURNING appid, day)
INSERT INTO period (appid, day, generation) SELECT appid, day, 1 FROM old GROUP BY appid, day ORDER BY appid, day
ON CONFLICT (appid, day) DO UPDATE SET generation = period.generation + 1";

/// Deletes removed facts and turns older than `turns_s` seconds, and quotas of days before the given one.
pub async fn tidy(pools: &Pools, turns_s: u32, oldest_day: i32) -> Result<(), StateError> {
    pools.ask(TURNS, &[&f64::from(turns_s)]).await?;
    pools.ask(LATE, &[]).await?;
    pools.ask("DELETE FROM attempt WHERE until < clock_timestamp()", &[]).await?;
    pools.ask("DELETE FROM quota WHERE day < $1", &[&oldest_day]).await?;
    Ok(())
}
